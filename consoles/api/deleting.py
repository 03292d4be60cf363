"""Deletes an object, or says what keeps it and what would go with it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.db import models
from django.db.models.deletion import Collector, ProtectedError, RestrictedError

from consoles.api.errors import Blocked, Errors

SHOWN = 20


def delete(row: models.Model, *, cascade: bool) -> None:
    """Delete the row. Raises Blocked if others use it, or would go with it and `cascade` does not say so."""
    collector = Collector(using=row._state.db or "default")
    try:
        collector.collect([row])
    except ProtectedError as error:
        raise Blocked("Others use it.", _named(error.protected_objects)) from None
    except RestrictedError as error:
        raise Blocked("Others use it.", _named(error.restricted_objects)) from None
    taken = _taken(collector, row)
    if taken and not cascade:
        listed = ", ".join(f"{number} {noun}" for noun, number in sorted(taken.items()))
        raise Blocked(f"This would delete {listed} as well; cascade=true says that it is meant.", [])
    row.delete()


def _taken(collector: Collector, row: models.Model) -> Counter[str]:
    """How many of which kind would go too, by the plural."""
    counted: Counter[str] = Counter()
    for model, rows in collector.data.items():
        if model._meta.auto_created:
            continue
        others = len(rows) - (1 if model is type(row) else 0)
        counted[str(model._meta.verbose_name_plural)] += others
    for fast in collector.fast_deletes:
        if not fast.model._meta.auto_created:  # what an Api is sold under is no object of its own
            counted[str(fast.model._meta.verbose_name_plural)] += fast.count()
    return Counter({noun: number for noun, number in counted.items() if number > 0})


def _named(rows: Any) -> Errors:
    found = sorted(f"{row._meta.verbose_name} {row}" for row in rows)
    return [{"object": name, "message": "uses it"} for name in found[:SHOWN]]
