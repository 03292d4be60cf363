"""Makes a big installation and visits its pages: `python -m benchmarks.visit_pages ROUNDS [OPTION=NUMBER ...]`.

The database is that of the environment. Prints a JSON list of pages: site, name, median, first and CPU milliseconds,
queries, bytes. Options are those of `manage.py sample_data`.
"""

# ruff: noqa: E402
from __future__ import annotations

import json
import logging
import os
import statistics
import sys
import time
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gatewayproject.settings")

import django

django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks.installation import PageAddress, browsers, fill, pages


def visit(client: Client, page: PageAddress, rounds: int) -> dict[str, Any] | None:
    """What one page cost; None if it is no page for a GET."""
    times, used = [], []
    for _ in range(rounds + 1):
        started, cpu = time.perf_counter(), time.process_time()
        answer = client.get(page.url)
        times.append((time.perf_counter() - started) * 1e3)
        used.append((time.process_time() - cpu) * 1e3)
    if answer.status_code != 200:
        return None
    with CaptureQueriesContext(connection) as asked:
        client.get(page.url)
    return {
        "site": page.site,
        "name": page.name,
        "median": statistics.median(times[1:]),
        "first": times[0],
        "cpu": statistics.median(used[1:]),
        "queries": len(asked),
        "bytes": len(answer.content),
    }


def main(rounds: str, *options: str) -> int:
    """Everything once, in this process: the network and the server around it are not in the times."""
    logging.disable(logging.WARNING)
    settings.ALLOWED_HOSTS = ["testserver"]
    size = {name: int(value) for name, value in (option.split("=") for option in options)}
    call_command("migrate", verbosity=0)
    with open(os.devnull, "w") as nowhere:
        started, output, sys.stdout = time.monotonic(), sys.stdout, nowhere
        fill(**size)
        sys.stdout = output
    clients = browsers()
    found = [visit(clients[page.site], page, int(rounds)) for page in pages()]
    seconds = time.monotonic() - started
    print(json.dumps({"seconds": seconds, "pages": [page for page in found if page is not None]}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
