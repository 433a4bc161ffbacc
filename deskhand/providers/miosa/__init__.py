"""Cloud computers and sandboxes of MIOSA (miosa.ai), over its HTTP API, with nothing of the vendor's to install."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deskhand.providers.miosa.computer import MiosaComputer
    from deskhand.providers.miosa.provider import MiosaKind, MiosaProvider
    from deskhand.providers.miosa.sandbox import MiosaSandbox

__all__ = ["MiosaComputer", "MiosaKind", "MiosaProvider", "MiosaSandbox"]

_HOMES = {
    "MiosaComputer": "deskhand.providers.miosa.computer",
    "MiosaKind": "deskhand.providers.miosa.provider",
    "MiosaProvider": "deskhand.providers.miosa.provider",
    "MiosaSandbox": "deskhand.providers.miosa.sandbox",
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
