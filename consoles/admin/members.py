"""Members of the console: who may sign in, and as what. For owners."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import UsernameField
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse

from consoles import access, audit
from consoles.models import Membership, Role
from consoles.models.membership import ROLE_MEANING
from consoles.ui.cells import Badge
from consoles.ui.changing import REFUSED, CreatePage
from consoles.ui.family import Action, Family
from consoles.ui.forms import Group, ObjectForm
from consoles.ui.listing import Column, Filter
from consoles.ui.pages import Page
from consoles.ui.panels import Facts

User = get_user_model()
_ROLE_HELP = "; ".join(f"{role.label} {meaning}" for role, meaning in ROLE_MEANING.items()) + "."


class MemberForm(ObjectForm):
    """Role, and whether the account may sign in."""

    active = forms.BooleanField(label="May sign in", required=False)

    class Meta:
        model = Membership
        fields = ("role",)
        help_texts: ClassVar = {"role": _ROLE_HELP}

    groups = (Group("", ("role", "active")),)

    def extra_fields(self) -> dict[str, forms.Field]:
        """The account's own field."""
        self.initial["active"] = self.instance.user.is_active if self.instance.pk else True
        return {}

    def clean(self) -> dict[str, Any]:
        """Somebody must be left who can manage members."""
        cleaned = super().clean()
        stays = cleaned.get("role") == Role.OWNER and cleaned.get("active")
        if not stays and access.is_last_owner(self.instance):
            raise ValidationError("This is the last owner. Make somebody else an owner first.")
        return cleaned

    def save(self, commit: bool = True) -> Any:
        """Membership and account."""
        row = super().save(commit)
        row.user.is_active = self.cleaned_data["active"]
        row.user.save(update_fields=["is_active"])
        return row


class NewMemberForm(ObjectForm):
    """Name and role of somebody new; the password is generated."""

    username = UsernameField(
        label="Name", max_length=150, validators=[User.username_validator], help_text="To sign in with."
    )
    email = forms.EmailField(label="E-mail", required=False)

    class Meta:
        model = Membership
        fields = ("role",)
        help_texts: ClassVar = {"role": _ROLE_HELP}

    groups = (Group("", ("username", "email", "role")),)
    lead = "A password is generated and shown to you once; the member can change it after signing in."

    def clean_username(self) -> str:
        """Not that of another account, in whatever case."""
        name = str(self.cleaned_data["username"])
        if User.objects.filter(username__iexact=name).exists():
            raise ValidationError("There is an account of this name already.")
        return name


class AddMember(CreatePage):
    """Somebody new."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Make account and membership, and show the password."""
        form = NewMemberForm(request.POST)
        if form.is_valid():
            data = form.cleaned_data
            try:
                with transaction.atomic():
                    made = access.add_member(data["username"], Role(data["role"]), data["email"])
            except IntegrityError:
                form.add_error("username", "There is an account of this name already.")
            else:
                audit.record(
                    request, audit.Action.CREATE, made.membership, after=audit.state_of(made.membership)
                )
                return shown_once(self, made.membership, made.password)
        return self.show(form, self._title(), self.family.url("list"), REFUSED)


class ResetPassword(Page):
    """A new password for somebody who lost theirs."""

    roles: ClassVar = {"POST": Role.OWNER}

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Generate and show it; the member's sessions end."""
        with transaction.atomic():
            row = get_object_or_404(Membership.objects.select_related("user"), pk=pk)
            password = access.new_password(row)
            audit.record(request, audit.Action.PASSWORD, row.user)
        return shown_once(self, row, password)


def shown_once(page: Page, row: Membership, password: str) -> HttpResponse:
    """The page with the password; it cannot be had again."""
    context = {
        "title": f"Password of {row}",
        "row": row,
        "password": password,
        "back": reverse("console:members-detail", args=[row.pk]),
    }
    return page.render("admin/password_shown.html", context)


def state(row: Membership) -> Badge:
    """Whether they may sign in."""
    return Badge("active", "green") if row.user.is_active else Badge("may not sign in", "red")


class Members(Family):
    """All members."""

    model = Membership
    path, noun, plural = "members", "member", "Members"
    icon, section, place = "users-group", "Settings", 20
    summary = "Members may use this console. " + _ROLE_HELP
    draft = False
    read = write = Role.OWNER
    related = ("user",)
    search = ("user__username", "user__email")
    order = ("user__username",)
    pages: ClassVar = {"create": AddMember}
    columns = (
        Column("user", "Name", str, link=True, sort="user__username"),
        Column("role", "Role", lambda row: row.get_role_display(), sort="role"),
        Column("state", "State", state),
        Column("last", "Last signed in", lambda row: row.user.last_login, sort="user__last_login", wide=True),
    )
    filters = (Filter("role", "Role", [(str(value), label) for value, label in Role.choices]),)
    panels = (
        Facts(
            "Member",
            lambda row: (
                ("Role", f"{row.get_role_display()}: {ROLE_MEANING[Role(row.role)]}"),
                ("State", state(row)),
                ("E-mail", row.user.email),
                ("Last signed in", row.user.last_login),
                ("Password", "generated, not changed yet" if row.temporary_password else "their own"),
            ),
            wide=True,
        ),
    )

    def form_class(self, row: Membership | None, data: Any) -> type[ObjectForm]:
        """New members need a name."""
        return MemberForm if row else NewMemberForm

    def badges(self, row: Membership) -> list[Badge]:
        """Their role."""
        return [Badge(row.get_role_display(), "blue")]

    def actions(self, row: Membership) -> list[Action]:
        """For who lost the password."""
        url = reverse("console:members-password", args=[row.pk])
        return [Action("New password", url, "lock", Role.OWNER, post={})]

    def impact(self, row: Membership) -> list[str]:
        """What is left."""
        return ["The account stays, without a role here.", "What they did stays in the audit."]

    def kept(self, row: Membership) -> str:
        """The last owner stays."""
        last = not access.owners().exclude(pk=row.pk).exists()
        return "This is the last owner. Make somebody else an owner first." if last else ""

    def extra_urls(self) -> list[URLPattern]:
        """New passwords."""
        return [path("members/<int:pk>/password/", ResetPassword.as_view(), name="members-password")]
