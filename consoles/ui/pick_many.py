"""Choosing any number of objects by name: ticks while there are few, else a list to write or search into."""

from __future__ import annotations

from typing import Any

from django import forms
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe

from consoles.ui.pick import FEW
from consoles.ui.registry import families

ALL = "*"
MOST = 20_000


class PickMany(forms.Widget):
    """One text of names: what is ticked and what is written come together in it. `*` stands for all."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """The names as lines."""
        values = data.getlist(name) if hasattr(data, "getlist") else [data.get(name) or ""]
        return "\n".join(str(value) for value in values)

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Nothing ticked is nothing chosen."""
        return False

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Ticks, or a list with a search beside it."""
        family = families()[self.path]
        names = family.model._default_manager.order_by(family.document_name)
        known = list(names.values_list(family.document_name, flat=True)[: FEW + 1])
        chosen = list(dict.fromkeys(str(value or "").split()))
        context = {
            "name": name,
            "attrs": attrs or {},
            "plural": family.plural,
            "path": self.path,
            "few": len(known) <= FEW,
            "ticks": [(one, one in chosen or ALL in chosen) for one in dict.fromkeys([*known, *chosen])],
            "chosen": [one for one in chosen if one != ALL],
            "all": ALL in chosen,
            "count": names.count() if len(known) > FEW else len(known),
            "search": reverse("console:pick", args=[self.path]),
        }
        context["ticks"] = [(one, ticked) for one, ticked in context["ticks"] if one != ALL]
        return mark_safe(render_to_string("ui/widgets/pick_many.html", context))  # noqa: S308 - escaped there

    def id_for_label(self, id_: str) -> str:
        """The group has a legend of its own."""
        return ""


class PickManyField(forms.Field):
    """Names of objects of a family; the value is the names, in order, each once."""

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(widget=PickMany(path), **{"required": False, **options})
        self.family_path = path

    def prepare_value(self, value: Any) -> Any:
        """One a line."""
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> list[str]:
        """The names, all of which there are. Raises ValidationError."""
        family = families()[self.family_path]
        names = sorted(set(str(value or "").replace(",", " ").replace("\0", " ").split()))
        known = family.model._default_manager.values_list(family.document_name, flat=True)
        if ALL in names:
            return sorted(known)
        if len(names) > MOST:
            raise forms.ValidationError(f"Give {MOST:,} at most.")
        missing = sorted(set(names).difference(known))
        if missing:
            rest = f", nor {len(missing) - 1} more of these" if len(missing) > 1 else ""
            raise forms.ValidationError(f"There is no {family.noun} called {missing[0][:100]}{rest}.")
        return names

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what is chosen."""
        before = self.prepare_value(initial) or ""
        return set(before.split()) != set(str(data or "").split())
