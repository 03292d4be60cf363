"""The base of every page: who may see it, how it is rendered, what happens when somebody may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, render, resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import View

from consoles import access
from consoles.models import Role
from consoles.ui.family import Family
from consoles.ui.menu import menu_for
from consoles.ui.unpublished import unpublished_changes


class Page(View):
    """A page of the console. `roles` says for each method the least role; other methods are refused."""

    roles: ClassVar[Mapping[str, Role]] = {"GET": Role.VIEWER}
    template: ClassVar[str] = ""

    def needed(self) -> Mapping[str, Role]:
        """`roles`, for pages where they hang on what the page is of."""
        return self.roles

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Refuse who is not signed in, then wrong methods, then roles that do not reach."""
        if access.membership_of(request.user) is None:
            return self._not_a_member(request)
        needed = self.needed()
        method = "GET" if request.method == "HEAD" else request.method
        if method not in needed:
            return HttpResponseNotAllowed([*needed, *(["HEAD"] if "GET" in needed else [])])
        try:
            access.require(request.user, needed[str(method)])
            response = super().dispatch(request, *args, **kwargs)
        except access.Denied as denied:
            return self.denied(denied)
        response.headers.setdefault("Cache-Control", "no-store")
        patch_vary_headers(response, ["HX-Request"])
        return response

    def _not_a_member(self, request: HttpRequest) -> HttpResponseBase:
        if request.user.is_authenticated:
            return render(request, "ui/no_member.html", status=403)
        if request.headers.get("HX-Request"):
            return HttpResponse(status=401, headers={"HX-Redirect": resolve_url(settings.LOGIN_URL)})
        return redirect_to_login(request.get_full_path())

    def denied(self, denied: access.Denied) -> HttpResponse:
        """The page that says which role it takes."""
        return self.render("ui/denied.html", {"needed": denied.needed, "title": "Not allowed"}, status=403)

    def render(self, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
        """A template with what the layout needs."""
        return render(self.request, template, {**layout(self.request), **context}, status=status)

    def answer(self, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
        """The page's own template."""
        return self.render(self.template, context, status)

    @property
    def wants_part(self) -> str:
        """The id of the element that htmx asks to fill, empty for a whole page."""
        return self.request.headers.get("HX-Target", "") if self.request.headers.get("HX-Request") else ""


class FamilyPage(Page):
    """A page of a family."""

    family: Family = None  # type: ignore[assignment] - `as_view(family=...)` gives it

    def needed(self) -> Mapping[str, Role]:
        """By default for reading only."""
        return {"GET": self.family.read}

    def row(self, pk: int) -> Any:
        """The object, or 404."""
        return get_object_or_404(self.family.rows(), pk=pk)


def local(request: HttpRequest, url: str) -> str:
    """The URL if it is a path of this site, else nothing; `redirect` takes a bare word for the name of a view."""
    allowed = url_has_allowed_host_and_scheme(url, {request.get_host()}, request.is_secure())
    return url if allowed and url.startswith("/") else ""


def layout(request: HttpRequest) -> dict[str, Any]:
    """What the layout shows on every page."""
    menu = menu_for(request.user, request.path)
    return {
        "menu": menu,
        "jumps": [item for _, items in menu for item in items if item.key],
        "membership": access.membership_of(request.user),
        "role": access.role_of(request.user),
        "unpublished": unpublished_changes(),
        "may_edit": access.may(request.user, Role.EDITOR),
        "may_publish": access.may(request.user, Role.PUBLISHER),
    }
