"""References to other objects: by name, as in the YAML file."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers


class Named(serializers.SlugRelatedField[Any]):
    """Refers to a row by the column that names it; anything but text is refused before it is looked up."""

    MAX_LENGTH = 254

    def to_internal_value(self, data: Any) -> Any:
        """The row. Raises ValidationError if there is none."""
        if not isinstance(data, str) or len(data) > self.MAX_LENGTH or "\0" in data:
            self.fail("invalid")
        return super().to_internal_value(data)

    def get_choices(self, cutoff: int | None = None) -> dict[Any, Any]:
        """Not listed anywhere: there may be many."""
        return {}


@extend_schema_field({"type": "array", "items": {"type": "string"}, "uniqueItems": True})
class NamedMany(serializers.Field[Any, Any, Any, Any]):
    """Refers to any number of rows by the column that names them; looked up in one query."""

    MOST = 20_000
    default_error_messages: ClassVar[dict[str, str]] = {
        "invalid": "Must be a list of distinct names.",
        "many": f"Has more than {MOST} names.",
        "missing": "There is no {noun} {name}.",
    }

    def __init__(self, *, model: type[models.Model], slug_field: str, **options: Any) -> None:
        self.model, self.slug_field = model, slug_field
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> list[str]:
        """The names. Raises ValidationError if they are no list of names, or not all are there."""
        if not isinstance(data, list) or not all(isinstance(name, str) and "\0" not in name for name in data):
            self.fail("invalid")
        if len(data) > self.MOST:
            self.fail("many")
        if len(set(data)) < len(data):
            self.fail("invalid")
        known = set(self.model._default_manager.values_list(self.slug_field, flat=True)) if data else set()
        for name in data:
            if name not in known:
                self.fail("missing", noun=str(self.model._meta.verbose_name), name=name[:100])
        return sorted(data)

    def to_representation(self, value: Any) -> list[str]:
        """The names in order."""
        return sorted(getattr(row, self.slug_field) for row in value.all())
