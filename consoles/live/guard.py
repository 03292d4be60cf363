"""Who may watch, asked when they come and again every few seconds; how many may; who has gone silent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib import auth

from consoles import access
from consoles.models import Role

BAD_MESSAGE, SIGNED_OUT, NOT_ALLOWED, SILENT, TOO_MANY, TRY_LATER = 4400, 4401, 4403, 4408, 4429, 4503
"""Close codes: of those that an application may choose (RFC 6455, 7.4.2), the status of HTTP and 4000."""
LEAST = Role.VIEWER
MAX_SOCKETS = 100
MAX_PER_USER = 8
CHECK_SECONDS = 3.0
SILENT_SECONDS = 45.0
"""Frames are acknowledged, and there is one every few seconds; who says nothing for so long is gone."""
_log = logging.getLogger("tidegate.live")


class Seated(Protocol):
    """A socket that was let in."""

    session_key: str
    user_id: int
    heard: float

    async def dismiss(self, code: int) -> None:
        """Close it."""


def same_origin(scope: dict[str, Any]) -> bool:
    """Whether the page that opens the socket is of this very host and port, or of a trusted origin.

    A cookie does not know ports, so a page that the gateway serves on the same host could open it otherwise.
    """
    headers = dict(scope["headers"])
    origin = headers.get(b"origin", b"").decode("latin-1")
    host = headers.get(b"host", b"").decode("latin-1")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    return bool(host) and urlsplit(origin).netloc.lower() == host.lower()


@database_sync_to_async
def verdict(user: Any) -> int:
    """0 if the account may watch, else the code to close with."""
    if not user.is_authenticated:
        return SIGNED_OUT
    return 0 if access.may(user, LEAST) else NOT_ALLOWED


@database_sync_to_async
def verdicts(session_keys: Iterable[str]) -> dict[str, int]:
    """The same for sessions, read anew: they may have ended, or the account's role may."""
    return {key: _verdict_of(key) for key in session_keys}


def _verdict_of(session_key: str) -> int:
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = auth.get_user(SimpleNamespace(session=store))  # type: ignore[arg-type] - all that it reads
    if not user.is_authenticated:
        return SIGNED_OUT
    return 0 if access.may(user, LEAST) else NOT_ALLOWED


class Guard:
    """The seats of this process."""

    def __init__(self) -> None:
        self._seats: set[Any] = set()
        self._task: asyncio.Task[None] | None = None

    def full_for(self, user_id: int) -> bool:
        """Whether there is no seat left, for this user or at all."""
        mine = Counter(seat.user_id for seat in self._seats)[user_id]
        return len(self._seats) >= MAX_SOCKETS or mine >= MAX_PER_USER

    def join(self, seat: Seated) -> None:
        """Watch over it from now on."""
        self._seats.add(seat)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def leave(self, seat: Seated) -> None:
        """It is free again."""
        self._seats.discard(seat)

    async def _run(self) -> None:
        try:
            while self._seats:
                await asyncio.sleep(CHECK_SECONDS)
                await self._check(tuple(self._seats))
        finally:
            self._task = None

    async def _check(self, seats: tuple[Seated, ...]) -> None:
        try:
            codes = await verdicts({seat.session_key for seat in seats})
        except Exception:
            _log.exception("live views are closed: nobody can say who may see them")
            codes = {seat.session_key: TRY_LATER for seat in seats}
        silent_since = time.monotonic() - SILENT_SECONDS
        for seat in seats:
            code = codes[seat.session_key] or (SILENT if seat.heard < silent_since else 0)
            if code:
                await seat.dismiss(code)


GUARD = Guard()
