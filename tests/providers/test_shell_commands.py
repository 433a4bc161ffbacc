"""Commands over a service that may fall silent: how long somebody waits for it is bounded, however it is silent."""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from deskhand.errors import DeadlineExceededError, DeskhandError, RateLimitedError
from deskhand.providers import ExecResult
from deskhand.providers.shell_commands import Ran, ShellCommands


class Skipping(asyncio.SelectorEventLoop):
    """A loop that waits for nothing: where only timers are left, it is at once as late as the next of them."""

    def __init__(self) -> None:
        super().__init__(selectors.SelectSelector())
        self._now = 0.0

    def time(self) -> float:
        """Return the seconds since it began, as they would be."""
        return self._now

    def _run_once(self) -> None:
        timers: list[Any] = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0].cancelled():
            heapq.heappop(timers)._scheduled = False
        if timers and not self._ready:  # type: ignore[attr-defined]
            self._now = max(self._now, timers[0].when())
        super()._run_once()  # type: ignore[misc]


class Service:
    """A service that answers as it is told.

    Args:
        command: What comes of the command.
        ending: What comes of the request that ends it.
    """

    def __init__(self, command: Callable[[], Awaitable[Ran]], ending: Callable[[], Awaitable[Ran]]) -> None:
        self._command = command
        self._ending = ending

    async def __call__(
        self, operation: str, script: str, *, seconds: int, deadline: float | None = None, is_urgent: bool = False
    ) -> Ran:
        """Answer, or give up after the deadline."""
        del operation, script, seconds
        with anyio.move_on_after(deadline):
            return await (self._ending if is_urgent else self._command)()
        raise DeadlineExceededError("no answer", effect="unknown")


async def silence() -> Ran:
    """Say nothing."""
    await anyio.sleep_forever()
    raise AssertionError


async def done() -> Ran:
    """Say that it was done."""
    return Ran("", 0)


async def too_many() -> Ran:
    """Refuse."""
    raise RateLimitedError("slow down", effect="no")


def after(seconds: float, error: DeskhandError | None = None) -> Callable[[], Awaitable[Ran]]:
    """Return what answers after some time, with what there was so far or an error."""

    async def answer() -> Ran:
        await anyio.sleep(seconds)
        if error is not None:
            raise error
        return Ran("so far", 137)

    return answer


@pytest.mark.parametrize(
    ("command", "ending", "ended_after", "output"),
    [
        pytest.param(silence, silence, 6.0, "", id="all is silent"),
        pytest.param(silence, done, 6.0, "", id="the command's answer alone is lost"),
        pytest.param(after(3.0), done, 3.0, "so far", id="the answer comes once the command was ended"),
        pytest.param(after(8.0), too_many, 8.0, "so far", id="the service's own timeout ends it"),
        pytest.param(silence, too_many, 11.0, "", id="nothing ends it"),
        pytest.param(after(2.0, RateLimitedError("x", effect="unknown")), done, 2.0, "", id="an error when ended"),
    ],
)
def test_a_command_of_a_second_ends_soon(
    command: Callable[[], Awaitable[Ran]], ending: Callable[[], Awaitable[Ran]], ended_after: float, output: str
) -> None:
    """What is left of the command is waited for as long as it may come, and no longer."""

    async def keep(do: Callable[[], Awaitable[None]]) -> None:
        await do()

    async def run() -> tuple[ExecResult, float]:
        result = await ShellCommands("vendor", Service(command, ending), keep).run("true", timeout=1.0)
        return result, asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=Skipping) as runner:
        result, now = runner.run(run())
    assert (result.output, result.exit_code, result.error) == (output, None, "timed out after 1 s")
    assert now == pytest.approx(ended_after)
