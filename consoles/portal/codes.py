"""Codes sent by e-mail: made, kept as a hash in the browser's session, tried, and turned into an account."""

from __future__ import annotations

import secrets
import time
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.base import SessionBase
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from proxy.models import Developer

DIGITS = 8
MINUTES = 10
MOST_TRIES = 5
_KEPT = "portal_code"
_SALT = "consoles.portal.codes"
User = get_user_model()


class Entered(NamedTuple):
    """Who signed in, and whether the account is new."""

    developer: Developer
    new: bool


def send_code(session: SessionBase, email: str) -> None:
    """Send a code to the address, or a word why there is none; the session is the same either way.

    Raises OSError if the e-mail cannot be sent.
    """
    code = f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"
    session[_KEPT] = {
        "email": email,
        "hash": _hash(email, code),
        "until": time.time() + MINUTES * 60,
        "tries": 0,
    }
    send_mail(*_words(find(email), code), None, [email])


def asked_for(session: SessionBase) -> str:
    """The address that a code was sent to from this browser, empty if there is none that may be tried."""
    kept = session.get(_KEPT)
    if not kept or kept["until"] < time.time() or kept["tries"] >= MOST_TRIES:
        return ""
    return str(kept["email"])


def try_code(session: SessionBase, code: str) -> Entered | None:
    """Use the code up and find or make the account. None if it is wrong; every try counts."""
    email = asked_for(session)
    if not email:
        return None
    kept: dict[str, Any] = session[_KEPT]
    session[_KEPT] = {**kept, "tries": kept["tries"] + 1}
    digits = "".join(code.replace("-", " ").split())[:20]
    if not constant_time_compare(kept["hash"], _hash(email, digits)):
        return None
    del session[_KEPT]
    return _enter(email)


def find(email: str) -> Developer | None:
    """The Developer of an address; upper and lower case are one. Only ASCII: look-alikes are others."""
    rows = Developer.objects.select_related("user__membership").filter(email__iexact=email)
    same = [row for row in rows.order_by("pk") if row.email.isascii() and row.email.lower() == email.lower()]
    return same[0] if same else None


def may_enter(developer: Developer) -> bool:
    """Not suspended, and no member of the console: an e-mail is not enough to become one."""
    user = developer.user
    return developer.active and (
        user is None or (user.is_active and getattr(user, "membership", None) is None)
    )


def _enter(email: str) -> Entered | None:
    try:
        with transaction.atomic():
            return _find_or_make(email)
    except IntegrityError:  # Another request made it meanwhile.
        developer = find(email)
        return Entered(developer, False) if developer and developer.user and may_enter(developer) else None


def _find_or_make(email: str) -> Entered | None:
    developer = find(email)
    if developer is None:
        return Entered(Developer.objects.create(email=email, user=_account(email)), True)
    if not may_enter(developer):
        return None
    if developer.user is None:
        developer.user = _account(email)
        developer.save(update_fields=["user"])
    return Entered(developer, False)


def _account(email: str) -> Any:
    """An account without a password, of which no name of a member can be taken."""
    taken = len(email) > 150 or User.objects.filter(username__iexact=email).exists()
    name = f"developer-{secrets.token_hex(8)}" if taken else email
    return User.objects.create_user(name, email)


def _words(developer: Developer | None, code: str) -> tuple[str, str]:
    ignore = "If you did not ask for it, ignore this e-mail."
    if developer is None or may_enter(developer):
        shown = f"{code[:4]} {code[4:]}"
        return (
            "Your code for the developer portal",
            f"Your code is {shown}\n\nType it where you asked for it, within {MINUTES} minutes. {ignore}\n",
        )
    if not developer.active:
        return (
            "Your account in the developer portal",
            f"Somebody asked for a code for this address. Your account is suspended. {ignore}\n",
        )
    return (
        "Your account in the developer portal",
        "Somebody asked for a code for this address. It belongs to a member of the console: sign in there, "
        f"with your password, then open the portal. {ignore}\n",
    )


def _hash(email: str, code: str) -> str:
    return salted_hmac(_SALT, f"{email}\n{code}", algorithm="sha256").hexdigest()
