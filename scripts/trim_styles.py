"""Makes the style sheet that pages load out of Tabler's: what no page can use is left out: `trim_styles.py`.

Tabler is for every kind of page; ours need a small part of it, and every visitor pays for the rest. A rule stays
if each class that its selector asks for is a word somewhere in the templates, scripts and Python files of the
consoles, or begins with a part that one of them puts a value behind (`alert-{{ level }}`); a custom property
stays if anything left asks for it. `--check` says which rules a page has come to need since: run this again then.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

CONSOLES = Path(__file__).resolve().parents[1] / "consoles"
SOURCE = CONSOLES / "static" / "vendor" / "tabler.min.css"
TARGET = CONSOLES / "static" / "console" / "tabler.css"
_PIECES = re.compile(
    r'/\*.*?\*/|"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|url\([^)]*\)|[{};]|[^{};"\'/u]+|.', re.DOTALL
)
_WORD = re.compile(r"[A-Za-z0-9_][\w-]*")
_PREFIX = re.compile(r"([A-Za-z][\w-]*-)(?=[{\"'`$])")
_FUNCTION = re.compile(r":(?:not|is|where|has|host)\((?:[^()]|\([^()]*\))*\)")
_CLASS = re.compile(r"\.((?:\\.|[\w-])+)")
_ATTRIBUTE = re.compile(r"\[(data-[\w-]+)")
_ASKED = re.compile(r"var\(\s*(--[\w-]+)")
_NESTING = ("@media", "@supports", "@container", "@layer")


class Rule(NamedTuple):
    """A selector (or at-rule) and its declarations, or the rules inside; a statement has neither."""

    head: str
    text: str = ""
    inner: tuple[Rule, ...] | None = None

    def css(self) -> str:
        """As it stands in the style sheet."""
        if self.inner is not None:
            return f"{self.head}{{{''.join(rule.css() for rule in self.inner)}}}"
        return f"{self.head}{{{self.text}}}" if self.text else f"{self.head};"


class Used(NamedTuple):
    """What the pages may ask for: whole words, and beginnings of words."""

    words: frozenset[str]
    prefixes: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Whether any page can have it."""
        return name in self.words or name.startswith(self.prefixes)


def rules(pieces: Iterator[str]) -> Iterator[Rule]:
    """Up to the brace that closes them."""
    head = ""
    for piece in pieces:
        if piece == "}":
            return
        if piece == ";":
            yield Rule(head.strip())
            head = ""
        elif piece != "{":
            head += "" if piece.startswith("/*") else piece
        elif head.lstrip().startswith(_NESTING):
            yield Rule(head.strip(), inner=tuple(rules(pieces)))
            head = ""
        else:
            yield Rule(head.strip(), _block(pieces))
            head = ""


def _block(pieces: Iterator[str]) -> str:
    """The text up to the brace that closes it; there may be braces in it (keyframes)."""
    text, depth = "", 1
    for piece in pieces:
        depth += {"{": 1, "}": -1}.get(piece, 0)
        if not depth:
            break
        text += "" if piece.startswith("/*") else piece
    return text


def parse(css: str) -> list[Rule]:
    """All rules of a style sheet."""
    return list(rules(match[0] for match in _PIECES.finditer(css)))


