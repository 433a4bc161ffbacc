"""Local computers that were booted ahead."""

# ruff: noqa: ASYNC110 - the pool fills itself by itself

from __future__ import annotations

import anyio
import pytest

from deskhand.providers import ComputerSpec, ComputerStatus, Screen
from deskhand.providers.local import LocalProvider
from tests.providers.local.machines import folders, own_folders, processes_with

__all__ = ["own_folders"]
pytestmark = [pytest.mark.needs_x, pytest.mark.usefixtures("own_folders")]


async def until_booted(count: int) -> set[str]:
    """Wait until so many computers have a folder and a running panel or window manager; return their ids."""
    with anyio.fail_after(20):
        while len(found := folders()) < count or not all(processes_with(name) for name in found):
            await anyio.sleep(0.02)
    return found


async def test_pool_gives_what_was_booted_ahead_and_replaces_it() -> None:
    """A computer of the pool is there before it is asked for, is given once, and another takes its place."""
    async with LocalProvider(pool=2, screen=Screen(800, 600)) as local:
        ahead = await until_booted(2)
        first = await local.create(name="first", spec=ComputerSpec(metadata={"a": "b"}))
        second = await local.create(name="second")
        assert {first.info.id, second.info.id} == ahead
        assert (first.info.name, first.info.metadata, first.info.screen) == ("first", {"a": "b"}, Screen(800, 600))
        await first.write_file("used", "x")
        assert len(await until_booted(4)) == 4
        assert {info.name for info in await local.list()} == {"first", "second"}
        third = await local.create(name="third")
        assert third.info.id not in ahead
        assert not (await third.exec("cat used")).ok
    assert folders() == set()


async def test_used_computer_is_never_given_again() -> None:
    """What was destroyed does not come back: each creation gives another id and an empty home."""
    async with LocalProvider(pool=1) as local:
        seen = set()
        for _ in range(3):
            computer = await local.create(name="x")
            assert not (await computer.exec("test -e used")).ok
            await computer.write_file("used", "x")
            await computer.destroy()
            seen.add(computer.info.id)
        assert len(seen) == 3


async def test_computer_that_the_pool_does_not_have_is_booted() -> None:
    """Another screen or an environment of its own is honoured beside the pool."""
    async with LocalProvider(pool=1) as local:
        ahead = await until_booted(1)
        other = await local.create(name="x", spec=ComputerSpec(screen=(640, 480), env={"A": "1"}))
        assert other.info.id not in ahead
        assert other.info.screen == Screen(640, 480)
        assert (await other.exec("echo $A")).output == "1\n"
        assert (await local.create(name="y")).info.id in ahead


async def test_computer_that_died_in_the_pool_is_not_given() -> None:
    """A pooled computer whose sandbox ended is replaced rather than given away."""
    async with LocalProvider(pool=1) as local:
        (ahead,) = await until_booted(1)
        holding = local._held[ahead]
        with anyio.fail_after(20):
            await holding.ready.wait()
            assert holding.computer is not None
            await holding.computer.exec("kill -9 -1")
            holding.computer._sandbox.close()
            computer = await local.create(name="x")
        assert computer.info.id != ahead
        assert computer.info.status is ComputerStatus.RUNNING


async def test_provider_left_while_the_pool_boots_leaves_nothing() -> None:
    """Leaving in the middle of booting ends what was begun."""
    for delay in (0, 0.02, 0.1):
        with anyio.fail_after(20):
            async with LocalProvider(pool=3):
                await anyio.sleep(delay)
        assert folders() == set()


async def test_boots_are_bounded_by_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are wanted at once, no more boot than there are cores, and all come."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    async with LocalProvider() as local:
        most = 0
        created: list[str] = []

        async def one() -> None:
            created.append((await local.create(name="x", desktop=False)).info.id)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for _ in range(6):
                    tasks.start_soon(one)
                while len(created) < 6:
                    most = max(most, local._boots.borrowed_tokens)
                    await anyio.sleep(0.002)
        assert len(set(created)) == 6
        assert most == 2
