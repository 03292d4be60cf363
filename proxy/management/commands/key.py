"""`manage.py key`: issue, revoke and list API keys."""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from proxy.identity.issue import KeyRefused, issue_key, node_pepper, revoke_key
from proxy.identity.keys import PREFIX, VISIBLE, PepperError, digest
from proxy.models import App, Credential, IdentityVersion

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
MAX_DAYS = 36500
SHORTEST_START = len(PREFIX) + 1


def duration(text: str) -> datetime.timedelta:
    """`90d`, `12h`, `30m` or `2w`. Raises ArgumentTypeError."""
    match = re.fullmatch(r"([1-9][0-9]{0,7})([mhdw])", text)
    length = datetime.timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if length is None or length.days > MAX_DAYS:
        raise argparse.ArgumentTypeError("a duration is written 30m, 12h, 90d or 2w, up to a hundred years")
    return length


class Command(BaseCommand):
    """Keys for Apps, from the command line."""

    help = "Issue, revoke and list API keys. A key takes effect within a second, without a publish."
    requires_system_checks: list[str] = []  # of the code, not of its data: `make check` has them

    def add_arguments(self, parser: CommandParser) -> None:
        """The actions and what each takes."""
        actions = parser.add_subparsers(dest="action", required=True)
        issue = actions.add_parser("issue", help="Print a new key, once, on standard output.")
        _name_app(issue)
        issue.add_argument("--name", default="", help="What the key is for.")
        issue.add_argument("--expires", type=duration, metavar="90d", help="How long it is good.")
        issue.add_argument("--create-app", action="store_true", help="Make the App if there is none.")
        issue.add_argument(
            "--value",
            action="store_true",
            help="Take the key from standard input: one brought from elsewhere.",
        )
        revoke = actions.add_parser("revoke", help="Make a key unknown everywhere, for good.")
        revoke.add_argument("key", metavar="PREFIX_OR_ID", help="The start of the key as listed, or its id.")
        _name_app(actions.add_parser("list", help="List keys; none can be read again."))
        actions.add_parser("resync", help="Have all nodes copy everything anew, after a restored backup.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the action; a refusal is one line and exit code 1."""
        try:
            getattr(self, "_" + options["action"])(options)
        except (KeyRefused, PepperError) as error:
            raise CommandError(str(error)) from None

    def _issue(self, options: dict[str, Any]) -> None:
        app = _app(options, create=options["create_app"])
        value = sys.stdin.buffer.readline(1024).rstrip(b"\r\n") if options["value"] else None
        expires_at = timezone.now() + options["expires"] if options["expires"] else None
        credential, raw = issue_key(app, name=options["name"][:100], expires_at=expires_at, value=value)
        if value is None:
            self.stdout.write(raw)
        until = f"good until {expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "good until it is revoked"
        self.stderr.write(f"Key {credential.pk} of {app.name}, {until}. It is not stored: keep it.")
        if not app.active:
            self.stderr.write(f"{app.name} is not active: the gateway refuses it.")

    def _revoke(self, options: dict[str, Any]) -> None:
        credential = _credential(options["key"])
        if not revoke_key(credential):
            raise CommandError(f"Key {credential.pk} was revoked before.")
        self.stderr.write(f"Key {credential.pk} of {credential.app.name} is revoked.")

    def _list(self, options: dict[str, Any]) -> None:
        rows = Credential.objects.select_related("app").order_by("app__name", "pk")
        if options["app"] or options["app_name"]:
            rows = rows.filter(app=_app(options, create=False))
        self.stdout.write(f"{'ID':<10} {'APP':<24} {'KEY':<16} {'STATE':<24} NAME")
        for row in rows.iterator(1000):
            shown = f"{row.prefix}…{row.last_four}"
            self.stdout.write(f"{row.pk:<10} {row.app.name:<24} {shown:<16} {_state(row):<24} {row.name}")

    def _resync(self, options: dict[str, Any]) -> None:
        IdentityVersion.renew()
        self.stderr.write("Every node copies all identities anew, within a second.")


def _name_app(parser: argparse.ArgumentParser) -> None:
    given = parser.add_mutually_exclusive_group()
    given.add_argument("app_name", nargs="?", default="", metavar="APP", help="The App's name.")
    given.add_argument("--app", default="", metavar="APP", help="The same.")


def _app(options: dict[str, Any], *, create: bool) -> App:
    name = options["app"] or options["app_name"]
    if not name:
        raise CommandError("Name the App that the key is for.")
    app = App.objects.filter(name=name).first()
    if app is None and create:
        app = App(name=name)
        try:
            app.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        app.save()
    if app is None:
        raise CommandError(f"There is no App named {name}. --create-app makes it.")
    return app


def _credential(text: str) -> Credential:
    """By id, by the whole key, by its visible start, or as listed; a revoked one only by its id."""
    rows = Credential.objects.select_related("app")
    found = list(rows.filter(pk=int(text))) if re.fullmatch(r"[0-9]{1,18}", text) else []
    start, _, last = text.partition("…")
    if not found and len(text) > VISIBLE and not last:
        found = list(rows.filter(digest=digest(text.encode(), node_pepper()), revoked_at=None))
    elif not found and len(start) >= SHORTEST_START:
        found = list(rows.filter(prefix__startswith=start, last_four__endswith=last, revoked_at=None)[:2])
    if not found:
        raise CommandError("There is no such key. `manage.py key list` shows them.")
    if len(found) > 1:
        raise CommandError("Several keys begin like that. Give the id that `manage.py key list` shows.")
    return found[0]


def _state(row: Credential) -> str:
    if row.revoked_at is not None:
        return f"revoked {row.revoked_at:%Y-%m-%d}"
    if row.expires_at is None:
        return "active"
    word = "active until" if row.usable else "expired"
    return f"{word} {row.expires_at:%Y-%m-%d}"
