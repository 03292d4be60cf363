"""The boxes of a detail page, as declarations: facts, related objects, and what a template of its own draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.http import HttpRequest

from consoles import access
from consoles.models import AuditEntry
from consoles.ui import cells
from consoles.ui.registry import families

Fact = tuple[str, Any]
SHOWN_ROWS = 25
SHOWN_HISTORY = 8


class Panel:
    """One box. `wide` panels take the whole width; the others share it in two columns."""

    template = ""
    wide = False

    def __init__(self, title: str, *, wide: bool | None = None) -> None:
        self.title = title
        if wide is not None:
            self.wide = wide

    def context(self, row: Any, request: HttpRequest) -> Mapping[str, Any]:
        """What its template shows."""
        return {}


class Facts(Panel):
    """Names and values. `facts` makes them of the object; those whose value is `HIDE` are left out."""

    template = "ui/panels/facts.html"

    def __init__(
        self, title: str, facts: Callable[[Any], Sequence[Fact]], *, wide: bool | None = None
    ) -> None:
        super().__init__(title, wide=wide)
        self.facts = facts

    def context(self, row: Any, request: HttpRequest) -> Mapping[str, Any]:
        """The facts as HTML."""
        return {
            "facts": [(name, cells.render(value)) for name, value in self.facts(row) if value is not HIDE]
        }


HIDE: Any = object()
"""The value of a fact that this object does not have."""


class Related(Panel):
    """Objects of another family that belong to this one: the first of them, and a way to the rest.

    `filter` narrows the other family's rows to those of `row`; `preset` is put into the form that adds one.
    """

    template = "ui/panels/related.html"
    wide = True

    def __init__(
        self,
        title: str,
        path: str,
        filter: Callable[[Any], dict[str, Any]],
        *,
        columns: Sequence[str] = (),
        preset: Callable[[Any], str] | None = None,
        empty: str = "",
        more: Callable[[Any], str] | None = None,
    ) -> None:
        super().__init__(title)
        self.path, self.filter, self.columns = path, filter, columns
        self.preset, self.empty, self.more = preset, empty, more

    def context(self, row: Any, request: HttpRequest) -> Mapping[str, Any]:
        """Rows of the other family's table."""
        family = families()[self.path]
        columns = [one for one in family.columns if not self.columns or one.name in self.columns]
        found = list(family.rows().filter(**self.filter(row)).order_by(*family.order)[: SHOWN_ROWS + 1])
        rows = []
        for other in found[:SHOWN_ROWS]:
            url = family.url("detail", other)
            rows.append(
                [
                    (one, cells.render(cells.Link(url, str(one.of(other))) if one.link else one.of(other)))
                    for one in columns
                ]
            )
        may_add = family.creatable and self.preset and access.may(request.user, family.write)
        preset = f"?{self.preset(row)}" if self.preset else ""
        return {
            "family": family,
            "columns": columns,
            "rows": rows,
            "truncated": len(found) > SHOWN_ROWS,
            "more_url": family.url("list") + (f"?{self.more(row)}" if self.more else ""),
            "add_url": family.url("create") + preset if may_add else "",
            "empty": self.empty or f"No {family.several} yet.",
        }


class Drawn(Panel):
    """A box with a template of its own; `context` makes what the template shows of the object."""

    def __init__(
        self,
        title: str,
        template: str,
        context: Callable[[Any, HttpRequest], Mapping[str, Any]],
        *,
        wide: bool = True,
    ) -> None:
        super().__init__(title, wide=wide)
        self.template = template
        self._context = context

    def context(self, row: Any, request: HttpRequest) -> Mapping[str, Any]:
        """As given."""
        return self._context(row, request)


class History(Panel):
    """The last changes of the object, with the way to all of them."""

    template = "ui/panels/history.html"
    wide = True

    def __init__(self) -> None:
        super().__init__("History")

    def context(self, row: Any, request: HttpRequest) -> Mapping[str, Any]:
        """Entries of the audit."""
        kind = row._meta.model_name
        entries = AuditEntry.objects.filter(kind=kind, object_id=str(row.pk))
        return {"entries": list(entries[:SHOWN_HISTORY]), "kind": kind, "pk": row.pk}
