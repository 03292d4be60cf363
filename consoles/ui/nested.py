"""Forms for models that keep a struct in a JSON column: its fields are fields of the form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
from django import forms

from consoles.ui.forms import ObjectForm
from consoles.ui.schema_form import fields_of, without_defaults


class NestedForm(ObjectForm):
    """`nested` maps JSON columns to their structs; the struct's field `path` of `health` is `health_path`."""

    nested: ClassVar[Mapping[str, type[msgspec.Struct]]] = {}
    nested_help: ClassVar[Mapping[str, str]] = {}

    def __init__(self, *args: Any, **options: Any) -> None:
        instance = options.get("instance")
        initial = dict(options.pop("initial", None) or {})
        self._nested_fields = {
            column: {f"{column}_{name}": field for name, field in fields_of(kind).items()}
            for column, kind in self.nested.items()
        }
        for column, fields in self._nested_fields.items():
            stored = getattr(instance, column, None) or {}
            for name in fields:
                part = name.removeprefix(f"{column}_")
                if part in stored:
                    initial.setdefault(name, stored[part])
        super().__init__(*args, initial=initial, **options)

    def extra_fields(self) -> dict[str, forms.Field]:
        """The fields of all nested structs."""
        found = {name: field for fields in self._nested_fields.values() for name, field in fields.items()}
        for name, text in self.nested_help.items():
            found[name].help_text = text
        return found

    def _nested_names(self, column: str) -> list[str]:
        return list(self._nested_fields[column])

    def _clean_form(self) -> None:
        super()._clean_form()  # type: ignore[misc]
        for column, kind in self.nested.items():
            self._collect(column, kind)

    def _collect(self, column: str, kind: type[msgspec.Struct]) -> None:
        values = {
            name.removeprefix(f"{column}_"): self.cleaned_data[name]
            for name in self._nested_names(column)
            if name in self.cleaned_data
        }
        setattr(self.instance, column, self.nested_value(column, without_defaults(kind, values)))

    def nested_value(self, column: str, values: dict[str, Any]) -> Any:
        """What is stored, of the values that differ from their defaults."""
        return values

    def home_of(self, name: str, text: str) -> tuple[str, str]:
        """`health.path: must start with '/'` is shown at the field `health_path`."""
        if name not in self.nested:
            return super().home_of(name, text)
        names = self._nested_names(name)
        path, colon, reason = text.partition(": ")
        part = path.removeprefix(f"{name}.").partition("[")[0].partition(".")[0]
        if colon and f"{name}_{part}" in names:
            return f"{name}_{part}", reason
        return names[0], text
