"""The consoles: admin console, developer portal, admin API."""

from django.apps import AppConfig


class ConsolesConfig(AppConfig):
    """The people plane."""

    name = "consoles"
    default_auto_field = "django.db.models.BigAutoField"
