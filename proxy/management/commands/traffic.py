"""`manage.py traffic tail`: what goes through this node's gateway, as it happens."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from proxy.telemetry.record import STATES, TrafficRecord
from proxy.telemetry.tail import Tail, Wanted, line, status_filter

POLL_SECONDS = 0.2


class Command(BaseCommand):
    """Print traffic records from the node's spool."""

    help = "Print the traffic records of this node as they come."
    requires_system_checks: list[str] = []  # of the code, not of its data: `make check` has them

    def add_arguments(self, parser: CommandParser) -> None:
        """One action, `tail`."""
        actions = parser.add_subparsers(dest="action", required=True)
        tail = actions.add_parser("tail", help="Print the last records and go on with new ones.")
        tail.add_argument("-n", type=int, default=20, metavar="N", help="How many to begin with (20).")
        tail.add_argument(
            "--follow",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="Go on with new records until Ctrl-C, or stop after the last ones.",
        )
        tail.add_argument("--json", action="store_true", help="One JSON object per line.")
        tail.add_argument("--route", default="", help="Only this route: its name, or api/route.")
        tail.add_argument("--status", default="", help="Only this status: 404, 4xx, or 0 for no answer.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print until Ctrl-C, or until whoever reads the output goes away."""
        folder = Path(getattr(settings, "TIDEGATE_DATA", "data")) / "node" / "spool"
        if not folder.is_dir():
            raise CommandError(f"There is no traffic yet: {folder} does not exist. Start the gateway first.")
        tail = Tail(folder, _wanted(options["route"], options["status"]))
        try:
            self._print(tail.last(options["n"]), options["json"])
            while options["follow"]:
                time.sleep(POLL_SECONDS)
                self._print(tail.new(), options["json"])
        except KeyboardInterrupt:
            return
        except BrokenPipeError:
            # `| head` has read enough. Without this Python complains when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _print(self, records: list[TrafficRecord], as_json: bool) -> None:
        for record in records:
            self.stdout.write(_json(record) if as_json else line(record, _clock(record.time)))
        self.stdout.flush()


def _wanted(route: str, status: str) -> Wanted:
    try:
        status_fits = status_filter(status) if status else None
    except ValueError as error:
        raise CommandError(str(error)) from error

    def wanted(record: TrafficRecord) -> bool:
        if route and route not in (record.route, f"{record.api}/{record.route}"):
            return False
        return status_fits is None or status_fits(record.status)

    return wanted


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}"


def _json(record: TrafficRecord) -> str:
    return json.dumps(msgspec.structs.asdict(record) | {"state": STATES[record.state]})
