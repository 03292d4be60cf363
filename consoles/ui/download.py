"""Lists as files: the rows that the page would show, all of them, written while they are read."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone

from consoles.ui.list_query import read
from consoles.ui.pages import FamilyPage
from consoles.ui.plain import harmless

MAX_ROWS = 50_000
CHUNK = 500
"""Rows that are read from the database, and sent, at once."""
BYTE_ORDER_MARK = "\ufeff"
"""Spreadsheets take the file for UTF-8 by it."""


class DownloadPage(FamilyPage):
    """The list as CSV, with its filters and order; all columns unless some are chosen."""

    def get(self, request: HttpRequest) -> HttpResponseBase:
        """The file."""
        asked = read(self.family, request.GET)
        columns = asked.state.columns_of(self.family) if asked.state.columns else list(self.family.columns)
        heads = [column.label for column in columns]
        rows = taken(asked.rows(), MAX_ROWS)
        chunks = csv_chunks(heads, rows, lambda row: [column.of(row) for column in columns], MAX_ROWS)
        return file_response(request, chunks, self.family.path, "csv")


def taken(rows: QuerySet[Any], most: int) -> Iterator[Any]:
    """The first `most` rows and one more, from which the writer sees that there are more."""
    return rows[: most + 1].iterator(chunk_size=CHUNK)


def csv_chunks(
    heads: Sequence[str], rows: Iterable[Any], cells: Callable[[Any], Iterable[Any]], most: int
) -> Iterator[str]:
    """The file piece by piece; its last line says so if there was more than `most`."""
    buffer = io.StringIO(BYTE_ORDER_MARK)
    buffer.seek(0, io.SEEK_END)
    writer = csv.writer(buffer)
    writer.writerow(heads)
    found = iter(rows)
    for number in itertools.count(1):
        row = next(found, None)
        if row is None:
            break
        if number > most:
            writer.writerow([cut_note(most)])
            break
        writer.writerow([harmless(value) for value in cells(row)])
        if number % CHUNK == 0:
            yield _emptied(buffer)
    yield _emptied(buffer)


def cut_note(most: int) -> str:
    """What a file says that does not hold everything."""
    return f"There is more: this file ends after {most:,} rows. Narrow the filters to get the rest."


def _emptied(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def file_response(request: HttpRequest, chunks: Iterator[str], name: str, kind: str) -> StreamingHttpResponse:
    """An answer that browsers save as a file; `kind` is `csv` or `json`."""
    # Under ASGI only an asynchronous iterator is streamed; a plain one would be read to its end first.
    content = _in_thread(chunks) if isinstance(request, ASGIRequest) else chunks
    types = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
    stamp = timezone.now().strftime("%Y%m%d-%H%M%S")
    headers = {"Content-Disposition": f'attachment; filename="tidegate-{name}-{stamp}.{kind}"'}
    return StreamingHttpResponse(content, content_type=types[kind], headers=headers)


async def _in_thread(chunks: Iterator[str]) -> AsyncIterator[str]:
    following = sync_to_async(next)
    while (chunk := await following(chunks, None)) is not None:
        yield chunk
