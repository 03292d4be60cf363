"""Who calls the Admin API, by token or by session, and whether they may."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib.auth.models import AbstractBaseUser
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from consoles import access
from consoles.models import ApiToken, Role
from consoles.models.api_token import Scope

__all__ = ["Allowed", "Bearer", "Need", "Scope", "Session", "effective_role"]


class Need(NamedTuple):
    """The least role that may, and the scope that a token must have; no scope: tokens may not at all."""

    role: Role
    scope: Scope | None


READ = Need(Role.VIEWER, Scope.READ)
INSIGHT = Need(Role.EDITOR, Scope.READ)
"""Reading what is not for everybody: documents that are not published, who did what."""
WRITE = Need(Role.EDITOR, Scope.WRITE)
PUBLISH = Need(Role.PUBLISHER, Scope.PUBLISH)
KEYS = Need(Role.EDITOR, Scope.KEYS)
MEMBERS = Need(Role.OWNER, Scope.MEMBERS)
OWN = Need(Role.VIEWER, None)
"""What people do for themselves, in the browser."""


class Bearer(BaseAuthentication):
    """`Authorization: Bearer tga_...` (RFC 6750 section 2.1); nowhere else is a token looked for."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, ApiToken] | None:
        """The account and the token; None without the header. A token that is no good is refused."""
        scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if not scheme:
            return None
        token = ApiToken.find(value.strip()) if scheme.lower() == "bearer" else None
        if token is None or access.membership_of(token.user) is None:
            raise AuthenticationFailed("This token is not known, or no longer good.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """For 401."""
        return 'Bearer realm="Tidegate Admin API"'


class Session(SessionAuthentication):
    """The browser's session, with a CSRF token on everything that changes something."""


class Allowed(BasePermission):
    """Asks `consoles.access`; a token cannot do more than its account, its role and its scopes allow."""

    message = "This is not allowed."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether the caller may do the view's action."""
        if view.action in (None, "metadata"):
            return access.membership_of(request.user) is not None  # the method is refused next, with 405
        need: Need = view.need()
        if not request.user.is_authenticated:
            return False
        if effective_role(request) is None:
            self.message = "This account is no member of the console."
            return False
        if isinstance(request.auth, ApiToken):
            if need.scope is None:
                self.message = "This cannot be done with a token; sign in to the console."
                return False
            if need.scope not in request.auth.scopes:
                self.message = f"The token lacks the scope {need.scope}."
                return False
        if not may(request, need.role):
            self.message = f"This needs the role {need.role.label}."
            return False
        return True


def may(request: Request, role: Role) -> bool:
    """Whether the caller's role reaches, the token's cap included."""
    capped = not isinstance(request.auth, ApiToken) or request.auth.role >= role
    return capped and access.may(request.user, role)


def effective_role(request: Request) -> Role | None:
    """The role that the caller has here: the account's, at most that of the token."""
    role = access.role_of(request.user)
    if role is None or not isinstance(request.auth, ApiToken):
        return role
    return Role(min(role, request.auth.role))
