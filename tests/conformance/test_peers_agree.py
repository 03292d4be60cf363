"""O1 with other people's proxies: nginx and HAProxy read what goes upstream as we do."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.client import Client
from tests.conformance.framing import TAKEN
from tests.conformance.gateway import Gateway, get

NGINX = """daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e; ignore_invalid_headers off; merge_slashes off;
  server {{
    listen 127.0.0.1:{port}; large_client_header_buffers 4 32k; client_header_buffer_size 32k;
    location / {{ return 200 "$request_method $request_uri $http_host"; }}
  }}
}}
"""
HAPROXY = """defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend peer
  bind 127.0.0.1:{port}
  option http-buffer-request
  http-request return status 200 content-type text/plain lf-string "{format}"
"""
FORMAT = "%[method] %[capture.req.uri] %[req.hdr(host)]"


@contextlib.contextmanager
def _peer(folder: Path, name: str) -> Iterator[int]:
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if program is None:
        pytest.skip(f"{name} is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    file = folder / "conf"
    file.write_text((NGINX if name == "nginx" else HAPROXY).format(folder=folder, port=port, format=FORMAT))
    command = [program, "-p", str(folder), "-c"] if name == "nginx" else [program, "-db", "-f"]
    process = subprocess.Popen([*command, str(file)], stderr=subprocess.PIPE)
    try:
        _wait(port, process)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=10)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while True:
        assert process.poll() is None, process.communicate()[1]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < end, "the peer does not start"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_a_peer_reads_the_same_request(gateway: Gateway, tmp_path: Path, name: str) -> None:
    payloads = [case.payload for case in TAKEN if b"upgrade: websocket" not in case.payload.lower()]
    payloads += [get(b"/a%2Cb;c=d?e=%2f&&f"), get(b"/%C0%AE/%FF?"), get(b"/x", b"X-A: \x85 \xff", b"X-A:")]
    seen = [gateway.accepts(payload) for payload in payloads]
    with _peer(tmp_path, name) as port:
        for one in seen:
            with Client(port) as client:
                # What follows must be a request of its own: then this one ended where we say.
                client.send(one.raw + b"GET /sentinel HTTP/1.1\r\nhost: sentinel\r\n\r\n")
                (host,) = one.values(b"host")
                answer = client.read(one.method)
                assert answer.status == 200, (one.raw, answer)
                if one.method != b"HEAD":
                    assert answer.body == b" ".join((one.method, one.target, host)), one.raw
                assert client.read().body == b"GET /sentinel sentinel", one.raw
