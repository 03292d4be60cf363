"""Typed readers of environment variables; a value that cannot be right stops the start with its name."""

from __future__ import annotations

import ipaddress
import os
import secrets
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    """The variable as it is, without blanks around it."""
    return os.environ.get(name, default).strip()


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = 2**31 - 1) -> int:
    """A whole number within bounds."""
    raw = text(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}") from None
    if not minimum <= value <= maximum:
        raise ImproperlyConfigured(f"{name} must be from {minimum} to {maximum}, not {value}")
    return value


def port(name: str, default: int) -> int:
    """A TCP port; 0 means off where the setting says so."""
    return integer(name, default, maximum=65535)


def boolean(name: str, default: bool = False) -> bool:
    """`1 true yes on` or `0 false no off`."""
    raw = os.environ.get(name)
    if raw is None:
        return default
    lowered = raw.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {raw!r}")


def words(name: str, default: list[str]) -> list[str]:
    """A comma-separated list; empty parts are left out."""
    raw = os.environ.get(name)
    if raw is None:
        return default
    return [part.strip() for part in raw.split(",") if part.strip()]


def networks(name: str) -> list[str]:
    """A comma-separated list of networks and addresses, none if it is not set."""
    found = words(name, [])
    for network in found:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name}: {error}") from None
    return found


def secret(name: str, default: str = "") -> str:
    """A secret from the variable, or from the file that `NAME_FILE` names (as container secrets come)."""
    path = text(f"{name}_FILE")
    if not path:
        return text(name, default)
    if name in os.environ:
        raise ImproperlyConfigured(f"Give {name} or {name}_FILE, not both")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}") from None


def several_secrets(name: str) -> list[str]:
    """Secrets as `secret` takes them, with blanks, line ends or commas between them."""
    return secret(name).replace(",", " ").split()


def choice(name: str, default: str, choices: tuple[str, ...]) -> str:
    """One of a few words, in any case."""
    value = text(name).upper() or default
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value


def folder(name: str, default: Path) -> Path:
    """A directory, made (private to the user) if it is not there."""
    path = Path(text(name) or default).absolute()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: cannot make {path}: {error}") from None
    return path


def generated_secret(path: Path) -> str:
    """The secret in `path`, made at random on the first start; several processes may start at once."""
    try:
        if not path.exists():
            _create_secret(path)
        value = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"The secret file {path} cannot be used: {error}") from None
    if len(value) < 32:
        raise ImproperlyConfigured(f"The secret file {path} holds fewer than 32 characters")
    return value


def _create_secret(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def database(url: str, sqlite: Path) -> dict[str, object]:
    """Django's database setting: `postgres://user:password@host:port/name?option=value`, else SQLite."""
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(sqlite),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 5,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must begin with postgres:// (or be unset for SQLite)")
    options = dict(parse_qsl(parts.query))
    try:
        number = parts.port or ""
    except ValueError:
        raise ImproperlyConfigured("DATABASE_URL has a port that is not a number") from None
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": str(number),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }
