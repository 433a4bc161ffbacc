"""What a spec and the vendor's options make of a request for a computer."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from deskhand.errors import InvalidInputError
from deskhand.providers.contract import ComputerSpec
from deskhand.providers.miosa.api import NAME
from deskhand.providers.options import check_option, positive

__all__ = [
    "ATTRIBUTION",
    "DEFAULT_TTL",
    "DESKTOP",
    "SANDBOX_ATTRIBUTION",
    "creation_body",
    "idle_seconds",
    "sandbox_body",
    "whole_seconds",
]

DEFAULT_TTL: Final = 3600
"""Seconds after which a computer that nobody uses stops by itself, where nobody says otherwise."""

ATTRIBUTION: Final = ("workspace_id", "external_workspace_id", "external_project_id")
"""Whose computer it is: usage and cost are counted for the workspace and project that these name."""
SANDBOX_ATTRIBUTION: Final = (
    *ATTRIBUTION,
    *("external_user_id", "workspace_slug", "workspace_name", "project_id", "project_slug", "project_name"),
)
"""The same of a sandbox."""

_SIZES: Final = ("xs", "small", "medium", "large", "xl")
_TIERS: Final = ((1, 2048), (2, 4096), (4, 8192), (8, 16384), (16, 32768))
"""Cores and megabytes of memory that a sandbox may have without saying how much disk."""
_MEGABYTE: Final = 1 << 20
DESKTOP: Final = "miosa-desktop"
"""The template of computers with a desktop."""
_SANDBOX: Final = "miosa-sandbox"
_UNHONOURED: Final = {
    "cpus": "choose a size= of {sizes}",
    "memory": "choose a size= of {sizes}",
    "disk": "choose a size= of {sizes}",
    "screen": "leave it out: info.screen tells what it has",
}
"""What MIOSA does not let one say when a computer is created, and what to do."""
_PLACES: Final = ("miosa", "aws", "gcp", "opencomputers")
_RUNTIMES: Final = ("standard", "soma", "auto")
_TARGETS: Final = ("region_id", "pool_id", "host_id")
_FALLBACKS: Final = ("deny", "miosa")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def _is_placement(value: Mapping[object, object]) -> bool:
    """Whether MIOSA understands where a machine shall be; it passes over what it does not know."""
    targets = [value[name] for name in _TARGETS if name in value]
    return (
        value.keys() <= {"provider", "fallback", *_TARGETS}
        and value.get("provider") in _PLACES
        and value.get("fallback", _FALLBACKS[0]) in _FALLBACKS
        and all(isinstance(one, str) and _UUID.fullmatch(one) is not None for one in targets)
    )


class _Kind(NamedTuple):
    """What the value of an option must be."""

    says: str
    fits: Callable[[object], bool]


_TEXT: Final = _Kind("text", lambda value: isinstance(value, str) and bool(value))
_FLAG: Final = _Kind("true or false", lambda value: isinstance(value, bool))
_OBJECT: Final = _Kind("an object", lambda value: isinstance(value, Mapping))
_LIST: Final = _Kind("a list", lambda value: isinstance(value, list | tuple))
_WHOLE: Final = _Kind("a whole number above 0", lambda value: type(value) is int and value > 0)
_PLACEMENT: Final = _Kind(
    f"an object with a provider of {', '.join(_PLACES)}; perhaps with region_id, pool_id, host_id, which are UUIDs, "
    f"and a fallback of {', '.join(_FALLBACKS)}",
    lambda value: isinstance(value, Mapping) and _is_placement(value),
)
_COMMON: Final[Mapping[str, _Kind]] = {
    **dict.fromkeys(("size", "agent_runtime_profile_id", "agent_profile_id", "setup_file"), _TEXT),
    **dict.fromkeys(("environment", "environment_id", "env_id"), _TEXT),
    **dict.fromkeys(("no_env", "fail_fast", "skip_agent_runtime_profile"), _FLAG),
    "compute_placement_request": _PLACEMENT,
}
_COMPUTER: Final[Mapping[str, _Kind]] = {**dict.fromkeys(ATTRIBUTION, _TEXT), **_COMMON}
_OF_SANDBOX: Final[Mapping[str, _Kind]] = {
    **dict.fromkeys(SANDBOX_ATTRIBUTION, _TEXT),
    **_COMMON,
    **dict.fromkeys(("region", "slug", "entrypoint"), _TEXT),
    "runtime_profile": _Kind(f"one of {', '.join(_RUNTIMES)}", lambda value: value in _RUNTIMES),
    **dict.fromkeys(("github_repo_url", "github_branch", "github_clone_path"), _TEXT),
    **dict.fromkeys(("persistent", "always_on", "auto_start", "allow_provision"), _FLAG),
    **dict.fromkeys(("tags", "services"), _LIST),
    "readiness_probe": _OBJECT,
    "database": _Kind("an object, or true or false", lambda value: isinstance(value, Mapping | bool)),
    "idle_timeout_sec": _WHOLE,
}


def creation_body(name: str, spec: ComputerSpec, options: Mapping[str, object]) -> dict[str, object]:
    """Return the body of the request that creates a computer.

    What says whose it is comes from the options, else from the spec's metadata.

    Raises:
        InvalidInputError: If something cannot be honoured.
    """
    _check_unhonoured(spec, _UNHONOURED, "computer")
    idle_seconds(spec)
    body: dict[str, object] = {
        "name": name,
        "template_type": spec.image or DESKTOP,
        "size": "small",
        **_told(spec, ATTRIBUTION, _COMPUTER),
        **_checked(options, _COMPUTER),
    }
    return body | _of(spec)


def sandbox_body(name: str, spec: ComputerSpec, options: Mapping[str, object]) -> dict[str, object]:
    """Return the body of the request that creates a sandbox; `creation_body` says the rest.

    Raises:
        InvalidInputError: If something cannot be honoured.
    """
    _check_unhonoured(spec, {"screen": "leave it out: it has none"}, "sandbox")
    body: dict[str, object] = {
        "name": name,
        "template_id": spec.image or _SANDBOX,
        "timeout_sec": idle_seconds(spec),
        **_told(spec, SANDBOX_ATTRIBUTION, _OF_SANDBOX),
        **_checked(options, _OF_SANDBOX),
        **_shape(spec, has_size="size" in options),
    }
    return body | _of(spec)


def idle_seconds(spec: ComputerSpec) -> int:
    """Return the idle time, in whole seconds.

    Raises:
        InvalidInputError: If it is none.
    """
    return DEFAULT_TTL if spec.ttl is None else whole_seconds(spec.ttl)


def whole_seconds(ttl: float) -> int:
    """Return a time in whole seconds.

    Raises:
        InvalidInputError: If it is none.
    """
    return math.ceil(positive("ttl", ttl))


def _shape(spec: ComputerSpec, *, has_size: bool) -> dict[str, object]:
    """Return how large a sandbox shall be: one of MIOSA's sizes by its cores and memory, or a size of its own."""
    cpus, memory, disk = spec.cpus, spec.memory, spec.disk
    shape: dict[str, object] = {}
    if cpus is not None:
        shape["cpu_count"] = math.ceil(positive("cpus", cpus))
    if memory is not None:
        shape["memory_mb"] = math.ceil(positive("memory", memory) / _MEGABYTE)
    if disk is not None:
        shape["disk_size_mb"] = math.ceil(positive("disk", disk) / _MEGABYTE)
    if cpus is None and memory is None:
        return shape
    if has_size:
        raise InvalidInputError("a size= has its own cores and memory", hint="leave one of them out", provider=NAME)
    if (shape.get("cpu_count"), shape.get("memory_mb")) not in _TIERS and len(shape) < 3:
        usual = ", ".join(f"{cores} with {megabytes // 1024} GiB" for cores, megabytes in _TIERS)
        raise InvalidInputError(
            "miosa takes no such cores and memory without the disk for a sandbox",
            hint=f"give cpus, memory and disk; or cpus and memory as one of: {usual}",
            provider=NAME,
        )
    return shape


def _check_unhonoured(spec: ComputerSpec, unhonoured: Mapping[str, str], what: str) -> None:
    for field, hint in unhonoured.items():
        if getattr(spec, field) is not None:
            raise InvalidInputError(
                f"miosa takes no {field} for a {what}", hint=hint.format(sizes=", ".join(_SIZES)), provider=NAME
            )


def _told(spec: ComputerSpec, names: Iterable[str], known: Mapping[str, _Kind]) -> dict[str, object]:
    return _checked({name: spec.metadata[name] for name in names if name in spec.metadata}, known)


def _of(spec: ComputerSpec) -> dict[str, object]:
    held = {"metadata": dict(spec.metadata), "env": dict(spec.env)}
    return {name: value for name, value in held.items() if value}


def _checked(options: Mapping[str, object], known: Mapping[str, _Kind]) -> dict[str, object]:
    for option, value in options.items():
        check_option("miosa", option, known)
        if not known[option].fits(value):
            raise InvalidInputError(f"{option} is {value!r}; it must be {known[option].says}")
    size = options.get("size", _SIZES[0])
    if size not in _SIZES:
        raise InvalidInputError(f"miosa has no size {size!r}", hint=f"sizes: {', '.join(_SIZES)}")
    return dict(options)
