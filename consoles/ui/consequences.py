"""What deleting an object would take with it, and what keeps it from being deleted."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from django.db import models
from django.db.models.deletion import Collector, ProtectedError, RestrictedError

from consoles.ui.registry import family_of, link_to

SHOWN = 10


class Consequences(NamedTuple):
    """`deleted` counts what goes as well, by its plural; `kept_by` links the first objects that use it."""

    deleted: list[tuple[int, str]]
    kept_by: list[Any]
    kept_by_count: int


def consequences_of(row: models.Model) -> Consequences:
    """As the database's own rules say."""
    collector = Collector(using=row._state.db or "default")
    try:
        collector.collect([row])
    except ProtectedError as error:
        return _kept(set(error.protected_objects))
    except RestrictedError as error:
        return _kept(set(error.restricted_objects))
    counted: Counter[type[models.Model]] = Counter()
    for model, rows in collector.data.items():
        counted[model] += len(rows)
    for rows in collector.fast_deletes:
        counted[rows.model] += rows.count()
    counted[type(row)] -= 1
    return Consequences(
        [
            (number, _name(model, number))
            for model, number in counted.items()
            if number > 0 and not model._meta.auto_created
        ],
        [],
        0,
    )


def _kept(rows: set[Any]) -> Consequences:
    ordered = sorted(rows, key=str)
    return Consequences([], [(_name(type(one), 1), link_to(one)) for one in ordered[:SHOWN]], len(rows))


def _name(model: type[models.Model], number: int) -> str:
    family = family_of(model)
    if family is not None:
        return family.noun if number == 1 else family.plural
    return str(model._meta.verbose_name if number == 1 else model._meta.verbose_name_plural)
