"""The desktop of a local computer: window manager, panel and settings under which frames come to rest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

__all__ = ["DESKTOP_ENVIRONMENT", "DESKTOP_PROGRAMS", "PANEL", "write_desktop_files"]

PANEL = "tint2"

DESKTOP_PROGRAMS: tuple[tuple[str, ...], ...] = (("openbox", "--startup", PANEL),)
"""What to start with `DESKTOP_ENVIRONMENT` once the display is there.

The window manager starts the panel: one that comes up before it sleeps for a second.
"""

DESKTOP_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "LANG": "C.UTF-8",
        "GDK_BACKEND": "x11",
        "QT_QPA_PLATFORM": "xcb",
        # Input methods would stand between a typed character and the application.
        "GTK_IM_MODULE": "gtk-im-context-simple",
        "QT_IM_MODULE": "simple",
        "XMODIFIERS": "@im=none",
        # There is no session bus: nothing may wait for one.
        "NO_AT_BRIDGE": "1",
        "GSETTINGS_BACKEND": "memory",
        "GTK_OVERLAY_SCROLLING": "0",
    }
)
"""Environment variables for everything that runs on the desktop, besides ``DISPLAY`` and ``XAUTHORITY``."""

_FILES = Path(__file__).with_name("desktop_files")
_DOT = "dot_"


def write_desktop_files(home: Path) -> None:
    """Write the settings of window manager, panel, toolkits and applications into a home folder."""
    for source in _FILES.rglob("*"):
        if source.is_file():
            parts = [f".{part.removeprefix(_DOT)}" if part.startswith(_DOT) else part for part in _relative(source)]
            target = home.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _relative(path: Path) -> tuple[str, ...]:
    return path.relative_to(_FILES).parts
