"""Turns a valid document into the Snapshot that the data plane runs: same document, same bytes."""

from __future__ import annotations

import msgspec

from proxy.config import document, snapshot
from proxy.config.certificates import read_pair
from proxy.config.policies import placed_policies
from proxy.config.routes import compile_route


def compile_document(whole: document.Document, revision: int) -> snapshot.Snapshot:
    """The Snapshot of a document without problems; what is disabled or off is left out.

    Routes are ordered as the document lists them: the oldest Api first, in it the oldest Route.
    """
    plans = tuple(snapshot.Plan(plan.name, plan.title) for plan in whole.plans)
    policies = [placed.compiled() for placed in placed_policies(whole)]
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
    """Enabled Routes of Apis that are in service: drafts are not yet, retired ones no longer."""
    served = [
        (route, api)
        for api in whole.apis
        if api.lifecycle in ("published", "deprecated")
        for route in api.routes
        if route.enabled
    ]
    return tuple(compile_route(route, api, order) for order, (route, api) in enumerate(served))


def _certificate(certificate: document.Certificate) -> snapshot.Certificate:
    pair = read_pair(certificate.chain, certificate.key)
    return snapshot.Certificate(certificate.name, pair.names, certificate.chain, certificate.key)
