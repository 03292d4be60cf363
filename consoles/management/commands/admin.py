"""`manage.py admin`: members of the console from the command line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import IntegrityError

from consoles.access import add_member, new_password
from consoles.models import Membership, Role


class Command(BaseCommand):
    """Makes the first administrator, and lets one back in who forgot the password."""

    help = (
        "Create administrators of the console, or give a member a new password. Passwords are printed once."
    )
    requires_system_checks: list[str] = []  # of the code, not of its data: `make check` has them

    def add_arguments(self, parser: CommandParser) -> None:
        """The actions and what each takes."""
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="Make an owner and print name and password, once.")
        create.add_argument("username", nargs="?", default="admin")
        create.add_argument(
            "--if-none", action="store_true", help="Do nothing if the console has a member already."
        )
        reset = actions.add_parser("password", help="Print a new password for a member, once.")
        reset.add_argument("username", nargs="?", default="admin")
        actions.add_parser("list", help="List the members and their roles.")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the action; a refusal is one line and exit code 1."""
        getattr(self, "_" + options["action"])(options)

    def _create(self, options: dict[str, Any]) -> None:
        if options["if_none"] and Membership.objects.exists():
            return
        try:
            made = add_member(options["username"], Role.OWNER)
        except IntegrityError:
            raise CommandError(f"There is an account {options['username']} already.") from None
        self.stdout.write(f"{made.membership.user.get_username()} {made.password}")

    def _password(self, options: dict[str, Any]) -> None:
        rows = Membership.objects.select_related("user").filter(user__username=options["username"])
        if (membership := rows.first()) is None:
            raise CommandError(f"There is no member {options['username']}.")
        self.stdout.write(f"{options['username']} {new_password(membership)}")

    def _list(self, options: dict[str, Any]) -> None:
        for membership in Membership.objects.select_related("user"):
            state = "" if membership.user.is_active else "  (not active)"
            self.stdout.write(f"{membership.user.get_username():<32} {membership.get_role_display()}{state}")
