"""What a spec and the vendor's options make of a request for a sandbox."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from deskhand.errors import InvalidInputError
from deskhand.providers.answers import moment
from deskhand.providers.contract import ComputerSpec, Screen
from deskhand.providers.daytona.api import NAME
from deskhand.providers.execution import check_command
from deskhand.providers.options import check_option, positive

__all__ = ["creation_body", "minutes", "restoration_body", "settings_told"]

IDLE_MINUTES: Final = 60
"""Idle minutes after which a sandbox stops by itself where nobody says otherwise."""
STOPPED_MINUTES: Final = 24 * 60
"""Minutes after which one that is stopped is deleted where nobody says otherwise."""

_GIB: Final = 1 << 30
_OPTIONS: Final[Mapping[str, tuple[str, type]]] = {
    "snapshot": ("snapshot", str),
    "target": ("target", str),
    "user": ("user", str),
    "public": ("public", bool),
    "network_block_all": ("networkBlockAll", bool),
    "network_allow_list": ("networkAllowList", str),
    "domain_allow_list": ("domainAllowList", str),
    "auto_stop_minutes": ("autoStopInterval", int),
    "auto_pause_minutes": ("autoPauseInterval", int),
    "auto_archive_minutes": ("autoArchiveInterval", int),
    "auto_delete_minutes": ("autoDeleteInterval", int),
}
"""What the vendor calls an option, and what it must be."""
_OF_AN_IMAGE: Final = frozenset({"buildInfo", "cpu", "memory", "disk"})
"""What a snapshot has of its own."""
_TOLD: Final = ("target", "user", "public", "networkBlockAll", "networkAllowList", "domainAllowList")
_INTERVALS: Final = ("autoStopInterval", "autoPauseInterval", "autoArchiveInterval", "autoDeleteInterval")
"""What the vendor tells of a sandbox by the name under which it is asked for."""
_SMALLEST, _LARGEST = Screen(320, 200), Screen(7680, 4320)
_KINDS: Final = {str: "text", bool: "True or False", int: "a whole number"}


def creation_body(
    name: str, spec: ComputerSpec, options: Mapping[str, object], target: str | None
) -> dict[str, object]:
    """Return the body of the request that creates a sandbox.

    Cores, memory and disk are rounded up to whole ones and GiB, the time to whole minutes.

    Raises:
        InvalidInputError: If something cannot be honoured.
    """
    body: dict[str, object] = {
        "name": name,
        "autoStopInterval": 0 if options.get("auto_pause_minutes") else IDLE_MINUTES,
        "autoDeleteInterval": STOPPED_MINUTES,
        **({"target": target} if target else {}),
        **_checked(options),
        **_sizes(spec),
    }
    if body["autoStopInterval"] and body.get("autoPauseInterval"):
        raise InvalidInputError(
            "an idle sandbox is stopped or paused, not both", hint="leave out auto_stop_minutes", provider=NAME
        )
    check_command("", spec.env)
    env = {str(key): value for key, value in spec.env.items()}
    if spec.screen is not None:
        width, height = _checked_screen(Screen(*spec.screen))
        env["VNC_RESOLUTION"] = f"{width}x{height}"
    if env:
        body["env"] = env
    if spec.metadata:
        body["labels"] = dict(spec.metadata)
    if spec.image is not None:
        if "snapshot" in body:
            raise InvalidInputError("image and snapshot exclude each other", hint="give one of them", provider=NAME)
        if not spec.image or any(character.isspace() for character in spec.image):
            raise InvalidInputError(f"{spec.image!r} is no image", hint="such as debian:12", provider=NAME)
        body["buildInfo"] = {"dockerfileContent": f"FROM {spec.image}\n"}
    if spec.ttl is not None:
        body["ttlMinutes"] = minutes(spec.ttl)
    return body


def _checked_screen(screen: Screen) -> Screen:
    """Return a screen that can be had: Daytona passes over one that is none, without a word."""
    if not (_SMALLEST.width <= screen.width <= _LARGEST.width and _SMALLEST.height <= screen.height <= _LARGEST.height):
        raise InvalidInputError(
            f"a screen of {screen.width}x{screen.height} cannot be had: at least {_SMALLEST.width}x{_SMALLEST.height}, "
            f"at most {_LARGEST.width}x{_LARGEST.height}",
            provider=NAME,
        )
    return screen


def restoration_body(
    name: str, snapshot_id: str, labels: Mapping[str, str], made_with: Mapping[str, object]
) -> dict[str, object]:
    """Return the body of the request that makes a sandbox of a snapshot, for the rest as the former was made."""
    kept = {key: value for key, value in made_with.items() if key not in _OF_AN_IMAGE}
    return {
        "autoStopInterval": IDLE_MINUTES,
        "autoDeleteInterval": STOPPED_MINUTES,
        **kept,
        **({"labels": dict(labels)} if labels else {}),
        "name": name,
        "snapshot": snapshot_id,
    }


def settings_told(raw: Mapping[str, JsonValue]) -> dict[str, object]:
    """Return the part of a request for a sandbox that what the vendor tells of another one makes.

    Variables are not in it: they are not kept of an answer, as they may hold secrets.
    """
    told: dict[str, object] = {name: raw[name] for name in _TOLD if raw.get(name) and isinstance(raw[name], str | bool)}
    for name in _INTERVALS:
        value = raw.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
            told[name] = int(value)
    if told.get("autoPauseInterval"):
        told["autoStopInterval"] = 0  # the vendor takes one of the two
    else:
        told.pop("autoPauseInterval", None)
    created, end = moment(raw.get("createdAt")), moment(raw.get("autoDestroyAt"))
    if created is not None and end is not None and end > created:
        told["ttlMinutes"] = max(1, round((end - created).total_seconds() / 60))
    return told


def minutes(seconds: float) -> int:
    """Return a time in whole minutes, rounded up.

    Raises:
        InvalidInputError: If it is no time.
    """
    return math.ceil(positive("ttl", seconds) / 60)


def _sizes(spec: ComputerSpec) -> dict[str, int]:
    sizes: dict[str, int] = {}
    if spec.cpus is not None:
        sizes["cpu"] = math.ceil(positive("cpus", spec.cpus))
    if spec.memory is not None:
        sizes["memory"] = math.ceil(positive("memory", spec.memory) / _GIB)
    if spec.disk is not None:
        sizes["disk"] = math.ceil(positive("disk", spec.disk) / _GIB)
    if sizes and spec.image is None:
        raise InvalidInputError(
            "daytona sizes only what is made from an image: a snapshot has its own cores, memory and disk",
            hint="give image too, or leave out cpus, memory and disk",
            provider=NAME,
        )
    return sizes


def _checked(options: Mapping[str, object]) -> dict[str, object]:
    checked: dict[str, object] = {}
    for option, value in options.items():
        check_option("daytona", option, _OPTIONS)
        name, kind = _OPTIONS[option]
        if type(value) is not kind or value == "":
            raise InvalidInputError(f"{option} is {value!r}; it must be {_KINDS[kind]}")
        checked[name] = value
    return checked
