"""The relay without sockets: what each side gets, in which order, and how it ends."""

from __future__ import annotations

import pytest
from websockets.frames import Close, Frame, Opcode

from proxy.config.snapshot import Limits
from proxy.telemetry.record import CLIENT_ABORT, KILLED, OK, REJECTED, TIMEOUT, UPSTREAM_ERROR
from proxy.websocket import relay as module
from proxy.websocket.relay import NEVER, Relay, Side


class Wire:
    """Notes what is done to a connection."""

    def __init__(self) -> None:
        self.sent = b""
        self.calls: list[str] = []

    def write(self, data: bytes) -> None:
        assert not self.calls or self.calls[-1] in ("pause", "resume"), "written after the end"
        self.sent += data

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def finish(self) -> None:
        self.calls.append("finish")

    def half_close(self) -> None:
        self.calls.append("half")

    def abort(self) -> None:
        self.calls.append("abort")


class Stage:
    """A relay between two noted wires, under a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **limits: object) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        self.client, self.upstream = Wire(), Wire()
        self.ends: list[tuple[int, int, int, str]] = []
        self.stands = True
        self.relay = Relay(
            self.client,
            self.upstream,
            Limits(**limits),  # type: ignore[arg-type]
            lambda *end: self.ends.append(end),
            lambda: self.stands,
        )

    def from_client(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
        frame = bytes(Frame(opcode, data, fin).serialize(mask=True))
        self.relay.received(self.relay.client, frame)
        return frame

    def from_upstream(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> bytes:
        frame = bytes(Frame(opcode, data, fin).serialize(mask=False))
        self.relay.received(self.relay.upstream, frame)
        return frame

    def pass_time(self, seconds: float) -> None:
        """As a listener's sweep would: `tick` whenever the deadline is past."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.25)
            if self.relay.deadline < self.now:
                self.relay.tick()

    @property
    def end(self) -> tuple[int, str]:
        """State and code of the one end."""
        assert len(self.ends) == 1
        return self.ends[0][2:]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def closed(sent: bytes) -> int:
    """The code of the unmasked Close frame that ends what a client got."""
    start = sent.rfind(b"\x88")
    return Close.parse(sent[start + 2 :]).code


def end_of(wire: Wire) -> str:
    return wire.calls[-1]


CLOSE_1000 = Close(1000, "bye").serialize()


def test_the_close_handshake_passes_and_both_connections_end(stage: Stage) -> None:
    asked = stage.from_client(Opcode.CLOSE, CLOSE_1000)
    assert stage.upstream.sent == asked
    assert not stage.client.calls and not stage.ends
    answered = stage.from_upstream(Opcode.CLOSE, CLOSE_1000)
    assert stage.client.sent == answered
    assert (end_of(stage.client), end_of(stage.upstream)) == ("finish", "finish")
    stage.relay.lost(stage.relay.client)
    assert not stage.ends
    stage.relay.lost(stage.relay.upstream)
    assert stage.ends == [(len(asked), len(answered), OK, "")]
    assert stage.relay.deadline == NEVER


def test_a_close_that_is_never_answered(stage: Stage) -> None:
    stage.from_client(Opcode.CLOSE, CLOSE_1000)
    stage.pass_time(2)
    assert not stage.ends
    stage.pass_time(2)
    assert (end_of(stage.client), end_of(stage.upstream)) == ("abort", "abort")
    assert stage.end == (OK, "")
    stage.relay.lost(stage.relay.client)
    assert len(stage.ends) == 1


def test_our_frames_wait_for_the_end_of_the_frame_that_passes(stage: Stage) -> None:
    big = bytes(Frame(Opcode.BINARY, b"\x88" * 1000).serialize(mask=False))
    stage.relay.received(stage.relay.upstream, big[:400])
    stage.relay.drain()
    assert stage.client.sent == big[:400]
    after = bytes(Frame(Opcode.TEXT, b"never").serialize(mask=False))
    stage.relay.received(stage.relay.upstream, big[400:] + after)
    assert stage.client.sent[: len(big)] == big
    assert closed(stage.client.sent) == 1001
    assert b"never" not in stage.client.sent


def test_no_close_frame_within_a_frame_that_will_never_end(stage: Stage) -> None:
    big = bytes(Frame(Opcode.BINARY, bytes(1000)).serialize(mask=False))
    stage.relay.received(stage.relay.upstream, big[:400])
    stage.relay.lost(stage.relay.upstream)
    assert stage.client.sent == big[:400]
    assert end_of(stage.client) == "finish"
    stage.relay.lost(stage.relay.client)
    assert stage.end == (UPSTREAM_ERROR, "upstream-connection-lost")


