"""Saved views: keep a list's filters, order and columns under a name; rename, share, delete."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import path

from consoles.access import may
from consoles.models import Role, SavedView
from consoles.ui.changing import REFUSED
from consoles.ui.pages import Page
from consoles.ui.saved import MOST_OF_ONE, SavedPage, saved_page

MAX_QUERY = 2000


class ViewForm(forms.ModelForm):  # type: ignore[type-arg]
    """Name, and who is offered it."""

    class Meta:
        model = SavedView
        fields = ("name", "shared")
        labels: ClassVar = {"shared": "Offer it to every member"}
        help_texts: ClassVar = {"shared": ""}
        widgets: ClassVar = {
            "name": forms.TextInput({"class": "form-control", "autocomplete": "off"}),
            "shared": forms.CheckboxInput({"class": "form-check-input"}),
        }

    def clean_name(self) -> str:
        """One member has a name on one page once."""
        name = str(self.cleaned_data["name"]).replace("\0", "").strip()
        others = SavedView.objects.filter(owner=self.instance.owner, page=self.instance.page, name=name)
        if others.exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError("You have another view of this name here.")
        return name


def page_for(user: Any, name: str) -> SavedPage:
    """The page, if this account may see it; 404 otherwise."""
    page = saved_page(name)
    if page is None or not may(user, page.role):
        raise Http404
    return page


class SaveView(Page):
    """Keeps a list as it is; a name that one has here already is given to it."""

    roles: ClassVar = {"POST": Role.VIEWER}

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Back to the list."""
        page = page_for(request.user, request.POST.get("page", ""))
        query = page.normal(QueryDict(request.POST.get("query", "")[:MAX_QUERY]))[:MAX_QUERY]
        name = request.POST.get("name", "").replace("\0", "").strip()[:60]
        mine = SavedView.objects.filter(owner=request.user)
        old = mine.filter(page=page.name, name=name).first()
        if not name:
            messages.warning(request, "Give the view a name.")
        elif old is None and mine.count() >= MOST_OF_ONE:
            messages.warning(request, f"You have {MOST_OF_ONE} views, which is the most. Delete one first.")
        else:
            row = old or SavedView(owner=request.user, page=page.name, name=name)
            row.query, row.shared = query, "shared" in request.POST
            row.save()
            messages.success(request, f"View “{name}” is {'changed' if old else 'saved'}.")
        return redirect(page.address(query))


class EditView(Page):
    """One's own view; those of others are not there."""

    roles: ClassVar = {"GET": Role.VIEWER, "POST": Role.VIEWER}
    template = "ui/saved_edit.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Name and sharing."""
        row = self._own(pk)
        return self._show(row, ViewForm(instance=row))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Store or delete it."""
        row = self._own(pk)
        page = page_for(request.user, row.page)
        if request.POST.get("do") == "delete":
            messages.success(request, f"View “{row}” is deleted.")
            row.delete()
            return redirect(page.address(""))
        form = ViewForm(request.POST, instance=row)
        if not form.is_valid():
            return self._show(row, form, REFUSED)
        form.save()
        messages.success(request, f"View “{row}” is saved.")
        return redirect(page.address(row.query))

    def _own(self, pk: int) -> SavedView:
        return get_object_or_404(SavedView, pk=pk, owner=self.request.user)

    def _show(self, row: SavedView, form: ViewForm, status: int = 200) -> HttpResponse:
        page = page_for(self.request.user, row.page)
        context = {"title": "Saved view", "form": form, "page": page, "back": page.address(row.query)}
        return self.answer(context, status)


urlpatterns = [
    path("views/save/", SaveView.as_view(), name="views-save"),
    path("views/<int:pk>/", EditView.as_view(), name="views-edit"),
]
