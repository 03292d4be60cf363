"""Private keys at rest: in the draft, in Revisions, after a change of SECRET_KEY, and without it."""

import pytest
from django.db import connection

from proxy.config import declarative
from proxy.config import document as d
from proxy.config.apply import Refused, write_draft
from proxy.config.publish import (
    PublishRefused,
    check_draft,
    compile_revision,
    live_revision,
    publish,
    rollback,
)
from proxy.config.sealed import reseal
from proxy.config.store import snapshot_digest
from proxy.models import Certificate, Revision
from tests.proxy.config.pem import make_pair

pytestmark = [pytest.mark.django_db, pytest.mark.database]
OTHER = "quite-another-secret-of-this-installation"


@pytest.fixture
def pair():
    """A published certificate: chain and key."""
    chain, key = make_pair("shop.example.com")
    write_draft(d.Document(certificates=(d.Certificate("shop", chain, key),)))
    publish()
    return chain, key


def stored():
    """Certificates and Revisions as the database holds them, past all models."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM proxy_certificate")
        rows = cursor.fetchall()
        cursor.execute("SELECT * FROM proxy_revision")
        return repr([*rows, *cursor.fetchall()])


def secret_lines(key):
    return key.splitlines()[1:-1]


def change_secret(settings, *, keep):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY] if keep else []
    settings.SECRET_KEY = OTHER


def test_the_database_holds_no_private_key(pair):
    _, key = pair
    text = stored()
    assert "PRIVATE KEY" not in text and not any(line in text for line in secret_lines(key))
    assert text.count("sealed:1:") == 2
    assert compile_revision(live_revision()).certificates[0].key == key == Certificate.objects.get().key


def test_equal_keys_are_equal_however_they_are_sealed(pair):
    chain, key = pair
    first = live_revision()
    assert check_draft().changes == []
    Certificate.objects.get().save()
    assert check_draft().changes == []
    second = publish()
    assert second.changes == [] and second.revision.digest == first.digest
    assert second.revision.document != first.document
    write_draft(d.Document(certificates=(d.Certificate("shop", chain, key),)))
    assert Certificate.objects.get().edition == 1


def test_an_old_revision_is_published_again(pair):
    _, key = pair
    other = make_pair("shop.example.com")
    write_draft(d.Document(certificates=(d.Certificate("shop", *other),)))
    changes = publish().changes
    assert [str(change).splitlines()[-1] for change in changes] == ["    key: replaced"]
    rollback(1)
    assert Certificate.objects.get().key == key
    assert compile_revision(live_revision()).certificates[0].key == key
    assert live_revision().digest == Revision.objects.get(number=1).digest


def test_after_a_change_of_secret_all_goes_on_and_can_be_sealed_anew(pair, settings):
    _, key = pair
    digest = live_revision().digest
    change_secret(settings, keep=True)
    assert compile_revision(live_revision()).certificates[0].key == key and check_draft().changes == []
    assert tuple(reseal()) == (2, 0, [])
    assert tuple(reseal()) == (0, 2, [])
    settings.SECRET_KEY_FALLBACKS = []
    snapshot = compile_revision(live_revision())
    assert snapshot.certificates[0].key == key == Certificate.objects.get().key
    assert snapshot_digest(snapshot) == live_revision().digest == digest
    assert Certificate.objects.get().edition == 0 and "PRIVATE" not in stored()


def test_without_the_secret_there_is_one_error_that_names_the_certificate(pair, settings):
    change_secret(settings, keep=False)
    sealed = Revision.objects.get().document.partition("sealed:1:")[2][:20]
    attempts = (
        publish,
        lambda: rollback(1),
        lambda: compile_revision(live_revision()),
        lambda: declarative.export(with_secrets=True),
        lambda: declarative.apply(declarative.export()),
    )
    for attempt in attempts:
        with pytest.raises(Refused) as caught:
            attempt()
        (problem,) = caught.value.problems
        assert (problem.object, problem.field) == ("certificate shop", "key")
        assert "another SECRET_KEY" in problem.reason and sealed not in str(problem)
    found = reseal()
    assert found[:2] == (0, 0)
    assert [row.object for row in found.lost] == ["certificate shop", "certificate shop of revision 1"]
    assert "(unchanged)" in declarative.export()


def test_who_lost_the_secret_gives_the_key_again(pair, settings):
    chain, key = pair
    change_secret(settings, keep=False)
    write_draft(d.Document(certificates=(d.Certificate("shop", chain, key),)))
    assert [str(change) for change in publish().changes] == ["~ certificate shop\n    key: replaced"]
    assert compile_revision(live_revision()).certificates[0].key == key
    with pytest.raises(PublishRefused):
        compile_revision(Revision.objects.get(number=1))


def test_a_sealed_text_is_no_private_key_for_who_gives_it(pair):
    chain, _ = pair
    sealed = Certificate.objects.values_list("key", flat=True).get()
    text = f"format: 1\ncertificates:\n  - name: copy\n    chain: {chain!r}\n    key: {str(sealed)!r}\n"
    (problem,) = declarative.read(text.replace("'", '"')).problems
    assert (problem.object, problem.field) == ("certificate copy", "key")
