"""Configurations for people: the differences of two documents object by object, and links to the objects."""

from __future__ import annotations

from typing import Any, NamedTuple

from consoles.ui.diff import Line, side_by_side
from consoles.ui.registry import families
from proxy.config import document
from proxy.config.difference import Change, Named, compare, objects
from proxy.config.document import label_of
from proxy.config.problem import Problem
from proxy.config.yaml_text import dump
from proxy.models import Policy
from proxy.models.policy import SUBJECTS

MAX_SHOWN = 60
_NAMED = {"api": "slug", "route": "name", "upstream": "name", "plan": "name", "certificate": "name"}


class ShownChange(NamedTuple):
    """One object that differs, its page if it still has one, and both sides as YAML."""

    change: Change
    url: str
    lines: list[Line]


class ShownProblem(NamedTuple):
    """A problem and the page where it can be mended."""

    problem: Problem
    url: str


def shown_changes(old: document.Document, new: document.Document) -> tuple[list[ShownChange], int]:
    """The first changes from one document to the other, and how many there are in all."""
    before, after = objects(old), objects(new)
    changes = compare(old, new, before, after)
    urls = urls_of([change.object for change in changes[:MAX_SHOWN]])
    found = []
    for change in changes[:MAX_SHOWN]:
        left, right = (_plain(one.get(change.object)) for one in (before, after))
        if left == right:  # only the order differs, which the details say
            lines = [Line("added", None, "", None, detail) for detail in change.details]
        else:
            lines = side_by_side(*_texts(change.object, left, right))
        found.append(ShownChange(change, urls.get(change.object, ""), lines))
    return found, len(changes)


def _plain(found: Named | None) -> dict[str, Any] | None:
    return None if found is None else found.plain()


def _texts(name: str, left: dict[str, Any] | None, right: dict[str, Any] | None) -> tuple[str, str]:
    """Both sides as YAML; of a private key only whether it is another one."""
    if name.startswith("certificate "):
        same = bool(left and right and left.get("key") == right.get("key"))
        left = {**left, "key": "(secret)"} if left else None
        right = {**right, "key": "(secret)" if same or not left else "(another secret)"} if right else None
    return dump(left) if left else "", dump(right) if right else ""


def shown_problems(problems: list[Problem]) -> list[ShownProblem]:
    """All problems with their pages."""
    urls = urls_of([problem.object for problem in problems], "edit")
    return [ShownProblem(problem, urls.get(problem.object, "")) for problem in problems]


def urls_of(names: list[str], page: str = "detail") -> dict[str, str]:
    """Pages of objects by what documents call them (`route products`), in a few queries."""
    wanted: dict[str, set[str]] = {}
    for name in names:
        kind, _, rest = name.partition(" ")
        wanted.setdefault(kind, set()).add(rest)
    found: dict[str, str] = {}
    by_kind = {family.document_kind: family for family in families().values() if family.document_kind}
    for kind, rest in wanted.items():
        family = by_kind.get(kind)
        if family is None:
            continue
        if kind == "gateway":
            found["gateway"] = family.url(page, 1)
        elif kind == "policy":
            found.update({f"policy {label}": family.url(page, pk) for label, pk in _policies(rest)})
        else:
            rows = family.model._default_manager.filter(**{f"{_NAMED[kind]}__in": rest})
            for pk, label in rows.values_list("pk", _NAMED[kind]):
                found[f"{kind} {label}"] = family.url(page, pk)
    return found


def _policies(labels: set[str]) -> list[tuple[str, int]]:
    found = []
    names = {label.partition(".")[0] for label in labels}
    rows = Policy.objects.filter(name__in=names) | Policy.objects.filter(label__in=labels)
    for row in rows.select_related("api", "route", "plan", "app"):
        field = SUBJECTS[row.scope]
        subject = getattr(row, field) if field else None
        name = "" if subject is None else getattr(subject, "slug", "") or subject.name
        label = label_of(row.as_document(), row.scope, name)  # type: ignore[arg-type]
        if label in labels:
            found.append((label, row.pk))
    return found
