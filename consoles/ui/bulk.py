"""One action on many objects of a list: all in one transaction, an audit entry for each, nothing in use deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ProtectedError, RestrictedError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect

from consoles import audit
from consoles.models import Role
from consoles.ui.changing import REFUSED, WritePage
from consoles.ui.consequences import Consequences, consequences_of, consequences_of_all
from consoles.ui.family import Switch
from consoles.ui.list_query import read
from consoles.ui.listing import PAGE_SIZES

MOST = max(PAGE_SIZES)
"""No more objects than a page of a list shows."""
NAMED = 10


class Kept(NamedTuple):
    """An object that stays as it is, and why."""

    row: Any
    why: str
    users: Sequence[Any] = ()
    """The first that use it, as kind and link; `more` is how many others do."""
    more: int = 0


class BulkPage(WritePage):
    """Enables, disables or deletes what was ticked on a list."""

    template = "ui/bulk_delete.html"

    def needed(self) -> Mapping[str, Role]:
        """It is only ever sent from a list."""
        return {"POST": self.family.write}

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Do what the button says, or ask first."""
        action = request.POST.get("action", "")
        rows = self._rows(request.POST.getlist("pk"))
        if action not in {one.name for one in self.family.bulk()} or not rows:
            messages.warning(request, "Nothing was chosen." if not rows else "There is no such action.")
            return self._back()
        allowed = [row for row in rows if self.family.may_change(request.user, row)]
        kept = [Kept(row, "You may not change it.") for row in rows if row not in allowed]
        if action == "delete":
            return self._delete(allowed, kept)
        switch = self.family.switched_by()
        assert switch is not None  # or there would be no such action
        return self._switch(switch, action == "enable", allowed, kept)

    def _rows(self, keys: list[str]) -> list[Any]:
        """The objects, held until the end of the transaction; at most as many as a page shows."""
        numbers = {int(key) for key in keys[:MOST] if key.isascii() and key.isdigit() and len(key) < 19}
        held = self.family.model._default_manager.select_for_update().filter(pk__in=numbers)
        found = self.family.rows().filter(pk__in=list(held.values_list("pk", flat=True)))
        return list(found.order_by(*self.family.order))

    def _switch(self, switch: Switch, on: bool, rows: list[Any], kept: list[Kept]) -> HttpResponseBase:
        value, state = (switch.on, switch.states[0]) if on else (switch.off, switch.states[1])
        changed = 0
        for row in rows:
            if getattr(row, switch.field) == value:
                continue
            before = audit.state_of(row)
            setattr(row, switch.field, value)
            problem = _problem_of(row) if on else ""
            if problem:
                kept.append(Kept(row, problem))
                continue
            row.save()
            audit.record(self.request, audit.Action.UPDATE, row, before, audit.state_of(row))
            changed += 1
        same = len(rows) - changed - sum(1 for one in kept if one.row in rows)
        before_that = f" {same} {'was' if same == 1 else 'were'} before." if same else ""
        self._say(changed, f"{'is' if changed == 1 else 'are'} {state} now.{before_that}", kept)
        return self._back()

    def _delete(self, rows: list[Any], kept: list[Kept]) -> HttpResponseBase:
        free, found = self._sorted_out(rows, kept)
        typed = self.request.POST.get("confirm")
        phrase = f"delete {len(free)}"
        if not free or typed is None:
            return self._ask(free, found, kept, phrase)
        if typed.strip().lower() != phrase:
            return self._ask(free, found, kept, phrase, REFUSED, f"Type {phrase} to confirm.")
        try:
            with transaction.atomic():
                count = sum(self._delete_one(row, kept) for row in free)
        except (ProtectedError, RestrictedError):  # somebody began to use one this moment
            free, found = self._sorted_out(self._rows(self.request.POST.getlist("pk")), kept)
            return self._ask(
                free, found, kept, f"delete {len(free)}", REFUSED, "Look again: this has changed."
            )
        self._say(count, f"{'is' if count == 1 else 'are'} deleted.", kept)
        return self._back()

    def _delete_one(self, row: Any, kept: list[Kept]) -> int:
        """1 if it is gone; what kept nothing before may be kept now that others are gone."""
        why = self.family.kept(row)
        if why:
            kept.append(Kept(row, why))
            return 0
        audit.record(self.request, audit.Action.DELETE, row, before=audit.state_of(row))
        row.delete()
        return 1

    def _sorted_out(self, rows: list[Any], kept: list[Kept]) -> tuple[list[Any], Consequences]:
        """Those that nothing keeps, and what goes with them; the others are added to `kept`."""
        free = []
        for row in rows:
            why = self.family.kept(row)
            if why:
                kept.append(Kept(row, why))
            else:
                free.append(row)
        found = consequences_of_all(free)
        if not found.kept_by:
            return free, found
        users = {row.pk: consequences_of(row) for row in free}
        kept += [
            Kept(row, _used(one), one.kept_by, one.kept_by_count - len(one.kept_by))
            for row, one in ((row, users[row.pk]) for row in free)
            if one.kept_by
        ]
        free = [row for row in free if not users[row.pk].kept_by]
        return free, consequences_of_all(free)

    def _ask(
        self,
        rows: list[Any],
        found: Consequences,
        kept: list[Kept],
        phrase: str,
        status: int = 200,
        error: str = "",
    ) -> HttpResponse:
        family = self.family
        impact = [(family.name(row), line) for row in rows[:NAMED] for line in family.impact(row)]
        noun = family.noun if len(rows) == 1 else family.several
        context = {
            "family": family,
            "title": f"Delete {len(rows)} {noun}" if rows else "Nothing to delete",
            "rows": rows,
            "found": found,
            "kept": kept,
            "impact": impact,
            "phrase": phrase,
            "error": error,
            "next": self._query(),
            "back": f"{family.url('list')}?{self._query()}",
        }
        return self.answer(context, status)

    def _say(self, count: int, what: str, kept: list[Kept]) -> None:
        """What was done, and what was not and why, on the next page."""
        noun = self.family.noun if count == 1 else self.family.several
        hint = " It takes effect with the next publish." if self.family.draft and count else ""
        messages.success(self.request, f"{count} {noun} {what}{hint}")
        if kept:
            named = "; ".join(f"{self.family.name(one.row)}: {one.why}" for one in kept[:NAMED])
            more = f" And {len(kept) - NAMED} more." if len(kept) > NAMED else ""
            messages.warning(self.request, f"Left as they were: {named}{more}")

    def _query(self) -> str:
        """The list as it was: nothing but what a list understands."""
        return read(self.family, QueryDict(self.request.POST.get("next", "")[:2000])).state.query()

    def _back(self) -> HttpResponseBase:
        return redirect(f"{self.family.url('list')}?{self._query()}".rstrip("?"))


def _problem_of(row: Any) -> str:
    """Why it would not be valid when turned on."""
    try:
        row.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        return " ".join(error.messages)
    return ""


def _used(found: Consequences) -> str:
    first = ", ".join(f"{noun} {getattr(link, 'text', link)}" for noun, link in found.kept_by[:3])
    rest = found.kept_by_count - min(3, len(found.kept_by))
    return f"in use by {first}{f' and {rest} more' if rest > 0 else ''}."
