"""The database as readers open it."""

import lmdb
import pytest

from proxy.identity.database import VERSION, IdentityDatabase, IdentityUnavailable
from tests.proxy.identity.stores import SHOP, issue, opened


def test_a_reader_finds_credential_and_app(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key", version=5)
        digest = store.digest(b"alice-key")
    database = IdentityDatabase(tmp_path / "identity")
    credential, app = database.find(digest)
    assert (credential.id, app) == ("c-alice-key", SHOP)
    assert database.find(b"x" * 16) == (None, None)
    assert database.note(VERSION) == b"5" and database.counts() == (1, 1)
    database.close()


def test_a_reader_makes_nothing(tmp_path):
    with pytest.raises(lmdb.Error):
        IdentityDatabase(tmp_path / "identity")
    assert not (tmp_path / "identity" / "data.mdb").exists()


def test_a_file_put_in_its_place_is_noticed(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
    database = IdentityDatabase(tmp_path / "identity")
    assert not database.replaced
    file = tmp_path / "identity" / "data.mdb"
    file.rename(tmp_path / "before")
    assert database.replaced
    file.write_bytes((tmp_path / "before").read_bytes())
    assert database.replaced
    database.close()


def test_an_entry_that_cannot_be_read_is_an_error_not_a_stranger(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        writer = store._writer
        with writer.environment.begin(write=True) as transaction:
            transaction.put(store.digest(b"alice-key"), b"\xc1", db=writer.credentials[writer.side])
        with pytest.raises(IdentityUnavailable) as caught:
            store.lookup(b"alice-key")
        assert "alice" not in str(caught.value)
