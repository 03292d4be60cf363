"""What the resources have in common: who may, ETags, audit, transactions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.db import models, transaction
from django.http import Http404
from rest_framework import mixins
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from consoles import audit
from consoles.api.auth import READ, WRITE, Need
from consoles.api.conditions import check_match, etag_of
from consoles.api.deleting import delete
from consoles.api.filters import Filter
from consoles.models import ApiToken

MAX_ID = 2**63 - 1


class Resource(GenericViewSet[Any]):
    """Base of all views. `needs` says for each action who may; an action that is not in it is a bug."""

    http_method_names: ClassVar[list[str]] = ["get", "head", "post", "put", "patch", "delete"]
    needs: ClassVar[Mapping[str, Need]] = {}
    filters: ClassVar[Mapping[str, Filter]] = {}
    orders: ClassVar[Mapping[str, str]] = {}
    """Words for `order`, and the column that each stands for."""
    lookup_value_converter = "int"
    tag: ClassVar[str] = ""
    conditional: ClassVar[frozenset[str]] = frozenset()
    """Actions that take If-Match."""

    def need(self) -> Need:
        """What the present action needs."""
        return self.needs[self.action]

    def get_object(self) -> Any:
        """The row, or 404; ids that no database has are not there."""
        if int(self.kwargs.get(self.lookup_field, 0)) > MAX_ID:
            raise Http404
        return super().get_object()

    def locked(self) -> Any:
        """The row, held until the end of the transaction."""
        self.queryset_lock = True
        return self.get_object()

    queryset_lock = False

    def filter_queryset(self, queryset: Any) -> Any:
        """The view's filters, and the lock if one was asked for."""
        found = super().filter_queryset(queryset)
        return found.select_for_update(of=("self",)) if self.queryset_lock else found

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers are one caller's."""
        response.headers.setdefault("Cache-Control", "no-store")
        return super().finalize_response(request, response, *args, **kwargs)

    def record(self, action: str, row: models.Model, **states: Any) -> None:
        """Into the audit trail; with a token, by which one."""
        extra = dict(states.pop("extra", None) or {})
        if isinstance(self.request.auth, ApiToken):
            extra["by token"] = (None, str(self.request.auth))
        audit.record(self.request, action, row, extra=extra, **states)

    def shown(self, row: Any, status: int = 200, **more: Any) -> Response:
        """The row as it is now, with its ETag."""
        self.queryset_lock = False
        fresh = self.get_queryset().get(pk=row.pk)
        body = {**self.get_serializer(fresh).data, **more}
        return Response(body, status, headers={"ETag": etag_of(fresh)})


class Listed(mixins.ListModelMixin, Resource):
    """Can be listed and read."""

    needs: ClassVar[Mapping[str, Need]] = {"list": READ, "retrieve": READ}

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One of them."""
        row = self.get_object()
        return Response(self.get_serializer(row).data, headers={"ETag": etag_of(row)})


class Updated(Listed):
    """Can be changed, by whoever saw the present state."""

    needs: ClassVar[Mapping[str, Need]] = {**Listed.needs, "update": WRITE, "partial_update": WRITE}
    conditional: ClassVar[frozenset[str]] = frozenset({"update", "partial_update", "destroy"})

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Replace it; what is left out gets its default."""
        return self._change(request, partial=False)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change some fields."""
        return self._change(request, partial=True)

    def _change(self, request: Request, *, partial: bool) -> Response:
        with transaction.atomic():
            row = self.locked()
            check_match(request, row)
            before = audit.state_of(row)
            secrets = self.secrets_of(row)
            serializer = self.get_serializer(row, data=request.data, partial=partial)
            serializer.is_valid(raise_exception=True)
            row = serializer.save()
            replaced = {
                name: ("(secret)", "replaced") for name, old in secrets.items() if getattr(row, name) != old
            }
            self.record(audit.Action.UPDATE, row, before=before, after=audit.state_of(row), extra=replaced)
            return self.shown(row)

    def secrets_of(self, row: Any) -> dict[str, Any]:
        """Columns that an audit entry only says of that they were replaced."""
        return {}


class Edited(Updated):
    """Can be made, changed and deleted."""

    needs: ClassVar[Mapping[str, Need]] = {**Updated.needs, "create": WRITE, "destroy": WRITE}

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make one."""
        with transaction.atomic():
            serializer = self.get_serializer(data=request.data)
            serializer.is_valid(raise_exception=True)
            row = self.make(serializer)
            self.record(audit.Action.CREATE, row, after=audit.state_of(row))
            response = self.shown(row, 201)
            response["Location"] = f"{request.path.rstrip('/')}/{row.pk}"
            return response

    def make(self, serializer: BaseSerializer[Any]) -> Any:
        """Store what is valid."""
        return serializer.save()

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete it; what would go with it only with `cascade=true`."""
        cascade = _cascade(request)
        with transaction.atomic():
            row = self.locked()
            check_match(request, row)
            before, key = audit.state_of(row), row.pk
            delete(row, cascade=cascade)
            row.pk = key
            self.record(audit.Action.DELETE, row, before=before)
            return Response(status=204)


def _cascade(request: Request) -> bool:
    value = request.query_params.get("cascade", "false")
    if value not in ("true", "false"):
        raise ValidationError({"cascade": [ErrorDetail("Must be true or false.", code="invalid")]})
    return value == "true"


__all__ = ["Edited", "Listed", "Resource", "Updated"]
