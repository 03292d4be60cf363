"""The database as the node agent's source: Revisions that this node cannot run."""

from pathlib import Path

import pytest

from proxy.agent.database import DatabaseSource
from proxy.agent.source import Unusable
from proxy.config import document as d
from proxy.config.apply import write_draft
from proxy.config.publish import publish
from proxy.config.store import SnapshotStore
from proxy.identity.store import IdentityStore
from proxy.models import Revision
from proxy.node import NodeDir
from tests.proxy.config.pem import make_pair

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def source(tmp_path):
    store = IdentityStore(tmp_path / "identity", pepper=b"\x01" * 32, writable=True)
    yield DatabaseSource(store)
    store.close()


def test_private_keys_are_opened_for_the_nodes_own_file_alone(tmp_path: Path, source: DatabaseSource) -> None:
    chain, key = make_pair("shop.example.com")
    write_draft(d.Document(certificates=(d.Certificate("shop", chain, key),)))
    number = publish().revision.number
    node = NodeDir(tmp_path / "node")
    path = SnapshotStore(node).write(source.snapshot(number))
    assert key.splitlines()[1].encode() in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0 == path.parent.stat().st_mode & 0o077


def test_what_cannot_be_opened_or_read_is_unusable_and_says_why(settings, source: DatabaseSource) -> None:
    write_draft(d.Document(certificates=(d.Certificate("shop", *make_pair("shop.example.com")),)))
    number = publish().revision.number
    settings.SECRET_KEY = "another-one-than-it-was-published-with"
    with pytest.raises(Unusable, match="certificate shop: key: was sealed with another SECRET_KEY"):
        source.snapshot(number)
    Revision.objects.update(document='{"apis": 5}')
    with pytest.raises(Unusable, match="cannot be read by this version"):
        source.snapshot(number)
