"""API keys: what they look like, how they are made, and the only form in which they are kept.

A key of ours is `tg_` + 30 random base-62 characters (178 bits) + `_` + 6 characters of checksum: one word
for a double click, found by secret scanners, and a typo is refused before anything is looked up. Keys
brought from elsewhere are any 8 to 128 printable ASCII characters that do not begin with `tg_`.

What is stored is a hash keyed with the pepper, which is not in the database: who reads the database alone
can neither use a key nor try guesses for short imported ones.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

PREFIX = "tg_"
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 30
CHECKSUM_LENGTH = 6
LENGTH = len(PREFIX) + RANDOM_LENGTH + 1 + CHECKSUM_LENGTH
DIGEST_BYTES = 16
PEPPER_BYTES = 32
VISIBLE = len(PREFIX) + 5
"""How much of its start is shown to tell a key from others; over 120 unknown bits remain."""

_PREFIX = PREFIX.encode()
_CHECKED = LENGTH - CHECKSUM_LENGTH
_OURS = re.compile(rb"tg_[0-9A-Za-z]{30}_[0-9A-Za-z]{6}")
_FOREIGN = re.compile(rb"[!-~][ -~]{6,126}[!-~]")
_PAIRS = [(first + second).encode() for first in ALPHABET for second in ALPHABET]
_PAIR = len(_PAIRS)


class PepperError(Exception):
    """The pepper is missing, malformed or not readable; never carries the value."""


def generate() -> str:
    """A new key."""
    start = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH)) + "_"
    return start + _checksum(start.encode()).decode()


def looks_valid(raw: bytes) -> bool:
    """Whether `raw` can be a key at all: for ours, whether length and checksum are right.

    Half a microsecond, since every key that is not remembered comes by here.
    """
    if raw[:3] == _PREFIX:
        if len(raw) != LENGTH:
            return False
        rest, last = divmod(crc32(raw[:_CHECKED]), _PAIR)
        return raw[_CHECKED:] == _PAIRS[rest // _PAIR] + _PAIRS[rest % _PAIR] + _PAIRS[last]
    return _FOREIGN.fullmatch(raw) is not None


def well_formed(raw: bytes) -> bool:
    """Whether `raw` may be issued: it looks valid, and has no character but those of its kind."""
    return looks_valid(raw) and (_OURS if raw.startswith(_PREFIX) else _FOREIGN).fullmatch(raw) is not None


def _checksum(start: bytes) -> bytes:
    rest, last = divmod(crc32(start), _PAIR)
    return _PAIRS[rest // _PAIR] + _PAIRS[rest % _PAIR] + _PAIRS[last]


def digest(raw: bytes, pepper: bytes) -> bytes:
    """The 16 bytes by which a key is stored and found (BLAKE2b keyed with the pepper, RFC 7693)."""
    return digester(pepper)(raw)


def digester(pepper: bytes) -> Callable[[bytes], bytes]:
    """`digest` under one pepper, for many keys: the pepper is worked in once."""
    start = blake2b(digest_size=DIGEST_BYTES, key=pepper).copy

    def digest_of(raw: bytes) -> bytes:
        state = start()
        state.update(raw)
        return state.digest()

    return digest_of


def load_pepper(path: Path, environment: Mapping[str, str] = os.environ) -> bytes:
    """The 32-byte pepper: TIDEGATE_KEY_PEPPER, the file of TIDEGATE_KEY_PEPPER_FILE, else the file `path`.

    All three hold 64 hexadecimal digits, so that the file of one node can be handed to the next. `path` is
    made at random, readable by its owner only, when it is not there. Raises PepperError.
    """
    value, other = environment.get("TIDEGATE_KEY_PEPPER", ""), environment.get("TIDEGATE_KEY_PEPPER_FILE", "")
    if value and other:
        raise PepperError("give TIDEGATE_KEY_PEPPER or TIDEGATE_KEY_PEPPER_FILE, not both")
    if value:
        return _parse(value, "TIDEGATE_KEY_PEPPER")
    try:
        if not other and not path.exists():
            _create(path)
        source = Path(other) if other else path
        return _parse(source.read_text(encoding="ascii"), str(source))
    except (OSError, UnicodeDecodeError) as error:
        raise PepperError(f"the pepper of the API keys cannot be read: {error}") from None


def _parse(text: str, source: str) -> bytes:
    if re.fullmatch(r"\s*[0-9a-fA-F]{64}\s*", text) is None:
        raise PepperError(f"{source} must hold 64 hexadecimal digits")
    return bytes.fromhex(text.strip())


def _create(path: Path) -> None:
    """Write a whole file aside and link it: of several processes that start at once, one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(PEPPER_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
