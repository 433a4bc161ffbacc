"""A computer by its name on the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from deskhand.errors import ComputerGoneError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from deskhand.cli.terminal import Terminal
    from deskhand.providers.contract import ComputeProvider, ExternalComputer

__all__ = ["computer_again", "existing", "named_computer"]


@asynccontextmanager
async def named_computer(
    terminal: Terminal,
    name: str,
    *,
    screen: tuple[int, int] | None = None,
    label: str = "deskhand",
    simulate: bool = False,
) -> AsyncIterator[ExternalComputer]:
    """Open a fresh computer of a provider, or borrow an existing one (``PROVIDER:ID``).

    Args:
        terminal: Where to tell what is waited for.
        name: The provider, several with commas between them in the order of preference, or the existing computer.
        screen: The fresh computer's screen in pixels.
        label: The fresh computer's name.
        simulate: Whether a simulator takes the place of the provider's vendor.

    Raises:
        InvalidInputError: If a screen's size, or a simulator, is asked of a computer that exists.
        ConfigError: If there is no such provider, or no simulator of it.
        NotFoundError: If there is no such computer.
    """
    from functools import partial

    from deskhand.cli.simulating import simulated
    from deskhand.providers.contract import ComputerSpec
    from deskhand.providers.lookup import attach, first_available, provider

    async with AsyncExitStack() as stack:
        if ":" in name:
            if screen is not None:
                raise InvalidInputError(f"{name} has its screen already", hint="leave --screen out")
            if simulate:
                raise InvalidInputError(f"{name} exists, and a simulator begins empty", hint="leave --simulate out")
            with terminal.waiting(f"reaching {name}"):
                computer = await stack.enter_async_context(attach(name))
        else:
            with terminal.waiting(f"starting a {name.replace(',', ' or ')} computer"):
                asked: list[Callable[[], ComputeProvider]] = []
                for one in map(str.strip, name.split(",")):
                    options = await stack.enter_async_context(simulated(one)) if simulate else {}
                    asked.append(partial(provider, one, **options))
                computer = await first_available(stack, asked, label, ComputerSpec(screen=screen))
            for error in computer.instead_of:
                terminal.aside(f"not at {error.provider}: {error.message}")
        yield computer


@asynccontextmanager
async def computer_again(
    terminal: Terminal,
    place: str,
    wanted: str,
    *,
    screen: tuple[int, int] | None = None,
    over: Callable[[], Awaitable[bool]],
) -> AsyncIterator[ExternalComputer]:
    """Open the computer that a run had whose process died.

    One that was made for the run is destroyed when the run is over, as its own process would have done; where it is
    gone, the run gets another one in its place.

    Args:
        terminal: Where to tell what is waited for.
        place: The computer, ``PROVIDER:ID``.
        wanted: What the run was told to use: a provider for a fresh computer, or an existing one.
        screen: The screen of a fresh one in pixels.
        over: Tells whether the run has ended.

    Raises:
        NotFoundError: If it is gone, and was not made for the run.
        ConfigError: If there is no such provider.
    """
    async with AsyncExitStack() as stack:
        try:
            computer = await stack.enter_async_context(named_computer(terminal, place))
        except (NotFoundError, ComputerGoneError) as error:
            if ":" in wanted:
                raise NotFoundError(
                    error.message, hint="with another one in its place: deskhand recover RUN --computer NAME"
                ) from error
            fresh = wanted.replace(",", " or ")
            terminal.aside(f"{place} is gone; the run gets a fresh {fresh} one, and its agent is told so")
            computer = await stack.enter_async_context(named_computer(terminal, wanted, screen=screen))
            yield computer
            return
        try:
            yield computer
        finally:
            if ":" not in wanted:
                import anyio

                with anyio.CancelScope(shield=True):
                    if await over():
                        await computer.destroy()
                    else:
                        terminal.aside(f"{place} is left for whoever goes on with the run")


def existing(name: str) -> tuple[str, str]:
    """Return the provider and the id that ``PROVIDER:ID`` names.

    Raises:
        InvalidInputError: If it holds no id.
    """
    provider, _, computer_id = name.partition(":")
    if not provider or not computer_id:
        raise InvalidInputError(f"{name!r} names no computer", hint="give PROVIDER:ID, as deskhand ls prints it")
    return provider, computer_id
