"""Create, edit and delete pages. Each change and its audit entry are one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, RestrictedError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect

from consoles import access, audit
from consoles.models import AuditEntry, Role
from consoles.ui.consequences import Consequences, consequences_of
from consoles.ui.forms import ObjectForm
from consoles.ui.pages import FamilyPage, local

REFUSED = 422


class WritePage(FamilyPage):
    """A page that changes an object of a family."""

    template = "ui/form.html"

    def needed(self) -> Mapping[str, Role]:
        """Whoever may write may see the form."""
        return {"GET": self.family.write, "POST": self.family.write}

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """A request that is refused changes nothing at all."""
        with transaction.atomic():
            response = super().dispatch(request, *args, **kwargs)
            if response.status_code >= 400:
                transaction.set_rollback(True)
            return response

    def show(self, form: ObjectForm, title: str, back: str, status: int = 200) -> HttpResponse:
        """The form."""
        context = {
            "family": self.family,
            "form": form,
            "title": title,
            "back": back,
            "row": form.instance if form.instance.pk else None,
            **form_context(form),
        }
        return self.answer(context, status)

    def locked(self, pk: int) -> Any:
        """The row, held until the end of the request's transaction."""
        row = self.family.model._default_manager.select_for_update().filter(pk=pk).first()
        if row is None:
            raise Http404
        return self.changeable(row)

    def stored(self, form: ObjectForm) -> Any:
        """The row as the form makes it, None if somebody else stored this moment what does not go with it."""
        try:
            with transaction.atomic():
                return form.save()
        except IntegrityError:
            form.add_error(
                None, "Somebody else stored something meanwhile that this does not go with. Look again."
            )
            return None

    def changeable(self, row: Any) -> Any:
        """The row; raises `Denied` unless this account may change it."""
        if not self.family.may_change(self.request.user, row):
            raise access.Denied(self.family.write)
        return row

    def done(self, verb: str, row: Any, note: str = "") -> None:
        """Say so on the next page, and what it takes to make it live."""
        hint = " It takes effect with the next publish." if self.family.draft else ""
        messages.success(self.request, f"{self.family.noun} {row} {verb}.{hint}{note}")


def form_context(form: ObjectForm) -> dict[str, Any]:
    """What a form adds to its page."""
    return dict(getattr(form, "page_context", dict)())


class CreatePage(WritePage):
    """A new object; the query of the address fills in fields."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """An empty form, but for what the address gives."""
        kind = self.family.form_class(None, request.GET)
        return self.show(kind(initial=request.GET.dict()), self._title(), self.family.url("list"))

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Make it, or say beside the fields why not."""
        form = self.family.bound_form(None, request.POST)
        if wants_other_form(request) or not form.is_valid():
            return self.show(form, self._title(), self.family.url("list"), _status(request))
        row = self.stored(form)
        if row is None:
            return self.show(form, self._title(), self.family.url("list"), REFUSED)
        row.refresh_from_db()
        audit.record(request, audit.Action.CREATE, row, after=audit.state_of(row))
        self.done("created", row)
        return redirect(_next(request) or self.family.url("detail", row))

    def _title(self) -> str:
        return f"New {self.family.noun}"


class EditPage(WritePage):
    """An object's form; two who edit it at once get a merge, never a lost update."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The form as stored."""
        row = self.changeable(self.row(pk))
        form = self.family.form_class(row, request.GET)(instance=row)
        return self.show(form, f"Edit {row}", self.family.url("detail", row))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Store it, or say beside the fields why not."""
        row = self.locked(pk)
        name, before = str(row), audit.state_of(row)
        form = self.family.bound_form(row, request.POST)
        if form.conflicts or form.taken_over:
            form.other_editor = _last_editor(request, row)
        if wants_other_form(request) or not form.is_valid():
            return self.show(form, f"Edit {name}", self.family.url("detail", pk), _status(request))
        row = self.stored(form)
        if row is None:
            return self.show(form, f"Edit {name}", self.family.url("detail", pk), REFUSED)
        after = audit.state_of(row)
        secrets = {field: ("(secret)", "(replaced)") for field in form.replaced_secrets}
        if before != after or secrets:
            audit.record(request, audit.Action.UPDATE, row, before, after, extra=secrets)
        self.done("saved", row, _merged(form))
        return redirect(self.family.url("detail", row))


def wants_other_form(request: HttpRequest) -> bool:
    """A button that only changes how the form looks; nothing is stored."""
    return "show_as" in request.POST


def _status(request: HttpRequest) -> int:
    return 200 if wants_other_form(request) else REFUSED


def _merged(form: ObjectForm) -> str:
    if not form.taken_over:
        return ""
    labels = ", ".join(str(form.fields[name].label or name).lower() for name in form.taken_over)
    return f" {form.other_editor} changed {labels} meanwhile; that was kept."


def _last_editor(request: HttpRequest, row: Any) -> str:
    """Who changed the object last, by the audit."""
    entries = AuditEntry.objects.filter(kind=row._meta.model_name, object_id=str(row.pk))
    entry = entries.order_by("-at", "-pk").first()
    if entry is None:
        return "Somebody else"
    return "You, elsewhere," if entry.actor_id == request.user.pk else entry.actor_name


def _next(request: HttpRequest) -> str:
    return local(request, request.POST.get("next", ""))


class DeletePage(WritePage):
    """Says what goes with the object, what keeps it, and asks for its name."""

    template = "ui/delete.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What would happen."""
        row = self.changeable(self.row(pk))
        return self._ask(row, consequences_of(row))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Delete it if the name is typed and nothing keeps it."""
        row = self.locked(pk)
        found = consequences_of(row)
        if found.kept_by or self.family.kept(row):
            return self._ask(row, found, REFUSED)
        if request.POST.get("confirm", "").strip() != self.family.name(row):
            return self._ask(row, found, REFUSED, f"Type {self.family.name(row)} to confirm.")
        audit.record(request, audit.Action.DELETE, row, before=audit.state_of(row))
        try:
            row.delete()
        except (ProtectedError, RestrictedError):  # somebody began to use it this moment
            return self._ask(row, consequences_of(row), REFUSED)
        self.done("deleted", row)
        return redirect(self.family.url("list"))

    def _ask(self, row: Any, found: Consequences, status: int = 200, error: str = "") -> HttpResponse:
        context = {
            "family": self.family,
            "row": row,
            "name": self.family.name(row),
            "title": f"Delete {self.family.name(row)}",
            "found": found,
            "impact": self.family.impact(row),
            "kept": self.family.kept(row),
            "error": error,
            "back": self.family.url("detail", row),
        }
        return self.answer(context, status)
