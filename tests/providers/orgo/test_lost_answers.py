"""Answers that are lost, and whoever stops waiting: never two computers, none left behind, nothing done twice."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import pytest

from deskhand.errors import (
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    OutcomeUnknownError,
    QuotaError,
)
from deskhand.providers import Click
from deskhand.providers.orgo import OrgoProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OrgoDialect, OrgoSimulator
from tests.providers.behind import shell_only
from tests.providers.orgo.parts import orgo, simulated

Loss = Callable[[OrgoSimulator], None]
LOSSES: dict[str, Loss] = {
    "cut after it was done": lambda simulator: simulator.drop(route="create", after_effect=True),
    "cut before it was done": lambda simulator: simulator.drop(route="create"),
    "500 after it was done": lambda simulator: simulator.fail(500, route="create", after_effect=True),
    "502 after it was done": lambda simulator: simulator.fail(502, route="create", after_effect=True),
    "504 before it was done": lambda simulator: simulator.fail(504, route="create"),
    "a page after it was done": lambda simulator: simulator.respond(route="create", after_effect=True),
    "nothing after it was done": lambda simulator: simulator.respond(b"", route="create", after_effect=True),
    "half an answer": lambda simulator: simulator.stall(after=10, route="create"),
    "no answer": lambda simulator: simulator.stall(route="create"),
    "far too much": lambda simulator: simulator.respond(b"x" * (2 << 20), route="create", after_effect=True),
    "no id": lambda simulator: simulator.respond(
        b"{}", route="create", after_effect=True, content_type="application/json"
    ),
    "asked to wait": lambda simulator: simulator.fail(429, route="create", retry_after=0),
}

SILENT = {"half an answer", "no answer"}
"""Those that only a deadline ends."""


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
async def test_lost_answer_to_create_leaves_one_computer(loss: str) -> None:
    """However the answer is lost, there is one computer, it can be used, and it ends with the provider."""
    async with orgo(timeout=2.0 if loss in SILENT else None) as hosted:
        LOSSES[loss](hosted.simulator)
        computer = await hosted.create()
        assert [*hosted.simulator.computers] == [computer.info.id]
        names = {str(dict(request.body or {})["name"]) for request in hosted.simulator.asked("create")}  # type: ignore[arg-type]
        assert names == {computer.info.name}
        await computer.left_click(3, 4)


async def test_answers_lost_again_and_again_are_told_and_looked_for_in_the_end() -> None:
    """Where looking fails too, nobody can tell: the error names the computer, and leaving looks for it once more."""
    async with orgo() as hosted:
        await hosted.create()
        hosted.simulator.drop(route="create", after_effect=True)
        hosted.simulator.fail(401, route="list_workspaces")
        with pytest.raises(OutcomeUnknownError) as caught:
            await hosted.create("lost")
        assert (caught.value.effect, caught.value.provider) == ("unknown", "orgo")
        [left] = [one for one in hosted.simulator.computers.values() if one.name.startswith("lost")]
        assert left.name in str(caught.value)


async def test_refusal_after_a_lost_answer_does_not_mean_that_there_is_none() -> None:
    """The computer of the lost answer may come yet: the doubt stays, whatever is said to the next try."""
    async with orgo() as hosted:
        hosted.simulator.drop(route="create")
        hosted.simulator.fail(429, route="create", retry_after=3600)
        with pytest.raises(OutcomeUnknownError, match="Rate limit") as caught:
            await hosted.create()
        assert (caught.value.effect, len(hosted.simulator.asked("create"))) == ("unknown", 2)


async def test_create_that_certainly_failed_is_asked_once() -> None:
    """A refusal is no doubt."""
    async with orgo() as hosted:
        hosted.simulator.fail(403, route="create")
        with pytest.raises(DeskhandError) as caught:
            await hosted.create()
        assert caught.value.effect == "no"
        assert len(hosted.simulator.asked("create")) == 1


@pytest.mark.slow
async def test_lost_answer_to_clone_leaves_one_copy() -> None:
    """The copy that was not there before is the one."""
    async with orgo() as hosted:
        original = await hosted.create()
        hosted.simulator.drop(route="clone", after_effect=True)
        twin = await original.clone("twin")
        assert {*hosted.simulator.computers} == {original.info.id, twin.info.id}
        assert twin.info.name.startswith(original.info.name)
        hosted.simulator.drop(route="clone")
        with pytest.raises(OutcomeUnknownError):
            await original.clone("another")
        assert len(hosted.simulator.asked("clone")) == 2


@pytest.mark.parametrize("happens", [True, False], ids=["after the effect", "before the effect"])
async def test_lost_answer_to_input_is_unknown_and_not_sent_again(*, happens: bool) -> None:
    """A click that is repeated may confirm what nobody has read."""
    async with FakeComputer() as machine, orgo(lambda: machine) as hosted:
        computer = await hosted.create()
        for status in (None, 502, 503):
            if status is None:
                hosted.simulator.drop(route="click", after_effect=happens)
            else:
                hosted.simulator.fail(status, route="click", after_effect=happens)
            with pytest.raises(DeskhandError) as caught:
                await computer.left_click(3, 4)
            assert caught.value.effect == "unknown"
        assert machine.performed == [Click(3, 4)] * (3 if happens else 0)
        assert len(hosted.simulator.asked("click")) == 3


async def test_lost_answers_to_commands_are_unknown_and_not_sent_again() -> None:
    """Whether a command ran, nobody can tell."""
    async with orgo() as hosted:
        computer = await hosted.create()
        before = len(hosted.simulator.asked("bash"))
        hosted.simulator.drop(route="bash", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await computer.exec("echo hi")
        hosted.simulator.drop(route="exec", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await computer.python("1")
        assert len(hosted.simulator.asked("bash")) == before + 1
        assert len(hosted.simulator.asked("exec")) == 1


async def test_lost_answers_to_questions_are_asked_again() -> None:
    """A screenshot changes nothing; the third try is the last."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.drop(route="screenshot")
        hosted.simulator.fail(503, route="screenshot")
        assert (await computer.screenshot()).startswith(b"\x89PNG")
        hosted.simulator.drop(route="screenshot", times=3)
        with pytest.raises(ConnectionLostError) as caught:
            await computer.screenshot()
        assert caught.value.effect == "no"


