"""What a spec and the vendor's options make of a request for a computer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from deskhand.errors import InvalidInputError
from deskhand.providers.contract import ComputerSpec
from deskhand.providers.options import check_option, meant, positive
from deskhand.providers.orgo.api import NAME

__all__ = ["DEFAULT_TTL", "creation_body", "idle_minutes"]

DEFAULT_TTL: Final = 3600.0
"""Idle seconds after which a computer stops by itself where nobody says otherwise."""

_GIB: Final = 1 << 30
_MEMORY: Final = (4, 8, 16, 32, 64)
_CPUS: Final = (0.5, 1, 2, 4, 8, 16)
_SMALLEST_DISK: Final = 8
_DEPTH: Final = 24
_TEXTS: Final = ("workspace_id", "os", "gpu", "template_ref")
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "os": ("linux", "windows"),
    "gpu": ("none", "a10", "l40s", "a100-40gb", "a100-80gb"),
}


def creation_body(name: str, workspace_id: str, spec: ComputerSpec, options: Mapping[str, object]) -> dict[str, object]:
    """Return the body of the request that creates a computer.

    Memory and cores are rounded up to what Orgo has, the disk to whole GiB, the time to whole minutes.

    Raises:
        InvalidInputError: If something cannot be honoured.
    """
    if spec.env:
        raise InvalidInputError("orgo takes no env for a computer", hint="give env to each exec", provider=NAME)
    body: dict[str, object] = {"workspace_id": workspace_id, "name": name, **_checked(options)}
    if spec.cpus is not None:
        cpus = _step("cpus", spec.cpus, _CPUS)
        body["cpu"] = int(cpus) if cpus >= 1 else cpus
    if spec.memory is not None:
        body["ram"] = int(_step("memory", spec.memory / _GIB, _MEMORY, " GiB"))
    if spec.disk is not None:
        body["disk_size_gb"] = max(_SMALLEST_DISK, math.ceil(positive("disk", spec.disk) / _GIB))
    if spec.screen is not None:
        width, height = spec.screen
        body["resolution"] = f"{width}x{height}x{_DEPTH}"
    if spec.image is not None:
        body["image"] = spec.image
    body["auto_stop_minutes"] = idle_minutes(DEFAULT_TTL if spec.ttl is None else spec.ttl)
    return body


def idle_minutes(ttl: float) -> int:
    """Return a time in whole minutes.

    Raises:
        InvalidInputError: If it is none.
    """
    return math.ceil(positive("ttl", ttl) / 60)


def _checked(options: Mapping[str, object]) -> dict[str, str]:
    checked = {}
    for option, value in options.items():
        check_option("orgo", option, _TEXTS)
        if not isinstance(value, str) or not value:
            raise InvalidInputError(f"{option} is {value!r}; it must be text")
        choices = _CHOICES.get(option, (value,))
        if value not in choices:
            raise InvalidInputError(
                f"orgo has no {option} {value!r}{meant(value, choices)}", hint=", ".join(choices), provider=NAME
            )
        checked[option] = value
    return checked


def _step(what: str, value: float, steps: Sequence[float], unit: str = "") -> float:
    positive(what, value)
    enough = [step for step in steps if step >= value]
    if not enough:
        raise InvalidInputError(f"{what} of {value:,g}{unit} is more than orgo has: {steps[-1]:g}{unit}", provider=NAME)
    return enough[0]
