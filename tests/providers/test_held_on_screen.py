"""On a real screen: whatever becomes of an action at E2B or Daytona, no key and no button stays down there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from deskhand.errors import DeskhandError, InvalidInputError
from deskhand.providers import Click, ComputerSpec, Drag, ExternalComputer, HoldKey, InputAction, Key, Screen, Scroll
from deskhand.providers.local import LocalComputer
from deskhand.testing.received import GroundTruth
from deskhand.testing.simulators import DaytonaSimulator, E2BSimulator
from deskhand.testing.x_ground_truth import x_ground_truth
from tests.providers.daytona.parts import daytona
from tests.providers.e2b.parts import e2b

pytestmark = [
    pytest.mark.needs_x,
    pytest.mark.slow,
]

PRESSING: tuple[InputAction, ...] = (
    HoldKey("ctrl+shift+x", 30.0),
    Click(300, 300, modifiers=("ctrl", "alt")),
    Drag(((200, 200), (500, 200), (500, 500)), "right", ("shift",)),
    Scroll(300, 300, dx=2, dy=-3, modifiers=("ctrl",)),
    Key("shift+down", 20),
)
VENDORS = ("e2b", "daytona")


@dataclass(frozen=True, slots=True)
class Watched:
    """A sandbox, its simulator, and who writes down what arrives on its screen."""

    computer: ExternalComputer
    simulator: E2BSimulator | DaytonaSimulator
    truth: GroundTruth

    async def held(self) -> set[str]:
        """Return what is down on the screen since the last look."""
        down: set[str] = set()
        for event in await self.truth.events():
            if event.kind.endswith("_down"):
                down.add(event.name)
            elif event.kind.endswith("_up"):
                down.discard(event.name)
        return down


@asynccontextmanager
async def watched(vendor: str) -> AsyncIterator[Watched]:
    """Create a sandbox with a real desktop behind, and watch that."""
    open_vendor: Callable[..., object] = e2b if vendor == "e2b" else daytona
    async with open_vendor(None) as hosted:  # type: ignore[attr-defined]
        computer = await hosted.create("held", ComputerSpec(screen=Screen(1280, 800)))
        machine = hosted.simulator.computers[computer.info.id].machine
        assert isinstance(machine, LocalComputer)
        access = machine.x_access
        assert access is not None
        async with x_ground_truth(*access) as truth:
            yield Watched(computer, hosted.simulator, truth)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_nothing_stays_down_on_the_screen_when_an_action_breaks_off(vendor: str) -> None:
    """Its answer is lost before or after it was done, or whoever asked for it goes away in the middle of it."""
    async with watched(vendor) as sandbox:
        for action in PRESSING:
            for is_done in (False, True):
                if is_done and isinstance(action, HoldKey):
                    continue  # it would be held to its end first
                await sandbox.truth.clear()
                sandbox.simulator.drop(after_effect=is_done)
                with pytest.raises(DeskhandError) as caught:
                    await sandbox.computer.perform(action)
                assert caught.value.effect == "unknown", action
                assert await sandbox.held() == set(), action
            await sandbox.truth.clear()
            with anyio.move_on_after(0.3):
                await sandbox.computer.perform(action)
            assert await sandbox.held() == set(), action


@pytest.mark.parametrize("vendor", VENDORS)
async def test_action_that_cannot_be_is_refused_before_anything_is_sent(vendor: str) -> None:
    """A key that nobody has, a point off the screen: the programs on the sandbox would pass over it in silence."""
    async with watched(vendor) as sandbox:
        before = len(sandbox.simulator.requests)
        for wrong in ("Nonsense", "ctrl+Nonsense", "", "ctrl++x"):
            with pytest.raises(InvalidInputError):
                await sandbox.computer.key(wrong)
        for action in (Click(1280, 0), Click(0, 800), Click(-1, 0), Drag(((0, 0), (5000, 0)))):
            with pytest.raises(InvalidInputError):
                await sandbox.computer.perform(action)
        assert len(sandbox.simulator.requests) == before
        assert await sandbox.truth.events() == []
