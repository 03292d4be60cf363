"""Real supervisors over stub workers: signals, deaths, hangs, rolls."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from tests.proxy.supervisor.stage import Stage, gone, wait_until

Start = Callable[..., Stage]


def test_every_slot_serves(start: Start) -> None:
    stage = start(workers=2)
    stage.wait_ready()
    assert {stage.ask() for _ in range(40)} == stage.pids()


def test_a_killed_worker_is_replaced(start: Start) -> None:
    """Each time at once, without the pauses that follow deaths at start."""
    stage = start(workers=1)
    stage.wait_ready()
    for _ in range(3):
        [before] = stage.pids()
        os.kill(before, signal.SIGKILL)
        # The connection waits in the queue of the socket that the supervisor holds: it is not refused.
        assert stage.ask() != before
        wait_until(lambda before=before: stage.said(f"(pid {before}) died: signal SIGKILL; replaced"))
    assert not stage.said("next try in")


def test_a_worker_that_dies_at_start_is_tried_again_with_pauses_and_reason(start: Start) -> None:
    stage = start(workers=1, behaviour="crash")
    wait_until(lambda: stage.said("next try in 1.0 s"))
    assert stage.said("died before it was ready: exit code 1 (the stub was told to crash); next try in 0.5 s")
    assert stage.stop() == 0


def test_a_hanging_worker_is_killed_and_replaced(start: Start) -> None:
    stage = start(workers=1)
    stage.wait_ready()
    [before] = stage.pids()
    os.kill(before, signal.SIGSTOP)
    took = wait_until(lambda: stage.pids() != {before}, 9)
    assert took > 3
    assert stage.said("gives no sign of life; killed")
    assert stage.ask() != before


def test_sigterm_stops_everything_cleanly(start: Start) -> None:
    stage = start(workers=2, child=(sys.executable, "-c", "import time; print('child up'); time.sleep(60)"))
    stage.wait_ready()
    wait_until(lambda: stage.said("[child] child up") or len(stage.lines) > 50, 5)
    pids = stage.pids()
    assert stage.stop() == 0
    assert stage.said("not ready any more")
    assert all(gone(pid) for pid in pids)
    assert not stage.said("killed")


def test_sigint_stops_too(start: Start) -> None:
    stage = start(workers=1)
    stage.wait_ready()
    stage.signal(signal.SIGINT)
    assert stage.process.wait(10) == 0


def test_a_request_under_way_ends_during_the_stop(start: Start) -> None:
    stage = start(workers=1)
    stage.wait_ready()
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(stage.ask()))
    asking.start()
    time.sleep(0.01)
    stage.signal(signal.SIGTERM)
    asking.join(10)
    assert len(answers) == 1


def test_a_worker_that_does_not_drain_is_killed_and_named(start: Start) -> None:
    stage = start(workers=1, drain=0.0, behaviour="stubborn")
    stage.wait_ready()
    assert stage.stop() == 0
    assert stage.said("did not drain in time; killed")


def test_a_second_signal_stops_at_once(start: Start) -> None:
    stage = start(workers=2, drain=60.0, behaviour="stubborn")
    stage.wait_ready()
    stage.signal(signal.SIGTERM)
    wait_until(lambda: stage.said("not ready any more"))
    started = time.monotonic()
    stage.signal(signal.SIGTERM)
    assert stage.process.wait(10) == 0
    assert time.monotonic() - started < 8


def test_after_a_delay_only_it_stops_to_listen(start: Start) -> None:
    stage = start(workers=1, delay=1.0)
    stage.wait_ready()
    stage.signal(signal.SIGTERM)
    wait_until(lambda: stage.said("not ready any more"))
    assert stage.ask() in stage.pids()
    [before] = stage.pids()
    os.kill(before, signal.SIGKILL)
    # What dies meanwhile is replaced: nobody is to be refused yet.
    assert stage.ask() != before
    started = time.monotonic()
    assert stage.process.wait(10) == 0
    assert time.monotonic() - started < 5


def test_a_second_signal_ends_the_delay_and_a_third_the_drain(start: Start) -> None:
    stage = start(workers=1, delay=600.0, drain=600.0, behaviour="stubborn")
    stage.wait_ready()
    stage.signal(signal.SIGTERM)
    wait_until(lambda: stage.said("not ready any more"))
    assert stage.ask() in stage.pids()
    stage.signal(signal.SIGTERM)
    wait_until(lambda: stage.said("the drain begins now"))
    stage.signal(signal.SIGTERM)
    assert stage.process.wait(10) == 0
    assert stage.said("Another signal: stopping at once")


def test_no_child_outlives_a_killed_supervisor(start: Start) -> None:
    stage = start(workers=2, behaviour="stubborn")
    stage.wait_ready()
    pids = stage.pids()
    stage.signal(signal.SIGKILL)
    wait_until(lambda: all(gone(pid) for pid in pids), 3)


def test_a_roll_replaces_every_worker_without_losing_a_connection(start: Start) -> None:
    stage = start(workers=2)
    stage.wait_ready()
    before = stage.pids()
    answers: list[int] = []
    errors: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                answers.append(stage.ask())
            except OSError as error:
                errors.append(repr(error))

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for client in clients:
        client.start()
    stage.signal(signal.SIGHUP)
    wait_until(lambda: stage.said("Rolled 2 of 2 workers"), 15)
    wait_until(lambda: all(gone(pid) for pid in before), 5)
    over.set()
    for client in clients:
        client.join(10)
    assert errors == []
    assert set(answers) <= before | stage.pids()
    assert not before & stage.pids()
    assert set(answers[-20:]) <= stage.pids()


def test_two_rolls_in_a_row_are_two_rolls(start: Start) -> None:
    stage = start(workers=1)
    stage.wait_ready()
    for _ in range(2):
        before = stage.pids()
        stage.signal(signal.SIGHUP)
        wait_until(lambda before=before: all(gone(pid) for pid in before) and not before & stage.pids())
    wait_until(lambda: sum("Rolled 1 of 1" in line for line in stage.lines) == 2)
    assert stage.ask() in stage.pids()
