"""The page of one Api: what it is, its reference with a try-it form for each operation, and the Plans that
are sold on it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from consoles.portal.live import PublicApi, catalogue
from consoles.portal.openapi import Reference, Unreadable, read
from consoles.portal.pages import PortalPage
from consoles.ui.headers import CONTENT_SECURITY_POLICY


class ApiPage(PortalPage):
    """For everybody; who is signed in sees their Subscriptions to it."""

    public = True
    template = "portal/api.html"

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """The page. Its scripts may call the gateway as well."""
        found = catalogue()
        api = api_of(slug)
        reference, problem = _reference(api)
        context = {
            "title": api.title,
            "api": api,
            "plans": list(found.plans_of(slug).values()),
            "reference": reference,
            "problem": problem,
            "mine": self._mine(slug),
        }
        response = self.answer(context)
        response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.replace(
            "connect-src 'self'", f"connect-src 'self' {api.origin}"
        )
        return response

    def _mine(self, slug: str) -> list[object]:
        if self.developer is None:
            return []
        return list(self.subscriptions().filter(api__slug=slug).exclude(status__in=("closed", "rejected")))


class Document(PortalPage):
    """The OpenAPI document as it was written, to be saved."""

    public = True

    def get(self, request: HttpRequest, slug: str) -> HttpResponse:
        """As an attachment."""
        api = api_of(slug)
        if not api.openapi:
            raise Http404
        json = api.openapi.lstrip().startswith("{")
        kind, ending = ("application/json", "json") if json else ("application/yaml", "yaml")
        answer = HttpResponse(api.openapi, content_type=f"{kind}; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{api.slug}.{ending}"'
        return answer


def api_of(slug: str) -> PublicApi:
    """A public Api, or 404: others are not there."""
    api = catalogue().apis.get(slug)
    if api is None:
        raise Http404
    return api


def _reference(api: PublicApi) -> tuple[Reference | None, str]:
    if not api.openapi.strip():
        return None, ""
    try:
        return read(api.openapi), ""
    except Unreadable as error:
        return None, str(error)


urlpatterns = [
    path("apis/<str:slug>/", ApiPage.as_view(), name="api"),
    path("apis/<str:slug>/openapi/", Document.as_view(), name="openapi"),
]
