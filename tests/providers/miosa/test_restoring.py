"""A restored machine whose answer was lost: it is found if it can be no other, and nobody else's is taken or ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest

from deskhand.errors import (
    ComputerGoneError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    UnsupportedError,
)
from deskhand.providers import ComputerSpec, ComputerStatus, ExternalComputer
from deskhand.providers.miosa import MiosaKind, MiosaProvider
from deskhand.testing.simulators import MiosaSimulator
from tests.providers.miosa.parts import miosa, simulated

pytestmark = pytest.mark.slow

ROUTES: Mapping[MiosaKind, str] = {"computer": "restore", "sandbox": "restore_sandbox"}
"""How each kind is restored."""


def there(simulator: MiosaSimulator) -> set[str]:
    """Return the ids of what there is."""
    return {*simulator.computers, *simulator.sandboxes}


@asynccontextmanager
async def provider_of(simulator: MiosaSimulator, *, timeout: float | None = None) -> AsyncIterator[MiosaProvider]:
    """Open a provider of the simulator's account."""
    async with MiosaProvider(api_key=simulator.key, base_url=simulator.base_url, timeout=timeout) as provider:
        yield provider


@asynccontextmanager
async def borrowed(
    kind: MiosaKind, *, left_behind: int, timeout: float | None = None
) -> AsyncIterator[tuple[MiosaSimulator, ExternalComputer, str]]:
    """Give what somebody else has, as another provider gets it, and a snapshot of it."""
    async with simulated(left_behind=left_behind) as simulator:
        async with provider_of(simulator) as theirs:
            made = await theirs.create(name="dev", kind=kind)
            made.keep()
        async with provider_of(simulator, timeout=timeout) as ours:
            computer = await ours.get(made.info.id)
            yield simulator, computer, await computer.snapshot("mine")


@pytest.mark.parametrize("kind", ROUTES)
async def test_machine_of_a_name_alike_is_somebody_elses(kind: MiosaKind) -> None:
    """What is created meanwhile, and begins with the same name, is neither become nor ended."""
    async with borrowed(kind, left_behind=2) as (simulator, computer, snapshot):
        before = computer.info.id
        simulator.drop(route=ROUTES[kind])

        async def create_another() -> None:
            await simulator.until_asked(ROUTES[kind])
            async with provider_of(simulator) as theirs:
                (await theirs.create(name=f"{computer.info.name}-of-somebody-else", kind=kind)).keep()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(create_another)
            with pytest.raises(OutcomeUnknownError, match="nobody can tell"):
                await computer.restore(snapshot)
        assert computer.info.id == before
    assert len(there(simulator)) == 2


async def restore_too(simulator: MiosaSimulator, computer_id: str, snapshot: str) -> None:
    """Restore what is being restored, for somebody else, who keeps it."""
    await simulator.until_asked("restore_sandbox")
    async with provider_of(simulator) as theirs:
        other = await theirs.get(computer_id)
        await other.restore(snapshot)
        other.keep()


async def test_of_two_that_it_may_be_none_is_touched() -> None:
    """Somebody restores the same snapshot at the same time: nobody can tell whose is whose, and both stay."""
    async with borrowed("sandbox", left_behind=3, timeout=2.0) as (simulator, computer, snapshot):
        simulator.stall(route="restore_sandbox")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(restore_too, simulator, computer.info.id, snapshot)
            with pytest.raises(OutcomeUnknownError, match="several may be what was asked for") as raised:
                await computer.restore(snapshot)
        assert raised.value.hint is not None
        assert raised.value.hint.endswith("end it there")
    assert len(there(simulator)) == 3


async def test_doubt_about_two_is_told_on_leaving() -> None:
    """What may be one's own, and is not ended as it may be somebody else's, is named."""

    async def leave_in_doubt(simulator: MiosaSimulator) -> None:
        async with provider_of(simulator, timeout=2.0) as ours:
            computer = await ours.create(name="box", kind="sandbox")
            snapshot = await computer.snapshot("mine")
            simulator.stall(route="restore_sandbox")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(restore_too, simulator, computer.info.id, snapshot)
                with pytest.raises(OutcomeUnknownError):
                    await computer.restore(snapshot)

    async with simulated(left_behind=2) as simulator:
        with pytest.raises(OutcomeUnknownError, match="none was touched") as raised:
            await leave_in_doubt(simulator)
        assert all(one in raised.value.message for one in there(simulator))


