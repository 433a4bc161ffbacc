"""Computers of vendors at their simulators, and what acts on them: for tests that are the same for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from deskhand.providers import ExternalComputer
from deskhand.testing.simulators import (
    CuaSimulator,
    DaytonaSimulator,
    E2BSimulator,
    MiosaSimulator,
    OpenComputersSimulator,
    RecordedRequest,
    made_up_machine,
)
from tests.providers.behind import shell_only
from tests.providers.cua.parts import cua
from tests.providers.daytona.parts import daytona
from tests.providers.e2b.parts import e2b
from tests.providers.miosa.parts import miosa
from tests.providers.opencomputers.parts import opencomputers

# A test sees a computer by its capabilities alone; some things that vendors do are no part of the contract.
Use = Callable[[Any], Awaitable[object]]
Vendor = MiosaSimulator | OpenComputersSimulator | CuaSimulator | E2BSimulator | DaytonaSimulator


@dataclass(frozen=True, slots=True)
class Served:
    """A computer that is up, and the simulator that it is at."""

    simulator: Vendor
    computer: ExternalComputer


@asynccontextmanager
async def a_miosa(*, timeout: float | None = None) -> AsyncIterator[Served]:
    """Create a cloud computer of MIOSA with a recording desktop behind."""
    async with miosa(timeout=timeout) as hosted:
        yield Served(hosted.simulator, await hosted.create())


@asynccontextmanager
async def a_sandbox(*, timeout: float | None = None) -> AsyncIterator[Served]:
    """Create a sandbox of MIOSA with a real shell behind."""
    async with miosa(shell_only, timeout=timeout) as hosted:
        yield Served(hosted.simulator, await hosted.sandbox())


@asynccontextmanager
async def a_host(*, timeout: float | None = None) -> AsyncIterator[Served]:
    """Borrow a host of OpenComputers with a real shell behind."""
    async with opencomputers(shell_only, timeout=timeout) as hosted:
        yield Served(hosted.simulator, await hosted.borrow())


@asynccontextmanager
async def a_cua(*, timeout: float | None = None) -> AsyncIterator[Served]:
    """Start a machine of Cua's cloud with a real shell and a recording desktop behind."""
    async with cua(made_up_machine, timeout=timeout) as hosted:
        yield Served(hosted.simulator, await hosted.create())


@asynccontextmanager
async def an_e2b(*, timeout: float | None = None) -> AsyncIterator[Served]:
    """Create a sandbox of E2B with a real shell behind."""
    async with e2b(shell_only, timeout=timeout) as hosted:
        yield Served(hosted.simulator, await hosted.create())


@asynccontextmanager
async def a_daytona(*, timeout: float | None = None) -> AsyncIterator[Served]:
    """Create a sandbox of Daytona with a recording desktop behind."""
    async with daytona(timeout=timeout) as hosted:
        yield Served(hosted.simulator, await hosted.create())


VENDORS: Mapping[str, Callable[..., AbstractAsyncContextManager[Served]]] = {
    "miosa": a_miosa,
    "miosa sandbox": a_sandbox,
    "opencomputers": a_host,
    "cua": a_cua,
    "e2b": an_e2b,
    "daytona": a_daytona,
}


@dataclass(frozen=True, slots=True)
class Act:
    """Something that acts on a computer, and the one request of it that does.

    Attributes:
        vendor: Whose computer it is for, and of which kind where there are several.
        use: Does it.
        route: The simulator's name of the route.
        holds: What the request's body holds, by which it is known among all of the route.
        is_streamed: Whether it is answered with events in place of one object.
    """

    vendor: str
    use: Use
    route: str
    holds: str = ""
    is_streamed: bool = False

    def sent(self, simulator: Vendor) -> list[RecordedRequest]:
        """Return the requests of it that came, the oldest first."""
        return [request for request in simulator.asked(self.route) if self.holds in str(request.body)]


async def run(computer: ExternalComputer) -> None:
    """Run a command to its end."""
    await computer.exec("echo marked")


async def follow(computer: ExternalComputer) -> None:
    """Follow a command to its end."""
    async with computer.exec_stream("echo marked") as stream:
        async for _ in stream:
            pass


