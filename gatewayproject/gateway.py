"""The gateway as an ASGI application, for servers such as granian (HTTP/2), uvicorn and daphne.

    TIDEGATE_NODE_DIR=data granian --interface asgi gatewayproject.gateway:application

Each worker process takes the first free slot from TIDEGATE_ASGI_SLOT (100) on. Nothing here imports Django.
What each server lets through, and the options to run it with, is in `docs/doors.md`.
"""

import logging
import sys

from proxy.doors.asgi import application

__all__ = ["application"]

logging.getLogger("tidegate").setLevel(logging.INFO)
if not logging.getLogger().hasHandlers() and not logging.getLogger("tidegate").handlers:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger("tidegate").addHandler(handler)
