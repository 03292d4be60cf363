"""`manage.py rungateway`: the whole product under one supervisor."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError

from proxy.agent.connect import missing_migrations
from proxy.agent.greeting import say
from proxy.agent.product import Product
from proxy.management.commands.demo import ensure_demo
from proxy.supervisor.errors import StartError
from proxy.supervisor.options import Options


class Command(BaseCommand):
    """Runs gateway workers, console and node agent until SIGTERM or Ctrl-C."""

    help = (
        "Run the gateway workers, the console and the node agent until SIGTERM or Ctrl-C; "
        "SIGHUP rolls all workers without refusing a connection."
    )
    requires_system_checks: list[str] = []  # of the code, not of its data: `make check` has them

    def add_arguments(self, parser: CommandParser) -> None:
        """Everything else comes from the environment (`docs/configuration.md`)."""
        parser.add_argument("--workers", type=int, help="gateway workers (TIDEGATE_WORKERS; one per core)")
        parser.add_argument("--migrate", action="store_true", help="apply missing migrations first")
        parser.add_argument("--demo", action="store_true", help="with the demo shop (TIDEGATE_DEMO=1)")
        parser.add_argument("--no-console", action="store_true", help="without the console")

    def handle(self, *_: Any, **given: Any) -> None:
        """Ends the process with the supervisor's exit code."""
        base = str(settings.BASE_DIR)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [base, os.environ.get("PYTHONPATH")]))
        options = self._options(given)

        def prepare() -> str:
            return _prepare(given["migrate"], options)

        try:
            code = Product(options, settings.NODE_NAME, prepare).run()
        except StartError as error:
            sys.exit(f"tidegate: {error}")
        sys.exit(code)

    def _options(self, given: dict[str, Any]) -> Options:
        demo = given["demo"] or settings.TIDEGATE_DEMO
        return Options(
            base=Path(settings.BASE_DIR),
            data=Path(settings.TIDEGATE_DATA),
            host=settings.TIDEGATE_HOST,
            gateway_port=settings.TIDEGATE_GATEWAY_PORT,
            console_port=0 if given["no_console"] else settings.TIDEGATE_CONSOLE_PORT,
            status_port=settings.TIDEGATE_STATUS_PORT,
            status_host=settings.TIDEGATE_STATUS_HOST,
            tls_port=settings.TIDEGATE_TLS_PORT,
            h2_port=settings.TIDEGATE_H2_PORT,
            certificate=settings.TIDEGATE_H2_CERTIFICATE,
            key=settings.TIDEGATE_H2_KEY,
            workers=given["workers"] or settings.TIDEGATE_WORKERS,
            demo_port=settings.TIDEGATE_DEMO_PORT if demo else 0,
            tasks=settings.TIDEGATE_TASKS,
            drain_delay=settings.TIDEGATE_DRAIN_DELAY,
            environment={"NODE_NAME": settings.NODE_NAME, "REDIS_URL": settings.REDIS_URL},
        )


def _prepare(migrate: bool, options: Options) -> str:
    """Bring the database up to date, with an administrator and the demo; what to say when all is ready.

    A database that is gone stops nothing here: the node may have what it needs to serve without it.
    """
    try:
        if migrate and missing_migrations():
            say("preparing the database ...")
            call_command("migrate", interactive=False, verbosity=0)
        hints = [_administrator() if migrate and options.console_port else ""]
        if options.demo_port:
            hints.append(ensure_demo(Path(settings.TIDEGATE_DATA), options.demo_port))
        return "\n".join(filter(None, hints))
    except DatabaseError as error:
        say(f"The database cannot be prepared: {str(error).strip().splitlines()[0]}")
        return ""


def _administrator() -> str:
    """Make the first administrator of the console, the first time; name and password are said once."""
    made = io.StringIO()
    call_command("admin", "create", "--if-none", stdout=made)
    if not made.getvalue():
        return ""
    name, password = made.getvalue().split()
    return f"sign in   as {name} with the password {password}  (shown this once; change it in the console)"
