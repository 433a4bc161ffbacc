"""Input of several requests, cancelled at every suspension: nothing stays pressed, and nothing is sent again."""

from __future__ import annotations

import anyio
import pytest

from deskhand.providers import Click, Drag, HoldKey, InputAction
from tests.cancellation.injector import Mode, inject
from tests.providers.test_held_everywhere import held
from tests.providers.vendors import VENDORS, Vendor

pytestmark = pytest.mark.slow

CLEAN_UP = 10.0
ACTIONS: tuple[InputAction, ...] = (
    Click(5, 6, modifiers=("ctrl", "shift")),
    HoldKey("ctrl+x", 0.01),
    Drag(((1, 2), (30, 4), (5, 60)), "left", ("alt",)),
)


async def all_let_go(simulator: Vendor, place: str) -> None:
    """Wait until nothing is pressed, as what lets go may still be under way.

    Raises:
        AssertionError: If that takes too long.
    """
    pressed = held(simulator.requests)
    with anyio.move_on_after(CLEAN_UP):
        while True:
            pressed = held(simulator.requests)
            if not pressed:
                return
            await anyio.sleep(0.005)
    raise AssertionError(f"{place} left {pressed} pressed")


@pytest.mark.parametrize("mode", ["scope", "native"])
@pytest.mark.parametrize("action", ACTIONS, ids=str)
@pytest.mark.parametrize("vendor", ["miosa", "cua"])
async def test_input_cancelled_leaves_nothing_pressed(vendor: str, action: InputAction, mode: Mode) -> None:
    """Whatever request is under way: what it pressed is let go of, by whoever still lives."""
    async with VENDORS[vendor]() as served:
        simulator, computer = served.simulator, served.computer

        async def try_at(n: int) -> int:
            before = len(simulator.requests)
            schedule = await inject(lambda: computer.perform(action), frozenset({n}), mode)
            place = f"{mode} cancel at {n}: {schedule.where}"
            await all_let_go(simulator, place)
            assert [*simulator.errors] == [], place
            sent = [request for request in simulator.requests if request.number > before]
            downs = [request for request in sent if "down" in str(request.body) + str(request.route)]
            assert len(downs) <= 3, place
            return schedule.seen

        total = await try_at(0)
        assert total > 4
        for n in range(1, total + 1):
            await try_at(n)
