"""Form fields for what people write as lines: lists, numbers, pairs, and conditions on headers."""

from __future__ import annotations

import re
from typing import Any

from django import forms

MAX_LINES = 1000
_ITEMS = re.compile(r"[\s,]+")
_MATCH = re.compile(r"(?P<name>[^\s:=~]+)\s*(?:(?P<sign>[:=~])\s*(?P<value>.*))?")


class Lines(forms.Textarea):
    """A text area for one item a line."""

    def __init__(self, rows: int = 3, placeholder: str = "") -> None:
        super().__init__({"rows": rows, "spellcheck": "false", "class": "mono", "placeholder": placeholder})


class WordsField(forms.CharField):
    """A list of words, one a line or with commas between them."""

    def __init__(self, *, upper: bool = False, placeholder: str = "", rows: int = 3, **options: Any) -> None:
        super().__init__(widget=Lines(rows, placeholder), **{"required": False, **options})
        self.upper = upper

    def to_python(self, value: Any) -> Any:
        """The words, each once."""
        text = str(value or "").upper() if self.upper else str(value or "")
        words = [word for word in _ITEMS.split(text) if word]
        if len(words) > MAX_LINES:
            raise forms.ValidationError(f"Give {MAX_LINES} at most.")
        return list(dict.fromkeys(words))

    def prepare_value(self, value: Any) -> Any:
        """One a line."""
        return "\n".join(str(item) for item in value) if isinstance(value, list | tuple) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what they mean."""
        return list(initial or []) != self.to_python(data)


class TextLinesField(WordsField):
    """A list of texts that may hold blanks and commas, one a line."""

    def to_python(self, value: Any) -> Any:
        """The lines that hold something."""
        return [line.strip() for line in str(value or "").splitlines() if line.strip()][: MAX_LINES + 1]


class NumbersField(WordsField):
    """A list of whole numbers."""

    def to_python(self, value: Any) -> Any:
        """The numbers."""
        words = super().to_python(value)
        wrong = [word for word in words if not re.fullmatch(r"-?[0-9]{1,18}", word)]
        if wrong:
            raise forms.ValidationError(f"{wrong[0]} is not a whole number.")
        return [int(word) for word in words]


class PairsField(forms.CharField):
    """A mapping, written as `name: value`, one a line; with `many` a name may come several times."""

    def __init__(self, *, many: bool = False, placeholder: str = "name: value", **options: Any) -> None:
        super().__init__(widget=Lines(3, placeholder), **{"required": False, **options})
        self.many = many

    def to_python(self, value: Any) -> Any:
        """The mapping."""
        found: dict[str, Any] = {}
        for number, line in enumerate(str(value or "").splitlines(), 1):
            if not line.strip():
                continue
            name, colon, text = (part.strip() for part in line.partition(":"))
            if not colon or not name:
                raise forms.ValidationError(f"Line {number} must be name: value.")
            if self.many:
                found.setdefault(name, []).append(text)
            elif name in found:
                raise forms.ValidationError(f"{name} is there twice.")
            else:
                found[name] = text
        return found

    def prepare_value(self, value: Any) -> Any:
        """As lines."""
        if not isinstance(value, dict):
            return value
        lines = []
        for name, item in value.items():
            lines += [f"{name}: {text}" for text in (item if isinstance(item, list | tuple) else [item])]
        return "\n".join(lines)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what they mean."""
        return bool((initial or {}) != self.to_python(data))


class MatchesField(forms.CharField):
    """Conditions on headers or query parameters: `name: value`, `name ~ regular expression`, or `name`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=Lines(3, "x-tenant: gold"), **{"required": False, **options})

    def to_python(self, value: Any) -> Any:
        """As documents hold them."""
        found = []
        for number, line in enumerate(str(value or "").splitlines(), 1):
            if not line.strip():
                continue
            match = _MATCH.fullmatch(line.strip())
            if match is None:
                raise forms.ValidationError(f"Line {number} must be name: value, name ~ pattern, or name.")
            found.append(_condition(match))
        return found

    def prepare_value(self, value: Any) -> Any:
        """As lines."""
        if not isinstance(value, list | tuple):
            return value
        return "\n".join(match_text(item) for item in value if isinstance(item, dict))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what they mean."""
        return bool((initial or []) != self.to_python(data))


def _condition(match: re.Match[str]) -> dict[str, str]:
    name, sign, value = match["name"], match["sign"], (match["value"] or "").strip()
    if sign is None:
        return {"name": name, "kind": "present"}
    return {"name": name, "value": value, "kind": "regex"} if sign == "~" else {"name": name, "value": value}


def match_text(condition: dict[str, Any]) -> str:
    """A condition as people write it."""
    kind = condition.get("kind", "exact")
    if kind == "present":
        return str(condition.get("name", ""))
    sign = " ~" if kind == "regex" else ":"
    return f"{condition.get('name', '')}{sign} {condition.get('value', '')}"
