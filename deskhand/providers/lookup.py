"""Finding providers by name, and the two ways to a computer: a new one, or one that exists."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from deskhand.errors import (
    ConfigError,
    ConnectionLostError,
    DeskhandError,
    InvalidInputError,
    OverloadedError,
    QuotaError,
    RateLimitedError,
)
from deskhand.providers.contract import ComputeProvider, ComputerSpec, ExternalComputer
from deskhand.providers.options import meant
from deskhand.text import one_line

__all__ = ["attach", "open_computer", "provider", "provider_names"]

ENTRY_POINTS = "deskhand.providers"
BUNDLED = "deskhand.providers."
_UNAVAILABLE: Final = (QuotaError, RateLimitedError, OverloadedError, ConnectionLostError)
"""Errors of a provider after which another may have what it has not."""


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
            f"no provider is called {name!r}{meant(name.lower(), registered)}",
            hint=f"use one that is installed: {', '.join(sorted(registered)) or 'there is none'}",
        )
    try:
        loaded = registered[name].load()
    except Exception as error:  # (whatever a third party's module does when it is imported)
        raise ConfigError(
            f"the provider {name!r} cannot be loaded: {one_line(str(error))}", hint="deskhand doctor"
        ) from error
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
                f"the provider {name!r} has no option {option!r}{meant(option, known)}",
                hint=f"use one of: {', '.join(known) or 'it has none'}",
            )


@asynccontextmanager
async def open_computer(
    name: str | Sequence[str] = "local",
    *,
    label: str = "deskhand",
    spec: ComputerSpec | None = None,
    **vendor_options: object,
) -> AsyncIterator[ExternalComputer]:
    """Create a computer and destroy it on leaving.

    Of several providers the first that has one gives it: what has no quota or capacity left, asks to slow down or
    cannot be reached is passed over, as long as it is certain that nothing was created there. The computer's
    ``instead_of`` has their errors, and so has the event ``computer.status`` of a run.

    Args:
        name: The provider's name, or several in the order of preference.
        label: The computer's name.
        spec: Its portable settings.
        **vendor_options: Options of the provider's own ``create``; of several providers, each must know them.

    Raises:
        ConfigError: If there is no such provider.
        InvalidInputError: If ``name`` names an existing computer (use `attach`), or nothing.
        DeskhandError: Whatever `create` raised, of several providers the last; the others' errors are its notes.
    """
    names = [name] if isinstance(name, str) else [*name]
    for one in names:
        if ":" in one:
            raise InvalidInputError(f"{one!r} names an existing computer", hint=f"borrow it: attach({one!r})")
    async with AsyncExitStack() as stack:
        asked = [partial(provider, one) for one in names]
        yield await first_available(stack, asked, label, spec, vendor_options)


async def first_available(
    stack: AsyncExitStack,
    providers: Sequence[Callable[[], ComputeProvider]],
    label: str,
    spec: ComputerSpec | None = None,
    vendor_options: Mapping[str, object] = MappingProxyType({}),
) -> ExternalComputer:
    """Create a computer at the first provider that has one; see `open_computer`.

    Args:
        stack: Where the provider is entered, which owns the computer.
        providers: What makes each, in the order of preference.
        label: The computer's name.
        spec: Its portable settings.
        vendor_options: Options of the provider's own ``create``.
    """
    passed_over: list[DeskhandError] = []
    made = [make() for make in providers]  # a name that is none is told at once, not when the others have failed
    for at, each in enumerate(made, 1):
        try:
            async with AsyncExitStack() as entering:
                chosen = await entering.enter_async_context(each)
                computer = await chosen.create(name=label, spec=spec, **vendor_options)
                computer.instead_of = tuple(passed_over)
                await stack.enter_async_context(entering.pop_all())
                return computer
        except DeskhandError as error:
            if not (isinstance(error, _UNAVAILABLE) and error.effect == "no") or at == len(made):
                for other in passed_over:
                    error.add_note(f"before that: {other.message}")
                raise
            passed_over.append(error)
    raise InvalidInputError("no provider is named", hint=f"use one of: {', '.join(provider_names())}")


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
