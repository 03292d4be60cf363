"""The digest of a Revision is that of its Snapshot wherever it is read, be it from PostgreSQL or SQLite."""

import pytest

from proxy.config import document as d
from proxy.config.apply import write_draft
from proxy.config.publish import compile_revision, publish
from proxy.config.store import snapshot_digest
from proxy.models import Revision

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def test_a_stored_revision_has_the_digest_that_it_was_published_with():
    limits = [{"period": "minute", "every": 2, "amount": 5}, {"amount": 100, "period": "hour"}]
    policy = d.Policy("rate-limit", config={"limits": limits, "by": "ip"})
    redirect = d.Redirect(301, path="/new")
    routes = (d.Route("old", methods=("PUT", "GET"), hosts=("b.example", "a.example"), redirect=redirect),)
    write_draft(d.canonical(d.Document(apis=(d.Api("shop", routes=routes),), policies=(policy,))))
    revision = publish().revision
    stored = Revision.objects.get(pk=revision.pk)
    assert snapshot_digest(compile_revision(stored)) == revision.digest == stored.digest
    again = publish().revision
    assert again.number == 2 and again.digest == revision.digest
