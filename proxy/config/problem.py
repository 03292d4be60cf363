"""One thing that is wrong with a configuration: which object, which field, why."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """`object` is kind and name (`route products-list`), `field` a dotted path in it, `line` in the file.

    `line` is 0 if there is no file; an empty `field` means the object as a whole.
    """

    object: str
    field: str
    reason: str
    line: int = 0

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        field = f": {self.field}" if self.field else ""
        return f"{place}{self.object}{field}: {self.reason}"
