"""The OpenAPI document: what drf-spectacular cannot see by itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from consoles.api.auth import Need

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string"},
                    "object": {"type": "string"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
                "required": ["message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
    "example": {
        "type": "urn:tidegate:problem:invalid",
        "title": "Bad Request",
        "status": 400,
        "detail": "What was sent is not valid; errors says what and why.",
        "errors": [{"field": "base_path", "message": "must not end with '/'", "code": "invalid"}],
    },
}
_REASONS = {
    "400": "Not valid.",
    "401": "No token or session, or one that is no good.",
    "403": "Not allowed.",
    "404": "Not there.",
    "409": "Does not go together with what is there.",
    "412": "Changed meanwhile.",
    "413": "Too large.",
    "415": "Not JSON.",
    "422": "The configuration is refused.",
    "428": "If-Match is missing.",
    "429": "Too often.",
    "503": "The database is busy.",
}


class BearerScheme(OpenApiAuthenticationExtension):
    """Tokens."""

    target_class = "consoles.api.auth.Bearer"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """RFC 6750."""
        return {"type": "http", "scheme": "bearer", "description": "A token of the Admin API, `tga_...`."}


class SessionScheme(OpenApiAuthenticationExtension):
    """The console's session."""

    target_class = "consoles.api.auth.Session"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """The cookie; changes need `X-CSRFToken`."""
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


class Schema(AutoSchema):
    """Adds tags, who may, conditions and problems."""

    def get_tags(self) -> list[str]:
        """The resource's."""
        return [getattr(self.view, "tag", "") or "Schema"]

    def get_description(self) -> str:
        """With the role and scope that it takes."""
        text = super().get_description() or ""
        need: Need | None = getattr(self.view, "needs", {}).get(getattr(self.view, "action", None))
        if need is None:
            return text
        scope = f"scope `{need.scope}`" if need.scope else "a session; tokens cannot"
        return f"{text}\n\nNeeds the role {need.role.label} and {scope}."

    def get_operation(self, *args: Any, **options: Any) -> dict[str, Any] | None:
        """The operation with its headers and problems."""
        operation: dict[str, Any] | None = super().get_operation(*args, **options)
        if operation is None:
            return None
        action = getattr(self.view, "action", "")
        if action in getattr(self.view, "conditional", ()):
            operation.setdefault("parameters", []).append(_IF_MATCH)
        if action == "destroy":
            operation["parameters"].append(_CASCADE)
        problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for status, reason in _REASONS.items():
            operation["responses"].setdefault(status, {"description": reason, "content": problem})
        for status, response in operation["responses"].items():
            if status in ("200", "201") and action in _TAGGED:
                response.setdefault("headers", {})["ETag"] = {"schema": {"type": "string"}}
        return operation


_TAGGED = {"retrieve", "create", "update", "partial_update", "roll", "revoke", "approve", "reject"}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "The ETag of the object as it was read.",
    "schema": {"type": "string"},
    "example": '"3"',
}
_CASCADE = {
    "name": "cascade",
    "in": "query",
    "description": "Also delete what would go with it.",
    "schema": {"type": "boolean", "default": False},
}


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: the problem that all operations refer to, and that unknown fields are refused."""
    schemas = result["components"]["schemas"]
    for name, schema in schemas.items():
        if name.endswith("Request"):
            schema["additionalProperties"] = False
    schemas["Problem"] = PROBLEM
    return result
