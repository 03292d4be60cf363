"""What it costs to read a request's head: our line reader against httptools with a callback per header.

    python -m benchmarks.probe_heads

Both come to the same: method, target, and (name, value) pairs with names in lower case. A client's lines
are mostly those that it sent before; `one line new` is what a head with a trace id or a nonce costs.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

import httptools

from proxy.http.edge import LINES
from proxy.http.lines import Entry

CALLS = 50_000
HEAD = (
    b"GET /svc/s1/orders/17?page=2 HTTP/1.1\r\n"
    b"Host: api.example.com\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
    b"Accept: application/json, text/plain, */*\r\n"
    b"Accept-Language: en-GB,en;q=0.9\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\n"
    b"X-Api-Key: not-a-key-that-exists\r\n"
    b"X-Client-Version: 4.17.2\r\n"
    b"Referer: https://shop.example.com/orders"
)
END = b"\r\n\r\n"


def by_lines(head: bytes) -> tuple[bytes, bytes, list[Entry]]:
    """As the native door reads it."""
    line, _, block = head.partition(b"\r\n")
    method, target, _ = line.split(b" ")
    return method, target, LINES.read(block.split(b"\r\n"))


class Collector:
    """What httptools calls, once per header."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """The target."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self.headers.append((name.lower(), value))


def by_callbacks(head: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """With llhttp, a fresh collector for each head; the parser object is made anew as well."""
    collector = Collector()
    parser = httptools.HttpRequestParser(collector)
    parser.feed_data(head + END)
    return parser.get_method(), collector.target, collector.headers


class KeptParser:
    """The same with one parser for the whole connection."""

    def __init__(self) -> None:
        self._collector = Collector()
        self._parser = httptools.HttpRequestParser(self._collector)

    def read(self, head: bytes) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
        """The next head of the connection."""
        collector = self._collector
        collector.target, collector.headers = b"", []
        self._parser.feed_data(head + END)
        return self._parser.get_method(), collector.target, collector.headers


def report(name: str, call: Callable[[], object], beside: float = 0.0) -> float:
    """Print and return microseconds per head, best of five rounds, less what the loop itself takes."""
    each = min(timeit.repeat(call, number=CALLS, repeat=5)) / CALLS * 1e6 - beside
    print(f"{name:48} {each:6.2f} µs")
    return each


def main() -> None:
    """Print the figures."""
    numbers = iter(range(10**9))

    def fresh() -> bytes:
        return HEAD + b"\r\nX-Nonce: n%d" % next(numbers)

    kept = KeptParser()
    making = min(timeit.repeat(fresh, number=CALLS, repeat=5)) / CALLS * 1e6
    report("line reader, all lines known", lambda: by_lines(HEAD))
    report("line reader, one line new", lambda: by_lines(fresh()), making)
    report("httptools, callbacks, parser per connection", lambda: kept.read(HEAD))
    report("httptools, callbacks, parser per request", lambda: by_callbacks(HEAD))
    LINES.remembered.clear()


if __name__ == "__main__":
    main()
