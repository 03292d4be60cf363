"""The database as the node agent's Source. One thread uses it, and may wait for the database."""

from __future__ import annotations

from django.db import connections

from proxy.agent.source import Unusable
from proxy.config.apply import Refused
from proxy.config.publish import compile_revision
from proxy.config.snapshot import Snapshot
from proxy.identity.store import IdentityStore
from proxy.identity.sync import IdentitySync
from proxy.models import Revision


class DatabaseSource:
    """The Source that Django's database is."""

    def __init__(self, identities: IdentityStore) -> None:
        self._identities = IdentitySync(identities)

    def newest(self) -> tuple[int, str]:
        """See Source."""
        return Revision.objects.order_by("-number").values_list("number", "digest").first() or (0, "")

    def snapshot(self, number: int) -> Snapshot:
        """See Source."""
        try:
            return compile_revision(Revision.objects.get(number=number))
        except Refused as refused:
            raise Unusable("; ".join(map(str, refused.problems))) from None

    def sync_identities(self) -> None:
        """See Source."""
        self._identities.run_once()

    def forget(self) -> None:
        """See Source."""
        connections.close_all()