async def test_lost_answer_to_destroy_is_made_up_for() -> None:
    """What is gone already was destroyed."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.drop(route="delete", after_effect=True)
        await computer.destroy()
        await computer.destroy()
        assert not hosted.simulator.computers


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["list_workspaces", "create", "bash", "screenshot", "delete"])
@pytest.mark.parametrize("answered", [True, False], ids=["slow", "silent"])
async def test_whoever_stops_waiting_leaves_nothing_behind(stage: str, *, answered: bool) -> None:
    """At whatever request it is cancelled, no computer is left, with an answer to that request or without."""
    async with simulated() as simulator:
        if answered:
            simulator.slow(delay=0.3, route=stage)
        else:
            simulator.stall(route=stage)
        with anyio.fail_after(40):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(use, simulator)
                await simulator.until_asked(stage)
                tasks.cancel_scope.cancel()
        assert not simulator.computers


async def use(simulator: OrgoSimulator) -> None:
    """Create a computer, use it, destroy it."""
    async with OrgoProvider(api_key=simulator.key, base_url=simulator.base_url, timeout=2.0) as hosted:
        computer = await hosted.create(name="box")
        await computer.screenshot()
        await computer.destroy()


async def test_creator_that_is_cancelled_alone_leaves_the_others() -> None:
    """One of two creations is given up; the other computer is used on."""
    async with orgo() as hosted:
        kept = await hosted.create("kept")
        hosted.simulator.slow(delay=0.3, route="create")
        with anyio.move_on_after(0.1) as scope:
            await hosted.create("given-up")
        assert scope.cancelled_caught
        with anyio.fail_after(10):
            await hosted.simulator.until_asked("delete")
        [ended] = hosted.simulator.asked("delete")
        assert not ended.path.endswith(kept.info.id)
        await kept.left_click(1, 1)


async def test_desktop_that_comes_up_later_is_waited_for() -> None:
    """The vendor says that it runs before it does."""
    async with orgo(shell_only, dialect=OrgoDialect(readiness="later")) as hosted:
        hosted.simulator.fail(400, route="bash", times=3)
        hosted.simulator.fail(503, route="bash", times=2)
        computer = await hosted.create()
        assert len(hosted.simulator.asked("bash")) >= 6
        assert (await computer.exec("echo hi")).ok


async def test_desktop_that_cannot_come_up_is_destroyed_and_told() -> None:
    """What no waiting mends ends the creation at once."""
    async with orgo() as hosted:
        hosted.simulator.fail(402, route="bash")
        with pytest.raises(QuotaError, match="402"):
            await hosted.create()
        assert not hosted.simulator.computers


async def test_answer_that_never_comes_ends_at_its_deadline() -> None:
    """Both kinds: what acts is unknown, what asks is late."""
    async with orgo(timeout=1.0) as hosted:
        computer = await hosted.create()
        hosted.simulator.stall(route="click")
        hosted.simulator.stall(route="screenshot")
        with anyio.fail_after(10):
            with pytest.raises(OutcomeUnknownError):
                await computer.left_click(1, 1)
            with pytest.raises(DeadlineExceededError):
                await computer.screenshot()
