"""Choosing one of many objects: a select while they are few, else a text input that suggests names."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse

from consoles.models import Role
from consoles.ui.pages import Page
from consoles.ui.registry import families, family_of

FEW = 50
SUGGESTED = 20


class PickField(forms.ModelChoiceField):
    """One of many rows, by the field that names it. Given a number as initial value, it is the row's key."""

    default_error_messages: ClassVar = {"invalid_choice": "There is none called %(value)s."}

    def __init__(self, like: forms.ModelChoiceField, path: str) -> None:
        name = families()[path].document_name
        super().__init__(
            like.queryset,
            to_field_name=name,
            required=like.required,
            label=like.label,
            initial=like.initial,
            help_text=like.help_text or "Type a part of the name.",
            widget=forms.TextInput(
                {
                    "autocomplete": "off",
                    "list": f"pick-{path}",
                    "hx-get": reverse("console:pick", args=[path]),
                    "hx-trigger": "focus once, input changed delay:150ms",
                    "hx-target": f"#pick-{path}",
                }
            ),
        )
        self.path = path

    def to_python(self, value: Any) -> Any:
        """The row; PostgreSQL refuses to look for NUL."""
        return super().to_python(
            value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
        )

    def prepare_value(self, value: Any) -> Any:
        """The name, of a row or its key."""
        if isinstance(value, int):
            value = self.queryset.filter(pk=value).first()
        return super().prepare_value(value)


def adapt(form: forms.BaseForm) -> None:
    """Put a `PickField` in the place of each select that would be long."""
    for name, field in form.fields.items():
        if not isinstance(field, forms.ModelChoiceField) or isinstance(field, PickField):
            continue
        family = family_of(field.queryset.model)
        if family is None or not field.queryset.order_by().values_list("pk", flat=True)[FEW : FEW + 1]:
            continue
        form.fields[name] = PickField(field, family.path)
        given = form.initial.get(name)
        if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 19:
            form.initial[name] = int(given)


class Suggestions(Page):
    """Names that begin like, or hold, what is typed: options for a `datalist`, or buttons that add them."""

    roles: ClassVar = {"GET": Role.EDITOR}

    def get(self, request: HttpRequest, family: str) -> HttpResponse:
        """The options."""
        found = families().get(family)
        if found is None or found.read > Role.VIEWER or not found.search:
            raise Http404
        name = found.document_name
        # The input sends itself under its own name, which is the only parameter there is.
        text = next(iter(request.GET.values()), "").strip().replace("\0", "")[:200]
        rows = found.model._default_manager.filter(**{f"{name}__icontains": text}).order_by(name)
        names = list(rows.values_list(name, flat=True)[:SUGGESTED])
        if self.wants_part.startswith("many-"):
            return self.render("ui/widgets/pick_many_found.html", {"names": names})
        return self.render("ui/suggestions.html", {"names": names})
