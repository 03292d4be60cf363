"""Membership: an account that may use the admin console, and as what."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Role(models.IntegerChoices):
    """Each role may do all that the ones before it may."""

    VIEWER = 1, "Viewer"
    EDITOR = 2, "Editor"
    PUBLISHER = 3, "Publisher"
    OWNER = 4, "Owner"


ROLE_MEANING = {
    Role.VIEWER: "sees everything, changes nothing",
    Role.EDITOR: "edits the draft, Apps, keys and Subscriptions",
    Role.PUBLISHER: "publishes the draft and rolls back",
    Role.OWNER: "manages members",
}


class Membership(models.Model):
    """One account's place in the console. An account without one is no member, whatever else it is."""

    class Theme(models.TextChoices):
        """How the console looks to this member."""

        SYSTEM = "system", "As the system"
        LIGHT = "light", "Light"
        DARK = "dark", "Dark"

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="membership")
    role = models.PositiveSmallIntegerField(choices=Role.choices, default=Role.VIEWER)
    theme = models.CharField(max_length=8, choices=Theme.choices, default=Theme.SYSTEM)
    shortcuts = models.BooleanField(default=True, editable=False)
    """Whether single keys do something (WCAG 2.2, 2.1.4)."""
    temporary_password = models.BooleanField(default=True, editable=False)
    """The password was generated and has not been changed since."""
    first_run_done = models.BooleanField(default=False, editable=False)
    """The first steps are not to be shown any more after signing in."""

    class Meta:
        ordering = ["user__username"]

    def __str__(self) -> str:
        return str(self.user)
