"""The cast of the console's tests: one member for each role, and somebody who is none."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.test import Client
from django.test.client import ClientHandler

from consoles.models import Membership, Role

NAMES = {"vera": Role.VIEWER, "eddie": Role.EDITOR, "paula": Role.PUBLISHER, "olga": Role.OWNER}
PASSWORD = "a-long-password-for-tests"
SITE = ClientHandler(enforce_csrf_checks=False)
"""The middleware, made once, as in the product: made for each browser, it would look through all static files."""


def member(name: str) -> Any:
    """The account of one of the cast, made when first asked for; `stranger` has no membership."""
    user, made = get_user_model().objects.get_or_create(username=name)
    if made and name in NAMES:
        Membership.objects.create(user=user, role=NAMES[name], temporary_password=False)
    return user


def browser(name: str = "olga") -> Client:
    """A signed-in browser; `nobody` is signed out."""
    client = Client()
    client.handler = SITE
    if name != "nobody":
        client.force_login(member(name))
    return client


def errors_of(answer: Any) -> dict[str, list[str]]:
    """The errors of the form on a page."""
    return {name: list(found) for name, found in answer.context["form"].errors.items()}
