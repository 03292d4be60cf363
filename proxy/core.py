"""The core: takes an Exchange from a door through routing, policies and upstream to its record.

Plain calls and callbacks, no task and no await unless a policy's hook is asynchronous. Doors call
`begin`, `request_body`, `request_end` and `client_gone`; transports call the `upstream_*` methods.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Coroutine
from random import getrandbits
from typing import TYPE_CHECKING, Any

from proxy.answers import body_length, error_body, failure_answer, too_large
from proxy.exchange import Exchange, Header, Response, UpstreamHead, problem
from proxy.http.date import http_date
from proxy.http.edge import admit, admit_head, repeatable, split_lines
from proxy.http.forwarded import believe
from proxy.pipeline.chain import SWITCHED, Chain
from proxy.routing.rewrite import RewriteError, redirect_location
from proxy.telemetry.record import CLIENT_ABORT, OK, REJECTED, UPSTREAM_ERROR
from proxy.telemetry.trace import child, request_id
from proxy.turn import Turn
from proxy.upstream.retry import may_repeat
from proxy.upstream.transport import Cause, Failure, UpstreamRelay
from proxy.websocket.handshake import EXTENSIONS, accepted, refuse_handshake

if TYPE_CHECKING:
    from proxy.recorder import Recorder
    from proxy.routing.table import CompiledRoute
    from proxy.runtime import Head, Runtime

log = logging.getLogger("tidegate.core")
monotonic = time.monotonic
BODY_AHEAD = 64 * 1024
"""Request body that may wait for a call before the client is asked to pause."""
NO_CHAIN = Chain([], [], lambda policy, label: None)
"""The chain of a request that has no Route (yet)."""


class Core:
    """One per worker. `runtime` is replaced by a publish; an exchange keeps the one it began with."""

    def __init__(self, recorder: Recorder) -> None:
        self.runtime: Runtime | None = None
        self.recorder = recorder
        self.turn = Turn(self._settle, lambda: recorder.bump("internal_errors"))
        self._end = self.turn.ended.append
        self.in_flight = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # -- from the doors

    def begin_head(self, x: Exchange, head: bytes) -> None:
        """A head is here, with the empty line at its end."""
        runtime = self.runtime
        if runtime is None:
            self._not_ready(x)
            return
        refusal = admit_head(x, head[:-4], runtime)
        if refusal is None and runtime.trusted is not None:
            believe(x, split_lines(head[:-4]), runtime)
        self._begin_new(x, head, refusal, runtime)

    def begin_again(self, x: Exchange) -> None:
        """The same for a head that is remembered: `x` holds all that it comes to."""
        self.in_flight += 1
        random = b"%048x" % getrandbits(192)
        x.request_id = random[:24]
        x.traceparent = b"00-%.32b-%b-01" % (random, random[32:])
        self._advance(x)

    def begin(self, x: Exchange, method: bytes, target: bytes, headers: list[Header], head: Head) -> None:
        """The same for a request that another server parsed; `x` has its protocol and websocket too.

        `head` is all that the head says, by which an equal one is found in `Runtime.heads`; empty if it says
        too little to be remembered.
        """
        runtime = self.runtime
        if runtime is None:
            self._not_ready(x)
            return
        refusal = admit(x, method, target, headers, runtime)
        if refusal is None and runtime.trusted is not None:
            believe(x, headers, runtime)
        self._begin_new(x, head, refusal, runtime)

    def _begin_new(self, x: Exchange, head: Head, refusal: Response | None, runtime: Runtime) -> None:
        """A head that is not remembered; from its second time on it may be."""
        if refusal is None and head and repeatable(x):
            self._route(x, runtime)
            if x.route is not None:
                runtime.remember(head, x)
                self.begin_again(x)
                return
        self._begin(x, refusal, runtime)

    def _route(self, x: Exchange, runtime: Runtime) -> None:
        route = x.route = runtime.table.match(x.host, x.path, x.method, x.headers, x.query)
        if route is not None:
            x.chain = route.chain
            if route.has_params:
                x.params = route.extract(x.path)

    def _begin(self, x: Exchange, refusal: Response | None, runtime: Runtime) -> None:
        self.in_flight += 1
        x.request_id = x.request_id or request_id()
        x.traceparent = child(x.traceparent or None)
        if refusal is not None:
            self._refuse_head(x, refusal)
            return
        if x.route is None:
            self._route(x, runtime)
        route = x.route
        if route is None:
            self._refuse_head(x, self._no_route(x, runtime))
        elif x.encoded and not route.config.allow_encoded:
            self._refuse_head(x, problem(400, "encoded-delimiter", "The path holds an escaped delimiter."))
        elif x.websocket and (refused := refuse_handshake(x, route)) is not None:
            self._refuse_head(x, refused)
        elif x.content_length == 0:
            self._advance(x)
        else:
            self._expect_body(x, route)

    def _expect_body(self, x: Exchange, route: CompiledRoute) -> None:
        x.body_done = False
        x.body_limit = route.body_bytes
        x.door.expect_body(x)
        if x.content_length is not None and x.content_length > route.body_bytes:
            self.answer(x, too_large(route.body_bytes))
        else:
            self._advance(x)

    def _not_ready(self, x: Exchange) -> None:
        self.in_flight += 1
        x.request_id = request_id()
        self._refuse_head(x, problem(503, "not-ready", "The gateway has no configuration yet.", close=True))

    def _refuse_head(self, x: Exchange, response: Response) -> None:
        """Refused before any policy; a body that follows is not waited for."""
        if x.route is None and response.close:
            self.recorder.bump("protocol_errors")
        response.close |= x.content_length != 0
        self.answer(x, response)

    def reject(self, x: Exchange, response: Response) -> None:
        """Answer a request whose head could not even be read."""
        self.recorder.bump("protocol_errors")
        self.in_flight += 1
        x.request_id = request_id()
        self.answer(x, response)

    def request_body(self, x: Exchange, data: bytes) -> None:
        """A part of the request body arrived."""
        if x.finished:
            return
        x.bytes_in += len(data)
        if x.body_limit is not None and x.bytes_in > x.body_limit:
            self._refuse_late(x, x.body_limit)
        elif x.call is not None:
            x.body_forwarded = True
            x.call.write_body(data)
        else:
            if x.pending is None:
                x.pending = []
            x.pending.append(data)
            x.pending_bytes += len(data)
            if not x.chain.request_body and x.pending_bytes > BODY_AHEAD:
                x.door.pause_body(x)

    def request_end(self, x: Exchange) -> None:
        """The request body is complete."""
        x.body_done = True
        if x.finished:
            return
        if x.call is not None:
            if not x.body_ended:
                x.body_ended = True
                x.call.end_body()
        elif x.collecting:
            x.collecting = False
            self._shape_body(x)

    def client_gone(self, x: Exchange) -> None:
        """The client's connection is lost, or its stream reset."""
        if x.finished:
            return
        if not x.request_id:  # it left before anything was made of its head
            self.in_flight += 1
            x.request_id = request_id()
        call, x.call = x.call, None
        x.state = CLIENT_ABORT
        x.code = "client-gone"
        self._finish(x)
        if call is not None:
            call.cancel()

    # -- request stages

    def _no_route(self, x: Exchange, runtime: Runtime) -> Response:
        allowed = runtime.table.allowed_methods(x.host, x.path, x.headers, x.query)
        if allowed:
            header = (b"allow", b", ".join(sorted(allowed)))
            return problem(405, "method-not-allowed", "No route takes this method here.", headers=[header])
        return problem(404, "no-route", "No route matches this host and path.")

    def _advance(self, x: Exchange) -> None:
        """Run the request hooks from `x.ran` on, then forward."""
        hooks = x.chain.request
        hook = None
        try:
            for hook in hooks[x.ran :] if x.ran else hooks:
                result = hook(x)
                if result is not None:
                    x.ran = hooks.index(hook, x.ran) + 1
                    self._decided(x, result)
                    return
            x.ran = len(hooks)
            self._forward(x)
        except Exception:
            if hook is not None and x.ran < len(hooks):
                x.ran = hooks.index(hook, x.ran) + 1
            self._hook_broke(x)

    def _decided(self, x: Exchange, result: Response | Awaitable[Response | None]) -> None:
        """A hook had something to say: go on along another chain, answer, or wait."""
        if result is SWITCHED:
            self._advance(x)
        elif isinstance(result, Response):
            self._refused(x, result)
        else:
            self._spawn(self._wait_for_hook(x, result))

    async def _wait_for_hook(self, x: Exchange, pending: Awaitable[Response | None]) -> None:
        try:
            result = await pending
        except Exception:
            self._hook_broke(x)
            return
        if x.finished:
            return
        if result is not None:
            self._refused(x, result)
        else:
            self._advance(x)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refused(self, x: Exchange, response: Response) -> None:
        name, label = x.chain.names[x.ran - 1]
        x.policy = response.policy or label
        if response.status >= 400:
            self.recorder.refused(name, label)
        self.answer(x, response)

    def _hook_broke(self, x: Exchange) -> None:
        """Fail closed: what a broken policy would have decided is not known."""
        name, label = x.chain.names[x.ran - 1] if x.ran else ("", "")
        log.exception("policy %s (%s) failed on request %s", name, label, x.request_id.decode())
        self.recorder.bump("policy_errors")
        if x.finished:
            return
        x.policy = label
        if x.answered:
            self._break_off(x, "policy-error")
        else:
            self.answer(x, problem(500, "policy-error", "A policy of this route failed.", state=REJECTED))

    def _forward(self, x: Exchange) -> None:
        route = x.route
        assert route is not None
        if not route.plain or x.upstream_query is not None or x.upstream_path:
            answer = self._retarget(x, route)
            if answer is not None:
                self.answer(x, answer)
                return
        if x.chain.request_body and x.content_length != 0:
            limit = x.runtime.limits.buffer_bytes
            if x.body_limit is None or limit < x.body_limit:
                x.body_limit, x.limited_by = limit, None
            x.collecting = not x.body_done
            if x.expect_continue and x.collecting:
                x.door.continue_body(x)
            if x.body_done:
                self._shape_body(x)
            return
        route.upstream.send(x)

    def _retarget(self, x: Exchange, route: CompiledRoute) -> Response | None:
        """Settle what the upstream is asked for, where that differs from what came in."""
        query = x.target[len(x.path) :]
        if route.config.preserve_host and not x.host_header:
            x.host_header = x.authority
        try:
            if route.config.redirect is not None:
                location = redirect_location(route, x.scheme, x.host, x.path, x.query, x.params)
                return Response(route.config.redirect.status, [(b"location", location)])
            path = x.path if route.rewriter is None else route.rewriter(x.path, x.params)
        except RewriteError as error:
            return problem(400, "bad-path", str(error))
        if x.upstream_query is not None:
            query = b"?" + x.upstream_query if x.upstream_query else b""
        x.upstream_target = (x.upstream_path or path) + query
        return None

    def _shape_body(self, x: Exchange) -> None:
        body = b"".join(x.pending or ())
        try:
            for name, label, hook in x.chain.request_body:
                result = hook(x, body)
                if isinstance(result, Response):
                    x.policy = label
                    self.recorder.refused(name, label)
                    self.answer(x, result)
                    return
                body = result
        except Exception:
            self._hook_broke(x)
            return
        x.pending = [body] if body else None
        x.content_length = len(body)
        assert x.route is not None
        x.route.upstream.send(x)

    def _refuse_late(self, x: Exchange, limit: int) -> None:
        """A body turned out too large while it was on its way."""
        if x.limited_by is not None:
            name, x.policy = x.limited_by
            self.recorder.refused(name, x.policy)
        response = too_large(limit)
        if x.answered:
            self._break_off(x, response.code)
        else:
            self.answer(x, response)

    # -- from the upstream

    def upstream_started(self, x: Exchange) -> None:
        """The head is out: send what of the body is here already, and let the rest come."""
        call = x.call
        if call is None:
            return
        if x.pending:
            data = b"".join(x.pending)
            x.pending = None
            x.pending_bytes = 0
            x.body_forwarded = True
            call.write_body(data)
        if x.body_done:
            x.body_ended = True
            call.end_body()
        else:
            x.door.resume_body(x)
            if x.expect_continue:
                x.expect_continue = False
                x.door.continue_body(x)

    def upstream_whole(self, x: Exchange, head: UpstreamHead, body: bytes) -> None:
        """The whole answer is here: one pass through the response hooks, one write."""
        x.call = None
        x.response = head
        chain = x.chain
        if chain.response_body and body:
            x.buffer_response = [body]
            self.upstream_end(x)
        elif not chain.response or self._shape(x, head):
            self._send_whole(x, head, body)

    def _send_whole(self, x: Exchange, head: UpstreamHead, body: bytes) -> None:
        x.status = head.status
        size = x.bytes_out = len(body)
        length = size or body_length(x, head)
        x.answered = True
        self._finish(x)
        x.door.send_whole(x, head, body, length, False)

    def _shape(self, x: Exchange, head: UpstreamHead) -> bool:
        """Run the response hooks; False if one broke and the client has its answer."""
        x.response = head
        try:
            for needed, hook in x.chain.response:
                if x.ran >= needed:
                    hook(x)
        except Exception:
            self._hook_broke(x)
            return False
        return True

    def upstream_head(self, x: Exchange, head: UpstreamHead) -> None:
        """The answer begins."""
        if x.chain.response_body:
            x.response = head
            x.buffer_response = []
            return
        if not self._shape(x, head):
            return
        x.answered = True
        x.status = head.status
        x.door.send_head(x, head)

    def upstream_informational(self, x: Exchange, status: int, headers: list[Header]) -> None:
        """103 goes on to the client; 100 and 102 are for us alone."""
        if status == 103 and not x.answered:
            x.door.send_informational(x, status, headers)

    def upstream_switched(
        self, x: Exchange, headers: list[Header], relay: UpstreamRelay, early: bytes
    ) -> None:
        """The WebSocket is open; the exchange ends when the relay does."""
        if not accepted(x, headers):
            failure = Failure(Cause.PROTOCOL, sent=True, detail="its 101 does not fit the handshake")
            self.answer(x, failure_answer(failure))
            return
        head = UpstreamHead(101, [pair for pair in headers if pair[0] not in _SWITCH_HEADERS], None)
        if self._shape(x, head):
            x.call = None
            x.answered = True
            x.status = 101
            x.door.switch(x, head.headers, relay, early)
        else:
            relay.cancel()

    def upstream_body(self, x: Exchange, data: bytes) -> None:
        """A part of the answer's body."""
        if x.buffer_response is None:
            x.bytes_out += len(data)
            x.door.send_body(x, data)
            return
        x.bytes_out += len(data)
        x.buffer_response.append(data)
        if x.bytes_out > x.runtime.limits.buffer_bytes:
            self.answer(
                x, problem(502, "answer-too-large", "The answer is too large for this route's policies.")
            )

    def upstream_end(self, x: Exchange) -> None:
        """The answer is complete."""
        x.call = None
        if x.buffer_response is not None and x.response is not None:
            body, head = b"".join(x.buffer_response), x.response
            try:
                for hook in x.chain.response_body:
                    body = hook(x, body)
            except Exception:
                self._hook_broke(x)
                return
            if self._shape(x, head):
                self._send_whole(x, head, body)
            return
        self._finish(x)
        x.door.send_end(x)

    def upstream_failed(self, x: Exchange, failure: Failure) -> None:
        """Try again where that is safe and affordable, else say what happened."""
        x.call = None
        if x.finished:
            return
        if self._repeat(x, failure):
            return
        if x.answered:
            self._break_off(x, failure.cause.value)
        else:
            self.answer(x, failure_answer(failure))

    def _repeat(self, x: Exchange, failure: Failure) -> bool:
        route = x.route
        if route is None or not may_repeat(x, failure):
            return False
        pool = route.upstream
        if failure.cause is Cause.STALE and not x.stale_retried:
            x.stale_retried = True
            x.tries -= 1
        elif x.tries > pool.config.retries:
            return False
        elif failure.sent and not pool.budget.spend(pool.requests):
            self.recorder.bump("retry_budget_exhausted")
            return False
        self.recorder.bump("retries")
        pool.send(x)
        return True

    def _break_off(self, x: Exchange, code: str) -> None:
        """The answer has begun and cannot be completed: the client must not take it for whole."""
        call, x.call = x.call, None
        x.state = UPSTREAM_ERROR
        x.code = code
        self._finish(x)
        if call is not None:
            call.cancel()
        x.door.abort(x)

    # -- answers and the end

    def answer(self, x: Exchange, response: Response) -> None:
        """Answer with a response of the gateway's own; the exchange is over."""
        call, x.call = x.call, None
        if call is not None:
            call.cancel()
        x.buffer_response = None
        x.code = response.code
        x.rule = response.rule
        if response.status >= 400 or response.code:
            x.state = REJECTED if response.state is None else response.state
        body, headers = error_body(x, response) if response.code else (response.body, list(response.headers))
        headers.append((b"date", http_date()))
        head = UpstreamHead(response.status, headers, len(body))
        x.response = head
        try:
            for needed, hook in x.chain.response:
                if x.ran >= needed:
                    hook(x)
        except Exception:
            log.exception(
                "a response hook failed on an answer of the gateway, request %s", x.request_id.decode()
            )
        if x.method == b"HEAD":
            body = b""
        length = None if response.status == 204 or response.status == 304 else head.length
        x.answered = True
        x.status = head.status
        x.bytes_out = len(body)
        self._finish(x)
        x.door.send_whole(x, head, body, length, response.close)

    def relay_ended(
        self, x: Exchange, bytes_in: int, bytes_out: int, state: int = OK, code: str = ""
    ) -> None:
        """A WebSocket is over."""
        if not x.finished:
            x.bytes_in, x.bytes_out, x.state, x.code = bytes_in, bytes_out, state, code
            self._finish(x)

    def still_stands(self, x: Exchange) -> bool:
        """Whether the caller of an open WebSocket would still be let in."""
        observed = x.observed
        try:
            return not any(isinstance(hook(x), Response) for hook in x.chain.standing)
        except Exception:
            log.exception("a policy failed on an open WebSocket, request %s", x.request_id.decode())
            return False
        finally:
            x.observed = observed

    def _finish(self, x: Exchange) -> None:
        """One record, whatever the end was; it is written before the last bytes of the answer go out."""
        x.finished = True
        self.in_flight -= 1
        self._end(x)
        if not self.turn.planned:
            self.turn.plan()

    def _settle(self, ended: list[Exchange]) -> None:
        """Account for the exchanges that ended in this turn."""
        self.recorder.record(ended, monotonic())
        for x in ended:
            for hook in x.chain.finish:
                try:
                    hook(x)
                except Exception:
                    log.exception("a finish hook failed, request %s", x.request_id.decode())


_SWITCH_HEADERS = frozenset(
    (b"connection", b"upgrade", b"content-length", b"transfer-encoding", b"keep-alive", EXTENSIONS)
)
