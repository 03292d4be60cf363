"""Door two: a standard ASGI 3 application over the same core, for servers that speak HTTP/2 or are at hand.

One engine per process: opened at `lifespan.startup`, or with the first request under a server that sends no
lifespan. Options are environment variables: TIDEGATE_NODE_DIR (`data`) and TIDEGATE_ASGI_SLOT (100).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from proxy.doors.asgi_engine import EngineHolder
from proxy.doors.asgi_http import serve
from proxy.doors.asgi_types import Receive, Scope, Send

if TYPE_CHECKING:
    from proxy.engine import Engine

log = logging.getLogger("tidegate.doors.asgi")
_holder = EngineHolder()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The gateway, for any ASGI server."""
    kind = scope["type"]
    if kind == "lifespan":
        await _lifespan(receive, send)
        return
    engine = _holder.engine
    if engine is None:
        try:
            engine = await _holder.start()
        except Exception:
            log.exception("the gateway cannot start")
            await _unavailable(kind, receive, send)
            return
    if kind == "http":
        await serve(engine.core, _holder.exchanges, scope, receive, send)
    elif kind == "websocket":
        await _websocket(engine, scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await _holder.start()
            except Exception as error:
                log.exception("the gateway cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await _holder.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _websocket(engine: Engine, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        from proxy.doors.asgi_websocket import websocket
    except ImportError:
        await receive()
        await send({"type": "websocket.close", "code": 1011})
        return
    await websocket(engine, scope, receive, send)


async def _unavailable(kind: str, receive: Receive, send: Send) -> None:
    if kind == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1013})
        return
    headers = [(b"content-length", b"0"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
