"""Turns a valid document into the Snapshot that the data plane runs: same document, same bytes."""

from __future__ import annotations

from collections.abc import Container

import msgspec

from proxy.config import document, snapshot
from proxy.config.certificates import read_pair
from proxy.config.lifecycle import policies_of_life
from proxy.config.policies import placed_policies
from proxy.config.routes import compile_route


def compile_document(whole: document.Document, revision: int) -> snapshot.Snapshot:
    """The Snapshot of a document without problems; what is disabled or off is left out.

    Routes of retired Apis answer 410, so that clients hear that it is over and not that it never was; those of
    deprecated ones say so in their answers.
    Routes are ordered as the document lists them: the oldest Api first, in it the oldest Route.
    """
    plans = tuple(snapshot.Plan(plan.name, plan.title) for plan in whole.plans)
    retired = {api.slug for api in whole.apis if api.lifecycle == "retired"}
    policies = [placed.compiled() for placed in placed_policies(_without_policies_of(retired, whole))]
    policies += [policy for api in whole.apis for policy in policies_of_life(api)]
    return snapshot.Snapshot(
        revision=revision,
        apis=tuple(snapshot.Api(api.slug, api.version, api.title, api.lifecycle) for api in whole.apis),
        routes=_routes(whole),
        upstreams=whole.upstreams,
        policies=tuple(policy for policy in policies if policy.mode != "off"),
        plans=plans,
        certificates=tuple(_certificate(certificate) for certificate in whole.certificates),
        limits=msgspec.structs.replace(snapshot.Limits(), **whole.gateway.limits),
        trusted_proxies=whole.gateway.trusted_proxies,
        forwarded_header=whole.gateway.forwarded_header,
    )


def _routes(whole: document.Document) -> tuple[snapshot.Route, ...]:
    """Enabled Routes, but those of drafts; those of retired Apis lead nowhere."""
    enabled = [
        (route, api)
        for api in sorted(whole.apis, key=lambda api: api.lifecycle == "retired")
        if api.lifecycle != "draft"
        for route in api.routes
        if route.enabled
    ]
    compiled = (compile_route(route, api, order) for order, (route, api) in enumerate(enabled))
    return tuple(
        msgspec.structs.replace(row, upstream="", redirect=None, retired=True)
        if api.lifecycle == "retired"
        else row
        for row, (_, api) in zip(compiled, enabled, strict=True)
    )


def _without_policies_of(retired: Container[str], whole: document.Document) -> document.Document:
    """A retired Api asks nobody for a key any more."""
    apis = tuple(
        msgspec.structs.replace(api, policies=(), routes=()) if api.slug in retired else api
        for api in whole.apis
    )
    return msgspec.structs.replace(whole, apis=apis)


def _certificate(certificate: document.Certificate) -> snapshot.Certificate:
    pair = read_pair(certificate.chain, certificate.key)
    return snapshot.Certificate(certificate.name, pair.names, certificate.chain, certificate.key)