@pytest.mark.parametrize(
    ("who", "code", "end"),
    [
        ("client", 1001, (CLIENT_ABORT, "client-gone")),
        ("upstream", 1011, (UPSTREAM_ERROR, "upstream-connection-lost")),
    ],
)
def test_a_lost_side(stage: Stage, who: str, code: int, end: tuple[int, str]) -> None:
    sides: dict[str, Side] = {"client": stage.relay.client, "upstream": stage.relay.upstream}
    stage.relay.lost(sides.pop(who))
    (other,) = sides.values()
    if who == "upstream":
        assert closed(stage.client.sent) == code
        stage.from_client(Opcode.CLOSE, CLOSE_1000)
    else:
        assert stage.upstream.sent[:2] == b"\x88" + bytes((0x80 | 2 + len("the client is gone"),))
        stage.from_upstream(Opcode.CLOSE, CLOSE_1000)
    stage.relay.lost(other)
    assert stage.end == end


def test_an_upstream_that_leaves_without_answering_close(stage: Stage) -> None:
    stage.from_client(Opcode.CLOSE, CLOSE_1000)
    stage.relay.lost(stage.relay.upstream)
    assert closed(stage.client.sent) == 1011
    assert end_of(stage.client) == "finish"
    stage.relay.lost(stage.relay.client)
    assert stage.end == (OK, "")


def test_a_violation_closes_both_and_what_follows_is_dropped(stage: Stage) -> None:
    stage.relay.received(stage.relay.client, b"\x81\x02hi")
    assert closed(stage.client.sent) == 1002
    assert end_of(stage.client) == "half"
    assert stage.upstream.sent[:1] == b"\x88"
    before = stage.upstream.sent
    stage.from_client(Opcode.TEXT, b"more")
    assert stage.upstream.sent == before
    stage.from_upstream(Opcode.CLOSE, CLOSE_1000)
    stage.relay.lost(stage.relay.client)
    stage.relay.lost(stage.relay.upstream)
    assert stage.end == (REJECTED, "websocket-protocol-error")


def test_idle_sides_are_pinged_and_who_answers_stays(stage: Stage) -> None:
    stage.pass_time(21)
    assert stage.client.sent[:2] == b"\x89\x08"
    assert stage.upstream.sent[:2] == b"\x89\x88"
    ping = stage.client.sent[2:10]
    stage.from_client(Opcode.PONG, ping)
    stage.from_upstream(Opcode.TEXT, b"anything")
    stage.pass_time(19)
    assert not stage.ends and not stage.client.calls
    assert len(stage.upstream.sent) == 14, "the pong for our ping did not pass"


def test_who_does_not_answer_is_given_up(stage: Stage) -> None:
    stage.pass_time(21)
    for _ in range(3):
        stage.from_upstream(Opcode.TEXT, b"alive")
        stage.pass_time(10)
    assert closed(stage.client.sent) == 1011
    assert stage.end == (TIMEOUT, "client-ping-timeout")


def test_pings_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, websocket_ping_interval=0.0)
    stage.pass_time(300)
    assert stage.client.sent == stage.upstream.sent == b""


def test_a_side_that_takes_no_more_holds_the_other_back(stage: Stage) -> None:
    stage.relay.stall(stage.relay.client)
    assert stage.upstream.calls == ["pause"]
    stage.pass_time(30)
    stage.relay.flow(stage.relay.client)
    assert stage.upstream.calls == ["pause", "resume"]
    stage.pass_time(1)
    assert not stage.ends


def test_but_not_for_ever(stage: Stage) -> None:
    stage.relay.stall(stage.relay.client)
    for _ in range(7):
        stage.pass_time(10)
        if not stage.ends:
            stage.from_client(Opcode.PONG, b"")
    assert stage.end == (TIMEOUT, "client-stalled")


def test_a_caller_who_would_not_be_let_in_any_more(stage: Stage) -> None:
    stage.pass_time(12)
    assert not stage.client.sent
    stage.stands = False
    stage.pass_time(11)
    assert closed(stage.client.sent) == 1008
    stage.pass_time(5)
    assert stage.end == (REJECTED, "credential-revoked")


def test_cut_ends_at_once(stage: Stage) -> None:
    stage.relay.cut()
    assert stage.end == (KILLED, "drain-timeout")
    assert (end_of(stage.client), end_of(stage.upstream)) == ("abort", "abort")


def test_drain_leaves_a_close_handshake_alone(stage: Stage) -> None:
    stage.from_client(Opcode.CLOSE, CLOSE_1000)
    stage.relay.drain()
    assert stage.client.sent == b""
