"""Analytics: traffic records into rollups, reports and alerts."""

from django.apps import AppConfig


class AnalyticsConfig(AppConfig):
    """What the traffic did."""

    name = "analytics"
