"""Requests per second and processor time per request, on one core, beside the other gateways."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.load import VARYING, Load, h2load, wrk
from benchmarks.machine import cpu
from benchmarks.peers import KEY, Peer, start_peers, start_upstream
from benchmarks.stage import Broken, Missing, Stage
from benchmarks.table import Result, Table, Target
from benchmarks.tidegate import ROUTES, Node, Workers, key, make_node, snapshot, start_granian

TITLE = "Throughput on one core"
NGINX, ENVOY = "nginx", "envoy, policies"
NATIVE, VARIED = "tidegate, native", "tidegate, native, every request different"
ASGI, HTTP2 = "tidegate, ASGI (granian)", "tidegate, HTTP/2 over TLS (granian)"
PATH = "/svc/s1/orders"


class Contender(NamedTuple):
    """A gateway and the load that it is given."""

    name: str
    pids: Callable[[], Sequence[int]]
    load: Callable[[float], Load]
    after: Callable[[], object] = lambda: None


class Round(NamedTuple):
    """What one round of one contender came to; microseconds of processor time per request."""

    rate: float
    user_us: float
    system_us: float
    errors: int

    @property
    def cpu_us(self) -> float:
        """Of both kinds."""
        return self.user_us + self.system_us


def measure(contender: Contender, seconds: float) -> Round:
    """One round."""
    before = cpu(contender.pids())
    load = contender.load(seconds)
    used = cpu(contender.pids()).since(before)
    contender.after()
    requests = max(load.requests, 1)
    return Round(load.rate, used.user / requests * 1e6, used.system / requests * 1e6, load.errors)


def interleave(contenders: Sequence[Contender], rounds: int, seconds: float) -> dict[str, list[Round]]:
    """All in turn, again and again: a machine that drifts hits all of them alike. The first turn warms up."""
    found: dict[str, list[Round]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        measure(contender, 1.0)
    for _ in range(rounds):
        for contender in contenders:
            found[contender.name].append(measure(contender, seconds))
    return found


def run(stage: Stage) -> Result:
    """Start everything, measure, compare."""
    result = Result("throughput", TITLE)
    upstream = start_upstream(stage)
    peers, missing = start_peers(stage, upstream)
    contenders = [contender(peer) for peer in peers]
    node = make_node(stage, "native", snapshot(upstream))
    contenders += _native(Workers(stage, node))
    asgi_node = make_node(stage, "asgi", snapshot(upstream))
    contenders += _asgi(stage, asgi_node, missing)
    rounds = interleave(contenders, stage.options.rounds, stage.options.seconds)
    result.notes += [f"Not installed, so left out: {name}." for name in missing]
    for found in (node, asgi_node):
        if found.dropped():
            raise Broken(f"{found.dropped()} traffic records were dropped")
    compare(result, rounds)
    result.targets += [
        Target("native door, of Envoy with policies", ratio(rounds, NATIVE, ENVOY), "least", 1.5),
        Target("native door, of nginx", ratio(rounds, NATIVE, NGINX), "least", 0.45),
        Target("ASGI door under granian, of nginx", ratio(rounds, ASGI, NGINX), "least", 0.28),
        Target("HTTP/2 over TLS under granian, of nginx", ratio(rounds, HTTP2, NGINX), "least", 0.22),
    ]
    result.notes.append(
        "Median, lowest and highest of the rounds; a ratio is the median of what the rounds show. CPU time is that "
        "of the gateway's processes per request. "
        "nginx, HAProxy and `envoy, policies` check a key and a limit, Envoy writes an access log as well; "
        "`envoy, bare` only forwards. Tidegate does all that it does in production: key check, node-shared rate "
        "limit, header rules, request id, traceparent, traffic record; 1,000 routes, 100,000 keys. Clients that "
        "repeat their requests to the byte are the first row of Tidegate, clients that never do are the second."
    )
    return result


def contender(peer: Peer) -> Contender:
    """Another gateway under the load of all."""
    return Contender(peer.name, lambda: peer.running.pids, lambda s: wrk(peer.port, PATH, KEY, s))


def _native(workers: Workers) -> list[Contender]:
    def varied(seconds: float) -> Load:
        return wrk(workers.port, PATH, key(), seconds, script=(str(VARYING), str(ROUTES)))

    trim = workers.node.trim_spool
    return [
        Contender(NATIVE, lambda: workers.pids, lambda s: wrk(workers.port, PATH, key(), s), trim),
        Contender(VARIED, lambda: workers.pids, varied, trim),
    ]


def _asgi(stage: Stage, node: Node, missing: list[str]) -> list[Contender]:
    found = []
    plain, port = start_granian(stage, node)
    found.append(Contender(ASGI, lambda: plain.pids, lambda s: wrk(port, PATH, key(), s), node.trim_spool))
    secure, secure_port = start_granian(stage, node, tls=make_certificate(stage.folder))
    http2 = Contender(
        HTTP2, lambda: secure.pids, lambda s: h2load(secure_port, PATH, key(), s), node.trim_spool
    )
    try:
        http2.load(1.0)
    except Missing as error:
        missing.append(str(error))
    else:
        found.append(http2)
    return found


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself, and its key: PEM files."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    chain, secret = folder / "certificate.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return chain, secret


def compare(result: Result, rounds: dict[str, list[Round]]) -> None:
    """Put the rounds into a table. Raises Broken if a request got an error."""
    table = Table(("gateway", "req/s", "from", "to", "of nginx", "of Envoy", "CPU µs", "user", "system"))
    for name, found in rounds.items():
        if errors := sum(one.errors for one in found):
            raise Broken(f"{name}: {errors} requests were answered with errors")
        rates = [one.rate for one in found]
        table.rows.append(
            (
                name,
                *(round(value) for value in (statistics.median(rates), min(rates), max(rates))),
                ratio(rounds, name, NGINX),
                ratio(rounds, name, ENVOY),
                *(
                    statistics.median(getattr(one, part) for one in found)
                    for part in ("cpu_us", "user_us", "system_us")
                ),
            )
        )
    result.tables.append(table)
    result.raw["rounds"] = {name: [one._asdict() for one in found] for name, found in rounds.items()}


def ratio(rounds: dict[str, list[Round]], name: str, base: str) -> float | None:
    """One rate as a share of another, the median of what each round shows; None where one is missing."""
    if name not in rounds or base not in rounds:
        return None
    return statistics.median(
        one.rate / other.rate for one, other in zip(rounds[name], rounds[base], strict=True)
    )
