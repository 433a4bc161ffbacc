"""What a spec and the vendor's options make of a request for a computer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from deskhand.errors import InvalidInputError
from deskhand.providers.contract import ComputerSpec
from deskhand.providers.miosa.api import NAME
from deskhand.providers.options import check_option, positive

__all__ = ["ATTRIBUTION", "DEFAULT_TTL", "creation_body", "idle_seconds"]

DEFAULT_TTL: Final = 3600
"""Idle seconds after which a computer stops by itself where nobody says otherwise."""

ATTRIBUTION: Final = ("workspace_id", "external_workspace_id", "external_project_id")
"""Whose computer it is: usage and cost are counted for the workspace and project that these name."""

_TEXTS: Final = (*ATTRIBUTION, "size", "agent_runtime_profile_id", "setup_file", "environment", "environment_id")
_FLAGS: Final = ("no_env", "fail_fast")
_PLACEMENT: Final = "compute_placement_request"
_OPTIONS: Final = (*_TEXTS, *_FLAGS, _PLACEMENT)
_SIZES: Final = ("xs", "small", "medium", "large", "xl")
_DESKTOP: Final = "miosa-desktop"
_UNHONOURED: Final = {
    "cpus": "choose a size= of {sizes}",
    "memory": "choose a size= of {sizes}",
    "disk": "choose a size= of {sizes}",
    "screen": "leave it out: info.screen tells what it has",
}
"""What MIOSA does not let one say when a computer is created, and what to do."""


def creation_body(name: str, spec: ComputerSpec, options: Mapping[str, object]) -> dict[str, object]:
    """Return the body of the request that creates a computer.

    What says whose it is comes from the options, else from the spec's metadata.

    Raises:
        InvalidInputError: If something cannot be honoured.
    """
    for field, hint in _UNHONOURED.items():
        if getattr(spec, field) is not None:
            raise InvalidInputError(
                f"miosa takes no {field} for a computer", hint=hint.format(sizes=", ".join(_SIZES)), provider=NAME
            )
    idle_seconds(spec)
    told = {key: spec.metadata[key] for key in ATTRIBUTION if key in spec.metadata}
    body: dict[str, object] = {
        "name": name,
        "template_type": spec.image or _DESKTOP,
        "size": "small",
        **_checked(told),
        **_checked(options),
    }
    if spec.metadata:
        body["metadata"] = dict(spec.metadata)
    if spec.env:
        body["env"] = dict(spec.env)
    return body


def idle_seconds(spec: ComputerSpec) -> int:
    """Return the idle time, in whole seconds.

    Raises:
        InvalidInputError: If it is none.
    """
    return math.ceil(DEFAULT_TTL if spec.ttl is None else positive("ttl", spec.ttl))


def _checked(options: Mapping[str, object]) -> dict[str, object]:
    for option, value in options.items():
        check_option("miosa", option, _OPTIONS)
        if option in _TEXTS and not (isinstance(value, str) and value):
            raise InvalidInputError(f"{option} is {value!r}; it must be text")
        if option in _FLAGS and not isinstance(value, bool):
            raise InvalidInputError(f"{option} is {value!r}; it must be true or false")
        if option == _PLACEMENT and not isinstance(value, Mapping):
            raise InvalidInputError(f"{option} is {value!r}; it must be an object")
    size = options.get("size", _SIZES[0])
    if size not in _SIZES:
        raise InvalidInputError(f"miosa has no size {size!r}", hint=f"sizes: {', '.join(_SIZES)}")
    return dict(options)
