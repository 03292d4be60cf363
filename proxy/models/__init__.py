"""All models: the configuration that admins edit, and the identities that call."""

from proxy.models.api import Api
from proxy.models.app import App
from proxy.models.certificate import Certificate
from proxy.models.credential import Credential
from proxy.models.developer import Developer
from proxy.models.gateway import Gateway
from proxy.models.plan import Plan
from proxy.models.policy import Policy
from proxy.models.revision import Revision
from proxy.models.route import Route
from proxy.models.subscription import Subscription
from proxy.models.sync import IdentityRemoval, IdentityVersion
from proxy.models.upstream import Target, Upstream

__all__ = [
    "Api",
    "App",
    "Certificate",
    "Credential",
    "Developer",
    "Gateway",
    "IdentityRemoval",
    "IdentityVersion",
    "Plan",
    "Policy",
    "Revision",
    "Route",
    "Subscription",
    "Target",
    "Upstream",
]
