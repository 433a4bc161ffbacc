"""Linux desktops behind a cua-computer-server, by its address or from an account at Cua, with nothing to install."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.providers.cua.computer import CuaComputer
    from deskhand.providers.cua.provider import CuaProvider

__all__ = ["CuaComputer", "CuaProvider"]

_HOMES = {"CuaComputer": "deskhand.providers.cua.computer", "CuaProvider": "deskhand.providers.cua.provider"}


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
