"""A TCP proxy that breaks things on purpose, between a gateway and its upstream.

```python
async with FaultProxy(upstream_port) as proxy:
    proxy.down = Fault(reset_after=100)
```
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

READ = 64 * 1024


@dataclass(frozen=True)
class Fault:
    """What happens to one direction of each connection. Byte counts are of that direction."""

    delay: float = 0.0
    """Seconds before each piece goes on."""
    slice: int = 0
    """Send in pieces of at most so many bytes, each by itself."""
    stall_after: int | None = None
    """Let so many bytes through, then nothing more, with the connection open."""
    reset_after: int | None = None
    """Let so many bytes through, then RST both connections."""
    finish_after: int | None = None
    """Let so many bytes through, then close both connections in order (FIN)."""


CLEAN = Fault()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN: what is in the buffers is lost."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class FaultProxy:
    """Listens on `port`; `up` breaks what goes to the target, `down` what comes back."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.up = CLEAN
        self.down = CLEAN
        self.refuse = False
        """Reset every new connection at once."""
        self.hang = False
        """Accept and do nothing."""
        self.accepted = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> FaultProxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset_all(self) -> None:
        """RST every connection that is open."""
        for writer in list(self.writers):
            reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.writers.add(writer)
        try:
            if self.refuse:
                reset(writer)
            elif self.hang:
                await asyncio.Event().wait()
            else:
                await self._join(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        self.writers.add(far_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer, writer, self.up))
                group.create_task(self._pump(far_reader, writer, far_writer, self.down))
        except* OSError:
            pass
        finally:
            self.writers.discard(far_writer)
            far_writer.close()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        fault: Fault,
    ) -> None:
        passed = 0
        limits = [n for n in (fault.stall_after, fault.reset_after, fault.finish_after) if n is not None]
        limit = min(limits, default=None)
        while limit is None or passed < limit:
            data = await reader.read(READ if limit is None else min(READ, limit - passed))
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return
            passed += len(data)
            await self._send(writer, data, fault)
        if fault.reset_after == limit:
            reset(writer)
            reset(back)
        elif fault.finish_after == limit:
            writer.close()
            back.close()
        else:
            await asyncio.Event().wait()

    async def _send(self, writer: asyncio.StreamWriter, data: bytes, fault: Fault) -> None:
        size = fault.slice or len(data)
        for start in range(0, len(data), size):
            if fault.delay:
                await asyncio.sleep(fault.delay)
            writer.write(data[start : start + size])
            await writer.drain()
            if fault.slice:
                await asyncio.sleep(0)
