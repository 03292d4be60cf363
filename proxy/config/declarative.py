"""The configuration as one YAML file: read, checked with line numbers, compared, applied, written."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from django.db import transaction

from proxy.config import document
from proxy.config.apply import Refused, hidden_secrets, kept_secrets, write_draft
from proxy.config.decode import Decoder, plain
from proxy.config.difference import differences
from proxy.config.draft import draft_document
from proxy.config.identities import (
    Identities,
    identity_changes,
    problems_of_identities,
    stored_identities,
    write_people,
    write_subscriptions,
)
from proxy.config.problem import Problem
from proxy.config.publish import Published, app_names, publish
from proxy.config.sealed import sealed_problems
from proxy.config.whole import check, warnings_of
from proxy.config.yaml_text import BadYaml, Parsed, dump
from proxy.models import Gateway

IDENTITY_KEYS = ("developers", "apps", "subscriptions")


class Read(NamedTuple):
    """A file's content: the configuration, the identities, and what is wrong or doubtful."""

    document: document.Document
    identities: Identities
    problems: list[Problem]
    warnings: list[Problem]


def read(text: str) -> Read:
    """Read and check a file against what is stored; nothing is changed."""
    try:
        parsed = Parsed(text)
    except BadYaml as error:
        return _unreadable(error.reason, error.line)
    raw = parsed.data
    if not isinstance(raw, dict):
        return _unreadable("must be a mapping with 'format: 1' at its top", 1)
    decoder = Decoder()
    whole, identities = _decode(raw, decoder)
    snapshot, found = check(whole, app_names() | {row.name for row in identities.apps or ()})
    problems = [*_wrong_format(raw), *decoder.problems, *found]
    problems += problems_of_identities(identities, whole)
    places = _places(raw)
    return Read(
        whole,
        identities,
        [_with_line(problem, places, parsed) for problem in dict.fromkeys(problems)],
        [_with_line(problem, places, parsed) for problem in warnings_of(whole, snapshot)] if snapshot else [],
    )


def apply(text: str) -> list[str]:
    """Make the draft equal to a file; returns a line for each change. Raises `Refused`; all or nothing."""
    with transaction.atomic():
        Gateway.lock()
        file = read(text)
        if file.problems:
            raise Refused(file.problems)
        changes = changes_of(file)
        write_people(file.identities)
        write_draft(file.document)
        write_subscriptions(file.identities)
        return changes


def apply_and_publish(text: str, note: str = "", author: str = "") -> tuple[list[str], Published]:
    """Apply a file and publish it, both or neither. Raises `Refused`."""
    with transaction.atomic():
        return apply(text), publish(note, author)


def changes_of(file: Read) -> list[str]:
    """What applying a file would change, a line or more for each object."""
    changes = differences(draft_document(), file.document)
    return [*map(str, changes), *identity_changes(file.identities)]


def export(*, with_secrets: bool = False, with_identities: bool = False) -> str:
    """The draft as a file; applying it changes nothing.

    Raises `Refused` if secrets are wanted and one of them cannot be opened.
    """
    whole = draft_document()
    if with_secrets and (problems := sealed_problems(whole)):
        raise Refused(problems)
    data = {"format": document.FORMAT, **plain(whole if with_secrets else hidden_secrets(whole))}
    if with_identities:
        data |= plain(stored_identities())
    return dump(data)


def _decode(raw: dict[str, Any], decoder: Decoder) -> tuple[document.Document, Identities]:
    people = {key: raw[key] for key in IDENTITY_KEYS if raw.get(key) is not None}
    rest = {key: value for key, value in raw.items() if key not in (*IDENTITY_KEYS, "format")}
    rest = {key: value for key, value in rest.items() if value is not None}
    whole = _quick(document.Document, rest) or decoder.struct(document.Document, rest, "document")
    identities = _quick(Identities, people) or decoder.struct(Identities, people, "document")
    whole = document.canonical(kept_secrets(whole or document.Document()))
    return whole, identities or Identities()


def _quick(kind: type[Any], raw: object) -> Any:
    """The whole at once if nothing is wrong, which is nearly always; None otherwise."""
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        return None


def _wrong_format(raw: dict[str, Any]) -> list[Problem]:
    if raw.get("format") == document.FORMAT and raw["format"] is not True:
        return []
    return [Problem("document", "format", f"must be {document.FORMAT}: the format that this version reads")]


def _unreadable(reason: str, line: int) -> Read:
    return Read(document.Document(), Identities(), [Problem("document", "", reason, line)], [])


def _with_line(problem: Problem, places: dict[str, str], parsed: Parsed) -> Problem:
    path = places.get(problem.object, "")
    if path and problem.field:
        path = f"{path}.{problem.field}"
    return problem._replace(line=parsed.line(path or problem.field))


def _places(raw: dict[str, Any]) -> dict[str, str]:
    """Where in the file each object stands."""
    places = {"gateway": "gateway"}
    for key, kind, name in (
        ("upstreams", "upstream", "name"),
        ("plans", "plan", "name"),
        ("apis", "api", "slug"),
        ("certificates", "certificate", "name"),
        ("developers", "developer", "email"),
        ("apps", "app", "name"),
    ):
        for path, row in _rows(raw, key, ""):
            places.setdefault(f"{kind} {row.get(name)}", path)
            _place_policies(places, row, path, kind, str(row.get(name)))
            for route_path, route in _rows(row, "routes", path):
                places.setdefault(f"route {route.get('name')}", route_path)
                _place_policies(places, route, route_path, "route", str(route.get("name")))
    for path, row in _rows(raw, "subscriptions", ""):
        places.setdefault(f"subscription {row.get('app')} to {row.get('api')}", path)
    _place_policies(places, raw, "", "global", "")
    return places


def _place_policies(places: dict[str, str], owner: Any, path: str, scope: Any, subject: str) -> None:
    for place, row in _rows(owner, "policies", path):
        policy = document.Policy(name=str(row.get("name")), label=str(row.get("label") or ""))
        app = row.get("app") if scope == "global" else None
        label = document.label_of(policy, "consumer" if app else scope, str(app or subject))
        places.setdefault(f"policy {label}", place)


def _rows(owner: dict[str, Any], key: str, path: str) -> list[tuple[str, dict[str, Any]]]:
    rows = owner.get(key)
    if not isinstance(rows, list):
        return []
    prefix = f"{path}.{key}" if path else key
    return [(f"{prefix}[{index}]", row) for index, row in enumerate(rows) if isinstance(row, dict)]
