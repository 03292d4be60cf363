"""What the portal shows of the gateway: the public Apis and the Plans of the live Revision, not of the draft."""

from __future__ import annotations

import datetime
import functools
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from consoles.portal.openapi import Unreadable, read
from proxy.config import document
from proxy.config.apply import Refused
from proxy.config.publish import revision_document
from proxy.config.selling import offered
from proxy.models import Revision

_HOST = re.compile(r"[A-Za-z0-9._\[\]:-]+")
_PATH = re.compile(r"/[A-Za-z0-9/._~-]*")
_log = logging.getLogger("tidegate.portal")


@dataclass(frozen=True)
class PublicApi:
    """An Api as developers see it. `key_header` is empty if it asks for no key; `cors` says whether pages
    of other origins, and so the try-it form, may call it.
    """

    slug: str
    title: str
    version: str
    description: str
    tags: tuple[str, ...]
    deprecated: bool
    deprecated_at: datetime.date | None
    sunset_at: datetime.date | None
    documentation_url: str
    openapi: str
    hosts: tuple[str, ...]
    base_path: str
    first_path: str
    key_header: str
    cors: bool

    @property
    def ahead(self) -> bool:
        """Its first day (UTC) as a deprecated Api is still to come."""
        return (
            self.deprecated_at is not None and self.deprecated_at > datetime.datetime.now(datetime.UTC).date()
        )

    @property
    def over(self) -> bool:
        """Its last day (UTC) is over, though it is still served."""
        return self.sunset_at is not None and self.sunset_at < datetime.datetime.now(datetime.UTC).date()

    @property
    def lifetime(self) -> str:
        """Since when it is deprecated and when it ends, as far as that is known; empty if it is not deprecated."""
        if not self.deprecated:
            return ""
        parts = []
        if self.deprecated_at is not None:
            parts.append(f"deprecated {'from' if self.ahead else 'since'} {_day(self.deprecated_at)}")
        if self.sunset_at is not None:
            parts.append(f"{'its end was set to' if self.over else 'ends on'} {_day(self.sunset_at)}")
        text = ", ".join(parts)
        return text[:1].upper() + text[1:]

    @property
    def origin(self) -> str:
        """Scheme, host and port that it is called at."""
        return origin_of(self.hosts)

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return self.origin + self.base_path.rstrip("/")

    @property
    def sample(self) -> str:
        """An address below it that is likely to answer: the first GET of its document that needs nothing."""
        return self.origin + (self._first_documented() or self.first_path)

    def _first_documented(self) -> str:
        try:
            groups = read(self.openapi).sections if self.openapi.strip() else []
        except Unreadable:
            return ""
        base = self.base_path.rstrip("/")
        for operation in (one for _, operations in groups for one in operations):
            path = operation.path
            easy = operation.method == "GET" and not any(one.required for one in operation.parameters)
            if easy and _PATH.fullmatch(path):
                return path if path == base or (path.startswith(f"{base}/") and base) else base + path
        return ""

    def curl(self, key: str) -> str:
        """A command that calls it with that key."""
        header = f"-H '{self.key_header}: {key}' " if self.key_header else ""
        return f"curl {header}'{self.sample}'"

    def matches(self, text: str) -> bool:
        """Whether all words are in title, slug, description or tags."""
        where = " ".join((self.title, self.slug, self.description, *self.tags)).casefold()
        return all(word in where for word in text.casefold().split())


@dataclass(frozen=True)
class PublicPlan:
    """A Plan as developers see it; `limits` are sentences, `apis` the slugs that it is sold on."""

    name: str
    title: str
    description: str
    manual: bool
    limits: tuple[str, ...]
    apis: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Catalogue:
    """All of it."""

    apis: dict[str, PublicApi]
    plans: dict[str, PublicPlan]

    def plans_of(self, slug: str) -> dict[str, PublicPlan]:
        """The Plans that are sold on an Api, by name."""
        return {name: plan for name, plan in self.plans.items() if slug in plan.apis}


def catalogue() -> Catalogue:
    """The live one, empty before the first publish. One query; another one after each publish."""
    row = Revision.objects.order_by("-number").values_list("pk", "number", "created_at").first()
    return _read(*row) if row else Catalogue({}, {})


@functools.lru_cache(maxsize=2)
def _read(pk: int, number: int, created_at: object) -> Catalogue:
    try:
        whole = revision_document(Revision.objects.get(pk=pk))
    except Refused:
        _log.error("revision %d cannot be read; the portal shows no Apis", number)
        return Catalogue({}, {})
    shown = [api for api in whole.apis if offered(api)]
    everywhere = [policy for policy in whole.policies if not policy.app]
    return Catalogue(
        {api.slug: _api(api, everywhere) for api in sorted(shown, key=lambda one: one.title or one.slug)},
        {plan.name: _plan(plan) for plan in whole.plans},
    )


def _api(api: document.Api, everywhere: list[document.Policy]) -> PublicApi:
    policies = [*everywhere, *api.policies]
    inner = [policy for route in api.routes for policy in route.policies]
    key = next(_enforced([*api.policies, *inner, *everywhere], "key-auth"), None)
    names: Any = (key.config.get("names") if key else None) or ["x-api-key"]
    return PublicApi(
        slug=api.slug,
        title=api.title or api.slug,
        version=api.version,
        description=api.description,
        tags=api.tags,
        deprecated=api.lifecycle == "deprecated",
        deprecated_at=api.deprecated_at,
        sunset_at=api.sunset_at,
        documentation_url=api.documentation_url,
        openapi=api.openapi,
        hosts=api.hosts,
        base_path=api.base_path,
        first_path=_first_path(api),
        key_header=str(names[0]) if key else "",
        cors=next(_enforced(policies, "cors"), None) is not None,
    )


def _enforced(policies: Iterable[document.Policy], name: str) -> Iterator[document.Policy]:
    return (policy for policy in policies if policy.name == name and policy.mode == "enforce")


def _first_path(api: document.Api) -> str:
    base = api.base_path.rstrip("/")
    for route in api.routes:
        plain = route.path.kind in ("exact", "prefix") and not route.headers and not route.query
        if plain and route.enabled and route.upstream and (not route.methods or "GET" in route.methods):
            return (base + route.path.value).rstrip("/") or "/"
    return base or "/"


def _plan(plan: document.Plan) -> PublicPlan:
    limits = [sentence for policy in _enforced(plan.policies, "rate-limit") for sentence in _limits(policy)]
    return PublicPlan(
        plan.name,
        plan.title or plan.name,
        plan.description,
        plan.approval == "manual",
        tuple(limits),
        frozenset(plan.apis or ()),
    )


class _Rate(msgspec.Struct):
    amount: int
    period: str = "minute"
    every: int = 1


def _limits(policy: document.Policy) -> Iterator[str]:
    for raw in msgspec.convert(policy.config.get("limits") or [{"amount": 100}], list[_Rate]):
        period = f"a {raw.period}" if raw.every == 1 else f"in {raw.every} {raw.period}s"
        yield f"{raw.amount:,} call{'' if raw.amount == 1 else 's'} {period}".replace("a hour", "an hour")


def _day(day: datetime.date) -> str:
    return f"{day.day} {day:%B %Y}"


def origin_of(hosts: tuple[str, ...]) -> str:
    """The gateway's public origin, with the Api's own host if it has one that is not a pattern."""
    parts = urlsplit(settings.TIDEGATE_PUBLIC_URL)
    host = next((host for host in hosts if "*" not in host and _HOST.fullmatch(host)), "")
    if not host:
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
