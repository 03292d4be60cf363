"""The identity store, as one process and as several see it."""

import stat

import pytest

from proxy.identity import keys
from proxy.identity import store as module
from proxy.identity.database import IdentityUnavailable
from proxy.identity.model import AppEntry, CredentialEntry, Identity
from proxy.identity.store import MAX_KNOWN, MAX_REFUSED, IdentityStore
from proxy.identity.writer import Changes
from proxy.node import IDENTITY, SharedState
from tests.proxy.identity.stores import PEPPER, SHOP, Clock, issue, opened, reading


def test_a_key_leads_to_the_app_behind_it(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        assert store.lookup(b"alice-key") == Identity(
            "c-alice-key", "1", "shop", ("gold",), {"products": "basic"}, 0.0
        )
        assert store.lookup(b"alice-kez") is None
        assert store.why(b"alice-key") == "ok" and store.why(b"alice-kez") == "unknown"
        assert store.app("1") == SHOP and store.app("2") is None


def test_a_mistyped_key_is_refused_before_any_look_up(tmp_path):
    with opened(tmp_path) as store:
        key = keys.generate()
        issue(store, key)
        typo = key[:-1] + ("0" if key[-1] != "0" else "1")
        assert store.lookup(typo.encode()) is None
        assert store.why(typo.encode()) == "unknown"
        assert (store.hits, store.misses) == (0, 0)
        assert store.lookup(key.encode()) is not None


def test_an_expired_key_is_refused_also_from_memory(tmp_path):
    clock = Clock()
    with opened(tmp_path, now=clock) as store:
        issue(store, "alice-key", expires=1010.0)
        assert store.lookup(b"alice-key") is not None
        clock.now = 1009.9
        assert store.lookup(b"alice-key") is not None
        clock.now = 1010.0
        assert store.lookup(b"alice-key") is None
        assert store.why(b"alice-key") == "expired"


def test_an_app_that_is_not_active_is_suspended(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        assert store.lookup(b"alice-key") is not None
        store.apply(Changes(apps=[AppEntry("1", "shop", active=False)]))
        assert store.lookup(b"alice-key") is None
        assert store.why(b"alice-key") == "suspended"


def test_without_its_app_or_of_another_kind_a_credential_is_no_key(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        issue(store, "basic-secret", kind="basic")
        assert store.lookup(b"basic-secret") is None
        store.apply(Changes(removed_apps=["1"]))
        assert store.why(b"alice-key") == "unknown"


def test_a_key_hashed_under_another_pepper_is_unknown(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
    other = IdentityStore(tmp_path / "identity", pepper=b"\x01" * 32)
    assert other.lookup(b"alice-key") is None
    other.close()


def test_hits_and_misses_are_counted_and_a_change_clears_the_memory(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key", "bobby-key")
        for _ in range(3):
            store.lookup(b"alice-key")
            store.lookup(b"no-such-key")
        assert (store.hits, store.misses) == (4, 2)
        clears = store.clears
        store.apply(Changes(removed_credentials=[store.digest(b"alice-key")]))
        assert store.lookup(b"alice-key") is None
        assert store.clears == clears + 1


def test_a_commit_that_changes_nothing_disturbs_nobody(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key", version=1)
        store.lookup(b"alice-key")
        clears = store.clears
        store.apply(Changes(), 2)
        store.lookup(b"alice-key")
        assert (store.version(), store.clears) == (2, clears)


def test_a_flood_of_made_up_keys_pushes_no_good_one_out(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        store.lookup(b"alice-key")
        for number in range(3 * MAX_REFUSED):
            assert store.lookup(b"made-up-%d" % number) is None
        misses = store.misses
        assert store.lookup(b"alice-key") is not None
        assert store.misses == misses
        assert len(store._refused) <= MAX_REFUSED


def test_what_is_remembered_has_a_bound(tmp_path):
    with opened(tmp_path) as store:
        names = [f"key-number-{number}" for number in range(MAX_KNOWN + 10)]
        issue(store, *names)
        for name in names:
            assert store.lookup(name.encode()) is not None
        assert len(store._known) == 10


def test_another_process_sees_an_issued_and_a_revoked_key_at_once(tmp_path):
    with opened(tmp_path) as store, reading(tmp_path) as reader:
        assert reader.ask("find alice-key") == "-"
        issue(store, "alice-key")
        assert reader.ask("find alice-key") == "shop"
        assert reader.ask("find alice-key") == "shop"
        store.apply(Changes(removed_credentials=[store.digest(b"alice-key")]))
        assert reader.ask("why alice-key") == "unknown"
        assert reader.ask("clears") == "2"


def test_a_reader_may_come_before_the_writer(tmp_path):
    with reading(tmp_path) as reader:
        assert reader.ask("find alice-key") == "-"
        with opened(tmp_path) as store:
            issue(store, "alice-key")
            assert reader.ask("find alice-key") == "shop"


def test_a_reader_that_nobody_asks_holds_no_pages_back_once_it_has_followed(tmp_path):
    with opened(tmp_path) as store, reading(tmp_path) as reader:
        issue(store, "alice-key")
        assert reader.ask("find alice-key") == "shop"
        environment = store._writer.environment
        for round_ in range(3):
            pages = environment.info()["last_pgno"]
            for number in range(100):
                issue(store, f"key-number-{number % 3}")
                assert reader.ask("follow") == "followed"
            if round_:
                assert environment.info()["last_pgno"] <= pages
        assert reader.ask("find alice-key") == "shop"


def test_a_reader_killed_in_the_middle_of_a_look_up_holds_nothing(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        with reading(tmp_path) as reader:
            assert reader.ask("hold").startswith("holding")
            environment = store._writer.environment
            assert len(environment.readers().splitlines()) > 1
            issue(store, "bobby-key")
            reader.end()
            issue(store, "carol-key")
        pids = [line.split()[0] for line in environment.readers().splitlines()[1:]]
        assert str(reader.process.pid) not in pids
        assert environment.reader_check() == 0
        pages = environment.info()["last_pgno"]
        for number in range(200):
            issue(store, f"key-number-{number % 3}")
        assert environment.info()["last_pgno"] < pages + 40


def test_the_map_grows_under_writer_and_readers(tmp_path):
    with opened(tmp_path, map_size=1 << 16) as store, reading(tmp_path) as reader:
        assert reader.ask("find key-number-1") == "-"
        names = [f"key-number-{number}" for number in range(20_000)]
        issue(store, *names)
        assert store._writer.environment.info()["map_size"] > 1 << 20
        assert store.counts() == (20_000, 1)
        for name in ("key-number-0", "key-number-19999"):
            assert store.lookup(name.encode()) is not None
            assert reader.ask(f"find {name}") == "shop"


def test_everything_is_replaced_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("proxy.identity.writer.BATCH", 100)
    with opened(tmp_path, map_size=1 << 16) as store, reading(tmp_path) as reader:
        issue(store, "alice-key", version=7)

        def rows():
            for number in range(5000):
                if number % 1000 == 500:
                    assert reader.ask("find alice-key") == "shop"
                    assert reader.ask("find key-number-1") == "-"
                yield store.digest(b"key-number-%d" % number), CredentialEntry(str(number), "2")

        assert store.replace_all([AppEntry("2", "fresh")], rows(), version=3, origin="here") == 5001
        assert (store.version(), store.origin(), store.counts()) == (3, "here", (5000, 1))
        assert reader.ask("find alice-key") == "-"
        assert reader.ask("find key-number-4999") == "fresh"


def test_a_replacement_that_breaks_off_leaves_all_as_it_was(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key", version=7)

        def rows():
            yield store.digest(b"other-key"), CredentialEntry("9", "1")
            raise ConnectionError("the database is gone")

        with pytest.raises(ConnectionError):
            store.replace_all([], rows(), version=9, origin="here")
        assert (store.version(), store.origin()) == (7, "")
        assert store.lookup(b"alice-key") is not None and store.lookup(b"other-key") is None
        good = (store.digest(b"other-key"), CredentialEntry("9", "1"))
        store.replace_all([SHOP], [good], version=9, origin="here")
        assert store.counts() == (1, 1)


def test_all_is_kept_over_a_restart_and_a_lost_state_file_is_made_good(tmp_path):
    with opened(tmp_path) as store:
        store.replace_all(
            [SHOP], [(store.digest(b"alice-key"), CredentialEntry("1", "1"))], version=4, origin="here"
        )
    (tmp_path / "state").unlink()
    with opened(tmp_path) as store:
        assert store.version() == 4 and store.lookup(b"alice-key") is not None
        state = SharedState(tmp_path / "state")
        assert state.numbers[IDENTITY] > 0
        state.close()


def test_files_are_for_their_owner_only(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        for file in (tmp_path / "identity").iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_key_is_in_the_files(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key-in-clear")
    assert b"in-clear" in (tmp_path / "identity" / "data.mdb").read_bytes(), "the id of the test's row"
    assert b"alice-key-in-clear" not in (tmp_path / "identity" / "data.mdb").read_bytes().replace(
        b"c-alice-key-in-clear", b""
    )


def test_a_broken_file_is_replaced_by_the_writer_and_followed_by_readers(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
    file = tmp_path / "identity" / "data.mdb"
    file.write_bytes(b"\x00" * len(file.read_bytes()))
    with reading(tmp_path) as reader, opened(tmp_path) as store:
        assert store.version() == 0
        issue(store, "bobby-key")
        assert reader.ask("find bobby-key") == "shop"
        assert reader.ask("find alice-key") == "-"


def test_a_file_that_cannot_be_read_identifies_nobody(tmp_path):
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "data.mdb").write_bytes(b"\xff" * 8192)
    store = IdentityStore(tmp_path / "identity", pepper=PEPPER)
    with pytest.raises(IdentityUnavailable):
        store.lookup(b"alice-key")
    store.close()


def test_a_reader_cannot_write(tmp_path):
    store = IdentityStore(tmp_path / "identity", pepper=PEPPER)
    with pytest.raises(IdentityUnavailable):
        store.apply(Changes(removed_apps=["1"]))
    store.close()


def test_the_store_shows_neither_keys_nor_pepper(tmp_path):
    with opened(tmp_path) as store:
        issue(store, "alice-key")
        store.lookup(b"alice-key")
        assert "alice" not in repr(store) and "pepper" not in repr(store)
    assert module.MAP_BYTES >= 1 << 26
