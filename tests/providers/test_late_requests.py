"""A request that arrives after whoever sent it has gone: what it does is undone all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

from deskhand.providers import ExternalComputer
from deskhand.providers.daytona import DaytonaProvider
from deskhand.providers.e2b import E2BProvider
from deskhand.testing.conformance import Wire
from deskhand.testing.conformance.wire import Answer, Forward, Request
from tests.providers.behind import shell_only
from tests.providers.daytona.parts import simulated as simulated_daytona
from tests.providers.e2b.parts import simulated as simulated_e2b

CLEAN_UP = 10.0


class Late:
    """Holds a request back until others have come, which end or clear away what it asks for.

    Args:
        is_meant: Whether it is this request.
        is_tidying: Whether it is one of the others.
        have_looked: Waits until these have looked for it once, and found nothing.

    Attributes:
        arrived: Set when it has come.
        carried_out: Set when it was passed on at last.
    """

    def __init__(
        self,
        is_meant: Callable[[Request], bool],
        is_tidying: Callable[[Request], bool],
        have_looked: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint,
    ) -> None:
        self._is_meant = is_meant
        self._is_tidying = is_tidying
        self._have_looked = have_looked
        self._tidied = anyio.Event()
        self.arrived = anyio.Event()
        self.carried_out = anyio.Event()

    async def __call__(self, request: Request, forward: Forward) -> Answer:
        """Pass a request on, now or late."""
        if self._is_meant(request) and not self.arrived.is_set():
            self.arrived.set()
            await self._tidied.wait()
            await self._have_looked()
            answer = await forward(request)
            self.carried_out.set()
            return answer
        if self.arrived.is_set() and self._is_tidying(request):
            self._tidied.set()
        return await forward(request)


async def gone_meanwhile(computer: ExternalComputer, wire: Wire, late: Late) -> None:
    """Run a marked command, and give it up as soon as it was sent."""
    with wire.broken(late):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(computer.exec, "sleep 3141")
            await late.arrived.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(CLEAN_UP):
            await late.carried_out.wait()


async def test_command_of_e2b_that_begins_after_it_was_given_up_is_ended() -> None:
    """Its signal finds nothing yet; it is looked for a little longer."""
    async with (
        simulated_e2b(shell_only) as simulator,
        Wire(simulator.base_url) as wire,
        E2BProvider(api_key=simulator.key, base_url=wire.base_url, sandbox_url=wire.base_url) as provider,
    ):
        computer = await provider.create(name="box")
        machine = simulator.computers[computer.info.id].machine
        assert machine is not None

        async def have_looked() -> None:
            with anyio.move_on_after(1.0):  # (whoever looks only once never waits)
                while not (await machine.exec("pgrep -fx 'sleep 0[.]05'")).ok:
                    pass

        late = Late(
            lambda one: one.target.endswith("/Start") and b"sleep 3141" in one.body,
            lambda one: one.target.endswith("/Start") and b"SIGKILL" not in one.body,
            have_looked,
        )
        await gone_meanwhile(computer, wire, late)
        await ended(computer)


async def test_command_of_daytona_that_begins_after_it_was_given_up_is_ended() -> None:
    """The same, by a command that looks for its mark."""
    async with (
        simulated_daytona(shell_only) as simulator,
        Wire(simulator.base_url) as wire,
        DaytonaProvider(api_key=simulator.key, base_url=wire.base_url) as provider,
    ):
        simulator.toolbox_origin = wire.base_url.removesuffix("/api")
        computer = await provider.create(name="box")
        late = Late(
            lambda one: one.target.endswith("/process/execute") and b"sleep 3141" in one.body,
            lambda one: one.target.endswith("/process/execute"),
        )
        await gone_meanwhile(computer, wire, late)
        await ended(computer)


async def ended(computer: ExternalComputer) -> None:
    """Wait until the command runs no more.

    Raises:
        TimeoutError: If it goes on.
    """
    with anyio.fail_after(CLEAN_UP):
        while (await computer.exec("pgrep -f 'sleep 314[1]'")).exit_code == 0:
            pass


async def test_file_of_e2b_that_is_put_down_after_it_was_given_up_is_removed() -> None:
    """What was there stays, and nothing lies beside it."""
    async with (
        simulated_e2b(shell_only) as simulator,
        Wire(simulator.base_url) as wire,
        E2BProvider(api_key=simulator.key, base_url=wire.base_url, sandbox_url=wire.base_url) as provider,
    ):
        computer = await provider.create(name="box")
        await computer.write_file("folder/file", b"old")
        arrived = anyio.Event()

        async def hold(request: Request, forward: Forward) -> Answer:
            if request.method == "POST" and request.target.startswith("/files"):
                arrived.set()
                await anyio.sleep(0.1)
            return await forward(request)

        with wire.broken(hold):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(computer.write_file, "folder/file", b"new")
                await arrived.wait()
                tasks.cancel_scope.cancel()
        assert [one.path for one in await computer.list_dir("folder")] == ["folder/file"]
        assert await computer.read_bytes("folder/file") == b"old"
