"""No page of console or portal asks the database too often or weighs too much, however much there is.

How long they take is measured by `benchmarks/sections/pages.py`.
"""

from __future__ import annotations

import functools
import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.cache import cache
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from benchmarks.installation import browsers, fill, pages
from tests.consoles.people import browser
from tests.consoles.world import make_world

QUERIES = 30
BYTES = 110_000
"""Pages may have 150 kB: what comes near that is to be looked at before it does."""
OVERVIEW_QUERIES = 22
SIZE = {"days": 30, "routes": 2000, "apps": 5000, "keys": 20_000, "active": 10, "records": 5000}
"""As big as the pages must bear, with fewer callers in each hour: making the rest takes minutes."""
_ASSET = re.compile(r'(?:src|href)="/static/([^"?#]+)[^"]*"')
_FROM_CSS = re.compile(r"url\(\s*['\"]?(?!data:)([^'\")?#]+)")
_LOADED = re.compile(r'hx-get="([^"]+)"[^>]*hx-trigger="load')


@pytest.fixture
def installation(transactional_db: None) -> Iterator[None]:
    """The big one; gone afterwards."""
    with transaction.atomic():
        fill(**SIZE)
        yield
        transaction.set_rollback(True)


@functools.cache
def asset_bytes(name: str) -> int:
    """Of a static file, compressed, with what it asks for itself."""
    path = finders.find(name)
    assert isinstance(path, str), name
    data, ready = Path(path).read_bytes(), Path(f"{path}.gz")
    size = ready.stat().st_size if ready.exists() else len(gzip.compress(data, 6))
    if name.endswith(".css"):
        folder = name.rpartition("/")[0]
        size += sum(asset_bytes(f"{folder}/{found}") for found in set(_FROM_CSS.findall(data.decode())))
    return size


def weight(client: Any, html: str) -> int:
    """Of a page: its HTML, its assets, each once, and what it loads by itself at once."""
    parts = [html, *(client.get(url).content.decode() for url in _LOADED.findall(html))]
    assets = {name for part in parts for name in _ASSET.findall(part)}
    return sum(len(gzip.compress(part.encode(), 6)) for part in parts) + sum(map(asset_bytes, assets))


@pytest.mark.timeout(600)
def test_every_page_stays_within_its_budget(installation: None) -> None:
    clients = browsers()
    seen, over = 0, []
    for site, name, url in pages():
        client = clients[site]
        with CaptureQueriesContext(connection) as asked:
            answer = client.get(url)
        queries = len(asked)  # now: the next request clears what was asked
        if answer.status_code in (302, 405):
            continue
        assert answer.status_code == 200, (name, answer.status_code)
        seen += 1
        size = weight(client, answer.content.decode()) if "html" in answer["Content-Type"] else 0
        if queries > QUERIES or size > BYTES:
            over.append(f"{site} {name}: {queries} queries, {size} bytes")
    assert not over, "\n".join(over)
    assert seen > 80


@pytest.mark.django_db
def test_the_overview_asks_little_also_when_nothing_is_kept_yet() -> None:
    make_world()
    cache.clear()
    client = browser()
    with CaptureQueriesContext(connection) as asked:
        assert client.get(reverse("console:overview")).status_code == 200
    assert len(asked) <= OVERVIEW_QUERIES
