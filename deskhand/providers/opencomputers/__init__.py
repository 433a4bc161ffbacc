"""Machines of one's own that are registered at MIOSA (OpenComputers), over its HTTP API; nothing to install here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.providers.opencomputers.computer import OpenComputersComputer
    from deskhand.providers.opencomputers.jobs import HostJob
    from deskhand.providers.opencomputers.provider import OpenComputersProvider

__all__ = ["HostJob", "OpenComputersComputer", "OpenComputersProvider"]

_HOMES = {
    "HostJob": "deskhand.providers.opencomputers.jobs",
    "OpenComputersComputer": "deskhand.providers.opencomputers.computer",
    "OpenComputersProvider": "deskhand.providers.opencomputers.provider",
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
