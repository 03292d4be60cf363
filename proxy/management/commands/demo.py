"""`manage.py demo`: the demo shop's configuration and a key for it."""

from __future__ import annotations

import os
from pathlib import Path
from string import Template
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from proxy.config.declarative import apply_and_publish
from proxy.config.yaml_text import Parsed, dump
from proxy.demo.services import BASE_PATH, BASE_PORT, INSTANCES
from proxy.identity.issue import issue_key
from proxy.models import Api, App, Revision

FOLDER = Path(__file__).resolve().parents[2] / "demo"
APP = "demo-shop"
KEY_FILE = "demo.key"


class Command(BaseCommand):
    """Loads the demo once; what somebody has changed since is left alone."""

    help = "Load the demo shop into an empty configuration and issue a key for it, once."
    requires_system_checks: list[str] = []  # of the code, not of its data: `make check` has them

    def add_arguments(self, parser: CommandParser) -> None:
        """The ports are written into the configuration."""
        parser.add_argument("--port", type=int, default=BASE_PORT, help="first port of the demo's services")

    def handle(self, *_: Any, **options: Any) -> None:
        """Prints the call to try."""
        hint = ensure_demo(Path(settings.TIDEGATE_DATA), options["port"])
        self.stdout.write(hint or "The configuration is not the demo's: nothing was loaded.")


def ensure_demo(data: Path, port: int) -> str:
    """Load the demo if there is no configuration yet; a call to try, empty if the demo is not there."""
    if not Api.objects.exists() and not Revision.objects.exists():
        apply_and_publish(_configuration(port), note="The demo shop", author="demo")
    app = App.objects.filter(name=APP).first()
    if app is None:
        return ""
    key = _key(app, data / KEY_FILE)
    url = f"http://127.0.0.1:{settings.TIDEGATE_GATEWAY_PORT}{BASE_PATH}/products/items"
    return f"try       curl -H 'X-API-Key: {key}' {url}" if key else ""


def _configuration(port: int) -> str:
    """The shop with its ports, and with each Api's OpenAPI document."""
    ports = {f"port_{index}": str(port + index) for index in range(len(INSTANCES))}
    text = Template((FOLDER / "shop.yaml").read_text(encoding="utf-8")).substitute(ports)
    whole = Parsed(text).data
    for api in whole["apis"]:
        api["openapi"] = (FOLDER / "openapi" / f"{api['slug']}.yaml").read_text(encoding="utf-8")
    return dump(whole)


def _key(app: App, file: Path) -> str:
    """The demo's key, kept in a file that only its owner reads, since the database does not know it."""
    if file.exists():
        return file.read_text(encoding="ascii").strip()
    if app.credentials.exists():
        return ""
    with transaction.atomic():
        _, key = issue_key(app, name="demo")
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as handle:
            handle.write(f"{key}\n")
        return key
