"""SavedView: the filters, order and columns of a list under a name."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone


class SavedView(models.Model):
    """What one member wants to come back to; shared, every member who may see the list is offered it.

    `page` is the path of a page family (`routes`) or `traffic`; `query` is the list's own address, as the list
    itself writes it.
    """

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_views", editable=False
    )
    page = models.CharField(max_length=50, editable=False)
    name = models.CharField(max_length=60)
    query = models.TextField(blank=True, max_length=2000, editable=False)
    shared = models.BooleanField(default=False, help_text="Every member is offered it.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name", "id"]
        indexes = [models.Index(fields=["page", "owner"], name="consoles_view_page")]
        constraints = [
            models.UniqueConstraint(fields=["owner", "page", "name"], name="consoles_view_name"),
        ]

    def __str__(self) -> str:
        return self.name
