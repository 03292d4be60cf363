"""Lists as files: the same rows as the page, nothing that a spreadsheet would compute, no secrets."""

import asyncio
import csv
import io

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.urls import reverse

from consoles.models import AuditEntry
from consoles.ui import download
from consoles.ui.download import csv_chunks, file_response
from consoles.ui.plain import harmless
from consoles.ui.registry import families
from proxy.models import Api, Certificate, Credential
from tests.consoles.people import browser
from tests.consoles.world import make_world
from tests.proxy.config.pem import make_pair


def read(answer):
    """Heads and rows of a file that came."""
    assert answer.streaming and answer["Content-Disposition"].startswith("attachment")
    text = answer.getvalue().decode("utf-8-sig")
    heads, *rows = csv.reader(io.StringIO(text))
    return heads, rows


@pytest.mark.django_db
def test_the_file_holds_what_the_page_lists_and_in_its_order():
    Api.objects.bulk_create(
        Api(slug=f"a{n:03}", lifecycle="draft" if n % 2 else "published") for n in range(70)
    )
    client, query = browser("vera"), {"lifecycle": "draft", "sort": "-slug"}
    page = client.get(reverse("console:apis-list"), query)
    heads, rows = read(client.get(reverse("console:apis-download"), query))
    assert len(rows) == page.context["part"].paginator.count == 35
    assert rows[0][heads.index("Name")] == "a069" and rows[-1][heads.index("Name")] == "a001"


@pytest.mark.django_db
def test_chosen_columns_are_those_of_page_and_file():
    world = make_world()
    client, query = browser("vera"), {"column": ["lifecycle", "slug", "nonsense"]}
    assert [
        head.column.name for head in client.get(reverse("console:apis-list"), query).context["heads"]
    ] == [
        "slug",
        "lifecycle",
    ]
    file = read(client.get(reverse("console:apis-download"), query))
    assert file == (["Name", "State"], [["shop", world["apis"].lifecycle]])


@pytest.mark.django_db
def test_every_list_is_a_file_and_none_holds_a_secret():
    world = make_world()
    chain, key = make_pair("shop.example.test")
    Certificate.objects.create(name="shop", chain=chain, key=key)
    digest = bytes(Credential.objects.get(pk=world["keys"].pk).digest).hex()
    for family in families().values():
        if "list" in family.pages:
            continue
        answer = browser().get(family.url("download"))
        text = answer.getvalue().decode()
        assert answer.status_code == 200, family.path
        assert "PRIVATE KEY" not in text and digest not in text and "pbkdf2" not in text


@pytest.mark.django_db
def test_the_audit_as_a_file_holds_both_values():
    api, client = make_world()["apis"], browser("vera")
    change = {"field": "title", "before": "Shop", "after": "=HYPERLINK(1)"}
    AuditEntry.objects.create(actor_name="eddie", action="update", kind="api", changes=[change])
    Api.objects.filter(pk=api.pk).update(title="=HYPERLINK(1)")
    heads, rows = read(client.get(reverse("console:audit-download"), {"actor": "eddie"}))
    assert rows[0][heads.index("Changes")] == "title: Shop → =HYPERLINK(1)"
    heads, rows = read(client.get(reverse("console:apis-download")))
    assert rows[0][heads.index("Title")] == "'=HYPERLINK(1)"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_what_a_spreadsheet_would_compute_is_text(text):
    assert harmless(text) == f"'{text}"
    assert harmless(f"a{text}") == f"a{text}"


def test_a_file_that_is_cut_says_so():
    lines = "".join(csv_chunks(["n"], iter(range(11)), lambda n: [n], 10)).splitlines()
    assert lines[-2] == "9" and "this file ends after 10 rows" in lines[-1]
    assert "".join(csv_chunks(["n"], iter(range(10)), lambda n: [n], 10)).splitlines()[-1] == "9"


def test_under_daphne_the_file_is_streamed_piece_by_piece():
    taken = []

    def rows():
        for number in range(download.CHUNK * 3):
            taken.append(number)
            yield number

    async def first():
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        request = ASGIRequest(scope, io.BytesIO())
        answer = file_response(request, csv_chunks(["n"], rows(), lambda n: [n], 10_000), "numbers", "csv")
        assert answer.is_async
        return await anext(aiter(answer))

    assert asyncio.run(first()).decode("utf-8-sig").startswith("n\r\n0\r\n")
    assert len(taken) == download.CHUNK
