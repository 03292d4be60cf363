"""The timing client tells what happened: answers, refusals, connections that break, waits behind others."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from benchmarks.client import NO_ANSWER, Generator, burst, head
from benchmarks.samples import quantile

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Serve = Callable[[Callable[[bytes], bytes | None]], int]
Sample = tuple[int, float, float, int]


def paced(port: int, connections: int, rate: float, seconds: float) -> list[Sample]:
    """The samples of a paced run."""
    with contextlib.closing(Generator(port, head("/{n}", "k"), connections)) as generator:
        generator.paced(rate, seconds)
        return generator.samples


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers each request with what a function makes of it, None to hang up."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)

    def start(answer: Callable[[bytes], bytes | None]) -> int:
        def one(sock: socket.socket) -> None:
            with sock:
                while (data := sock.recv(65536)) and (reply := answer(data)) is not None:
                    sock.sendall(reply)

        def accept() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(sock,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_paced_requests_all_have_a_sample(serve: Serve) -> None:
    samples = paced(serve(lambda data: ANSWER), 4, 200, 0.5)
    assert sorted(sample[0] for sample in samples) == list(range(100))
    assert {sample[3] for sample in samples} == {200}


def test_wait_behind_a_slow_answer_counts(serve: Serve) -> None:
    def slow_first(data: bytes) -> bytes:
        if b"/0 " in data:
            time.sleep(0.2)
        return ANSWER

    latencies = {sample[0]: sample[2] for sample in paced(serve(slow_first), 1, 100, 0.2)}
    assert latencies[0] >= 0.2
    assert latencies[5] >= 0.1  # was due 50 ms later, on the same connection


def test_broken_connection_is_one_failure_and_replaced(serve: Serve) -> None:
    samples = paced(serve(lambda data: None if b"/3 " in data else ANSWER), 1, 100, 0.1)
    assert [sample[0] for sample in samples if sample[3] == NO_ANSWER] == [3]
    assert len(samples) == 10


def test_each_answer_has_its_own_status(serve: Serve) -> None:
    def answer(data: bytes) -> bytes:
        return ANSWER if b"/1 " in data else b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n"

    assert [sample[3] for sample in paced(serve(answer), 1, 100, 0.03)] == [429, 200, 429]


def test_burst_counts_statuses(serve: Serve) -> None:
    numbers = iter(range(1000))
    refused = ANSWER.replace(b"200 OK", b"429 No")
    port = serve(lambda data: ANSWER if next(numbers) < 10 else refused)
    assert burst(port, head("/x", "k"), 30) == {"200": 10, "429": 20}


def test_quantile_is_a_measured_value() -> None:
    values = [float(number) for number in range(100)]
    assert quantile(values, 0.5) == 50.0
    assert quantile(values, 0.99) == 99.0
    assert quantile([1.0], 0.99) == 1.0
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
