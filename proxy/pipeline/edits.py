"""Changes to header lines and query parameters: remove, rename, replace, add, append, in that order."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from urllib.parse import quote_from_bytes, unquote_to_bytes

from proxy.exchange import Exchange, Header
from proxy.pipeline.policy import Invalid
from proxy.pipeline.template import Template

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Framing and hop-by-hop headers are the transport's (RFC 9110 section 7.6.1); a policy never touches them.
_FRAMING = re.compile(
    "connection|content-length|expect|host|http2-settings|keep-alive|te|trailer|transfer-encoding|upgrade"
    "|proxy-(authenticate|authorization|connection)"
)
_GATEWAY = re.compile(
    "forwarded|traceparent|x-anonymous-consumer|x-forwarded-(for|host|port|prefix|proto)|x-real-ip|x-request-id"
)
_IDENTITY = ("x-consumer-", "x-credential-", "x-authenticated-", "x-gateway-", "x-tidegate-")


class Edits:
    """Compiled changes to a list of (name, content) pairs. Subclasses say what names and contents are.

    `rename` keeps all values and takes the place of what had the new name; `replace` only changes what is
    there; `add` only adds what is not there; `append` always adds. Raises `Invalid`, with the field
    (`add_headers.x-a`), for what is not allowed.
    """

    __slots__ = ("_add", "_any", "_append", "_remove", "_rename", "_replace", "_suffix")

    def __init__(
        self,
        suffix: str,
        remove: Collection[str],
        rename: Mapping[str, str],
        replace: Mapping[str, str],
        add: Mapping[str, str],
        append: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._suffix = suffix
        self._any = bool(remove or rename or replace or add or append)
        self._remove = frozenset(self._name(name, "remove") for name in remove)
        renames = [(self._name(old, "rename"), self._target(new, "rename")) for old, new in rename.items()]
        self._rename = [(old, new) for old, new in renames if old != new]
        self._replace = [self._change(name, value, "replace") for name, value in replace.items()]
        self._add = [self._change(name, value, "add") for name, value in add.items()]
        self._append = [
            self._change(name, value, "append") for name, values in append.items() for value in values
        ]

    def __bool__(self) -> bool:
        return self._any

    def apply(self, x: Exchange, pairs: list[Header]) -> list[Header]:
        """The changed pairs, a new list. May raise `UnsafeValue`."""
        removed = self._remove
        pairs = [pair for pair in pairs if pair[0] not in removed] if removed else pairs.copy()
        for old, new in self._rename:
            if _has(pairs, old):
                pairs = [
                    self._renamed(pair, new) if pair[0] == old else pair for pair in pairs if pair[0] != new
                ]
        for name, value in self._replace:
            if _has(pairs, name):
                pairs = _put(pairs, (name, self.content(name, value, x)))
        if self._add:
            present = dict(pairs)
            for name, value in self._add:
                if name not in present:
                    pairs.append((name, self.content(name, value, x)))
        for name, value in self._append:
            pairs.append((name, self.content(name, value, x)))
        return pairs

    @property
    def constant(self) -> bool:
        """Nothing is filled in."""
        return all(value.constant is not None for _, value in self._values())

    @property
    def steady(self) -> bool:
        """For the same head and caller it always comes to the same."""
        return all(value.steady for _, value in self._values())

    def _values(self) -> list[tuple[bytes, Template]]:
        return [*self._replace, *self._add, *self._append]

    @property
    def additions(self) -> list[tuple[bytes, bytes]] | None:
        """Headers to add where they are missing, if that is all there is to do and none is filled in."""
        if self._remove or self._rename or self._replace or self._append:
            return None
        fixed = [(name, value.constant) for name, value in self._add if value.constant is not None]
        return fixed if len(fixed) == len(self._add) else None

    def content(self, name: bytes, value: Template, x: Exchange) -> bytes:
        """The content of a pair with this name and value."""
        raise NotImplementedError

    def check_name(self, name: str, field: str) -> bytes:
        """The name as it stands in pairs, or `Invalid`."""
        raise NotImplementedError

    def check_target(self, name: str, field: str) -> None:
        """Raise `Invalid` if this name may not be set."""

    def _name(self, name: str, verb: str) -> bytes:
        return self.check_name(name, f"{verb}_{self._suffix}.{name}")

    def _target(self, name: str, verb: str) -> bytes:
        self.check_target(name, f"{verb}_{self._suffix}.{name}")
        return self._name(name, verb)

    def _change(self, name: str, value: str, verb: str) -> tuple[bytes, Template]:
        return self._target(name, verb), Template(value, f"{verb}_{self._suffix}.{name}")

    def _renamed(self, pair: Header, new: bytes) -> Header:
        return (new, pair[1])


class RequestHeaderEdits(Edits):
    """Changes to the headers that go upstream: pairs are names and values."""

    __slots__ = ()

    def content(self, name: bytes, value: Template, x: Exchange) -> bytes:
        """The header's value; control bytes in it raise `UnsafeValue`."""
        return value.render(x)

    def check_name(self, name: str, field: str) -> bytes:
        """A header name that is not the transport's, in lower case."""
        if not _TOKEN.fullmatch(name):
            raise Invalid(f"{name!r} is not a header name.", field)
        if _FRAMING.fullmatch(name.lower().replace("_", "-")):
            raise Invalid(f"{name!r} belongs to the transport and cannot be changed here.", field)
        return name.lower().encode()

    def check_target(self, name: str, field: str) -> None:
        """Nobody but the gateway says who calls and from where, under no spelling (threats T-B01, T-B02)."""
        plain = name.lower().replace("_", "-")
        if _GATEWAY.fullmatch(plain) or plain.startswith(_IDENTITY):
            raise Invalid(f"{name!r} is set by the gateway alone.", field)


