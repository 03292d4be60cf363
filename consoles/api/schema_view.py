"""Where the OpenAPI document is read."""

from __future__ import annotations

from drf_spectacular.views import SpectacularJSONAPIView

from consoles.api.auth import READ, Need


class SchemaView(SpectacularJSONAPIView):
    """The document, for members."""

    action = "schema"

    def need(self) -> Need:
        """As everything that is read."""
        return READ
