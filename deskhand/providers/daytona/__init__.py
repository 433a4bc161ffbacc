"""Hosted sandboxes of Daytona (daytona.io), over its HTTP API, with nothing of the vendor's to install."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.providers.daytona.computer import DaytonaComputer
    from deskhand.providers.daytona.provider import DaytonaProvider

__all__ = ["DaytonaComputer", "DaytonaProvider"]

_HOMES = {
    "DaytonaComputer": "deskhand.providers.daytona.computer",
    "DaytonaProvider": "deskhand.providers.daytona.provider",
}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
