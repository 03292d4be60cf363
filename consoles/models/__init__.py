"""Models of the people plane: who may do what in the console, and what they did."""

from consoles.models.api_token import ApiToken
from consoles.models.audit_entry import AuditEntry
from consoles.models.membership import Membership, Role
from consoles.models.saved_view import SavedView

__all__ = ["ApiToken", "AuditEntry", "Membership", "Role", "SavedView"]
