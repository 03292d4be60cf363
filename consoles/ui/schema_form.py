"""Form fields from a JSON schema that msgspec makes of a struct: a policy's Config, or any other.

What a schema says becomes what the field does: bounds, choices, descriptions as help, examples as
placeholders, defaults as initial values. Lists, mappings and lists of small objects are written as lines;
what is more than that is written as YAML.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml
from django import forms

from consoles.ui.fields import Lines, NumbersField, PairsField, TextLinesField
from consoles.ui.rows import RowsField
from proxy.config.yaml_text import BadYaml, Parsed

Schema = dict[str, Any]
_EXTENDED = 300


def schema_of(kind: type[msgspec.Struct]) -> tuple[Schema, dict[str, Schema]]:
    """The struct's own schema, and all that it refers to by name."""
    (schema,), components = msgspec.json.schema_components([kind], ref_template="{name}")
    return components.get(str(schema.get("$ref", "")), schema), components


def fields_of(kind: type[msgspec.Struct]) -> dict[str, forms.Field]:
    """A form field for each field of the struct, in its order."""
    schema, components = schema_of(kind)
    required = set(schema.get("required", ()))
    return {
        name: field_of(name, part, components, required=name in required)
        for name, part in schema.get("properties", {}).items()
    }


def field_of(name: str, part: Schema, components: dict[str, Schema], *, required: bool) -> forms.Field:
    """The form field for one property."""
    part, nullable = _resolve(part, components)
    options: dict[str, Any] = {
        "label": name.replace("_", " ").capitalize(),
        "help_text": _help(part),
        "initial": part.get("default"),
        "required": required and not nullable,
    }
    if "enum" in part:
        choices = [("", "not set")] * nullable + [(str(value), str(value)) for value in part["enum"]]
        if "default" not in part and not nullable:
            options["initial"] = str(part["enum"][0])
        coerce = int if all(isinstance(value, int) for value in part["enum"]) else str
        return forms.TypedChoiceField(choices=choices, coerce=coerce, empty_value=None, **options)
    maker = _MAKERS.get(str(part.get("type", "")), _yaml)
    field = maker(part, components, options)
    if nullable and isinstance(field, forms.CharField):
        field.empty_value = None
    return field


def _resolve(part: Schema, components: dict[str, Schema]) -> tuple[Schema, bool]:
    """Follow references, and take `X or null` for an X that may be left out."""
    nullable = False
    if "anyOf" in part:
        kinds = [one for one in part["anyOf"] if one.get("type") != "null"]
        nullable = len(kinds) < len(part["anyOf"])
        if len(kinds) == 1:
            part = {**{key: value for key, value in part.items() if key != "anyOf"}, **kinds[0]}
    if "$ref" in part:
        part = {**components.get(str(part["$ref"]), {}), **{k: v for k, v in part.items() if k != "$ref"}}
    return part, nullable


def _help(part: Schema) -> str:
    text = str(part.get("description", ""))
    low, high = part.get("minimum"), part.get("maximum")
    if low is not None and high is not None:
        text = f"{text} From {low:,} to {high:,}."
    return text.strip()


def _example(part: Schema) -> str:
    examples = part.get("examples") or []
    return "" if not examples or isinstance(examples[0], list | dict) else str(examples[0])


def _boolean(part: Schema, components: dict[str, Schema], options: dict[str, Any]) -> forms.Field:
    return forms.BooleanField(**{**options, "required": False})


def _integer(part: Schema, components: dict[str, Schema], options: dict[str, Any]) -> forms.Field:
    widget = forms.NumberInput({"placeholder": _example(part)})
    return forms.IntegerField(
        min_value=part.get("minimum"), max_value=part.get("maximum"), widget=widget, **_falls_back(options)
    )


def _number(part: Schema, components: dict[str, Schema], options: dict[str, Any]) -> forms.Field:
    widget = forms.NumberInput({"placeholder": _example(part), "step": "any"})
    return forms.FloatField(
        min_value=part.get("minimum"), max_value=part.get("maximum"), widget=widget, **_falls_back(options)
    )


