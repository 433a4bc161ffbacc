"""The computer of this machine: a desktop of its own in a sandbox, without anything to install but system packages."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.providers.local.computer import LocalComputer
    from deskhand.providers.local.provider import LocalProvider

__all__ = ["LocalComputer", "LocalProvider"]

_HOMES = {"LocalComputer": "deskhand.providers.local.computer", "LocalProvider": "deskhand.providers.local.provider"}


def __getattr__(name: str) -> object:
    """Import a public name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
