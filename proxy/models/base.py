"""What all editable objects share: the edition for optimistic locking, times, and the way to a document."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

import msgspec
from django.core.exceptions import ValidationError
from django.db import models

from proxy.config.decode import decode, plain
from proxy.config.problem import Problem

Struct = TypeVar("Struct", bound=msgspec.Struct)
NEWEST = 2**31 - 1
"""The position of what was not given any: behind all others, in order of age."""


class Editable(models.Model):
    """An object of the draft. `edition` rises with every save; an editor that saw another one is too late.

    `shared` names the columns that the object's struct in `proxy.config.document` has as well.
    """

    edition = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    shared: ClassVar[tuple[str, ...]] = ()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the object under its next edition."""
        if not self._state.adding:
            self.edition += 1
        fields = kwargs.get("update_fields")
        if fields is not None:
            kwargs["update_fields"] = {*fields, "edition", "updated_at"}
        super().save(*args, **kwargs)

    def plain(self) -> dict[str, Any]:
        """The shared columns as plain data."""
        return {name: getattr(self, name) for name in self.shared}

    def named_relations(self) -> dict[str, list[str]]:
        """What the object refers to without a column of its own, by name; for the audit."""
        return {}

    def fill(self, item: msgspec.Struct) -> None:
        """Take the shared columns from a document's struct."""
        for name in self.shared:
            setattr(self, name, plain(getattr(item, name)))

    def check_as(
        self,
        kind: type[Struct],
        check: Callable[[Struct], Iterable[Problem]],
        names: dict[str, str] | None = None,
    ) -> None:
        """Raise `ValidationError` for what a document would be refused for.

        `names` maps fields of the document to the model's where they differ.
        """
        found, problems = decode(kind, self.plain())
        if found is not None:
            problems += check(found)
        if problems:
            raise ValidationError(_by_field(problems, names or {}))


def _by_field(problems: list[Problem], names: dict[str, str]) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for problem in problems:
        top, _, rest = problem.field.partition(".")
        field = names.get(problem.field) or top.partition("[")[0] or "__all__"
        detail = f"{problem.field}: " if (rest or "[" in top) and problem.field not in names else ""
        errors.setdefault(field, []).append(f"{detail}{problem.reason}")
    return errors
