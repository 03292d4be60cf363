"""Who may do what: the one place that pages, the Admin API and live views ask.

Roles are a ladder (`consoles.models.membership.Role`). What is asked for is always the least role that may;
an account without a membership may nothing here, even if it is a Django superuser.
"""

from __future__ import annotations

import secrets
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction

from consoles.models import Membership, Role

User = get_user_model()
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


class Denied(Exception):
    """The account's role does not reach; `needed` is the least one that does."""

    def __init__(self, needed: Role) -> None:
        super().__init__(f"This needs the role {needed.label}.")
        self.needed = needed


class NewMember(NamedTuple):
    """A member just made, and the generated password, which cannot be had again."""

    membership: Membership
    password: str


def membership_of(user: AbstractBaseUser | AnonymousUser | Any) -> Membership | None:
    """The account's membership, None if it has none or is not active."""
    if not user.is_authenticated or not user.is_active:
        return None
    found: Membership | None = getattr(user, "membership", None)
    return found


def role_of(user: Any) -> Role | None:
    """The account's role in the console."""
    membership = membership_of(user)
    return Role(membership.role) if membership else None


def may(user: Any, needed: Role) -> bool:
    """Whether the account's role reaches."""
    role = role_of(user)
    return role is not None and role >= needed


def require(user: Any, needed: Role) -> None:
    """Raise `Denied` unless the account's role reaches."""
    if not may(user, needed):
        raise Denied(needed)


def generated_password() -> str:
    """Four groups of five letters and digits, none of which look alike: 115 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


@transaction.atomic
def add_member(username: str, role: Role, email: str = "") -> NewMember:
    """Make an account and its membership. Raises IntegrityError if the name is taken."""
    password = generated_password()
    user = User.objects.create_user(username, email, password)
    return NewMember(Membership.objects.create(user=user, role=role), password)


def owners() -> Any:
    """Memberships that can manage the others; the last of them must stay."""
    return Membership.objects.filter(role=Role.OWNER, user__is_active=True)


def is_last_owner(membership: Membership) -> bool:
    """Whether nobody else could manage members. Holds all owners until the end of the transaction, so that
    two of them cannot send each other away."""
    keys = owners().select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True)
    return not set(keys) - {membership.pk}


def new_password(membership: Membership) -> str:
    """Give a member a generated password in place of theirs; returned once."""
    password = generated_password()
    membership.user.set_password(password)
    membership.user.save(update_fields=["password"])
    membership.temporary_password = True
    membership.save(update_fields=["temporary_password"])
    return password
