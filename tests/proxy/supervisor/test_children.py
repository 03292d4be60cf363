"""The list of children follows the options."""

from __future__ import annotations

import signal
from pathlib import Path

from proxy.supervisor.children import NODE_VARIABLE, children
from proxy.supervisor.options import Options


def options(**changes: object) -> Options:
    given = {"gateway_port": 8000, "console_port": 0, "status_port": 8002, "workers": 1, **changes}
    return Options(base=Path("/b"), data=Path("/d"), host="127.0.0.1", **given)  # type: ignore[arg-type]


def test_nothing_is_started_that_was_not_asked_for() -> None:
    assert children(options(tasks=False)) == []


def test_the_console_is_daphne_on_its_port() -> None:
    console, _ = children(options(console_port=8001))
    assert console.name == "console"
    assert "daphne" in console.arguments
    assert console.arguments[-3:] == ("-p", "8001", "gatewayproject.asgi:application")


def test_the_tasks_run_without_a_console_too_and_end_in_peace() -> None:
    [tasks] = children(options())
    assert tasks.name == "tasks" and tasks.later
    assert tasks.arguments[1:5] == ("-m", "celery", "-A", "gatewayproject.celery")
    assert tasks.death_signal == signal.SIGTERM


def test_the_http2_door_knows_its_node_and_ends_its_own_children() -> None:
    worker = {"REDIS_URL": "redis://x"}
    [door] = children(
        options(tasks=False, h2_port=8443, certificate="chain.pem", key="key.pem", environment=worker)
    )
    assert door.environment == {NODE_VARIABLE: "/d/node", "REDIS_URL": "redis://x"}
    assert door.death_signal == signal.SIGTERM
    assert door.arguments[-1] == "gatewayproject.gateway:application"


def test_the_demo_has_two_instances_of_each_service() -> None:
    found = children(options(tasks=False, demo_port=9100))
    assert [child.name for child in found] == [
        "products 1",
        "products 2",
        "inventory 1",
        "inventory 2",
        "reviews 1",
        "reviews 2",
    ]
    assert [child.arguments[-1] for child in found] == ["9100", "9101", "9102", "9103", "9104", "9105"]
