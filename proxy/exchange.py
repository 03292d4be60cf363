"""One request with everything known about it while it is in the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from proxy.telemetry.record import OK

if TYPE_CHECKING:
    from proxy.identity.model import Identity
    from proxy.pipeline.chain import Chain
    from proxy.routing.table import CompiledRoute
    from proxy.runtime import Runtime
    from proxy.upstream.transport import UpstreamRelay

Header = tuple[bytes, bytes]
"""A header line: name in lower case, value without surrounding blanks."""


class Response:
    """An answer that the gateway gives itself: made by a policy, or an error of the core.

    With a `code` it is a problem (RFC 9457) and its body is written when it is sent, since only then
    the request id and the policy that refused are known; otherwise `body` goes out as it is.
    `rule` says which rule of the policy decided. `close` ends the client's connection afterwards.
    """

    __slots__ = ("body", "close", "code", "detail", "headers", "policy", "rule", "state", "status")

    def __init__(
        self,
        status: int,
        headers: list[Header] | None = None,
        body: bytes = b"",
        *,
        code: str = "",
        detail: str = "",
        rule: str = "",
        close: bool = False,
        state: int | None = None,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else []
        self.body = body
        self.code = code
        self.detail = detail
        self.rule = rule
        self.policy = ""
        self.close = close
        self.state = state


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    rule: str = "",
    headers: list[Header] | None = None,
    close: bool = False,
    state: int | None = None,
) -> Response:
    """A refusal as `application/problem+json`: `code` is stable and documented, `detail` is for people."""
    return Response(status, headers, code=code, detail=detail, rule=rule, close=close, state=state)


class UpstreamHead(msgspec.Struct, eq=False):
    """The head of the upstream's answer, which `on_response` hooks may change.

    `length` is the body's size, None if it is not known beforehand. Hop-by-hop headers and
    `content-length` are not in `headers`. `block` holds the same headers as complete lines, just as the
    upstream sent them, for as long as nobody has asked for `headers`; else it is None.
    """

    status: int
    lines: list[Header] | None = None
    """What `headers` reads and writes; None as long as `block` stands for it."""
    length: int | None = None
    block: bytes | None = None
    chunked: bool = False
    """For the transport: the body is chunked."""
    keeps: bool = True
    """For the transport: the connection may serve another call."""
    whole: int = -1
    """For the transport: with so many bytes behind it the answer is complete, unless to HEAD; -1: not so simple."""

    @property
    def headers(self) -> list[Header]:
        """Name in lower case and value of each line."""
        if self.lines is None:
            lines = (line.partition(b":") for line in (self.block or b"").split(b"\r\n")[:-1])
            self.lines = [(name.lower(), value.strip(b" \t")) for name, _, value in lines]
        self.block = None
        return self.lines

    @headers.setter
    def headers(self, headers: list[Header]) -> None:
        self.lines = headers
        self.block = None

    def get(self, name: bytes) -> bytes | None:
        """The first value of a header, None if it is not there."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def remove(self, name: bytes) -> None:
        """Take a header away, all its lines."""
        self.headers = [pair for pair in self.headers if pair[0] != name]

    def set(self, name: bytes, value: bytes) -> None:
        """Put one header in place of all lines of that name."""
        self.remove(name)
        self.headers.append((name, value))


class Door(Protocol):
    """What the core may ask of the door that a request came through."""

    def send_whole(
        self, x: Exchange, head: UpstreamHead, body: bytes, length: int | None, close: bool
    ) -> None:
        """A complete answer in one write; the exchange is over.

        To the head's headers the door adds those of `x.extra`, the request id, and `length` as Content-Length unless
        it is None (204, 304). With `close` the client's connection ends after it.
        """

    def send_head(self, x: Exchange, head: UpstreamHead) -> None:
        """Begin an answer whose body follows; without `head.length` the door frames it itself.

        The door adds the same headers as in `send_whole`.
        """

    def switch(self, x: Exchange, headers: list[Header], relay: UpstreamRelay, early: bytes) -> None:
        """The upstream took the WebSocket: answer 101 and carry bytes both ways until one side closes."""

    def send_informational(self, x: Exchange, status: int, headers: list[Header]) -> None:
        """Pass on a 1xx answer."""

    def send_body(self, x: Exchange, data: bytes) -> None:
        """Pass on a part of the body."""

    def send_end(self, x: Exchange) -> None:
        """The body is complete; the exchange is over."""

    def abort(self, x: Exchange) -> None:
        """Break the client's connection so that it cannot take a part for the whole."""

    def expect_body(self, x: Exchange) -> None:
        """A body follows the head, as `content_length` frames it."""

    def pause_body(self, x: Exchange) -> None:
        """The upstream takes no more of the request body for now."""

    def resume_body(self, x: Exchange) -> None:
        """The upstream takes request body again."""

    def continue_body(self, x: Exchange) -> None:
        """The client waits for `100 Continue` and may send its body now."""


