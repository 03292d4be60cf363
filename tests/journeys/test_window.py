"""That a journey would notice: what the other modules assert by closing their windows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.gateway.processes import wait_until
from tests.journeys.stage import Stage
from tests.journeys.window import Window


@pytest.mark.parametrize(
    ("does", "noticed"),
    [
        ("console.error('out of paper')", "out of paper"),
        ("setTimeout(() => { throw new Error('torn apart') })", "torn apart"),
        ("document.body.setAttribute('style', 'color: red')", "policy violated: style-src"),
        ("document.body.append(Object.assign(document.createElement('script'), {text: '1'}))", "script-src"),
        ("fetch('/console/nowhere/')", "/console/nowhere/: 404"),
        ("fetch('http://127.0.0.1:9/').catch(() => 0)", "connect-src"),
    ],
    ids=["error", "exception", "style", "script", "answer", "connection"],
)
def test_what_goes_wrong_is_noticed(
    stage: Stage, window: Callable[[Stage], Window], does: str, noticed: str
) -> None:
    person = window(stage)
    person.open("/portal/")
    person.page.evaluate(does)
    wait_until(lambda: person.page.evaluate("1") and noticed in "\n".join(person.wrong), what=person.wrong)
    person.wrong.clear()
