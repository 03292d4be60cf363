"""References to other objects: by name, as in the YAML file."""

from __future__ import annotations

from typing import Any

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