def _falls_back(options: dict[str, Any]) -> dict[str, Any]:
    """Numbers left empty are the default."""
    return {**options, "required": options["required"] and options["initial"] is None}


def _string(part: Schema, components: dict[str, Schema], options: dict[str, Any]) -> forms.Field:
    length = part.get("maxLength")
    long = length is not None and length > _EXTENDED
    attributes = {"placeholder": _example(part), "autocomplete": "off"}
    widget = forms.Textarea({**attributes, "rows": 3}) if long else forms.TextInput(attributes)
    return forms.CharField(max_length=length, strip=False, widget=widget, **options)


def _array(part: Schema, components: dict[str, Schema], options: dict[str, Any]) -> forms.Field:
    items, _ = _resolve(part.get("items") or {}, components)
    examples = part.get("examples") or [[]]
    lines = "\n".join(str(one) for one in examples[0]) if isinstance(examples[0], list) else ""
    kind = items.get("type")
    options = {**options, "required": False}
    if kind == "integer":
        return NumbersField(placeholder=lines, **options)
    if kind == "string":
        options["help_text"] = f"{options['help_text']} One a line.".strip()
        return TextLinesField(placeholder=lines, **options)
    if kind == "object" and "properties" in items:
        required = set(items.get("required", ()))
        fields = {
            name: field_of(name, one, components, required=name in required)
            for name, one in items["properties"].items()
        }
        if not any(isinstance(one, RowsField | YamlField) for one in fields.values()):
            most = int(part.get("maxItems") or RowsField.MOST)
            return RowsField(fields, least=int(part.get("minItems") or 0), most=most, **options)
    return _yaml(part, components, options)


def _object(part: Schema, components: dict[str, Schema], options: dict[str, Any]) -> forms.Field:
    values = part.get("additionalProperties")
    if "properties" not in part and isinstance(values, dict):
        options = {**options, "required": False}
        if values.get("type") == "string":
            return PairsField(placeholder=_pairs(part), **options)
        if values.get("type") == "array" and (values.get("items") or {}).get("type") == "string":
            return PairsField(many=True, placeholder=_pairs(part), **options)
    return _yaml(part, components, options)


def _pairs(part: Schema) -> str:
    examples = part.get("examples") or []
    example = examples[0] if examples and isinstance(examples[0], dict) else {"name": "value"}
    return str(PairsField(many=True).prepare_value(example))


class YamlField(forms.CharField):
    """Anything, written as YAML."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=Lines(4), **options)

    def to_python(self, value: Any) -> Any:
        """Plain data."""
        if not isinstance(value, str):
            return value
        try:
            return Parsed(value).data
        except BadYaml as error:
            raise forms.ValidationError(f"This is no YAML: {error}") from None

    def prepare_value(self, value: Any) -> Any:
        """As YAML."""
        if value is None or isinstance(value, str):
            return value
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True)

    def validate(self, value: Any) -> None:
        """What it must be, the struct knows."""

    def run_validators(self, value: Any) -> None:
        """What it must be, the struct knows."""


def _yaml(part: Schema, components: dict[str, Schema], options: dict[str, Any]) -> forms.Field:
    return YamlField(**{**options, "required": False})


_MAKERS = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
    "array": _array,
    "object": _object,
}


def without_defaults(kind: type[msgspec.Struct], values: dict[str, Any]) -> dict[str, Any]:
    """What differs from the defaults, or has none: that is what is stored, and what YAML shows."""
    known = {
        field.name: _plain(_default(field)) for field in msgspec.structs.fields(kind) if not field.required
    }
    return {
        name: value
        for name, value in values.items()
        if not (name in known and (value is None or _plain(value) == known[name]))
    }


def _default(field: Any) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _plain(value: Any) -> Any:
    """As JSON holds it: tuples are lists."""
    return msgspec.json.decode(msgspec.json.encode(value))
