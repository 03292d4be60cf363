"""The gateway: configuration, identity and the data plane."""

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """Models of the configuration and of identity; the data plane itself needs no Django."""

    name = "proxy"
