"""A sandbox that ends while something of it is open: that ends too, soon, and is no success."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio
import pytest

from deskhand.errors import ComputerGoneError, DeskhandError
from deskhand.providers import ComputerSpec, ComputerStatus, ExternalComputer
from tests.providers.behind import shell_only
from tests.providers.daytona.parts import daytona
from tests.providers.e2b.parts import e2b

End = Callable[[], Awaitable[None]]


async def terminal(computer: ExternalComputer, end: End) -> int | None:
    """Read a terminal to its end."""
    async with computer.terminal() as shell:
        await shell.send(b"echo be''gun\r")
        seen, is_ended = b"", False
        async for data in shell:
            seen += data
            if b"begun" in seen and not is_ended:
                is_ended = True
                await end()
    return shell.exit_code


async def follow(computer: ExternalComputer, end: End) -> int | None:
    """Read a followed command to its end."""
    async with computer.exec_stream("echo begun; sleep 60") as stream:
        async for _ in stream:
            await end()
    return stream.exit_code


OPEN: Mapping[str, Callable[[ExternalComputer, End], Awaitable[int | None]]] = {"terminal": terminal, "follow": follow}


@pytest.mark.parametrize("what", OPEN)
@pytest.mark.parametrize("vendor", ["e2b", "daytona"])
@pytest.mark.parametrize("how", ["its time is up", "somebody ends it"])
async def test_what_is_open_ends_with_its_sandbox(vendor: str, what: str, how: str) -> None:
    """There is no exit code of success; whatever is asked of it afterwards is told that it is gone."""
    open_vendor = e2b if vendor == "e2b" else daytona
    async with open_vendor(shell_only) as hosted:
        computer = await hosted.create("box", ComputerSpec(ttl=600))

        async def end() -> None:
            if how == "its time is up":
                await hosted.simulator.pass_time(601 if vendor == "e2b" else 11)
            else:
                await hosted.simulator.vanish(computer.info.id)

        with anyio.fail_after(40):
            try:
                assert await OPEN[what](computer, end) is None
            except DeskhandError as error:
                told: DeskhandError | None = error
            else:
                told = None
        if what == "follow":  # it has begun, and nobody knows how far it came
            assert told is not None
            assert told.effect in {"unknown", "yes"}
        with pytest.raises(ComputerGoneError) as caught:
            await computer.exec("true")
        assert caught.value.effect == "no"
        assert computer.info.status is ComputerStatus.DESTROYED