async def show(computer: ExternalComputer) -> None:
    """Open a terminal and leave it."""
    async with computer.terminal():
        pass


_INPUT: Mapping[str, Use] = {
    "click": lambda computer: computer.left_click(3, 4),
    "double click": lambda computer: computer.double_click(3, 4),
    "drag": lambda computer: computer.drag((1, 1), (2, 2)),
    "scroll": lambda computer: computer.scroll(dy=1),
    "type": lambda computer: computer.type("text"),
    "key": lambda computer: computer.key("enter"),
    "chord": lambda computer: computer.key("ctrl+s"),
    "hold": lambda computer: computer.hold_key("shift", 0.01),
    "press": lambda computer: computer.mouse_down(),
}
_ROUTES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "miosa": {
        "click": ("click", ""),
        "double click": ("double_click", ""),
        "drag": ("drag", ""),
        "scroll": ("scroll", ""),
        "type": ("type", ""),
        "key": ("key", "Return"),
        "chord": ("key", "ctrl+s"),
        "hold": ("key_down", ""),
        "press": ("mouse_down", ""),
    },
    "cua": {
        "click": ("cmd", "left_click"),
        "double click": ("cmd", "double_click"),
        "drag": ("cmd", "'drag'"),
        "scroll": ("cmd", "'scroll'"),
        "type": ("cmd", "type_text"),
        "key": ("cmd", "press_key"),
        "chord": ("cmd", "hotkey"),
        "hold": ("cmd", "key_down"),
        "press": ("cmd", "mouse_down"),
    },
    "daytona": {
        "click": ("click", ""),
        "double click": ("click", "double"),
        "drag": ("drag", ""),
        "scroll": ("scroll", ""),
        "type": ("type", ""),
        "key": ("key", "enter"),
        "chord": ("key", "ctrl"),
        "press": ("mouse_down", ""),
    },
}

ACTS: Mapping[str, Act] = {
    **{
        f"{vendor}: {name}": Act(vendor, _INPUT[name], *row)
        for vendor, rows in _ROUTES.items()
        for name, row in rows.items()
    },
    "miosa: exec": Act("miosa", run, "exec", "echo marked"),
    "miosa: python": Act("miosa", lambda computer: computer.python("1"), "python"),
    "miosa: snapshot": Act("miosa", lambda computer: computer.snapshot("mine"), "take_snapshot"),
    "miosa: prompt": Act("miosa", lambda computer: computer.prompt("Go."), "start_session"),
    "cua: exec": Act("cua", run, "cmd", "mkfifo"),
    "miosa sandbox: snapshot": Act(
        "miosa sandbox", lambda computer: computer.snapshot("mine"), "take_sandbox_snapshot"
    ),
    "miosa sandbox: exec": Act("miosa sandbox", run, "sandbox_exec", "echo marked"),
    "miosa sandbox: follow": Act("miosa sandbox", follow, "sandbox_exec_stream", "echo marked", is_streamed=True),
    "opencomputers: exec": Act("opencomputers", run, "exec", "echo marked", is_streamed=True),
    "opencomputers: follow": Act("opencomputers", follow, "exec", "echo marked", is_streamed=True),
    "opencomputers: prompt": Act("opencomputers", lambda computer: computer.prompt("Go."), "dispatch"),
    "opencomputers: ticket": Act("opencomputers", lambda computer: computer.shell_endpoint(), "terminal_ticket"),
    "daytona: hold": Act("daytona", lambda computer: computer.hold_key("ctrl+x", 0.01), "key_down"),
    "daytona: exec": Act("daytona", run, "execute", "echo marked"),
    "daytona: follow": Act("daytona", follow, "session_exec", "echo marked"),
    "e2b: exec": Act("e2b", run, "start", "echo marked", is_streamed=True),
    "e2b: follow": Act("e2b", follow, "start", "echo marked", is_streamed=True),
    "e2b: terminal": Act("e2b", show, "start", "'-i'", is_streamed=True),
}
"""What acts: it is sent once, whatever becomes of its answer."""
