"""All addresses of the Admin API, below `/api/v1/`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter

from consoles.api.analytics import AnalyticsSet
from consoles.api.apis import ApiSet
from consoles.api.apps import AppSet
from consoles.api.audit_entries import AuditEntrySet
from consoles.api.certificates import CertificateSet
from consoles.api.developers import DeveloperSet
from consoles.api.draft import DraftSet
from consoles.api.errors import not_found
from consoles.api.gateway import GatewaySet
from consoles.api.keys import KeySet
from consoles.api.match import MatchSet
from consoles.api.members import MemberSet
from consoles.api.plans import PlanSet
from consoles.api.policies import PolicySet
from consoles.api.policy_kinds import PolicyKindSet
from consoles.api.revisions import RevisionSet
from consoles.api.routes import RouteSet
from consoles.api.schema_view import SchemaView
from consoles.api.subscriptions import SubscriptionSet
from consoles.api.targets import TargetSet
from consoles.api.tokens import TokenSet
from consoles.api.traffic import TrafficSet
from consoles.api.upstreams import UpstreamSet

app_name = "api"
router = SimpleRouter(trailing_slash=False, use_regex_path=False)
for _prefix, _view, _name in (
    ("apis", ApiSet, "api"),
    ("routes", RouteSet, "route"),
    ("upstreams", UpstreamSet, "upstream"),
    ("upstreams/<int:upstream_pk>/targets", TargetSet, "target"),
    ("policies", PolicySet, "policy"),
    ("policy-kinds", PolicyKindSet, "policy-kind"),
    ("plans", PlanSet, "plan"),
    ("apps", AppSet, "app"),
    ("keys", KeySet, "key"),
    ("subscriptions", SubscriptionSet, "subscription"),
    ("developers", DeveloperSet, "developer"),
    ("certificates", CertificateSet, "certificate"),
    ("revisions", RevisionSet, "revision"),
    ("audit", AuditEntrySet, "audit"),
    ("tokens", TokenSet, "token"),
    ("members", MemberSet, "member"),
):
    router.register(_prefix, _view, basename=_name)

_gateway = GatewaySet.as_view({"get": "retrieve", "put": "update", "patch": "partial_update"})
urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("gateway", _gateway, name="gateway"),
    path("draft/validate", DraftSet.as_view({"get": "validate"}), name="draft-validate"),
    path("draft/diff", DraftSet.as_view({"get": "diff"}), name="draft-diff"),
    path("draft/publish", DraftSet.as_view({"post": "publish"}), name="draft-publish"),
    path("match", MatchSet.as_view({"post": "match"}), name="match"),
    *(
        path(f"analytics/{name}", AnalyticsSet.as_view({"get": name}), name=f"analytics-{name}")
        for name in AnalyticsSet.needs
    ),
    path("traffic", TrafficSet.as_view({"get": "log"}), name="traffic"),
    path("traffic/<int:pk>", TrafficSet.as_view({"get": "show"}), name="traffic-record"),
    path("schema", SchemaView.as_view(), name="schema"),
    path("<path:path>", not_found, name="not-found"),
]
