"""Finding providers by name, and the two ways to a computer: a new one, or one that exists."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint, entry_points

from deskhand.errors import ConfigError, InvalidInputError
from deskhand.providers.contract import ComputeProvider, ComputerSpec, ExternalComputer

__all__ = ["attach", "open_computer", "provider", "provider_names"]

ENTRY_POINTS = "deskhand.providers"
BUNDLED = "deskhand.providers."


def _registered() -> dict[str, EntryPoint]:
    """Return what is installed by name; a bundled provider's name cannot be taken by another package."""
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: not entry.value.startswith(BUNDLED)):
        found.setdefault(entry.name, entry)
    return found


def provider_names() -> list[str]:
    """List the names of all installed providers, bundled and third-party."""
    return sorted(_registered())


def provider(name: str, **options: object) -> ComputeProvider:
    """Return the provider with that name, to be entered with ``async with``.

    Args:
        name: ``local``, or what an installed package registers under the entry-point group ``deskhand.providers``.
        **options: The provider's own settings (``api_key``, ``base_url``, ``timeout``, ...).

    Raises:
        ConfigError: If there is no such provider, or it cannot be loaded.
        InvalidInputError: If ``name`` names a computer, or the provider has no such option.
    """
    if ":" in name:
        raise InvalidInputError(f"{name!r} names a computer, not a provider", hint=f"borrow it: attach({name!r})")
    registered = _registered()
    if name not in registered:
        raise ConfigError(
            f"no provider is called {name!r}{_meant(name.lower(), registered)}",
            hint=f"use one that is installed: {', '.join(sorted(registered)) or 'there is none'}",
        )
    try:
        loaded = registered[name].load()
    except Exception as error:  # (whatever a third party's module does when it is imported)
        raise ConfigError(f"the provider {name!r} cannot be loaded: {error}", hint="deskhand doctor") from error
    if not (isinstance(loaded, type) and issubclass(loaded, ComputeProvider)):
        raise ConfigError(f"the provider {name!r} is not a ComputeProvider", hint="deskhand doctor")
    _check_options(name, loaded, options)
    return loaded(**options)


def _check_options(name: str, loaded: type[ComputeProvider], options: Mapping[str, object]) -> None:
    """Refuse what a provider's constructor does not take."""
    parameters = inspect.signature(loaded).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters if parameter.kind is not parameter.POSITIONAL_ONLY]
    for option in options:
        if option not in known:
            raise InvalidInputError(
                f"the provider {name!r} has no option {option!r}{_meant(option, known)}",
                hint=f"use one of: {', '.join(known) or 'it has none'}",
            )


def _meant(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, [*known], n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


@asynccontextmanager
async def open_computer(
    name: str = "local", *, label: str = "deskhand", spec: ComputerSpec | None = None, **vendor_options: object
) -> AsyncIterator[ExternalComputer]:
    """Create a computer and destroy it on leaving.

    Args:
        name: The provider's name.
        label: The computer's name.
        spec: Its portable settings.
        **vendor_options: Options of the provider's own ``create``.

    Raises:
        ConfigError: If there is no such provider.
        InvalidInputError: If ``name`` names an existing computer (use `attach`).
    """
    if ":" in name:
        raise InvalidInputError(f"{name!r} names an existing computer", hint=f"borrow it: attach({name!r})")
    async with provider(name) as chosen:
        yield await chosen.create(name=label, spec=spec, **vendor_options)


@asynccontextmanager
async def attach(name: str) -> AsyncIterator[ExternalComputer]:
    """Borrow an existing computer, ``PROVIDER:ID``, and leave it alone on leaving.

    Raises:
        ConfigError: If there is no such provider.
        InvalidInputError: If ``name`` holds no id.
        NotFoundError: If there is no such computer.
    """
    provider_name, _, computer_id = name.partition(":")
    if not computer_id:
        raise InvalidInputError(f"{name!r} names no computer", hint="give PROVIDER:ID, as deskhand ls prints it")
    async with provider(provider_name) as chosen:
        yield await chosen.get(computer_id)
