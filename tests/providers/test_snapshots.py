"""Snapshots of vendors that restore them onto another machine: whose the machines are, and that none is left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

from deskhand.errors import NotFoundError, OutcomeUnknownError, PermissionDeniedError, UnsupportedError
from deskhand.providers import Capability, ComputerSpec
from tests.providers.behind import shell_only
from tests.providers.daytona.parts import daytona
from tests.providers.e2b.parts import e2b
from tests.providers.miosa.parts import miosa

Open = Callable[..., AbstractAsyncContextManager[Any]]

VENDORS = [pytest.param(e2b, id="e2b"), pytest.param(daytona, id="daytona"), pytest.param(miosa, id="miosa")]
ENDING = VENDORS[:2]
"""Vendors whose snapshots outlast the machine, so that the former is ended at once."""
SAVES = {e2b: "snapshot", daytona: "snapshot", miosa: "take_snapshot"}
"""The route that takes a snapshot."""
MAKES = {e2b: "create", daytona: "create", miosa: "restore"}
"""The route that makes a machine of one."""


@pytest.mark.parametrize("vendor", ENDING)
async def test_former_machine_is_ended_and_the_snapshot_outlasts_it(vendor: Open) -> None:
    """There is one machine at any time; its name, its notes and its variables go on."""
    async with vendor(shell_only) as hosted:
        spec = ComputerSpec(metadata={"team": "red"}, env={"GIVEN": "here"})
        computer = await hosted.create("box", spec)
        first = computer.info
        await computer.write_file("file", "before")
        saved = await computer.snapshot("My snapshot")
        for _ in range(2):
            await computer.write_file("file", "after")
            await computer.restore(saved)
            assert await computer.read_file("file") == "before"
        assert [*hosted.simulator.computers] == [computer.info.id] != [first.id]
        assert computer.info.name.rpartition("-")[0] == first.name.rpartition("-")[0]
        assert computer.info.metadata == {"team": "red"}
        assert (await computer.exec('echo "$GIVEN"')).output.strip() == "here"
        assert [info.metadata["team"] for info in await hosted.provider.list()] == ["red"]
        with pytest.raises(NotFoundError, match="no-such"):
            await computer.restore("no-such")
        await computer.destroy()
        assert not hosted.simulator.computers


@pytest.mark.parametrize("vendor", VENDORS)
async def test_restored_machine_whose_answer_was_lost_is_found(vendor: Open) -> None:
    """It is asked for once, or under the same name, and there are never two."""
    async with vendor(shell_only) as hosted:
        computer = await hosted.create("box")
        first = computer.info.id
        saved = await computer.snapshot("mine")
        before = len(hosted.simulator.asked(MAKES[vendor]))
        hosted.simulator.drop(route=MAKES[vendor], after_effect=True)
        await computer.restore(saved)
        assert len(hosted.simulator.asked(MAKES[vendor])) == before + 1
        assert {*hosted.simulator.computers} - {first} == {computer.info.id}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_snapshot_whose_answer_was_lost_is_unknown_and_asked_for_once(vendor: Open) -> None:
    """A second one would cost, and nobody asked for it."""
    async with vendor(shell_only) as hosted:
        computer = await hosted.create("box")
        hosted.simulator.drop(route=SAVES[vendor], after_effect=True)
        with pytest.raises(OutcomeUnknownError) as caught:
            await computer.snapshot("mine")
        assert caught.value.effect == "unknown"
        assert len(hosted.simulator.asked(SAVES[vendor])) == 1


@pytest.mark.parametrize("vendor", VENDORS)
async def test_machine_that_was_given_away_stays_and_so_does_what_is_restored(vendor: Open) -> None:
    """Whoever has it by now goes on with it."""
    async with vendor(shell_only, left_behind=2) as hosted:
        computer = await hosted.create("box")
        saved = await computer.snapshot("mine")
        computer.keep()
        await computer.restore(saved)
        assert computer.kept


@pytest.mark.parametrize("vendor", VENDORS)
async def test_borrowed_machine_stays_and_what_is_restored_is_owned(vendor: Open) -> None:
    """What this provider had made ends with it."""
    async with vendor(shell_only) as hosted:
        computer = await hosted.create("box")
        async with type(hosted.provider)(**hosted.simulator.options()) as other:
            borrowed = await other.get(computer.info.id)
            await borrowed.restore(await borrowed.snapshot("mine"))
            assert len(hosted.simulator.computers) == 2
        assert [*hosted.simulator.computers] == [computer.info.id]
        assert (await computer.exec("echo on")).output.strip() == "on"


@pytest.mark.parametrize("vendor", ENDING)
async def test_vendor_without_snapshots_takes_the_capability_along(vendor: Open) -> None:
    """Once that is found out; nothing was made."""
    async with vendor(shell_only, without=("snapshot",)) as hosted:
        computer = await hosted.create("box")
        with pytest.raises(UnsupportedError):
            await computer.snapshot("mine")
        assert Capability.SNAPSHOT not in computer.capabilities
        assert (await computer.exec("echo on")).output.strip() == "on"


@pytest.mark.parametrize("vendor", VENDORS)
async def test_restored_computer_is_the_one_that_its_provider_knows(vendor: Open) -> None:
    """What is asked of it by its id reaches the object that somebody has, and giving that away gives it away."""
    async with vendor(shell_only, left_behind=1) as hosted:
        computer = await hosted.create("box")
        saved = await computer.snapshot("mine")
        for _ in range(2):
            await computer.restore(saved)
            assert await hosted.provider.get(computer.info.id) is computer
        computer.keep()
        if vendor is miosa:  # whose former machines are only stopped, and are given away with it
            for computer_id in {*hosted.simulator.computers} - {computer.info.id}:
                await hosted.simulator.vanish(computer_id)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_two_restores_at_once_are_done_in_turn(vendor: Open) -> None:
    """No machine is left that nobody has."""
    async with vendor(shell_only) as hosted:
        computer = await hosted.create("box")
        saved = await computer.snapshot("mine")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(computer.restore, saved)
            tasks.start_soon(computer.restore, saved)
        await computer.destroy()
        assert not hosted.simulator.computers


@pytest.mark.parametrize("vendor", VENDORS)
async def test_borrowed_computer_that_was_restored_twice_leaves_one_machine(vendor: Open) -> None:
    """What this provider had made is let go of by the next, and ends with it."""
    async with vendor(shell_only) as hosted:
        computer = await hosted.create("box")
        async with type(hosted.provider)(**hosted.simulator.options()) as other:
            borrowed = await other.get(computer.info.id)
            saved = await borrowed.snapshot("mine")
            await borrowed.restore(saved)
            await borrowed.restore(saved)
            assert await other.get(borrowed.info.id) is borrowed
        assert [*hosted.simulator.computers] == [computer.info.id]


async def test_former_machines_end_although_the_present_one_does_not() -> None:
    """The failure is told, and ending it again ends the rest."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create("box")
        first = computer.info.id
        await computer.restore(await computer.snapshot("mine"))
        hosted.simulator.fail(403, route="delete")
        with pytest.raises(PermissionDeniedError):
            await computer.destroy()
        assert first not in hosted.simulator.computers
        await computer.destroy()
        assert not hosted.simulator.computers
