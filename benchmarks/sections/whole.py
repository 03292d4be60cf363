"""The gateway with everything else of the product beside it: node agent, console with an open live view, tasks."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks.load import wrk
from benchmarks.machine import GATEWAY_CORE, LOAD_CORE, cpu
from benchmarks.peers import start_peers, start_upstream
from benchmarks.product import Product
from benchmarks.sections.throughput import (
    ENVOY,
    NGINX,
    PATH,
    Contender,
    compare,
    contender,
    interleave,
    ratio,
)
from benchmarks.stage import Broken, Stage, answers, wait_for
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import POLICIES, ROUTES

TITLE = "The whole product"
WHOLE = "tidegate, native, whole product"
WORKER, OTHERS = "worker", "supervisor and node agent"
CHILDREN = {"daphne": "console, portal and Admin API", "celery": "tasks"}
SIGN_IN = "/console/sign-in/"


def run(stage: Stage) -> Result:
    """As the section `throughput`, but the worker is that of a product with all its processes."""
    upstream = start_upstream(stage)
    peers, _ = start_peers(stage, upstream)
    product = Product(stage, "whole", workers=1, people=True)
    product.manage("migrate", "--verbosity", "0")
    policies = [{"name": policy.name, "config": policy.config} for policy in POLICIES]
    product.apply(upstream, ROUTES, policies, "--publish")
    key = product.issue_key()
    running = product.start(LOAD_CORE)
    [worker] = product.workers()
    _move(worker.pid, GATEWAY_CORE)
    view = _open_overview(product)
    contenders = [contender(peer) for peer in peers if peer.name in (NGINX, ENVOY)]
    contenders.append(Contender(WHOLE, lambda: [worker.pid], lambda s: wrk(product.port, PATH, key, s)))
    started, before = time.monotonic(), _used(running.pids, worker.pid)
    rounds = interleave(contenders, stage.options.rounds, stage.options.seconds)
    after, seconds = _used(running.pids, worker.pid), time.monotonic() - started
    if view.close_code is not None:
        raise Broken(f"the live overview was closed: {view.close_code} {view.close_reason}")
    if product.workers()[0].dropped:
        raise Broken("traffic records were dropped")
    result = Result("whole", TITLE)
    compare(result, rounds)
    table = Table(("process", "of one core"))
    table.rows += [(name, f"{(after[name] - before[name]) / seconds:.0%}") for name in after]
    result.tables.append(table)
    result.targets += [
        Target("whole product, of Envoy with policies", ratio(rounds, WHOLE, ENVOY), "least", 1.5),
        Target("whole product, of nginx", ratio(rounds, WHOLE, NGINX), "least", 0.45),
    ]
    result.notes.append(
        "One `manage.py rungateway` with one worker on the gateway's core; all its other processes share the other "
        "core with the upstream and the load generator: the console with the live overview open, and the tasks, which "
        "bring the traffic records into the database in the time that is left, also while the others have their "
        "turn. Processor time is over all rounds, the others' too."
    )
    return result


def _move(pid: int, core: int) -> None:
    """A process with all its threads, to another core."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def _used(pids: list[int], worker: int) -> dict[str, float]:
    """Seconds of processor time so far, by kind of process."""
    used = dict.fromkeys((WORKER, *CHILDREN.values(), OTHERS), 0.0)
    for pid in pids:
        command = Path(f"/proc/{pid}/cmdline").read_text()
        kind = next((kind for word, kind in CHILDREN.items() if word in command), OTHERS)
        used[WORKER if pid == worker else kind] += cpu([pid]).total
    return used


def _open_overview(product: Product) -> ClientConnection:
    """Sign in and keep the live view of the overview open, as a browser does."""
    password = product.manage("admin", "create").split()[-1]
    site = f"http://127.0.0.1:{product.console_port}"
    wait_for(lambda: answers(product.console_port), "the console")
    with httpx.Client(base_url=site, headers={"Origin": site}, timeout=60.0) as browser:
        browser.get(SIGN_IN).raise_for_status()
        form = {
            "username": "admin",
            "password": password,
            "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        }
        browser.post(SIGN_IN, data=form)
        session = browser.cookies.get("sessionid")
    if session is None:
        raise Broken("the administrator could not sign in")
    address = site.replace("http", "ws", 1) + "/console/live/overview/"
    view = connect(address, origin=Origin(site), additional_headers={"Cookie": f"sessionid={session}"})
    view.recv(10.0)
    threading.Thread(target=_watch, args=(view,), daemon=True).start()
    return view


def _watch(view: ClientConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        for _ in view:
            view.send("1")
