"""Who may watch, for how long, and what a socket may not do. Real sockets to a real daphne."""

import asyncio
import contextlib
import json
import socket
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from consoles.live import guard
from consoles.live.guard import (
    BAD_MESSAGE,
    MAX_PER_USER,
    NOT_ALLOWED,
    SIGNED_OUT,
    SILENT,
    TOO_MANY,
    TRY_LATER,
    Guard,
)
from tests.analytics.traffic import record
from tests.consoles.live.console import frames

VIEWS = ("overview/", "tail/")


def closed_with(socket, seconds=10.0, *, answering=False):
    """The code that the server closes with; None if it sends something instead."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.recv(timeout=seconds)
            if not answering:
                return None
            socket.send("1")
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 0
    raise AssertionError("it is still open")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("vera", None),
        ("eddie", None),
        ("paula", None),
        ("olga", None),
        ("stranger", NOT_ALLOWED),  # a Developer of the portal
        ("nobody", SIGNED_OUT),
    ],
)
def test_who_gets_in(console, view, who, code):
    with console.watch(view, who) as watching:
        assert closed_with(watching) == code


@pytest.mark.parametrize("origin", ["http://evil.example", None, "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("view", VIEWS)
def test_pages_of_other_origins_do_not(console, view, origin):
    """The last one is of the same host: cookies do not know ports."""
    with contextlib.suppress(InvalidStatus), console.watch(view, "olga", origin=origin) as watching:
        assert closed_with(watching) == NOT_ALLOWED


def test_other_addresses_are_refused_quietly(console):
    with pytest.raises(InvalidStatus) as refused:
        console.watch("elsewhere/")
    assert refused.value.response.status_code == 403
    assert "Traceback" not in console.log.read_text()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("message", ["hello", "11", "x" * 10_000, b"1"])
def test_a_socket_that_says_anything_else_is_closed(console, view, message):
    with console.watch(view) as watching:
        watching.recv(timeout=10)
        watching.send(message)
        assert closed_with(watching, answering=True) == BAD_MESSAGE


def test_so_is_one_that_answers_what_was_not_sent(console):
    with console.watch("tail/") as watching:
        watching.recv(timeout=10)
        with contextlib.suppress(ConnectionClosed):
            for _ in range(50):
                watching.send("1")
        assert closed_with(watching, answering=True) == BAD_MESSAGE


def test_no_more_sockets_than_that_for_one_user(console):
    with contextlib.ExitStack() as stack:
        mine = [stack.enter_context(console.watch("overview/", "paula")) for _ in range(MAX_PER_USER)]
        assert closed_with(stack.enter_context(console.watch("tail/", "paula"))) == TOO_MANY
        assert closed_with(stack.enter_context(console.watch("tail/", "olga"))) is None
        mine[0].close()
        deadline = time.monotonic() + 5
        while closed_with(stack.enter_context(console.watch("tail/", "paula"))) == TOO_MANY:
            assert time.monotonic() < deadline


def test_who_signs_out_loses_the_socket(console):
    with console.watch("overview/", "leaver") as watching:
        next(frames(watching))
        console.execute("DELETE FROM django_session WHERE session_key = ?", console.sessions["leaver"])
        assert closed_with(watching, answering=True) == SIGNED_OUT


def test_so_does_a_member_who_is_removed(console):
    with console.watch("tail/", "demoted") as watching:
        next(frames(watching))
        console.execute(
            "DELETE FROM consoles_membership WHERE user_id ="
            " (SELECT id FROM auth_user WHERE username = 'demoted')"
        )
        assert closed_with(watching, answering=True) == NOT_ALLOWED


def test_a_slow_watcher_loses_frames_and_is_told_how_many(console):
    with console.watch("overview/") as slow, console.watch("overview/", "olga") as quick:
        for _, frame in zip(range(8), frames(quick), strict=False):
            assert "missed" not in frame
        seen = []
        for frame in frames(slow):
            seen.append(frame)
            if "missed" in frame:
                break
        assert frame["missed"] >= 2
        after = next(frames(slow))
        assert after["point"][0] - seen[-2]["point"][0] > frame["missed"] - 0.5


def test_a_socket_that_dies_without_a_word_harms_nobody(console, worker):
    for _ in range(3):
        watching = console.watch("tail/", "eddie")
        watching.socket.shutdown(socket.SHUT_RDWR)
        worker.serve(record(path="/after"))
    with console.watch("tail/?text=/after", "eddie") as watching:
        rows = next(frames(watching))["rows"]
        assert rows and {row[4] for row in rows} == {"api.example.com/after"}


class Somebody:
    """A seat without a socket."""

    def __init__(self, session_key, heard):
        self.session_key, self.user_id, self.heard = session_key, 1, heard
        self.codes = []

    async def dismiss(self, code):
        """Written down."""
        self.codes.append(code)


def test_who_is_silent_for_long_is_closed(monkeypatch):
    async def all_may(keys):
        return dict.fromkeys(keys, 0)

    monkeypatch.setattr(guard, "verdicts", all_may)
    now = time.monotonic()
    silent, lively = Somebody("a", now - guard.SILENT_SECONDS - 1), Somebody("b", now)
    asyncio.run(Guard()._check((silent, lively)))
    assert (silent.codes, lively.codes) == ([SILENT], [])


def test_if_nobody_can_say_who_may_watch_nobody_watches(monkeypatch, caplog):
    async def broken(keys):
        raise OSError("no database")

    monkeypatch.setattr(guard, "verdicts", broken)
    one = Somebody("a", time.monotonic())
    asyncio.run(Guard()._check((one,)))
    assert one.codes == [TRY_LATER] and "nobody can say" in caplog.text


def test_a_frame_is_json_with_numbers_of_now(console):
    with console.watch("overview/") as watching:
        history, frame = next(frames(watching)), next(frames(watching))
    assert set(history) == {"history"} and len(json.dumps(frame)) < 8192
    assert {"rate", "latency", "classes", "apis", "errors", "upstreams", "workers", "point"} <= set(frame)
