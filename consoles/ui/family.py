"""A page family: all that the console needs to know of one kind of object.

A subclass of `Family` in a file of `consoles/admin/` is found by itself and gives the object its list,
detail, create, edit and delete pages, its place in the menu and in the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Q
from django.urls import URLPattern, reverse

from consoles import access
from consoles.models import Role
from consoles.ui.cells import Link

if TYPE_CHECKING:
    from consoles.ui.forms import ObjectForm
    from consoles.ui.listing import Column, Filter
    from consoles.ui.panels import Panel


class Action:
    """A button on a detail page for whoever has `role`: a link, or with `post` a form that sends these values."""

    def __init__(
        self,
        label: str,
        url: str,
        icon: str,
        role: Role,
        *,
        post: Mapping[str, str] | None = None,
        style: str = "",
    ) -> None:
        self.label, self.url, self.icon, self.role, self.post, self.style = (
            label,
            url,
            icon,
            role,
            post,
            style,
        )


class Switch(NamedTuple):
    """The field that turns an object on and off, its two values, and what people call that."""

    field: str
    on: Any = True
    off: Any = False
    labels: tuple[str, str] = ("Enable", "Disable")
    states: tuple[str, str] = ("enabled", "disabled")


class Bulk(NamedTuple):
    """What can be done to many objects of a list at once: `enable`, `disable` or `delete`."""

    name: str
    label: str
    icon: str
    style: str = ""


USUAL_SWITCHES = (
    Switch("enabled"),
    Switch("active", labels=("Activate", "Suspend"), states=("active", "suspended")),
)
"""Those of models that have such a field."""


class Family:
    """Declares one kind of object. What is not declared has a sensible default.

    `path` is the word in URLs and URL names (`plans` gives `console:plans-list`); `section` and `place` say
    where it is in the menu, an empty section keeps it out. `draft` tells whether changes wait for a publish.
    """

    model: ClassVar[type[models.Model]]
    path: ClassVar[str]
    noun: ClassVar[str]
    plural: ClassVar[str]
    many: ClassVar[str] = ""
    """Several of them within a sentence, unless that is `plural`."""
    icon: ClassVar[str] = "file-code"
    section: ClassVar[str] = ""
    place: ClassVar[int] = 50
    summary: ClassVar[str] = ""
    draft: ClassVar[bool] = True
    document_kind: ClassVar[str] = ""
    """The word that problems of a publish call it by; `document_name` is the field that names it everywhere."""
    document_name: ClassVar[str] = "name"
    columns: ClassVar[Sequence[Column]] = ()
    filters: ClassVar[Sequence[Filter]] = ()
    search: ClassVar[Sequence[str]] = ()
    order: ClassVar[Sequence[str]] = ("pk",)
    related: ClassVar[Sequence[str]] = ()
    form: ClassVar[type[ObjectForm] | None] = None
    panels: ClassVar[Sequence[Panel]] = ()
    read: ClassVar[Role] = Role.VIEWER
    write: ClassVar[Role] = Role.EDITOR
    pages: ClassVar[Mapping[str, Any]] = {}
    """Page classes in place of the usual ones, None for no such page."""
    creatable: ClassVar[bool] = True
    editable: ClassVar[bool] = True
    deletable: ClassVar[bool] = True
    switch: ClassVar[Switch | None] = None
    """Unless it is one of the usual ones."""

    @property
    def several(self) -> str:
        """The word for several of them within a sentence: capital only where the noun has one."""
        return self.many or (self.plural if self.noun[:1].isupper() else self.plural.lower())

    def rows(self) -> models.QuerySet[Any]:
        """All objects with what lists and details show of them."""
        return self.model._default_manager.select_related(*self.related)

    def found(self, text: str) -> models.QuerySet[Any]:
        """Objects that a search for `text` means."""
        condition = Q()
        for field in self.search:
            condition |= Q(**{f"{field}__icontains": text})
        return self.rows().filter(condition)

    def name(self, row: Any) -> str:
        """What it is called in a line, and what is typed to delete it."""
        return str(row)

    def title(self, row: Any) -> str:
        """What the object is called at the top of its page."""
        return str(row)

    def badges(self, row: Any) -> Sequence[Any]:
        """States shown beside the title."""
        return ()

    def actions(self, row: Any) -> Sequence[Action]:
        """Buttons besides edit and delete."""
        return ()

    def parent(self, row: Any) -> Link | None:
        """The object that this one belongs to, for the way back."""
        return None

    def impact(self, row: Any) -> Sequence[str]:
        """Sentences on what deleting it means, besides what the database would delete or protect."""
        return ()

    def kept(self, row: Any) -> str:
        """Why it may not be deleted, besides what the database protects; empty if it may."""
        return ""

    def may_change(self, user: Any, row: Any) -> bool:
        """Whether this account may change or delete this object."""
        return access.may(user, self.write)

    def switched_by(self) -> Switch | None:
        """What turns its objects on and off, if anything does."""
        if self.switch is not None or not self.editable:
            return self.switch if self.editable else None
        return next((one for one in USUAL_SWITCHES if self._has_boolean(one.field)), None)

    def _has_boolean(self, name: str) -> bool:
        try:
            return isinstance(self.model._meta.get_field(name), models.BooleanField)
        except FieldDoesNotExist:
            return False

    def bulk(self) -> list[Bulk]:
        """What its list offers for many objects at once."""
        found, switch = [], self.switched_by()
        if switch is not None:
            found = [
                Bulk("enable", switch.labels[0], "circle-check"),
                Bulk("disable", switch.labels[1], "player-pause"),
            ]
        if self.deletable and "delete" not in self.pages:
            found.append(Bulk("delete", "Delete", "trash", "btn-ghost-danger"))
        return found

    def form_class(self, row: Any, data: Any) -> type[ObjectForm]:
        """The form for an object; `data` is what was sent, or the query of the page that asks for it."""
        if self.form is None:
            raise LookupError(f"{self.path} has no form")
        return self.form

    def bound_form(self, row: Any, data: Any) -> ObjectForm:
        """The form as it was sent."""
        return self.form_class(row, data)(data, instance=row)

    def extra_urls(self) -> Sequence[URLPattern]:
        """Further pages of the family."""
        return ()

    def url(self, page: str, row: Any = None) -> str:
        """The address of a page (`list`, `detail`, `create`, `edit`, `delete`)."""
        pk = getattr(row, "pk", row)
        return reverse(f"console:{self.path}-{page}", args=[pk] if pk is not None else [])

    def link(self, row: Any) -> Link | None:
        """A link to an object's page."""
        return Link(self.url("detail", row), str(row)) if row is not None else None
