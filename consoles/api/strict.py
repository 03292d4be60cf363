"""Serializers that know no more than the models: types from here, every rule from `full_clean`.

Unknown fields are errors. All that is wrong is said at once: fields that cannot be read, and what the model
says of the others.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as ModelError
from django.db import models
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.utils.model_meta import RelationInfo

from consoles.api.shapes import shapes_of

Errors = dict[str, Any]
MAX_DEPTH = 32


class DataField(serializers.JSONField):
    """A list or mapping whose rules the model knows; here only that it can be stored everywhere."""

    default_error_messages: ClassVar[dict[str, str]] = {
        "nul": "Must not hold a NUL character.",
        "deep": f"Is nested deeper than {MAX_DEPTH} levels.",
        "large": "Holds a number that is too large.",
    }

    def __init__(self, *, shape: dict[str, Any] | None = None, **options: Any) -> None:
        self.shape = shape or {}
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> Any:
        """As given."""
        self._look(data, 0)
        return data

    def _look(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            self.fail("deep")
        if isinstance(value, str) and "\0" in value:
            self.fail("nul")
        if isinstance(value, int) and abs(value) >= 2**63:
            self.fail("large")
        for inner in _inside(value):
            self._look(inner, depth + 1)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


class DataFieldSchema(OpenApiSerializerFieldExtension):
    """Tells drf-spectacular the shape."""

    target_class = DataField

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:
        """The struct's schema."""
        return dict(self.target.shape)


class Strict(serializers.Serializer[Any]):
    """Plain input: unknown fields are errors."""

    def to_internal_value(self, data: Any) -> Any:
        """As REST framework's; Raises ValidationError for unknown fields too, with all other errors."""
        errors = unknown_fields(self, data)
        try:
            found = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**as_errors(error), **errors}) from None
        if errors:
            raise serializers.ValidationError(errors)
        return found


class ModelStrict(serializers.ModelSerializer[Any]):
    """A row of a model. `Meta.struct` is what a document calls it: JSON columns take their schema from there.

    A PUT sets what it leaves out to the default; what is never shown (write-only) it leaves as it is.
    """

    serializer_field_mapping: ClassVar[dict[Any, Any]] = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.JSONField: DataField,
    }

    def build_standard_field(self, field_name: str, model_field: Any) -> tuple[type[Any], dict[str, Any]]:
        """Without REST framework's copies of the model's validators."""
        kind, options = super().build_standard_field(field_name, model_field)
        options.pop("validators", None)
        if issubclass(kind, serializers.CharField):
            options["trim_whitespace"] = False
        if issubclass(kind, DataField):
            for name in ("encoder", "decoder", "style"):
                options.pop(name, None)
            struct: type[msgspec.Struct] | None = getattr(self.Meta, "struct", None)
            known = shapes_of(struct) if struct else {}
            options["shape"] = getattr(self.Meta, "shapes", {}).get(field_name) or known.get(field_name, {})
        return kind, options

    def get_unique_together_validators(self) -> list[Any]:
        """The model checks its constraints itself."""
        return []

    def get_unique_for_date_validators(self) -> list[Any]:
        """The model checks its constraints itself."""
        return []

    def build_relational_field(self, field_name: str, relation_info: RelationInfo) -> tuple[Any, Any]:
        """References are declared, by name."""
        raise TypeError(f"{type(self).__name__}.{field_name}: declare how this is referred to")

    def run_validation(self, data: Any = empty) -> Any:
        """The values; puts them into `self.row`, which is then valid, but not stored."""
        if not isinstance(data, dict):
            raise serializers.ValidationError({"non_field_errors": ["Must be an object."]})
        errors = unknown_fields(self, data)
        row = self.instance if isinstance(self.instance, models.Model) else self.Meta.model()
        values = self._read(row, data, errors)
        for name, value in values.items():
            if name not in self.beside:
                setattr(row, name, value)
        self.prepare(row)
        try:
            self.full_clean(row, errors)
        except ModelError as error:
            self._merge(errors, error)
        errors.update(self.validate_beside(values))
        if errors:
            raise serializers.ValidationError(errors)
        self.row = row
        return values

    beside: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not columns; whoever declares them stores them in `store`."""

    def prepare(self, row: Any) -> None:
        """Set what follows from the rest, before the model checks it."""

    def full_clean(self, row: Any, errors: Errors) -> None:
        """What the model says, but of fields that could not be read."""
        row.full_clean(exclude=set(errors))

    def validate_beside(self, values: dict[str, Any]) -> Errors:
        """What is wrong with the fields beside."""
        return {}

    def _read(self, row: Any, data: dict[str, Any], errors: Errors) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for field in self._writable_fields:
            name = str(field.field_name)
            try:
                given = field.get_value(data)
                values[name] = field.run_validation(given) if given is not empty else self._absent(row, field)
            except serializers.SkipField:
                continue
            except serializers.ValidationError as error:
                errors[name] = error.detail
        return values

    def _absent(self, row: Any, field: serializers.Field[Any, Any, Any, Any]) -> Any:
        """What a field that is not sent becomes: in a PUT its default, else what it is."""
        if self.partial or (field.write_only and row.pk) or field.field_name in self.beside:
            raise serializers.SkipField
        if field.required:
            field.fail("required")
        return self.Meta.model._meta.get_field(str(field.source)).get_default()

    def _merge(self, errors: Errors, error: ModelError) -> None:
        for name, found in (
            error.error_dict.items() if hasattr(error, "error_dict") else [(NON_FIELD_ERRORS, [error])]
        ):
            place = "non_field_errors" if name == NON_FIELD_ERRORS else self.shown_as(name)
            if place not in errors:
                errors[place] = [
                    serializers.ErrorDetail(text, code=one.code or "invalid")
                    for one in found
                    for text in one.messages
                ]

    def shown_as(self, name: str) -> str:
        """The field that holds a column."""
        return name

    def create(self, validated_data: Any) -> Any:
        """Store the row."""
        return self.store(validated_data)

    def update(self, instance: Any, validated_data: Any) -> Any:
        """Store the row."""
        return self.store(validated_data)

    def store(self, values: dict[str, Any]) -> Any:
        """Store `self.row`."""
        self.row.save()
        return self.row


def unknown_fields(serializer: serializers.Serializer[Any], data: Any) -> Errors:
    """An error for each field that there is not, or that cannot be written."""
    if not isinstance(data, dict):
        return {}
    known = [str(field.field_name) for field in serializer._writable_fields]
    shown = set(serializer.fields)
    return {
        str(name)[:100]: [
            serializers.ErrorDetail(
                "Cannot be written." if name in shown else f"Is not known; there are {', '.join(known)}.",
                code="read-only" if name in shown else "unknown",
            )
        ]
        for name in data
        if name not in known
    }


def as_errors(error: serializers.ValidationError) -> Errors:
    """The errors by field."""
    return error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
