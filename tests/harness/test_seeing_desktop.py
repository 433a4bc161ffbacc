"""Seeing on a real desktop, one's own and an attached one: what pops up under a target is not clicked on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from deskhand import ExternalComputer, Policy, Rule, open_run
from deskhand.harness import ApprovalRequest, OpenRun, Seeing
from deskhand.providers import Region, attach, open_computer

pytestmark = pytest.mark.needs_x

AWAY, TARGET = (30, 500), (400, 300)
PLACE = Region(TARGET[0] - 10, TARGET[1] - 10, TARGET[0] + 10, TARGET[1] + 10)
ASK = Policy([Rule(verdict="ask", tool="left_click")])


@asynccontextmanager
async def desktop(kind: str) -> AsyncIterator[ExternalComputer]:
    """Open a desktop, and use it as its owner or as a guest does."""
    async with open_computer("local") as computer:
        if kind == "own":
            yield computer
            return
        async with attach(f"local:{computer.info.id}") as attached:
            assert type(attached) is not type(computer)
            yield attached


async def pop_up(computer: ExternalComputer) -> None:
    """Let a window come up over the target, and wait until it is drawn."""
    before = await computer.screenshot(region=PLACE)
    await computer.exec("xmessage -geometry 300x200+250+200 'Buy now?' >/dev/null 2>&1 &")
    await drawn_over(computer, before)
    await computer.settle()


async def drawn_over(computer: ExternalComputer, before: bytes) -> None:
    """Wait until the place of the target shows something else."""
    with anyio.fail_after(20):
        while await computer.screenshot(region=PLACE) == before:  # noqa: ASYNC110 (nobody tells)
            await anyio.sleep(0.02)


async def look_from_away(computer: ExternalComputer, run: OpenRun) -> None:
    """Show the model a screen at rest, the pointer far from the target."""
    await computer.move(*AWAY)
    await run.look()


@pytest.mark.parametrize("kind", ["own", "attached"])
async def test_click_under_which_a_window_pops_up_is_answered_with_a_fresh_frame(kind: str) -> None:
    """Nothing is clicked, and the answer shows the window; the same call again means what is there now."""
    async with desktop(kind) as computer, open_run(computer, "go") as run:
        await look_from_away(computer, run)
        before = run.last_frame
        await pop_up(computer)
        refused = await run.act("left_click", x=TARGET[0], y=TARGET[1])
        assert (refused.outcome, refused.effect) == ("skipped", "no")
        assert refused.error is not None
        assert refused.error.code == "stale"
        assert refused.frame == run.last_frame
        assert refused.frame != before
        assert await computer.cursor_position() == AWAY
        assert (await run.act("left_click", x=TARGET[0], y=TARGET[1])).ok
        assert await computer.cursor_position() == TARGET


@pytest.mark.parametrize("kind", ["own", "attached"])
async def test_click_goes_through_where_nothing_pops_up_or_nothing_is_refused(kind: str) -> None:
    """A window elsewhere refuses nothing, and nothing does where it is switched off."""
    async with desktop(kind) as computer:
        async with open_run(computer, "go") as run:
            await look_from_away(computer, run)
            await pop_up(computer)
            assert (await run.act("left_click", x=900, y=600)).ok
        await computer.exec("pkill xmessage")
        await computer.settle()
        async with open_run(computer, "go", seeing=Seeing(refuse_stale=False)) as run:
            await look_from_away(computer, run)
            await pop_up(computer)
            assert (await run.act("left_click", x=TARGET[0], y=TARGET[1])).ok
            assert await computer.cursor_position() == TARGET


@pytest.mark.parametrize("kind", ["own", "attached"])
async def test_approved_click_under_which_a_window_pops_up_is_asked_about_again(kind: str) -> None:
    """With the frame that shows it; a yes to that one clicks."""
    asked: list[ApprovalRequest] = []

    async with desktop(kind) as computer:

        async def on_approval(request: ApprovalRequest) -> bool:
            asked.append(request)
            if len(asked) == 1:
                await pop_up(computer)
            else:
                assert await computer.cursor_position() == AWAY
            return True

        async with open_run(computer, "go", policy=ASK, on_approval=on_approval) as run:
            await look_from_away(computer, run)
            assert (await run.act("left_click", x=TARGET[0], y=TARGET[1])).ok
            assert await computer.cursor_position() == TARGET
    first, second = asked
    assert first.call.frame_id != second.call.frame_id
    assert first.digest != second.digest


@pytest.mark.parametrize("kind", ["own", "attached"])
async def test_look_waits_for_what_is_being_drawn(kind: str) -> None:
    """Whoever owns the desktop knows what is drawn: the picture is taken when that has ended, not in its midst."""
    draws = "for line in $(seq 40); do echo $line; sleep 0.03; done; touch drawn; sleep 60"
    async with desktop(kind) as computer, open_run(computer, "go", seeing=Seeing(settle=15.0, quiet=0.6)) as run:
        await run.look()
        before = await computer.screenshot(region=PLACE)
        await run.act("exec", command=f"xterm -geometry 60x20+250+150 -e '{draws}' >/dev/null 2>&1 &")
        await drawn_over(computer, before)
        await run.look()
        assert (await computer.stat("drawn")).kind == "file"


@pytest.mark.parametrize("kind", ["own", "attached"])
async def test_look_at_a_desktop_that_never_comes_to_rest_is_bounded(kind: str) -> None:
    """It is taken at the limit."""
    draws = "while true; do echo $RANDOM; sleep 0.02; done"
    async with desktop(kind) as computer, open_run(computer, "go", seeing=Seeing(settle=0.5, quiet=0.4)) as run:
        before = await computer.screenshot(region=PLACE)
        await run.act("exec", command=f"xterm -geometry 60x20+250+150 -e '{draws}' >/dev/null 2>&1 &")
        await drawn_over(computer, before)
        with anyio.fail_after(20):
            await run.look()
