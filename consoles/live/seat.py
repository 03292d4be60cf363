"""A socket of a live view: who gets in, what waits for a slow one, and how it ends.

Frames are JSON text. The browser answers each with the text `1`. No more than `WINDOW` are without an answer:
what comes then is lost and counted, and the next frame that goes out is preceded by `{"missed": total}`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, ClassVar

from channels.generic.websocket import AsyncWebsocketConsumer

from consoles.live.guard import BAD_MESSAGE, GUARD, NOT_ALLOWED, SIGNED_OUT, TOO_MANY, same_origin, verdict
from consoles.live.hub import Hub

WINDOW = 4
ANSWER = "1"


class Seat(AsyncWebsocketConsumer):  # type: ignore[misc] - Channels has no types
    """The base of all live views; a view says which hub it watches."""

    hub: ClassVar[Hub[Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.greeted = False
        self.session_key = ""
        self.user_id = 0
        self.heard = self.offered = time.monotonic()
        self.missed = self._told = 0
        self._unanswered = 0
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._over = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """However it ends, the seat is free afterwards."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._get_up()

    async def connect(self) -> None:
        """Accepted even if refused: a browser only learns a code from an open socket."""
        code = await self._refusal()
        if not code:
            GUARD.join(self)
        await self.accept()
        if code:
            await self.dismiss(code)
            return
        self._writer = asyncio.create_task(self._write())
        self.hub.join(self)

    async def _refusal(self) -> int:
        user = self.scope["user"]
        code = NOT_ALLOWED if not same_origin(self.scope) else await verdict(user)
        if code:
            return code
        self.session_key, self.user_id = self.scope["session"].session_key or "", user.pk
        if not self.session_key:
            return SIGNED_OUT
        return TOO_MANY if GUARD.full_for(self.user_id) else 0

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """The answer to a frame, and nothing else."""
        if text_data != ANSWER or not self._unanswered:
            await self.dismiss(BAD_MESSAGE)
            return
        self._unanswered -= 1
        self.heard = time.monotonic()

    async def dismiss(self, code: int) -> None:
        """Close, once."""
        self._get_up()
        if not self._over:
            self._over = True
            await self.close(code)

    async def disconnect(self, code: int) -> None:
        """The browser has gone."""
        self._over = True
        self._get_up()

    def offer(self, text: str, weight: int) -> None:
        """Send it, or lose it if too much is without an answer."""
        self.offered = time.monotonic()
        if self._unanswered >= WINDOW:
            self.missed += weight
            return
        if self.missed != self._told:
            self._told = self.missed
            self._put(f'{{"missed":{self.missed}}}')
        self._put(text)

    def _put(self, text: str) -> None:
        self._unanswered += 1
        self._outgoing.put_nowait(text)

    async def _write(self) -> None:
        while True:
            await self.send(text_data=await self._outgoing.get())

    def _get_up(self) -> None:
        self.hub.leave(self)
        GUARD.leave(self)
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None


class Nowhere(AsyncWebsocketConsumer):  # type: ignore[misc] - Channels has no types
    """Every other address: refused without a traceback in the log."""

    async def connect(self) -> None:
        """No."""
        await self.close()
