"""What deleting an object would take with it, and what keeps it from being deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    return consequences_of_all([row])


def consequences_of_all(rows: Sequence[models.Model]) -> Consequences:
    """Of deleting several objects of one kind."""
    if not rows:
        return Consequences([], [], 0)
    collector = Collector(using=rows[0]._state.db or "default")
    try:
        collector.collect(rows)
    except ProtectedError as error:
        return _kept(set(error.protected_objects))
    except RestrictedError as error:
        return _kept(set(error.restricted_objects))
    counted: Counter[type[models.Model]] = Counter()
    for model, collected in collector.data.items():
        counted[model] += len(collected)
    for found in collector.fast_deletes:
        counted[_model_of(found)] += found.count() if isinstance(found, models.QuerySet) else len(found)
    counted[type(rows[0])] -= len(rows)
    return Consequences(
        [
            (number, _name(model, number))
            for model, number in counted.items()
            if number > 0 and not model._meta.auto_created
        ],
        [],
        0,
    )


def _model_of(found: Sequence[models.Model] | models.QuerySet[models.Model]) -> type[models.Model]:
    return found.model if isinstance(found, models.QuerySet) else type(found[0])


def _kept(rows: set[Any]) -> Consequences:
    shown: list[Any] = []
    for model in sorted({type(one) for one in rows}, key=lambda one: str(one._meta.label)):
        first = sorted(one.pk for one in rows if type(one) is model)[: SHOWN - len(shown)]
        # With what their names are made of: thousands may be in the way, each with a query for its name.
        shown += sorted(model._default_manager.filter(pk__in=first).select_related(), key=str)
    return Consequences([], [(_name(type(one), 1), link_to(one)) for one in shown], len(rows))


def _name(model: type[models.Model], number: int) -> str:
    family = family_of(model)
    if family is not None:
        return family.noun if number == 1 else family.several
    return str(model._meta.verbose_name if number == 1 else model._meta.verbose_name_plural)