@pytest.mark.parametrize("kind", ROUTES)
async def test_kept_machine_is_not_taken_for_one_in_doubt(kind: MiosaKind) -> None:
    """A first try came to nothing, of which nobody knows: what a later one made is what it is."""
    async with miosa(left_behind=2) as hosted:
        computer = await hosted.provider.create(name="box", kind=kind)
        snapshot = await computer.snapshot("mine")
        hosted.simulator.drop(route=ROUTES[kind])
        with pytest.raises(OutcomeUnknownError):
            await computer.restore(snapshot)
        await computer.restore(snapshot)
        computer.keep()
    assert computer.info.id in there(hosted.simulator)


async def test_restored_machine_that_the_list_does_not_show_yet_ends_with_the_provider() -> None:
    """It is looked for again on leaving, of what is the provider's own."""
    async with miosa() as hosted:
        computer = await hosted.sandbox()
        snapshot = await computer.snapshot("mine")
        hosted.simulator.drop(route="restore_sandbox", after_effect=True)
        hosted.simulator.let_pass(route="list_sandboxes")
        hosted.simulator.fail(500, route="list_sandboxes", times=3)
        with pytest.raises(OutcomeUnknownError, match="nobody can tell") as raised:
            await computer.restore(snapshot)
        assert "leaving the provider" in str(raised.value.hint)
        assert len(there(hosted.simulator)) == 2


async def test_two_restored_at_once_are_two() -> None:
    """The one whose answer was lost is not taken for the other."""
    async with miosa() as hosted:
        computer = await hosted.sandbox()
        snapshot = await computer.snapshot("mine")
        hosted.simulator.drop(route="restore_sandbox")
        failed: list[OutcomeUnknownError] = []

        async def restore() -> None:
            try:
                await computer.restore(snapshot)
            except OutcomeUnknownError as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(restore)
            tasks.start_soon(restore)
        assert len(failed) == 1
        assert len(there(hosted.simulator)) == 2


async def test_fork_refused_after_a_doubtful_one_is_in_doubt() -> None:
    """What the first request came to is not known: that the second is refused does not undo it, and all ends."""
    async with miosa() as hosted:
        sandbox = await hosted.sandbox()
        hosted.simulator.drop(route="fork_sandbox", after_effect=True)
        hosted.simulator.fail(403, route="fork_sandbox")
        hosted.simulator.respond(b'{"data": []}', content_type="application/json", route="list_sandboxes", times=4)
        with pytest.raises(OutcomeUnknownError, match="nobody can tell") as raised:
            await sandbox.clone("twin")
        assert raised.value.effect == "unknown"
        assert len(hosted.simulator.sandboxes) == 2


async def test_snapshot_whose_machine_is_gone_says_nothing_of_the_one_that_goes_on() -> None:
    """What is asked of another machine tells of that one alone."""
    async with miosa() as hosted:
        sandbox = await hosted.sandbox()
        first = sandbox.info.id
        snapshot = await sandbox.snapshot("mine")
        await sandbox.restore(snapshot)
        await hosted.simulator.vanish(first)
        with pytest.raises((ComputerGoneError, NotFoundError)):
            await sandbox.restore(snapshot)
        assert sandbox.info.status is ComputerStatus.RUNNING
        assert (await sandbox.refresh()).id in hosted.simulator.sandboxes


async def test_idle_time_that_was_asked_for_is_asked_for_of_copies_too() -> None:
    """Where a copy cannot have it, that is told, as it is of what is created."""
    async with miosa() as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=600))
        assert (computer.idle.seconds, computer.idle.is_wanted) == (600, True)
        await computer.extend(1800)
        assert hosted.simulator.computers[computer.info.id].auto_stop == 1800
        twin = await computer.clone("twin")
        assert hosted.simulator.computers[twin.info.id].auto_stop == 1800
        await twin.destroy()
        hosted.simulator.fail(403, route="set_auto_stop", times=2)
        with pytest.raises(PermissionDeniedError):
            await computer.clone("twin")
        with pytest.raises(PermissionDeniedError):
            await computer.extend(60)
        assert computer.idle.seconds == 1800
        assert [*hosted.simulator.computers] == [computer.info.id]


@pytest.mark.parametrize("status", [405, 501])
async def test_service_that_refuses_one_kind_gives_the_other(status: int) -> None:
    """What cannot be looked for as the one kind is found as the other; else that it cannot be is told."""
    async with miosa() as hosted:
        sandbox = await hosted.sandbox()
        async with provider_of(hosted.simulator) as other:
            hosted.simulator.fail(status, route="get")
            assert (await other.get(sandbox.info.id)).info.id == sandbox.info.id
            hosted.simulator.fail(status, route="get")
            with pytest.raises(UnsupportedError):
                await other.get("no-such")
