"""The traffic log as a file: the rows that its filters leave, as CSV or JSON. Neither holds keys or headers."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import path

from analytics import traffic_log
from analytics.models import RawRecord
from analytics.questions import EVERYTHING, state_name
from consoles.admin.traffic_asked import read
from consoles.ui.download import CHUNK, MAX_ROWS, csv_chunks, cut_note, file_response
from consoles.ui.pages import Page

LEFT_OUT = {"id", "time", "state", "credential"}
FIELDS = [field.name for field in RawRecord._meta.concrete_fields if field.name not in LEFT_OUT]
HEADS = ["time", "state", *FIELDS]


def records(filters: traffic_log.LogFilters, most: int = MAX_ROWS) -> Iterator[RawRecord]:
    """Page by page as the log shows them, newest first; one more than `most` if there are more."""
    after, left = None, most + 1
    while left > 0:
        page = traffic_log.page(EVERYTHING, filters, after, min(CHUNK, left))
        yield from page.records
        left -= len(page.records)
        after = page.next
        if after is None:
            return


def plain(row: RawRecord) -> dict[str, Any]:
    """One record with its time as text (UTC) and its state by name."""
    at = datetime.datetime.fromtimestamp(row.time, datetime.UTC)
    found = {"time": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z", "state": state_name(row.state)}
    return found | {name: getattr(row, name) for name in FIELDS}


def json_chunks(rows: Iterator[RawRecord], most: int = MAX_ROWS) -> Iterator[str]:
    """One object: `records`, whether they are all there are, and a note if not."""
    yield '{"records": ['
    for number, row in enumerate(rows):
        if number == most:
            yield f'\n], "complete": false, "note": {json.dumps(cut_note(most))}}}\n'
            return
        yield f"{',' if number else ''}\n{json.dumps(plain(row))}"
    yield '\n], "complete": true}\n'


class TrafficDownload(Page):
    """What the log shows, all pages of it, up to `MAX_ROWS`."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """CSV unless `as=json`."""
        rows = records(read(request.GET).filters())
        if request.GET.get("as") == "json":
            return file_response(request, json_chunks(rows), "traffic", "json")
        chunks = csv_chunks(HEADS, rows, lambda row: plain(row).values(), MAX_ROWS)
        return file_response(request, chunks, "traffic", "csv")


urlpatterns = [path("traffic/download/", TrafficDownload.as_view(), name="traffic-download")]
