"""Certificates: chains and keys that the gateway serves TLS with."""

from __future__ import annotations

import datetime
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.utils import timezone

from consoles.ui.cells import Badge, Snippet
from consoles.ui.family import Family
from consoles.ui.forms import Group, ObjectForm
from consoles.ui.listing import Column, Filter
from consoles.ui.panels import Facts
from proxy.models import Certificate

WARN_DAYS = 30


class CertificateForm(ObjectForm):
    """Chain and key in PEM; a stored key is never shown."""

    secret_fields = frozenset({"key"})

    class Meta:
        model = Certificate
        fields = ("name", "chain", "key")
        labels = {"chain": "Certificate chain", "key": "Private key"}
        help_texts = {
            "name": "What you call it.",
            "chain": "PEM: the server's certificate first, then those that signed it.",
            "key": "PEM, without a passphrase. It is stored and never shown again.",
        }
        widgets: ClassVar = {
            "chain": forms.Textarea({"rows": 8, "class": "mono", "spellcheck": "false"}),
            "key": forms.Textarea({"rows": 8, "class": "mono", "spellcheck": "false", "autocomplete": "off"}),
        }

    groups = (Group("", ("name", "chain", "key")),)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self.fields["key"].required = False
            self.fields["key"].help_text = "Leave it empty to keep the stored one, which is never shown."

    def clean_key(self) -> str:
        """Empty keeps what is stored."""
        given = str(self.cleaned_data.get("key") or "")
        return given or str(self.instance.key)


def days_left(row: Certificate) -> int | None:
    """Whole days until it expires; negative once it has."""
    return (row.expires_at - timezone.now()).days if row.expires_at else None


def expiry(row: Certificate) -> Badge:
    """How long it is good."""
    days = days_left(row)
    if days is None:
        return Badge("unknown")
    if days < 0:
        return Badge("expired", "red")
    return Badge(f"{days} days left", "red" if days < 7 else "yellow" if days < WARN_DAYS else "green")


def _expiring(rows: QuerySet[Any], value: str) -> QuerySet[Any]:
    now = timezone.now()
    if value == "expired":
        return rows.filter(expires_at__lt=now)
    return rows.filter(expires_at__gte=now, expires_at__lt=now + datetime.timedelta(days=WARN_DAYS))


class Certificates(Family):
    """All certificates."""

    model = Certificate
    path, noun, plural = "certificates", "certificate", "Certificates"
    icon, section, place = "certificate", "Gateway", 60
    summary = (
        "A certificate lets the gateway serve TLS for its names; clients get the one whose name they ask for."
    )
    document_kind = "certificate"
    search = ("name",)
    order = ("name",)
    form = CertificateForm
    columns = (
        Column("name", "Name", link=True, sort="name"),
        Column("names", "Serves", lambda row: row.names),
        Column("left", "State", expiry, sort="expires_at"),
        Column("expires_at", "Expires", sort="expires_at", wide=True),
    )
    filters = (
        Filter(
            "expires",
            "Expiry",
            (("soon", f"within {WARN_DAYS} days"), ("expired", "expired")),
            apply=_expiring,
        ),
    )
    panels = (
        Facts(
            "Certificate",
            lambda row: (
                ("Serves", row.names),
                ("State", expiry(row)),
                ("Expires", row.expires_at),
                ("Chain", Snippet(row.chain.strip())),
                ("Private key", "stored, never shown"),
            ),
            wide=True,
        ),
    )

    def badges(self, row: Certificate) -> list[Badge]:
        """How long it is good."""
        return [expiry(row)]
