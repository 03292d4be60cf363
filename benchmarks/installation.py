"""A big installation, and the address of every page of its console and portal.

Used by the benchmark section `pages`, which times them, and by the test of their budgets. Django must be set up,
and the database must be empty.
"""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, get_resolver, reverse

from analytics.models import RawRecord
from consoles.access import add_member
from consoles.models import AuditEntry, Role, SavedView
from consoles.ui.registry import families
from proxy.config.publish import publish
from proxy.models import Api, App, Certificate, Credential, Developer, Gateway, Plan, Policy, Subscription

VARIANTS = {
    "console:overview-traffic": ("range=900", "range=86400", "range=604800"),
    "console:traffic": ("status_class=5xx", "text=things%2F99", "app=sample-app-00000", "code=rate-limited"),
    "console:search": ("q=sample",),
    "console:match": ("url=%2Fsample-0199%2Fthings%2F9", "path=%2Fsample-0199%2Fthings%2F9"),
    "console:apps-list": ("q=0777", "page=9", "sort=-name"),
    "console:keys-list": ("q=key", "page=9", "sort=-last_used_at"),
    "console:routes-list": ("q=things", "page=9"),
    "console:audit-list": ("q=sample",),
    "portal:catalogue": ("q=sample",),
    "portal:usage": ("range=1h", "range=7d", "range=30d"),
}
"""What else is asked of some pages."""
API = "sample-0000"
LEFT_OUT = {"sign-out", "theme", "tail-request"}
"""Not pages: they take a POST alone, or are a part of one for a request that is named."""


class PageAddress(NamedTuple):
    """A page: `site` is `console` or `portal`, `url` begins with a slash."""

    site: str
    name: str
    url: str


def fill(**size: int) -> None:
    """Sample data (`size` as `manage.py sample_data` takes it), policies, certificate, accounts; published."""
    call_command("sample_data", **size)
    for plan in Plan.objects.all():
        limit = {"limits": [{"amount": 100, "period": "minute"}]}
        Policy.objects.create(name="rate-limit", scope="plan", plan=plan, config=limit)
    policies = [Policy(name="key-auth", scope="api", api=api, config={}) for api in Api.objects.all()]
    Policy.objects.bulk_create(policies)
    Api.objects.filter(slug=API).update(openapi=_openapi(30))
    chain, key = _certificate("shop.example.com")
    Certificate.objects.create(name="shop", chain=chain, key=key)
    owner = add_member("olga", Role.OWNER).membership.user
    SavedView.objects.create(owner=owner, page="routes", name="things", query="q=things")
    developer = busiest().developer
    developer.user = get_user_model().objects.create_user(developer.email, developer.email)
    developer.save()
    Gateway.load()
    publish("sample", "olga")
    AuditEntry.objects.bulk_create(
        AuditEntry(actor=owner, actor_name="olga", action="update", kind="app", object_id=str(number))
        for number in range(2000)
    )


def _openapi(operations: int) -> str:
    """A document with so many operations."""
    parameter = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
    answer = {"description": "One thing.", "content": {"application/json": {"schema": {"type": "object"}}}}
    paths = {
        f"/things/{number}/{{id}}": {
            "get": {
                "summary": f"One of {number}",
                "parameters": [parameter],
                "responses": {"200": answer},
            }
        }
        for number in range(operations)
    }
    return json.dumps({"openapi": "3.1.0", "info": {"title": "Sample", "version": "1"}, "paths": paths})


def _certificate(name: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=20))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


def busiest() -> App:
    """The App that calls most."""
    return App.objects.select_related("developer").order_by("pk")[0]


def browsers() -> dict[str, Client]:
    """Somebody signed in on each site: an owner of the console, the Developer of the busiest App."""
    found = {"console": Client(), "portal": Client()}
    found["console"].force_login(get_user_model().objects.get(username="olga"))
    developer: Developer = busiest().developer
    found["portal"].force_login(developer.user)
    return found


def pages() -> Iterator[PageAddress]:
    """Every page that can be asked for, as the URL table has it, and its variants."""
    for site, pattern in itertools.chain(_patterns("console"), _patterns("portal")):
        name = f"{site}:{pattern.name}"
        arguments = _arguments(site, str(pattern.name), pattern)
        if pattern.name in LEFT_OUT or name.endswith("-download") or arguments is None:
            continue
        url = reverse(name, args=arguments)
        yield PageAddress(site, str(pattern.name), url)
        for query in VARIANTS.get(name, ()):
            yield PageAddress(site, f"{pattern.name}?{query}", f"{url}?{query}")


def _patterns(site: str) -> list[tuple[str, URLPattern]]:
    (table,) = [one for one in get_resolver().url_patterns if getattr(one, "namespace", "") == site]
    return [(site, pattern) for pattern in table.url_patterns]


def _arguments(site: str, name: str, pattern: URLPattern) -> list[Any] | None:
    """Of an object that is there; None if there is none of that kind."""
    if not pattern.pattern.converters:
        return []
    if "slug" in pattern.pattern.converters:
        return [API]
    if name == "pick":
        return ["apis"]
    row = _own(name) if site == "portal" else _first(name)
    return None if row is None else [row.pk]


def _own(name: str) -> Any:
    app = busiest()
    if name.startswith("key-") and name != "key-new":
        return Credential.objects.filter(app=app).first()
    return Subscription.objects.filter(app=app).first() if name.startswith("subscription-") else app


def _first(name: str) -> Any:
    path = name.rpartition("-")[0]
    family = families().get(path)
    if family is not None:
        return family.rows().order_by("pk").first()
    if path == "traffic":
        return RawRecord.objects.order_by("-time").first()
    if path == "first-run":
        return Api.objects.first()
    if path == "views":
        return SavedView.objects.first()
    raise NoReverseMatch(f"say in benchmarks/installation.py which object {name} is of")