class ResponseHeaderEdits(RequestHeaderEdits):
    """Changes to the headers that go to the client; it is too late to refuse, so values are cleaned."""

    __slots__ = ()

    def content(self, name: bytes, value: Template, x: Exchange) -> bytes:
        """The header's value without control bytes."""
        return value.render_cleaned(x)

    def check_target(self, name: str, field: str) -> None:
        """Any name that is not the transport's."""


class QueryEdits(Edits):
    """Changes to a query: pairs are decoded names and whole parameters as they are sent.

    Parameters that no change names keep their place and their bytes.
    """

    __slots__ = ()

    def query(self, x: Exchange, query: bytes) -> bytes:
        """The changed query."""
        pairs = [(_decoded_name(part), part) for part in query.split(b"&")] if query else []
        return b"&".join([part for _, part in self.apply(x, pairs)])

    def content(self, name: bytes, value: Template, x: Exchange) -> bytes:
        """`name=value`, percent-encoded."""
        return _encoded(name) + b"=" + _encoded(value.render(x))

    def check_name(self, name: str, field: str) -> bytes:
        """Any name but an empty one."""
        if not name:
            raise Invalid("A query parameter needs a name.", field)
        return name.encode("utf-8", "replace")

    def _renamed(self, pair: Header, new: bytes) -> Header:
        _, equals, value = pair[1].partition(b"=")
        return (new, _encoded(new) + equals + value)


def _has(pairs: list[Header], name: bytes) -> bool:
    return name in dict(pairs)


def _put(pairs: list[Header], line: Header) -> list[Header]:
    """Put one line in the place of the first of its name; further ones go."""
    place = next(index for index, pair in enumerate(pairs) if pair[0] == line[0])
    rest = [pair for pair in pairs[place:] if pair[0] != line[0]]
    return [*pairs[:place], line, *rest]


def _encoded(text: bytes) -> bytes:
    return quote_from_bytes(text, safe="").encode()


def _decoded_name(part: bytes) -> bytes:
    name = part.partition(b"=")[0]
    return unquote_to_bytes(name.replace(b"+", b" ")) if b"%" in name or b"+" in name else name
