"""Hosted Linux desktops of Orgo (orgo.ai), over its HTTP API, with nothing of the vendor's to install."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.providers.orgo.computer import OrgoComputer
    from deskhand.providers.orgo.provider import OrgoProvider

__all__ = ["OrgoComputer", "OrgoProvider"]

_HOMES = {"OrgoComputer": "deskhand.providers.orgo.computer", "OrgoProvider": "deskhand.providers.orgo.provider"}


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
