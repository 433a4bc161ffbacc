"""What a spec and the vendor's options make of a request for a sandbox."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from deskhand.errors import InvalidInputError
from deskhand.providers.contract import ComputerSpec, Screen
from deskhand.providers.creation import unique_name
from deskhand.providers.e2b.api import NAME, NAMED
from deskhand.providers.e2b.desktop import DISPLAY
from deskhand.providers.options import check_option

__all__ = ["DEFAULT_TTL", "creation_body", "restoration_body", "seconds_of", "snapshot_name"]

DEFAULT_TTL: Final = 3600.0
"""Seconds after which a sandbox ends where nobody says otherwise: what every plan allows."""
TEMPLATE: Final = "desktop"

_OPTIONS: Final = {"allow_internet_access": "allow_internet_access", "auto_pause": "autoPause"}
"""The vendor's options, all of which are yes or no, and their fields."""
_FOREIGN: Final = re.compile(r"[^a-z0-9_-]+")
"""What no name of a template may have, which a snapshot is."""
_SMALLEST, _LARGEST = Screen(320, 200), Screen(2560, 1440)


def creation_body(name: str, spec: ComputerSpec, options: Mapping[str, object]) -> dict[str, object]:
    """Return the body of the request that creates a sandbox.

    Raises:
        InvalidInputError: If something cannot be honoured.
    """
    for what in ("cpus", "memory", "disk"):
        if getattr(spec, what) is not None:
            raise InvalidInputError(
                f"e2b takes no {what} for a sandbox: its template has them", hint="spec.image names another template"
            )
    if spec.screen is not None:
        _check_screen(Screen(*spec.screen))
    if NAMED in spec.metadata:
        raise InvalidInputError(f"the metadata {NAMED!r} is taken")
    return {
        "templateID": spec.image or TEMPLATE,
        "timeout": seconds_of(DEFAULT_TTL if spec.ttl is None else spec.ttl),
        "metadata": {**spec.metadata, NAMED: name},
        "envVars": {"DISPLAY": DISPLAY, **spec.env},
        **_checked(options),
    }


def restoration_body(
    name: str, snapshot_id: str, ttl: float, metadata: Mapping[str, str], made_with: Mapping[str, object]
) -> dict[str, object]:
    """Return the body of the request that makes a sandbox of a snapshot, for the rest as the former was made."""
    return {
        "envVars": {"DISPLAY": DISPLAY},
        **made_with,
        "templateID": snapshot_id,
        "timeout": seconds_of(ttl),
        "metadata": {**metadata, NAMED: name},
    }


def snapshot_name(name: str) -> str:
    """Return a name that no other snapshot has: one of the same name would become the newer version of the other.

    Raises:
        InvalidInputError: If it cannot be a name.
    """
    return _FOREIGN.sub("-", unique_name(name).lower())


def seconds_of(ttl: float) -> int:
    """Return a time to live in whole seconds.

    Raises:
        InvalidInputError: If it is none.
    """
    if not (ttl > 0 and math.isfinite(ttl)):
        raise InvalidInputError(f"ttl is {ttl}; it must be a positive number")
    return math.ceil(ttl)


def _check_screen(screen: Screen) -> None:
    width, height = screen
    if not (_SMALLEST.width <= width <= _LARGEST.width and _SMALLEST.height <= height <= _LARGEST.height):
        raise InvalidInputError(
            f"a screen of {width}x{height} cannot be had: at least {_SMALLEST.width}x{_SMALLEST.height}, at most "
            f"{_LARGEST.width}x{_LARGEST.height}",
            provider=NAME,
        )


def _checked(options: Mapping[str, object]) -> dict[str, bool]:
    checked = {}
    for option, value in options.items():
        check_option("e2b", option, _OPTIONS)
        if not isinstance(value, bool):
            raise InvalidInputError(f"{option} is {value!r}; it must be True or False")
        checked[_OPTIONS[option]] = value
    return checked
