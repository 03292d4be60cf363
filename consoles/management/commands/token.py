"""`manage.py token`: tokens for the Admin API from the command line."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from consoles import access
from consoles.models import ApiToken, Membership, Role
from consoles.models.api_token import Scope
from proxy.management.commands.key import duration

_ROLES = {role.label.lower(): role for role in Role}


class Command(BaseCommand):
    """Makes, lists and revokes tokens."""

    help = "Make, list and revoke tokens for the Admin API. A token is printed once."
    requires_system_checks: list[str] = []  # of the code, not of its data: `make check` has them

    def add_arguments(self, parser: CommandParser) -> None:
        """The actions and what each takes."""
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="Print a new token, once, on standard output.")
        create.add_argument("name", help="What it is for.")
        create.add_argument("--user", default="admin", help="The member that it acts as.")
        create.add_argument(
            "--scope", action="append", choices=Scope.values, help="Again for several; read if none."
        )
        create.add_argument("--role", choices=_ROLES, default="viewer", help="At most this role.")
        create.add_argument("--expires", type=duration, metavar="90d", help="How long it is good.")
        actions.add_parser("list", help="List tokens; none can be read again.")
        revoke = actions.add_parser("revoke", help="Make a token useless, for good.")
        revoke.add_argument("id", type=int)

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the action; a refusal is one line and exit code 1."""
        getattr(self, "_" + options["action"])(options)

    def _create(self, options: dict[str, Any]) -> None:
        membership = Membership.objects.select_related("user").filter(user__username=options["user"]).first()
        role = _ROLES[options["role"]]
        if membership is None:
            raise CommandError(f"There is no member {options['user']}.")
        if not access.may(membership.user, role):
            raise CommandError(f"{options['user']} has not the role {options['role']}.")
        token = ApiToken(
            user=membership.user,
            name=options["name"],
            scopes=list(dict.fromkeys(options["scope"] or [Scope.READ.value])),
            role=role,
            expires_at=timezone.now() + options["expires"] if options["expires"] else None,
        )
        try:
            token.full_clean(exclude={"digest"})
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        made = token.issue()
        self.stdout.write(made.value)
        self.stderr.write(f"Token {token.pk} of {options['user']}. It is not stored: keep it.")

    def _list(self, options: dict[str, Any]) -> None:
        for token in ApiToken.objects.select_related("user"):
            state = "active" if token.usable else "revoked" if token.revoked_at else "expired"
            scopes = ",".join(token.scopes)
            role = Role(token.role).label.lower()
            self.stdout.write(
                f"{token.pk:<6} {state:<8} {token.user.get_username():<16} {role:<10} {scopes:<24} {token}"
            )

    def _revoke(self, options: dict[str, Any]) -> None:
        token = ApiToken.objects.filter(pk=options["id"]).first()
        if token is None:
            raise CommandError(f"There is no token {options['id']}.")
        if not token.revoke():
            raise CommandError(f"Token {token.pk} was revoked before.")
        self.stderr.write(f"Token {token.pk} is revoked.")
