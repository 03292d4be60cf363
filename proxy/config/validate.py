"""The rules that every configuration must meet, for single objects: one path for console, API and YAML.

Each `check_*` yields all that is wrong with one object. What needs the rest of the document to be seen is
in `proxy.config.whole`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from proxy.config import document, fields
from proxy.config.certificates import BadPair, read_chain, read_pair
from proxy.config.decode import decode
from proxy.config.limits import check_limits
from proxy.config.problem import Problem
from proxy.config.routes import NO_API, compile_route
from proxy.config.snapshot import HealthCheck, OutlierEjection, Target, Upstream, ValueMatch
from proxy.pipeline.expr import compile_condition
from proxy.pipeline.policy import Invalid
from proxy.pipeline.registry import decode_config, policies
from proxy.routing.compiled import problems

Rule = Callable[[str], str]
MAX_SECONDS = 86_400.0
MAX_LIST = 1_000


def check_api(api: document.Api) -> Iterator[Problem]:
    """Slug, hosts, base path and texts of an Api."""
    owner = f"api {api.slug}"
    yield from _named(owner, "slug", fields.wrong_name(api.slug))
    yield from _named(owner, "version", fields.wrong_name(api.version))
    yield from _named(owner, "title", fields.wrong_text(api.title, 200))
    yield from _named(owner, "description", fields.wrong_text(api.description))
    yield from _named(owner, "openapi", fields.wrong_text(api.openapi))
    yield from _named(owner, "base_path", _wrong_base(api.base_path))
    yield from _named(owner, "documentation_url", fields.wrong_optional_url(api.documentation_url))
    if api.deprecated_at and api.sunset_at and api.sunset_at < api.deprecated_at:
        yield Problem(owner, "sunset_at", "must not be before deprecated_at")
    yield from _each(owner, "hosts", api.hosts, fields.wrong_host)
    yield from _each(owner, "tags", api.tags, fields.wrong_name)


def _wrong_base(path: str) -> str:
    if path != "/" and path.endswith("/"):
        return "must not end with '/'"
    return fields.wrong_path(path)


def check_route(route: document.Route, api: document.Api = NO_API) -> Iterator[Problem]:
    """Match rule and destination of a Route; what routing itself refuses, below its Api's base path, is
    refused here."""
    owner = f"route {route.name}"
    found = dict(problems(compile_route(route, api)))
    yield from (Problem(owner, field, reason) for field, reason in found.items())
    yield from _named(owner, "name", fields.wrong_name(route.name))
    if "path.value" not in found:
        yield from _named(owner, "path.value", _wrong_match(route))
    if "hosts" not in found:
        yield from _each(owner, "hosts", route.hosts, fields.wrong_host)
    if "methods" not in found:
        yield from _each(owner, "methods", route.methods, _wrong_method)
    yield from _matches(owner, "headers", route.headers, "headers" in found)
    yield from _matches(owner, "query", route.query, "query" in found)
    yield from _destination(owner, route)
    if route.body_bytes is not None:
        yield from _named(owner, "body_bytes", fields.out_of(route.body_bytes, 0, 2**40))
    for name in ("request_timeout", "first_byte_timeout"):
        value = getattr(route, name)
        if value is not None:
            yield from _named(owner, name, fields.out_of(value, 0.001, MAX_SECONDS))


def _wrong_match(route: document.Route) -> str:
    kind, value = route.path.kind, route.path.value
    if kind == "regex":
        return "" if value.startswith("/") else "must start with '/' (it is matched against the whole path)"
    if kind == "template":
        return fields.wrong_template(value, allow_encoded=route.allow_encoded)
    if kind == "prefix" and value != "/" and value.endswith("/"):
        return "a prefix is whole segments; write it without the '/' at its end"
    return fields.wrong_path(value, allow_encoded=route.allow_encoded)


def _wrong_method(value: str) -> str:
    return "is not proxied" if value in ("CONNECT", "TRACE") else fields.wrong_token(value)


def _matches(owner: str, field: str, matches: tuple[ValueMatch, ...], known: bool) -> Iterator[Problem]:
    """`known` says that a problem with these was reported already."""
    seen: set[str] = set()
    for index, match in enumerate(matches):
        place, name = f"{field}[{index}]", match.name.lower() if field == "headers" else match.name
        yield from _named(owner, f"{place}.name", "is there twice" if name in seen else "")
        seen.add(name)
        if match.kind == "present" and match.value:
            yield Problem(owner, f"{place}.value", "must be empty when only presence is asked for")
        elif match.kind == "exact" and not known:
            yield from _named(owner, f"{place}.value", fields.wrong_header_value(match.value))


def _destination(owner: str, route: document.Route) -> Iterator[Problem]:
    if route.upstream and route.redirect is not None:
        yield Problem(owner, "redirect", "give either an upstream or a redirect, not both")
    if not route.upstream and route.redirect is None:
        yield Problem(owner, "upstream", "give an upstream or a redirect")
    if route.redirect is not None:
        yield from _named(owner, "redirect.host", fields.wrong_optional_server(route.redirect.host))


def check_upstream(upstream: Upstream) -> Iterator[Problem]:
    """An Upstream with its Targets."""
    yield from check_service(upstream)
    owner = f"upstream {upstream.name}"
    if not upstream.targets:
        yield Problem(owner, "targets", "needs at least one target")
    seen: set[str] = set()
    for index, target in enumerate(upstream.targets):
        for problem in check_target(target):
            yield Problem(owner, f"targets[{index}].{problem.field}", problem.reason)
        if target.label in seen:
            yield Problem(owner, f"targets[{index}]", f"{target.label} is there twice")
        seen.add(target.label)
    if upstream.targets and not any(target.weight for target in upstream.targets):
        yield Problem(owner, "targets", "all have weight 0: nothing can be sent anywhere")


def check_service(upstream: Upstream) -> Iterator[Problem]:
    """An Upstream but for its Targets."""
    owner = f"upstream {upstream.name}"
    yield from _named(owner, "name", fields.wrong_name(upstream.name))
    for name in ("connect_timeout", "first_byte_timeout", "idle_timeout", "keepalive_timeout"):
        yield from _named(owner, name, fields.out_of(getattr(upstream, name), 0.001, MAX_SECONDS))
    yield from _named(owner, "max_connections", fields.out_of(upstream.max_connections, 1, 65_536))
    yield from _named(owner, "max_pending", fields.out_of(upstream.max_pending, 0, 1_000_000))
    yield from _named(owner, "retries", fields.out_of(upstream.retries, 0, 10))
    yield from _named(owner, "retry_budget", fields.out_of(upstream.retry_budget, 0, 1))
    if upstream.host_header:
        yield from _named(owner, "host_header", fields.wrong_authority(upstream.host_header))
    yield from _upstream_tls(owner, upstream)
    yield from _health(owner, upstream.health)
    yield from _outlier(owner, upstream.outlier)


def _upstream_tls(owner: str, upstream: Upstream) -> Iterator[Problem]:
    yield from _named(owner, "tls_server_name", fields.wrong_optional_server(upstream.tls_server_name))
    if upstream.tls_ca:
        try:
            read_chain(upstream.tls_ca, "tls_ca")
        except BadPair as error:
            yield Problem(owner, error.field, str(error))


def _health(owner: str, health: HealthCheck) -> Iterator[Problem]:
    yield from _named(owner, "health.path", fields.wrong_target(health.path))
    if health.interval:
        yield from _named(owner, "health.interval", fields.out_of(health.interval, 0.1, MAX_SECONDS))
    yield from _named(owner, "health.timeout", fields.out_of(health.timeout, 0.01, 3600))
    yield from _named(owner, "health.healthy_after", fields.out_of(health.healthy_after, 1, 100))
    yield from _named(owner, "health.unhealthy_after", fields.out_of(health.unhealthy_after, 1, 100))
    if not health.statuses:
        yield Problem(owner, "health.statuses", "needs at least one status")
    for index, status in enumerate(health.statuses):
        yield from _named(owner, f"health.statuses[{index}]", fields.out_of(status, 200, 599))


def _outlier(owner: str, outlier: OutlierEjection) -> Iterator[Problem]:
    yield from _named(owner, "outlier.failures", fields.out_of(outlier.failures, 0, 1_000))
    yield from _named(owner, "outlier.base_seconds", fields.out_of(outlier.base_seconds, 0.1, MAX_SECONDS))
    yield from _named(owner, "outlier.max_percent", fields.out_of(outlier.max_percent, 1, 100))
    for index, status in enumerate(outlier.statuses):
        yield from _named(owner, f"outlier.statuses[{index}]", fields.out_of(status, 500, 599))


def check_target(target: Target) -> Iterator[Problem]:
    """One instance of an Upstream."""
    owner = f"target {target.label}"
    yield from _named(owner, "host", fields.wrong_server(target.host) or _wrong_address(target.host))
    yield from _named(owner, "port", fields.wrong_port(target.port))
    yield from _named(owner, "weight", fields.out_of(target.weight, 0, 65_535))
    yield from _named(owner, "priority", fields.out_of(target.priority, 0, 100))
    if target.zone:
        yield from _named(owner, "zone", fields.wrong_name(target.zone))


def _wrong_address(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if address.is_unspecified or address.is_multicast or address == ipaddress.ip_address("255.255.255.255"):
        return "is not the address of one server"
    return ""


def check_plan(plan: document.Plan) -> Iterator[Problem]:
    """Name and texts of a Plan."""
    owner = f"plan {plan.name}"
    yield from _named(owner, "name", fields.wrong_name(plan.name))
    yield from _named(owner, "title", fields.wrong_text(plan.title, 200))
    yield from _named(owner, "description", fields.wrong_text(plan.description))
    if len(set(plan.apis or ())) < len(plan.apis or ()):
        yield Problem(owner, "apis", "names an Api twice")


def check_policy(policy: document.Policy, owner: str = "") -> Iterator[Problem]:
    """Kind, label, condition and config of a policy; `owner` is what its problems are reported for."""
    owner = owner or f"policy {policy.label or policy.name}"
    if policy.label:
        yield from _named(owner, "label", fields.wrong_name(policy.label))
    yield from _named(owner, "position", fields.out_of(policy.position, -1_000_000, 1_000_000))
    if policy.when:
        try:
            compile_condition(policy.when)
        except Invalid as error:
            yield Problem(owner, "when", str(error))
    try:
        decode_config(policy.name, policy.config)
    except Invalid as error:
        yield from _wrong_config(policy, owner, error)


def _wrong_config(policy: document.Policy, owner: str, error: Invalid) -> Iterator[Problem]:
    """All that is wrong with a config; `error` is what its policy stopped at."""
    if error.field == "name" or policy.name not in policies():
        yield Problem(owner, "name", str(error))
        return
    found = decode(policies()[policy.name].Config, policy.config, owner)[1]
    if not found:
        found = [Problem(owner, error.field, str(error))]
    for item in found:
        yield Problem(owner, f"config.{item.field}" if item.field else "config", item.reason)


def check_certificate(certificate: document.Certificate) -> Iterator[Problem]:
    """Chain and key are readable and belong together."""
    owner = f"certificate {certificate.name}"
    yield from _named(owner, "name", fields.wrong_name(certificate.name))
    try:
        read_pair(certificate.chain, certificate.key)
    except BadPair as error:
        yield Problem(owner, error.field, str(error))


def check_gateway(gateway: document.Gateway) -> Iterator[Problem]:
    """Limits within their bounds, proxies as networks."""
    yield from check_limits(gateway.limits)
    yield from _each("gateway", "trusted_proxies", gateway.trusted_proxies, fields.wrong_network)


def _named(owner: str, field: str, reason: str) -> Iterator[Problem]:
    if reason:
        yield Problem(owner, field, reason)


def _each(owner: str, field: str, values: tuple[str, ...], wrong: Rule) -> Iterator[Problem]:
    if len(values) > MAX_LIST:
        yield Problem(owner, field, f"has more than {MAX_LIST} entries")
        return
    seen: set[str] = set()
    for index, value in enumerate(values):
        reason = wrong(value) or ("is there twice" if value in seen else "")
        yield from _named(owner, f"{field}[{index}]", reason)
        seen.add(value)
