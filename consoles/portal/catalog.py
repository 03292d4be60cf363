"""The catalogue: all public Apis, for everybody."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path

from consoles.portal.live import catalogue
from consoles.portal.pages import PortalPage

MAX_SEARCH = 200
MAX_SHOWN = 200


class Catalogue(PortalPage):
    """Cards with search."""

    public = True
    template = "portal/catalogue.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page; htmx asks for the cards alone."""
        text = request.GET.get("q", "").strip()[:MAX_SEARCH]
        apis = list(catalogue().apis.values())
        found = [api for api in apis if api.matches(text)]
        context = {
            "title": "Apis",
            "text": text,
            "total": len(apis),
            "found": len(found),
            "apis": found[:MAX_SHOWN],
        }
        if request.headers.get("HX-Request"):
            return self.render("portal/catalogue_cards.html", context)
        return self.answer(context)


urlpatterns = [path("", Catalogue.as_view(), name="catalogue")]