def used_by(files: Iterable[Path]) -> Used:
    """The words of these files."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return Used(frozenset(_WORD.findall(text)), tuple(sorted(set(_PREFIX.findall(text)))))


def sources() -> list[Path]:
    """All that can put a class on an element."""
    found = [path for kind in ("html", "js", "py") for path in CONSOLES.rglob(f"*.{kind}")]
    return [path for path in found if "vendor" not in path.parts]


def trim(found: Iterable[Rule], used: Used) -> Iterator[Rule]:
    """The rules that some page can need, each with those of its selectors that can match."""
    for rule in found:
        if rule.inner is not None:
            inner = tuple(trim(rule.inner, used))
            if inner:
                yield rule._replace(inner=inner)
        elif rule.head.startswith("@"):
            yield rule
        else:
            kept = [selector for selector in _selectors(rule.head) if _can_match(selector, used)]
            if kept:
                yield rule._replace(head=",".join(kept))


def _selectors(head: str) -> list[str]:
    """Split at commas that are not in parentheses."""
    found, depth = [""], 0
    for letter in head:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            found.append("")
        else:
            found[-1] += letter
    return found


def _can_match(selector: str, used: Used) -> bool:
    plain = _FUNCTION.sub("", selector)
    names = [name.replace("\\", "") for name in _CLASS.findall(plain)] + _ATTRIBUTE.findall(plain)
    return all(used.has(name) for name in names)


def without_unasked(found: list[Rule], asked_elsewhere: str) -> list[Rule]:
    """Without keyframes and custom properties that nothing asks for any more."""
    while True:
        text = "".join(rule.css() for rule in found)
        asked = {*_ASKED.findall(text), *_ASKED.findall(asked_elsewhere)}
        animations = set(_WORD.findall(" ".join(re.findall(r"animation[^;}]*", text + asked_elsewhere))))
        smaller = list(_asked(found, asked, animations))
        if smaller == found:
            return found
        found = smaller


def _asked(found: Iterable[Rule], asked: set[str], animations: set[str]) -> Iterator[Rule]:
    for rule in found:
        if rule.inner is not None:
            inner = tuple(_asked(rule.inner, asked, animations))
            if inner:
                yield rule._replace(inner=inner)
        elif rule.head.startswith("@keyframes"):
            if rule.head.split()[1] in animations:
                yield rule
        elif rule.text and not rule.head.startswith("@"):
            text = ";".join(one for one in _declarations(rule.text) if _name(one) in asked or one[:2] != "--")
            if text:
                yield rule._replace(text=text)
        else:
            yield rule


def _declarations(text: str) -> list[str]:
    found, current = [], ""
    for piece in (match[0] for match in _PIECES.finditer(text)):
        if piece == ";":
            found.append(current)
            current = ""
        else:
            current += piece
    return [one for one in (*found, current) if one.strip()]


def _name(declaration: str) -> str:
    return declaration.partition(":")[0].strip()


def made() -> list[Rule]:
    """The rules that the pages of today need."""
    own = [path for path in CONSOLES.rglob("*.css") if path not in (SOURCE, TARGET)]
    elsewhere = "\n".join(path.read_text(encoding="utf-8") for path in [*own, *sources()])
    return without_unasked(
        list(trim(parse(SOURCE.read_text(encoding="utf-8")), used_by(sources()))), elsewhere
    )


def missing() -> list[str]:
    """Selectors that a page needs and the style sheet lacks."""
    there = set(_flat(parse(TARGET.read_text(encoding="utf-8"))))
    return sorted({f"{place} {selector}".strip() for place, selector in set(_flat(made())) - there})


def _flat(found: Iterable[Rule], place: str = "") -> Iterator[tuple[str, str]]:
    for rule in found:
        if rule.inner is not None:
            yield from _flat(rule.inner, f"{place} {rule.head}".strip())
        else:
            yield from ((place, selector) for selector in _selectors(rule.head))


def write() -> None:
    """Make the style sheet anew."""
    licence = re.findall(r"/\*!.*?\*/", SOURCE.read_text(encoding="utf-8"), re.DOTALL)
    head = ['@charset "UTF-8";', "/* Made by scripts/trim_styles.py from vendor/tabler.min.css. */", *licence]
    lines = [*head, *(rule.css() for rule in made() if not rule.head.startswith("@charset"))]
    data = ("\n".join(lines) + "\n").encode()
    TARGET.write_bytes(data)
    TARGET.with_name(f"{TARGET.name}.gz").write_bytes(gzip.compress(data, 9, mtime=0))


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        lacking = missing()
        sys.exit("run scripts/trim_styles.py, pages need:\n" + "\n".join(lacking) if lacking else 0)
    write()
