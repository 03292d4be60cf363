"""Numbers of related rows beside each row of a list, counted for the rows that are shown and no others."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, IntegerField, Model, OuterRef, Subquery
from django.db.models.functions import Coalesce


def count_of(model: type[Model], field: str, **conditions: Any) -> Coalesce:
    """How many rows of `model` refer to this one by `field`."""
    rows = model._default_manager.filter(**{field: OuterRef("pk")}, **conditions).order_by()
    counted = rows.values(field).annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)