class UpstreamCall(Protocol):
    """A request under way at an upstream, as the core and the doors drive it."""

    def write_body(self, data: bytes) -> None:
        """Pass on a part of the request body."""

    def end_body(self) -> None:
        """The request body is complete."""

    def pause_reading(self) -> None:
        """The client takes no more of the answer for now."""

    def resume_reading(self) -> None:
        """The client takes the answer again."""

    def cancel(self) -> None:
        """The client is gone or an answer was made otherwise; the connection is not used again."""


class LateHeaders(Protocol):
    """Response headers of a policy that follow from one value. They need no check: fixed names, numbers."""

    def lines(self, value: Any) -> bytes:
        """As complete lines."""

    def headers(self, value: Any) -> list[Header]:
        """The same as pairs; the list is the caller's."""


class Exchange(msgspec.Struct, eq=False):
    """One request on its way. Policies read the request and set decisions; they own no socket.

    `headers` are the client's, copied once when the header block ended, hop-by-hop and gateway-owned ones
    removed: never change them. `forward` goes upstream; change it through `set_forward` and friends, which put
    a new list in its place, so that what was made of a list may be remembered with it (`memo`).
    `target` is the canonical path and the query: matched, authorised, logged and forwarded, byte for byte.

    A msgspec struct because that fills in all defaults in C; it is never encoded.
    """

    door: Door = None  # type: ignore[assignment]
    peer: str = ""
    client_ip: str = ""
    """The peer, or who a trusted proxy says the client is."""
    scheme: bytes = b"http"
    origin: bytes = b""
    """X-Forwarded-For, X-Real-IP and X-Forwarded-Proto for the upstream, as complete lines."""
    started: float = 0.0
    """Monotonic seconds at which the head was complete."""

    # -- what a head comes to, in the order of `settled`

    runtime: Runtime = None  # type: ignore[assignment]
    """The Snapshot that this request runs under, compiled; a publish does not change it."""
    chain: Chain = None  # type: ignore[assignment]
    route: CompiledRoute | None = None
    method: bytes = b"-"
    target: bytes = b"-"
    path: bytes = b"-"
    query: bytes = b""
    host: bytes = b""
    authority: bytes = b""
    """Host and port, where the client named one: for the service, which is told what it is called."""
    headers: list[Header] = ()  # type: ignore[assignment]
    forward: list[Header] = ()  # type: ignore[assignment]
    agent: bytes = b""
    """The User-Agent header."""
    params: dict[str, str] | None = None
    """Values of the `{names}` in a template path."""
    texts: tuple[Any, ...] | None = None
    """What the record says of head and Route, if it is at hand: `recorder.texts`."""
    memo: dict[object, Any] | None = None
    """Where policies may keep what follows from the head alone; shared by requests with the same head."""

    # -- the rest

    protocol: str = "HTTP/1.1"
    content_length: int | None = 0
    """Body size; 0 is none, None is chunked."""
    body_limit: int | None = None
    """Most bytes that a body of unknown size may have; the core counts while it streams."""
    limited_by: tuple[str, str] | None = None
    """Name and label of the policy that made it so small."""
    encoded: bool = False
    """The path holds an escaped delimiter such as %2f; only Routes with `allow_encoded` take it."""
    websocket: bool = False
    upgrade: bool = False
    close: bool = False
    """The client's connection is to be closed after the answer."""
    keep_alive: bool = False
    """The client asked for the connection to be kept (HTTP/1.0)."""
    expect_continue: bool = False
    was_forwarded: bool = False
    """The client sent X-Forwarded-* or Forwarded; worth reading if it is a trusted proxy."""
    client_request_id: bytes = b""
    """X-Request-Id as the client sent it; believed from trusted proxies only."""
    forwarded_host: bytes = b""

    request_id: bytes = b""
    traceparent: bytes = b""
    identity: Identity | None = None
    plan: str = ""
    upstream_path: bytes = b""
    """The path sent upstream; empty means `path` as it is."""
    upstream_query: bytes | None = None
    """The query sent upstream; None means `query` as it is."""
    upstream_target: bytes = b""
    """Path and query as sent upstream, settled by the core; empty means `target`."""
    upstream_method: bytes = b""
    """The method sent upstream; empty means `method`. Never to or from HEAD: answers are read by `method`."""
    host_header: bytes = b""
    """The Host sent upstream; empty means what the Route and the Upstream say."""
    extra: list[Header] | None = None
    """Response headers that policies add to whatever answer goes out."""
    late: LateHeaders | None = None
    """Who writes further ones, from `late_of`, once it is known in which form the door wants them."""
    late_of: Any = None
    ran: int = 0
    """How many request hooks of the chain have run; response hooks of the others are not called."""
    observed: str = ""
    """Policies in `observe` mode that would have refused, comma-separated."""
    response: UpstreamHead | None = None

    call: UpstreamCall | None = None
    answered: bool = False
    """An answer has begun: it is too late for another one."""
    finished: bool = False
    body_done: bool = True
    """The whole request body has arrived."""
    pending: list[bytes] | None = None
    """Request body that no call has taken yet."""
    pending_bytes: int = 0
    body_forwarded: bool = False
    """Request body has been given to a call and cannot be sent again."""
    body_ended: bool = False
    """The call was told that the body is complete."""
    collecting: bool = False
    """Waiting for the whole body, which a policy needs."""
    buffer_response: list[bytes] | None = None
    """The answer's body, collected for policies that need it whole."""

    sent_at: float = 0.0
    upstream_us: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    tries: int = 0
    stale_retried: bool = False
    target_label: str = ""
    status: int = 0
    state: int = OK
    code: str = ""
    policy: str = ""
    rule: str = ""

    def settled(self) -> tuple[Any, ...]:
        """What the head came to: `Exchange(door, peer, client_ip, scheme, origin, started, *settled)`."""
        return (
            self.runtime,
            self.chain,
            self.route,
            self.method,
            self.target,
            self.path,
            self.query,
            self.host,
            self.authority,
            self.headers,
            self.forward,
            self.agent,
            self.params,
            self.texts,
            {},
        )

    def overdue(self, now: float) -> bool:
        """It takes longer than its Route allows; `now` is monotonic seconds."""
        return self.route is not None and now - self.started > self.route.request_timeout

    def header(self, name: bytes) -> bytes | None:
        """The value of a request header (first line), None if it is not there. `name` in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def header_values(self, name: bytes) -> list[bytes]:
        """The values of all lines of a request header."""
        return [value for key, value in self.headers if key == name]

    def remove_forward(self, name: bytes) -> None:
        """Do not pass this header on to the upstream."""
        self.forward = [pair for pair in self.forward if pair[0] != name]

    def set_forward(self, name: bytes, value: bytes) -> None:
        """Send the upstream this header in place of the client's lines of that name."""
        self.forward = [*[pair for pair in self.forward if pair[0] != name], (name, value)]

    def add_forward(self, name: bytes, value: bytes) -> None:
        """Send the upstream one more line of this header."""
        self.forward = [*self.forward, (name, value)]

    def added_headers(self) -> list[Header]:
        """Everything that policies add to the answer; what is `late` is moved to `extra`."""
        if self.late is not None:
            self.extra = [*self.late.headers(self.late_of), *(self.extra or ())]
            self.late = None
        return self.extra or []

    def add_response_header(self, name: bytes, value: bytes) -> None:
        """Add a header to whatever answer goes out, the gateway's own errors included."""
        if self.extra is None:
            self.extra = [(name, value)]
        else:
            self.extra.append((name, value))
