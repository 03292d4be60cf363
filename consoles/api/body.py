"""Reads JSON bodies strictly: a cap on size and depth, no NaN, no broken text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import msgspec
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from consoles.api.errors import TooLarge

MAX_BODY = 8 * 1024 * 1024
"""Bytes; an OpenAPI document of 4 MiB fits, with its escapes."""


class StrictJson(BaseParser):
    """RFC 8259, always UTF-8."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """The value; an empty body is an empty object. Raises ParseError, TooLarge."""
        raw = stream.read(MAX_BODY + 1)
        if len(raw) > MAX_BODY:
            raise TooLarge(f"A body has {MAX_BODY} bytes at most.")
        if not raw:
            return {}
        try:
            return msgspec.json.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ParseError(f"The body is no JSON: {error}") from None
        except RecursionError:
            raise ParseError("The body is nested too deeply.") from None
