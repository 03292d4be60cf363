"""A text column that is sealed in the database and plain in the program."""

from __future__ import annotations

import functools
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from proxy.config.seal import Seals, WrongSeal


class Sealed(str):
    """A text as it is stored. What people give is never one, so that they cannot pass off a sealed text."""

    __slots__ = ()


class SealedAttribute(DeferredAttribute):
    """Opens what was read from the database when it is asked for, and not before: lists go without it.

    With the wrong secret the value stays `Sealed`, and every check of it says so.
    """

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if instance is None or not isinstance(value, Sealed):
            return value
        try:
            opened = instance.__dict__[self.field.attname] = seals().open(value)
        except WrongSeal:
            return value
        return opened

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class SealedTextField(models.TextField):  # type: ignore[type-arg]
    """Sealed with SECRET_KEY on the way in; SECRET_KEY_FALLBACKS open it on the way out as well."""

    descriptor_class = SealedAttribute

    def from_db_value(self, value: str | None, *_: object) -> str | None:
        """As stored."""
        return value if value is None else Sealed(value)

    def get_prep_value(self, value: Any) -> Any:
        """Sealed, unless it is stored so already."""
        if isinstance(value, Sealed):
            return str(value)
        prepared = super().get_prep_value(value)
        return prepared if prepared is None else seals().seal(prepared)


def seals() -> Seals:
    """Those of this installation's secrets."""
    return _seals(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)


@functools.lru_cache(maxsize=8)
def _seals(*secret_keys: str) -> Seals:
    return Seals(secret_keys)
