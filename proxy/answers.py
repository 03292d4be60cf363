"""What the gateway itself answers: problems (RFC 9457), upstream failures, the headers of every answer."""

from __future__ import annotations

import msgspec

from proxy.exchange import Exchange, Header, Response, UpstreamHead, problem
from proxy.telemetry.record import SHED, TIMEOUT, UPSTREAM_ERROR
from proxy.upstream.transport import Cause, Failure

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    421: "Misdirected Request",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}
_FAILURES: dict[Cause, tuple[int, str, int]] = {
    Cause.CONNECT: (502, "The service could not be reached.", UPSTREAM_ERROR),
    Cause.CONNECT_TIMEOUT: (504, "The service did not accept a connection in time.", TIMEOUT),
    Cause.STALE: (502, "The service closed the connection.", UPSTREAM_ERROR),
    Cause.BROKEN: (502, "The service closed the connection before it answered.", UPSTREAM_ERROR),
    Cause.PROTOCOL: (502, "The service's answer is not valid HTTP.", UPSTREAM_ERROR),
    Cause.TIMEOUT: (504, "The service did not answer in time.", TIMEOUT),
    Cause.FULL: (503, "The service is busy.", SHED),
    Cause.NO_INSTANCE: (503, "The service has no instance to take the request.", UPSTREAM_ERROR),
    Cause.UNSAFE: (502, "A header for the service would hold a line break.", UPSTREAM_ERROR),
}


def failure_answer(failure: Failure) -> Response:
    """The problem for a call that came to nothing."""
    status, detail, state = _FAILURES[failure.cause]
    headers: list[Header] = [(b"retry-after", b"1")] if status == 503 else []
    return problem(status, failure.cause.value, detail, headers=headers, state=state)


def error_body(x: Exchange, response: Response) -> tuple[bytes, list[Header]]:
    """Body and headers of a problem: which rule refused, and the id to ask about."""
    members = {
        "type": f"urn:tidegate:problem:{response.code}",
        "title": TITLES.get(response.status, "Error"),
        "status": response.status,
        "detail": response.detail,
        "code": response.code,
        "request_id": x.request_id.decode(),
    }
    if x.policy:
        members["policy"] = x.policy
    if response.rule:
        members["rule"] = response.rule
    headers = [(b"content-type", b"application/problem+json"), (b"cache-control", b"no-store")]
    return msgspec.json.encode(members), headers + response.headers


def too_large(limit: int) -> Response:
    """413 for a body over the route's limit; the connection is closed, the rest is not read."""
    return problem(413, "body-too-large", f"The request body is larger than {limit} bytes.", close=True)


def body_length(x: Exchange, head: UpstreamHead) -> int | None:
    """The Content-Length of an answer without a body: what GET would have got after HEAD, none for 204 and 304.

    204 never has one (RFC 9110 8.6).
    """
    if head.status == 204:
        return None
    if x.method == b"HEAD":
        return head.length
    return None if head.status == 304 else 0
