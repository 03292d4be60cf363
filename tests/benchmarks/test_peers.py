"""Configurations of the other gateways are filled in completely, and accepted by those that are installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.machine import find
from benchmarks.peers import CONFIGS, fill

VALUES: dict[str, str | int] = {
    "key": "k",
    "port": 18001,
    "port_policies": 18002,
    "upstream": 18003,
    "files": 1024,
}


def filled(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_text(fill((CONFIGS / name).read_text(), VALUES | {"folder": str(folder)}))
    return path


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill("listen {{prot}}", VALUES)


def test_nothing_is_left_to_fill_in(tmp_path: Path) -> None:
    for source in CONFIGS.iterdir():
        assert "{{" not in filled(source.name, tmp_path).read_text().replace("{{}}", "")


@pytest.mark.parametrize("name", ["upstream.nginx.conf", "gateway.nginx.conf"])
def test_nginx_accepts_it(name: str, tmp_path: Path) -> None:
    nginx = find("nginx")
    if nginx is None:
        pytest.skip("nginx is not installed")
    command = [nginx, "-t", "-p", str(tmp_path), "-c", str(filled(name, tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_haproxy_accepts_it(tmp_path: Path) -> None:
    haproxy = find("haproxy") or shutil.which("haproxy")
    if haproxy is None:
        pytest.skip("haproxy is not installed")
    command = [haproxy, "-c", "-f", str(filled("haproxy.cfg", tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
