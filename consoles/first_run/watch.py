"""What the steps say of the calls that came: waiting, good, or what is wrong."""

from __future__ import annotations

from typing import Literal, NamedTuple

from consoles.first_run.calls import LIMITED, Call
from consoles.ui.node import NodeState

MOST_CALLS = 100
"""More than so many a command does not send."""


class Watch(NamedTuple):
    """What has been seen; `before` are lines on what is done of it already. It is asked for again until good."""

    state: Literal["waiting", "good", "bad"]
    headline: str
    detail: str = ""
    before: tuple[str, ...] = ()
    call: Call | None = None


def first_call(calls: list[Call], node: NodeState, unpublished: int) -> Watch:
    """Step 2: any call that was answered well."""
    good = next((call for call in calls if call.good), None)
    if good is not None:
        return Watch("good", "The call arrived", call=good)
    return _missing(calls, node, unpublished, "Waiting for the first call")


def with_key(calls: list[Call], node: NodeState, unpublished: int) -> Watch:
    """Step 3: refused without a key, answered with one."""
    refused = next((call for call in calls if call.code == "key-missing"), None)
    before = ("A call without a key was refused with 401.",) if refused else ()
    good = next((call for call in calls if call.good and call.app), None)
    if good is not None:
        return Watch("good", f"A call with the key of {good.app} arrived", before=before, call=good)
    others = [call for call in calls if call.code != "key-missing" and not call.good]
    return _missing(others, node, unpublished, "Waiting for a call with the key")._replace(before=before)


def limited(calls: list[Call], node: NodeState, unpublished: int) -> Watch:
    """Step 4: one call too many."""
    refused = next((call for call in calls if call.code == LIMITED), None)
    if refused is not None:
        return Watch("good", "A call too many was refused with 429", refused.rule, call=refused)
    newest = calls[:1]
    failed = [call for call in newest if not call.good]
    return _missing(failed, node, unpublished, "Waiting for one call too many")


def _missing(failed: list[Call], node: NodeState, unpublished: int, waiting: str) -> Watch:
    if not node.alive:
        return Watch("bad", "No gateway runs on this machine", "Start it with “manage.py rungateway”.")
    latest = next((call for call in failed if call.recent), None)
    if latest is not None:
        status = latest.status or "no"
        return Watch("bad", f"A call came and was answered {status}", latest.why, call=latest)
    if unpublished:
        return Watch(
            "waiting", waiting, "The draft is not published: the gateway does not know all of it yet."
        )
    return Watch("waiting", waiting)


def loop_of(command: str, amount: int, options: str) -> str:
    """A command that sends one call more than the limit and prints the statuses."""
    count = min(amount, MOST_CALLS) + 1
    quiet = command.replace("curl -i", f"curl {_quoted(options)}", 1)
    return f"for i in $(seq {count}); do {quiet}; done"


def _quoted(options: str) -> str:
    *plain, form = options.split()
    return " ".join([*plain, f"'{form}'"])
