"""Sandboxes of E2B (e2b.dev), over its HTTP API, with nothing of the vendor's to install."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.providers.e2b.computer import E2BComputer
    from deskhand.providers.e2b.provider import E2BProvider

__all__ = ["E2BComputer", "E2BProvider"]

_HOMES = {"E2BComputer": "deskhand.providers.e2b.computer", "E2BProvider": "deskhand.providers.e2b.provider"}


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
