"""Filters and ordering from closed lists: the words of a query choose among them and never reach the ORM."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from consoles.api.pages import PAGING

MAX_TEXT = 200
MAX_ID = 2**63 - 1
Kind = Literal["text", "number", "flag", "time", "choice"]


class Filter(NamedTuple):
    """One parameter: the look-up it stands for, what its values are, and what it does."""

    lookup: str
    help: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()

    def read(self, text: str) -> Any:
        """The value for the look-up. Raises ValueError with the reason."""
        return _READERS[self.kind](self, text)

    def schema(self) -> dict[str, Any]:
        """For OpenAPI."""
        return {
            "text": {"type": "string", "maxLength": MAX_TEXT},
            "number": {"type": "integer", "minimum": 0, "maximum": MAX_ID},
            "flag": {"type": "boolean"},
            "time": {"type": "string", "format": "date-time"},
            "choice": {"type": "string", "enum": list(self.choices)},
        }[self.kind]


def _text(one: Filter, text: str) -> str:
    if len(text) > MAX_TEXT or "\0" in text:
        raise ValueError(f"Must be text of {MAX_TEXT} characters at most.")
    text.encode()
    return text


def _number(one: Filter, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > MAX_ID:
        raise ValueError("Must be a number, not negative.")
    return int(text)


def _flag(one: Filter, text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("Must be true or false.")
    return text == "true"


def _time(one: Filter, text: str) -> Any:
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if found is None or not 1970 < found.year < 9000:
        raise ValueError("Must be a time as 2026-01-31T12:00:00Z.")
    aware = found if timezone.is_aware(found) else timezone.make_aware(found)
    # Offsets that exist nowhere (+18:35) are understood here; PostgreSQL refuses them.
    return aware.astimezone(datetime.UTC)


def _choice(one: Filter, text: str) -> str:
    if text not in one.choices:
        raise ValueError(f"Must be one of {', '.join(one.choices)}.")
    return text


_READERS = {"text": _text, "number": _number, "flag": _flag, "time": _time, "choice": _choice}


class ClosedFilters(BaseFilterBackend):
    """Applies a view's `filters` and `orders`; every other parameter is an error."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Rows that pass all filters, in the order asked for."""
        if view.action != "list":
            return queryset
        filters: Mapping[str, Filter] = view.filters
        errors: dict[str, list[ErrorDetail]] = {}
        for name in request.query_params:
            if name not in filters and name not in PAGING and not (name == "order" and view.orders):
                errors[name[:100]] = [ErrorDetail("There is no such filter.", code="unknown")]
        for name, one in filters.items():
            if name in request.query_params:
                try:
                    queryset = queryset.filter(**{one.lookup: one.read(request.query_params[name])})
                except ValueError as error:
                    errors[name] = [ErrorDetail(str(error), code="invalid")]
        queryset = self._ordered(request, queryset, view, errors)
        if errors:
            raise ValidationError(errors)
        return queryset

    def _ordered(
        self, request: Request, queryset: QuerySet[Any], view: Any, errors: dict[str, list[ErrorDetail]]
    ) -> QuerySet[Any]:
        asked = request.query_params.get("order") if view.orders else None
        if asked is None:
            return queryset
        field = view.orders.get(asked.removeprefix("-"))
        if field is None:
            reason = f"Must be one of {', '.join(view.orders)}, with - in front for the other way."
            errors["order"] = [ErrorDetail(reason, code="invalid")]
            return queryset
        return queryset.order_by(f"-{field}" if asked.startswith("-") else field, "-pk")

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """For OpenAPI."""
        found = [_parameter(name, one.help, one.schema()) for name, one in view.filters.items()]
        if view.orders:
            choices = [sign + name for name in view.orders for sign in ("", "-")]
            found.append(
                _parameter("order", "Order; with - the other way.", {"type": "string", "enum": choices})
            )
        return found


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
