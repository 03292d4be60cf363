"""A form field for a list of small objects: one row of inputs for each, and an empty one to add another."""

from __future__ import annotations

from typing import Any

from django import forms
from django.forms.renderers import get_default_renderer
from django.utils.safestring import SafeString, mark_safe

from consoles.ui.cells import ticks


class Rows(forms.Widget):
    """Draws the rows. The number of rows sent is in a hidden input, so that gaps do not matter."""

    template_name = "ui/widgets/rows.html"

    def __init__(self, fields: dict[str, forms.Field], most: int) -> None:
        super().__init__()
        self.fields, self.most = fields, most

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        """What was sent: a mapping for each row; a list is taken as it is."""
        if isinstance(data.get(name), list):
            return data.get(name)
        count = str(data.get(f"{name}-rows", ""))
        number = min(int(count[:6]), self.most + 1) if count.isascii() and count.isdigit() else 0
        return [
            {
                part: field.widget.value_from_datadict(data, files, f"{name}-{index}-{part}")
                for part, field in self.fields.items()
            }
            for index in range(number)
        ]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """An absent list is an empty one."""
        return False

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """The rows, and one more to fill in."""
        rows = [row for row in (value or []) if isinstance(row, dict)]
        drawn = [self._row(name, str(index), row) for index, row in enumerate(rows)]
        if len(rows) < self.most:
            drawn.append(self._row(name, str(len(rows)), None))
        context = {
            "name": name,
            "spare": len(rows) < self.most and bool(rows),
            "rows": drawn,
            "blank": self._row(name, "__row__", None),
            "count": len(drawn),
            "most": self.most,
            "first": next(iter(self.fields), ""),
        }
        html = (renderer or get_default_renderer()).render(self.template_name, context)
        return mark_safe(html)  # noqa: S308 - the template escaped it

    def id_for_label(self, id_: str) -> str:
        """The group has a legend of its own."""
        return ""

    def _row(self, name: str, index: str, row: dict[str, Any] | None) -> list[dict[str, Any]]:
        return [self._part(f"{name}-{index}-{part}", part, field, row) for part, field in self.fields.items()]

    def _part(self, key: str, part: str, field: forms.Field, row: dict[str, Any] | None) -> dict[str, Any]:
        is_check, is_select = (
            isinstance(field.widget, forms.CheckboxInput),
            isinstance(field.widget, forms.Select),
        )
        kind = "form-check-input" if is_check else "form-select" if is_select else "form-control"
        default = None if row is None and field.required else field.initial
        value = field.prepare_value((row or {}).get(part, default))
        attributes = {"id": f"id_{key}", "class": f"{kind} {field.widget.attrs.get('class', '')}".strip()}
        if field.help_text:
            attributes["aria-describedby"] = f"id_{key}_help"
        return {
            "html": field.widget.render(key, value, attributes),
            "id": f"id_{key}",
            "label": field.label,
            "help": ticks(field.help_text),
            "check": is_check,
        }


class RowsField(forms.Field):
    """A list of mappings. A row whose required parts are all empty is none."""

    MOST = 50

    def __init__(
        self, fields: dict[str, forms.Field], *, least: int = 0, most: int = MOST, **options: Any
    ) -> None:
        super().__init__(widget=Rows(fields, min(most, self.MOST)), **options)
        self.fields, self.least, self.most = fields, least, most
        self._telling = [name for name, field in fields.items() if field.required] or list(fields)[:1]

    def clean(self, value: Any) -> list[dict[str, Any]]:
        """The rows, with parts that are their default left out."""
        rows = [
            row for row in value or [] if any(row.get(name) not in (None, "", []) for name in self._telling)
        ]
        if len(rows) < self.least:
            raise forms.ValidationError(f"Give at least {self.least}.", code="required")
        if len(rows) > self.most:
            raise forms.ValidationError(f"Give {self.most} at most.")
        found, problems = [], []
        for number, row in enumerate(rows, 1):
            cleaned = {}
            for name, field in self.fields.items():
                try:
                    part = field.clean(row.get(name))
                except forms.ValidationError as error:
                    problems += [
                        f"Row {number}, {str(field.label).lower()}: {text}" for text in error.messages
                    ]
                    continue
                if part is None:
                    part = field.initial
                if field.required or part != field.initial:
                    cleaned[name] = part
            found.append(cleaned)
        if problems:
            raise forms.ValidationError(problems)
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what they mean."""
        return bool((initial or []) != data)
