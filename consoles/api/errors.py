"""Every error of the Admin API as a problem (RFC 9457), with all fields that are wrong."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import APIException, ErrorDetail, NotFound, ValidationError
from rest_framework.exceptions import PermissionDenied as NotAllowed
from rest_framework.response import Response
from rest_framework.views import set_rollback

from proxy.config.problem import Problem

logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
Errors = list[dict[str, str]]


class Conflict(APIException):
    """What is asked for does not go together with what is there."""

    status_code = 409
    default_detail = "This does not fit what is stored."
    default_code = "conflict"


class Changed(APIException):
    """Somebody else was faster (RFC 9110 section 13.1.1)."""

    status_code = 412
    default_detail = "The object was changed meanwhile. Read it again, and send its new ETag in If-Match."
    default_code = "changed-meanwhile"


class ConditionMissing(APIException):
    """A change without saying of what state (RFC 6585 section 3)."""

    status_code = 428
    default_detail = "Send the ETag of the object that you read in If-Match."
    default_code = "if-match-missing"


class TooLarge(APIException):
    """The body is over the cap."""

    status_code = 413
    default_detail = "The body is too large."
    default_code = "too-large"


class TooOften(APIException):
    """Asked for more often than is good."""

    status_code = 429
    default_detail = "Too many of these in a minute. Wait a little."
    default_code = "too-often"


class Busy(APIException):
    """The database did not come to it."""

    status_code = 503
    default_detail = "The database is busy. Try again."
    default_code = "busy"


class DraftRefused(APIException):
    """The draft as a whole cannot be published; `problems` are all the reasons."""

    status_code = 422
    default_detail = "The configuration cannot be published as it is."
    default_code = "refused"

    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = list(problems)


class Blocked(Conflict):
    """An object stays because of others; `errors` names them."""

    default_code = "in-use"

    def __init__(self, detail: str, errors: Errors) -> None:
        super().__init__(detail)
        self.errors = errors


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """The exception handler of REST framework; what nobody foresaw is logged and told without details."""
    set_rollback()
    known = _as_known(error)
    headers = {}
    if isinstance(known, APIException):
        if known.status_code == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = getattr(known, "auth_header", "Bearer")
        if known.status_code in (429, 503):
            headers["Retry-After"] = str(int(getattr(known, "wait", None) or 5))
        body = problem(known.status_code, _code_of(known), _detail_of(known), _errors_of(known))
    else:
        logger.error("Admin API: %s", type(error).__name__, exc_info=error)
        body = problem(500, "internal", "Something went wrong here. It is in the console's log.")
    return Response(body, status=body["status"], headers=headers, content_type=MEDIA_TYPE)


@csrf_exempt
def not_found(request: HttpRequest, path: str = "") -> HttpResponse:
    """For addresses below the API that there are not."""
    body = problem(404, "not-found", "There is nothing at this address.")
    return JsonResponse(body, status=404, content_type=MEDIA_TYPE)


def problem(status: int, code: str, detail: str, errors: Errors | None = None) -> dict[str, Any]:
    """The members of a problem; `errors` are single reasons, each with the field it is about."""
    body: dict[str, Any] = {
        "type": f"urn:tidegate:problem:{code.replace('_', '-')}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = errors
    return body


def problem_lines(problems: Iterable[Problem]) -> Errors:
    """Problems of a configuration, each with its object."""
    return [{"object": row.object, "field": row.field, "message": row.reason} for row in problems]


def _as_known(error: Exception) -> Exception:
    if isinstance(error, Http404):
        return NotFound("There is no such object.")
    if isinstance(error, PermissionDenied):
        return NotAllowed()
    if isinstance(error, IntegrityError):
        return Conflict("Somebody else stored something meanwhile that this does not go together with.")
    if isinstance(error, OperationalError):
        logger.warning("Admin API: the database says: %s", error)
        return Busy()
    return error


def _code_of(error: APIException) -> str:
    if isinstance(error, ValidationError):
        return "invalid"
    code = error.get_codes()
    return code if isinstance(code, str) else str(error.default_code)


def _detail_of(error: APIException) -> str:
    if isinstance(error, ValidationError):
        return "What was sent is not valid; errors says what and why."
    return str(error.detail)


def _errors_of(error: APIException) -> Errors:
    if isinstance(error, DraftRefused):
        return problem_lines(error.problems)
    if isinstance(error, Blocked):
        return error.errors
    return list(_flat(error.detail, "")) if isinstance(error, ValidationError) else []


def _flat(detail: Any, place: str) -> Iterator[dict[str, str]]:
    """Nested errors as lines with dotted places."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            joined = (
                f"{place}[{name}]" if isinstance(name, int) else f"{place}.{name}" if place else str(name)
            )
            yield from _flat(inner, place if name == "non_field_errors" else joined)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _flat(inner, f"{place}[{index}]" if nested else place)
    else:
        code = detail.code if isinstance(detail, ErrorDetail) else "invalid"
        yield {"field": place, "message": str(detail), "code": str(code)}
