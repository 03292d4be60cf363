"""Changes, and how rows come to lie in the file."""

from proxy.identity.model import AppEntry, CredentialEntry
from proxy.identity.writer import Changes
from tests.proxy.identity.stores import issue, opened


def test_changes_count_and_add_up():
    changes = Changes(removed_apps=["1"])
    changes.extend(Changes(apps=[AppEntry("2", "two")], removed_credentials=[b"x" * 16]))
    changes.extend(Changes(credentials=[(b"y" * 16, CredentialEntry("1", "2"))]))
    assert len(changes) == 4
    assert len(Changes()) == 0


def test_in_one_commit_removals_come_first(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        digest = store.digest(b"alice-key")
        again = (digest, CredentialEntry("again", "1"))
        store.apply(Changes(removed_credentials=[digest], credentials=[again]))
        assert store.lookup(b"alice-key").credential_id == "again"


def test_rows_in_order_of_digest_take_a_quarter_less(tmp_path):
    sizes = []
    for order in (sorted, lambda rows: sorted(rows, key=lambda row: int(row[1].id) % 97)):
        root = tmp_path / str(len(sizes))
        root.mkdir()
        with opened(root) as store:
            rows = [(store.digest(b"key-%06d" % n), CredentialEntry(str(n), "1")) for n in range(60_000)]
            store.replace_all([], order(rows), version=1, origin="here")
            assert store.counts()[0] == 60_000
            sizes.append(store._writer.environment.info()["last_pgno"])
    assert sizes[0] < 0.8 * sizes[1]


def test_a_digest_named_twice_is_no_error(tmp_path):
    with opened(tmp_path) as store:
        digest = store.digest(b"alice-key")
        store.apply(
            Changes(credentials=[(digest, CredentialEntry("1", "1")), (digest, CredentialEntry("2", "1"))])
        )
        assert store.counts()[0] == 1


def test_a_file_of_another_format_is_made_anew(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key", version=3)
        with store._writer.environment.begin(write=True) as transaction:
            transaction.put(b"format", b"0", db=store._writer.meta)
    with opened(tmp_path) as store:
        assert (store.version(), store.counts()) == (0, (0, 0))
