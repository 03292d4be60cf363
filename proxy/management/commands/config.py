"""`manage.py config`: the configuration as a file, and its Revisions."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from proxy.config import declarative
from proxy.config.apply import Refused
from proxy.config.problem import Problem
from proxy.config.publish import Published, publish, rollback
from proxy.config.sealed import reseal
from proxy.models import Revision


class Command(BaseCommand):
    """Export, validate, compare, apply and publish the configuration."""

    help = "Export, validate, compare, apply and publish the configuration."
    requires_system_checks: list[str] = []  # of the code, not of its data: `make check` has them

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One sub-command each."""
        commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        export = commands.add_parser("export", help="write the draft as YAML")
        export.add_argument("--with-secrets", action="store_true", help="with the keys of certificates")
        export.add_argument(
            "--with-identities", action="store_true", help="with developers, apps, subscriptions"
        )
        export.add_argument("-o", "--output", default="-", metavar="FILE", help="instead of standard output")
        for name, text in (
            ("validate", "check a file, all problems at once; changes nothing"),
            ("diff", "show what applying a file would change; exits with 1 if anything"),
            ("apply", "make the draft equal to a file"),
        ):
            command = commands.add_parser(name, help=text)
            command.add_argument("file", help="a YAML file, - for standard input")
            if name == "apply":
                command.add_argument("--publish", action="store_true", help="publish it in the same breath")
                _note(command)
        _note(commands.add_parser("publish", help="make the draft the live revision"))
        commands.add_parser("revisions", help="list what was published, newest first")
        commands.add_parser("reseal", help="seal stored private keys with the present SECRET_KEY")
        back = commands.add_parser("rollback", help="publish an old revision again")
        back.add_argument("number", type=int)
        _note(back)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one of them."""
        try:
            getattr(self, f"_{options['action']}")(options)
        except Refused as refused:
            self._list(refused.problems)
            raise CommandError(
                f"Refused: {_count(refused.problems, 'problem')}; nothing was changed."
            ) from None

    def _export(self, options: dict[str, Any]) -> None:
        text = declarative.export(
            with_secrets=options["with_secrets"], with_identities=options["with_identities"]
        )
        if options["output"] == "-":
            self.stdout.write(text, ending="")
            return
        path = Path(options["output"])
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")

    def _validate(self, options: dict[str, Any]) -> None:
        file = self._read(options["file"])
        self.stdout.write(f"Valid; {_count(file.warnings, 'warning')}.")

    def _diff(self, options: dict[str, Any]) -> None:
        changes = declarative.changes_of(self._read(options["file"]))
        for change in changes:
            self.stdout.write(change)
        if changes:
            sys.exit(1)
        self.stdout.write("No difference.")

    def _apply(self, options: dict[str, Any]) -> None:
        text = _text(options["file"])
        if options["publish"]:
            changes, published = declarative.apply_and_publish(text, options["note"], options["author"])
        else:
            changes, published = declarative.apply(text), None
        for change in changes:
            self.stdout.write(change)
        self.stdout.write(f"Applied: {_count(changes, 'change')}.")
        if published is not None:
            self._published(published)

    def _publish(self, options: dict[str, Any]) -> None:
        self._published(publish(options["note"], options["author"]))

    def _rollback(self, options: dict[str, Any]) -> None:
        try:
            self._published(rollback(options["number"], options["author"], options["note"]))
        except Revision.DoesNotExist:
            raise CommandError(f"There is no revision {options['number']}.") from None

    def _revisions(self, options: dict[str, Any]) -> None:
        rows = Revision.objects.order_by("-number").defer("document")
        for row in rows:
            changes = _count(row.changes, "change")
            time = f"{row.created_at:%Y-%m-%d %H:%M:%S}Z"
            self.stdout.write(f"{row.number}  {time}  {row.author or '-'}  {changes}  {row.note}".rstrip())

    def _reseal(self, options: dict[str, Any]) -> None:
        found = reseal()
        self._list(found.lost)
        anew = f"{_number(found.changed, 'private key')} sealed anew"
        self.stdout.write(f"{anew}, {found.kept} up to date, {len(found.lost)} cannot be opened.")
        if found.lost:
            sys.exit(1)

    def _read(self, file: str) -> declarative.Read:
        found = declarative.read(_text(file))
        self._list(found.warnings, "warning: ")
        if found.problems:
            raise Refused(found.problems)
        return found

    def _published(self, published: Published) -> None:
        self._list(published.warnings, "warning: ")
        changes = _count(published.changes, "change")
        self.stdout.write(f"Published revision {published.revision.number}: {changes}.")

    def _list(self, problems: Iterable[Problem], mark: str = "") -> None:
        for problem in problems:
            self.stderr.write(f"{mark}{problem}")


def _note(parser: ArgumentParser) -> None:
    parser.add_argument("--note", default="", help="why, for the list of revisions")
    parser.add_argument("--author", default="command line", help="who, for the list of revisions")


def _count(items: Any, noun: str) -> str:
    return _number(len(items), noun)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"Cannot read {file}: {error}") from None
