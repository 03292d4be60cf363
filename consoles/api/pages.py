"""Pages of lists, with caps."""

from __future__ import annotations

from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request

PAGING = frozenset({"page", "page_size"})
DEFAULT_SIZE, MAX_SIZE = 50, 200


class Pages(PageNumberPagination):
    """`page` counts from 1; `page_size` is 50 unless asked for, 200 at most."""

    page_size = DEFAULT_SIZE
    max_page_size = MAX_SIZE
    page_size_query_param = "page_size"
    page_size_query_description = f"Results per page, from 1 to {MAX_SIZE}."

    def get_page_size(self, request: Request) -> int:
        """Raises ValidationError for anything but a number from 1 to the cap."""
        text = request.query_params.get("page_size")
        if text is None:
            return DEFAULT_SIZE
        if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= MAX_SIZE:
            reason = ErrorDetail(f"Must be a number from 1 to {MAX_SIZE}.", code="invalid")
            raise ValidationError({"page_size": [reason]})
        return int(text)
