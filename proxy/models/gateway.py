"""Gateway: the settings of the gateway as a whole."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import models
from django.db.models import Q

from proxy.config import document
from proxy.config.validate import check_gateway
from proxy.models.base import Editable


class Gateway(Editable):
    """The one row of gateway-wide settings. Publishing and applying lock it, so they never interleave."""

    limits = models.JSONField(default=dict, blank=True)
    trusted_proxies = models.JSONField(default=list, blank=True)
    forwarded_header = models.CharField(
        max_length=20,
        default="x-forwarded",
        choices=[("x-forwarded", "X-Forwarded-*"), ("forwarded", "Forwarded (RFC 7239)")],
    )

    class Meta:
        verbose_name_plural = "gateway"
        constraints = [models.CheckConstraint(condition=Q(id=1), name="proxy_gateway_single")]

    def __str__(self) -> str:
        return "gateway"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """There is only this one."""
        self.pk = 1
        super().save(*args, **kwargs)

    shared = ("limits", "trusted_proxies", "forwarded_header")

    def clean(self) -> None:
        """Check the fields as a document would be checked."""
        self.check_as(document.Gateway, check_gateway)

    @classmethod
    def load(cls) -> Gateway:
        """The settings, made with defaults if there are none yet."""
        return cls.objects.get_or_create(pk=1)[0]

    @classmethod
    def lock(cls) -> Gateway:
        """The settings, held until the end of the transaction against every other publish or apply."""
        cls.objects.get_or_create(pk=1)
        return cls.objects.select_for_update().get(pk=1)

    def as_document(self) -> document.Gateway:
        """The settings as a document holds them."""
        return msgspec.convert(self.plain(), document.Gateway)
