"""The base of every page of the portal: who may see it, and how it is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

from django.contrib.auth.views import redirect_to_login
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views import View

from consoles.models import Membership
from proxy.models import App, Credential, Developer, Subscription

THEME = "portal_theme"
REFUSED = 422


class PortalPage(View):
    """A page for developers. Only `public` ones are for everybody; `methods` are all that it takes.

    Objects are had from `apps`, `keys` and `subscriptions` alone, which hold the reader's own: whatever id
    is in an address, what belongs to somebody else is not there.
    """

    methods: ClassVar[tuple[str, ...]] = ("GET",)
    public: ClassVar[bool] = False
    template: ClassVar[str] = ""
    developer: Developer | None = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Refuse who is not signed in, then wrong methods; then the page."""
        self.developer = developer_of(request.user)
        if self.developer is None and not self.public:
            return redirect_to_login(request.get_full_path(), reverse("portal:sign-in"))
        method = "GET" if request.method == "HEAD" else request.method
        if method not in self.methods:
            return HttpResponseNotAllowed([*self.methods, *(["HEAD"] if "GET" in self.methods else [])])
        try:
            response = super().dispatch(request, *args, **kwargs)
        except Http404:
            response = self.render("portal/not_found.html", {"title": "There is nothing here"}, 404)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @property
    def me(self) -> Developer:
        """Who reads a page that is not public."""
        if self.developer is None:
            raise Http404
        return self.developer

    def apps(self) -> QuerySet[App]:
        """The reader's own."""
        rows: QuerySet[App] = App.objects.filter(developer=self.me)
        return rows

    def app(self, pk: int) -> App:
        """One of the reader's own, or 404."""
        return get_object_or_404(self.apps(), pk=pk)

    def keys(self) -> QuerySet[Credential]:
        """Those of the reader's Apps."""
        rows: QuerySet[Credential] = Credential.objects.filter(app__developer=self.me, kind="key")
        return rows.select_related("app")

    def subscriptions(self) -> QuerySet[Subscription]:
        """Those of the reader's Apps."""
        rows: QuerySet[Subscription] = Subscription.objects.filter(app__developer=self.me)
        return rows.select_related("app", "api", "plan")

    def render(self, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
        """A template with what the layout needs."""
        theme = self.request.session.get(THEME, Membership.Theme.SYSTEM)
        layout = {
            "developer": self.developer,
            "membership": SimpleNamespace(theme=theme),
            "section": self.request.path.removeprefix(reverse("portal:catalogue")).partition("/")[0],
        }
        return render(self.request, template, {**layout, **context}, status=status)

    def answer(self, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
        """The page's own template."""
        return self.render(self.template, context, status)


def developer_of(user: Any) -> Developer | None:
    """The Developer behind an account; None for those who are suspended, too."""
    if not user.is_authenticated or not user.is_active:
        return None
    return Developer.objects.filter(user=user, active=True).first()
