"""The base of all forms that edit objects: groups of fields, and the merge when two people edit one object.

A form carries what its editor saw, as fingerprints. When the object has changed meanwhile, fields that only
the other one changed are taken over, and a field that both changed is shown with both values; nothing is
lost without a word.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.forms.boundfield import BoundField

from consoles.ui.pick import adapt

SEEN = "seen"
MAX_SHOWN = 300


class Group(NamedTuple):
    """Fields under a heading; a folded one is opened when needed."""

    title: str
    names: Sequence[str]
    folded: bool = False
    help: str = ""


class ShownGroup(NamedTuple):
    """A group with its fields bound to the form."""

    group: Group
    fields: list[BoundField]
    open: bool


class Merged(NamedTuple):
    """A field that somebody else changed meanwhile: what they made of it, and whether it was changed here too."""

    label: str
    theirs: str
    conflict: bool


class ObjectForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form for one object. `groups` orders the fields; what is in none comes last."""

    groups: ClassVar[Sequence[Group]] = ()
    secret_fields: ClassVar[frozenset[str]] = frozenset()
    """Never sent to the browser; left empty they keep what is stored."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields.update(self.extra_fields())
        adapt(self)
        self.taken_over: list[str] = []
        self.conflicts: list[str] = []
        self.other_editor = "Somebody else"
        self._stored = {
            name: self._initial_of(name) for name in self.fields if name not in self.secret_fields
        }
        for name in self.secret_fields:
            self.initial[name] = ""
        if self.is_bound and self.instance.pk:
            self._merge()
        for name, field in self.fields.items():
            _dress(name, field)

    def extra_fields(self) -> dict[str, forms.Field]:
        """Fields that are not the model's."""
        return {}

    def _initial_of(self, name: str) -> Any:
        field = self.fields[name]
        return field.prepare_value(self.get_initial_for_field(field, name))

    @property
    def seen(self) -> str:
        """What the editor sees now, for the hidden field that comes back with the form."""
        edition = getattr(self.instance, "edition", None)
        return json.dumps(
            {"edition": edition, "fields": {name: _mark(value) for name, value in self._stored.items()}}
        )

    def _merge(self) -> None:
        """Compare what the editor saw with what is stored now."""
        seen = _read_seen(self.data.get(self.add_prefix(SEEN), ""))
        edition = getattr(self.instance, "edition", None)
        if seen is None or (edition is not None and seen.get("edition") == edition):
            return
        marks = seen["fields"]
        for name, stored in self._stored.items():
            if name not in marks or marks[name] == _mark(stored):
                continue
            mine = self._mine(name)
            if mine == _mark(stored):
                continue
            if mine == marks[name]:
                self._take_over(name, stored)
            else:
                self.conflicts.append(name)

    def _mine(self, name: str) -> str:
        field = self.fields[name]
        raw = field.widget.value_from_datadict(self.data, self.files, self.add_prefix(name))
        try:
            return _mark(field.prepare_value(field.clean(raw)))
        except ValidationError:
            return _mark(raw)

    def _take_over(self, name: str, stored: Any) -> None:
        self.data = self.data.copy()
        key = self.add_prefix(name)
        if isinstance(self.fields[name], forms.BooleanField):
            if stored:
                self.data[key] = "on"
            else:
                self.data.pop(key, None)
        else:
            self.data[key] = "" if stored is None else stored
        self.taken_over.append(name)

    def clean(self) -> dict[str, Any]:
        """Refuse once what both have changed; sent again it is meant."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in self.conflicts:
            self.add_error(
                name,
                f"{self.other_editor} changed this to {_shown(self._stored[name])} while you were editing. "
                "Yours is kept here: save again to replace theirs, or write theirs.",
            )
        return cleaned

    @property
    def merged(self) -> list[Merged]:
        """What others changed while this was edited, in the order of the form."""
        return [
            Merged(
                str(field.label or name.replace("_", " ")), _shown(self._stored[name]), name in self.conflicts
            )
            for name, field in self.fields.items()
            if name in self.conflicts or name in self.taken_over
        ]

    def _update_errors(self, errors: ValidationError) -> None:
        """The model may name a field that this form does not show."""
        if hasattr(errors, "error_dict"):
            lost = [
                name for name in errors.error_dict if name != NON_FIELD_ERRORS and name not in self.fields
            ]
            for name in lost:
                for error in errors.error_dict.pop(name):
                    home, text = self.home_of(name, " ".join(error.messages))
                    errors.error_dict.setdefault(home, []).append(ValidationError(text))
        super()._update_errors(errors)  # type: ignore[misc]

    def home_of(self, name: str, text: str) -> tuple[str, str]:
        """The field that shows what is wrong with a part of the model that has no field here, and the text."""
        return NON_FIELD_ERRORS, f"{name.replace('_', ' ').capitalize()}: {text}"

    @property
    def replaced_secrets(self) -> list[str]:
        """The secrets that came with the form."""
        return [name for name in self.secret_fields if self.data.get(self.add_prefix(name))]

    def shown_groups(self) -> Iterable[ShownGroup]:
        """The groups in order; a folded one opens when something in it is wrong."""
        listed: set[str] = set()
        for group in self.groups:
            names = [name for name in group.names if name in self.fields]
            listed.update(names)
            if names:
                wrong = any(name in self.errors for name in names) if self.is_bound else False
                yield ShownGroup(group, [self[name] for name in names], wrong or not group.folded)
        rest = [name for name in self.fields if name not in listed and not self.fields[name].widget.is_hidden]
        if rest:
            yield ShownGroup(Group("", rest), [self[name] for name in rest], True)


def _dress(name: str, field: forms.Field) -> None:
    """Give the widget the look of the console, and nothing chosen a name."""
    widget = field.widget
    if isinstance(field, forms.ModelChoiceField) and field.empty_label is not None:
        field.empty_label = "Choose …" if field.required else "none"
    if isinstance(widget, forms.CheckboxInput):
        kind = "form-check-input"
    elif isinstance(widget, forms.Select):
        kind = "form-select"
    else:
        kind = "form-control"
    widget.attrs["class"] = f"{kind} {widget.attrs.get('class', '')}".strip()


def _mark(value: Any) -> str:
    text = "" if value is None else json.dumps(value, default=str, sort_keys=True)
    return hashlib.sha256(text.replace("\\r\\n", "\\n").encode()).hexdigest()[:16] if text != '""' else ""


def _read_seen(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("fields"), dict):
        return None
    return found


def _shown(value: Any) -> str:
    text = "nothing" if value is None or value == "" else str(value)
    return f"“{text}”" if len(text) <= MAX_SHOWN else f"“{text[:MAX_SHOWN]}…”"
