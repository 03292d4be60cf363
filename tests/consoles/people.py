"""The cast of the console's tests: one member for each role, and somebody who is none."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client

from consoles.models import Membership, Role

NAMES = {"vera": Role.VIEWER, "eddie": Role.EDITOR, "paula": Role.PUBLISHER, "olga": Role.OWNER}
PASSWORD = "a-long-password-for-tests"


def member(name: str) -> Any:
    """The account of one of the cast, made when first asked for; `stranger` has no membership."""
    user, made = get_user_model().objects.get_or_create(username=name)
    if made and name in NAMES:
        Membership.objects.create(user=user, role=NAMES[name], temporary_password=False)
    return user


def browser(name: str = "olga") -> Client:
    """A signed-in browser; `nobody` is signed out."""
    client = Client()
    if name != "nobody":
        client.force_login(member(name))
    return client


def errors_of(answer: Any) -> dict[str, list[str]]:
    """The errors of the form on a page."""
    return {name: list(found) for name, found in answer.context["form"].errors.items()}
