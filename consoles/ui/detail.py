"""Detail pages: the panels that a family declares, and its history."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from consoles import access
from consoles.ui import cells
from consoles.ui.pages import FamilyPage
from consoles.ui.panels import History


class DetailPage(FamilyPage):
    """One object, whole."""

    template = "ui/detail.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The page."""
        row = self.row(pk)
        may_write = self.family.may_change(request.user, row)
        return self.answer(
            {
                "family": self.family,
                "row": row,
                "title": self.family.title(row),
                "badges": [cells.render(badge) for badge in self.family.badges(row)],
                "parent": self.family.parent(row),
                "panels": [self._drawn(panel, row) for panel in [*self.family.panels, History()]],
                "actions": [one for one in self.family.actions(row) if access.may(request.user, one.role)],
                "edit_url": self.family.url("edit", row) if may_write and self.family.editable else "",
                "delete_url": self.family.url("delete", row) if may_write and self.family.deletable else "",
            }
        )

    def _drawn(self, panel: Any, row: Any) -> dict[str, Any]:
        return {"panel": panel, **panel.context(row, self.request)}
