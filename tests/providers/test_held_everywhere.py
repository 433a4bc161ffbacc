"""Actions of several requests: whichever of them fails, and however, nothing stays pressed; what was done is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from deskhand.errors import DeskhandError
from deskhand.providers import Click, Drag, ExternalComputer, HoldKey, InputAction, Key, Scroll
from deskhand.testing.simulators import RecordedRequest
from tests.providers.vendors import VENDORS, Vendor

COMPOSED: tuple[InputAction, ...] = (
    Click(5, 6, modifiers=("ctrl", "shift")),
    Click(5, 6, "middle", modifiers=("alt",)),
    Click(5, 6, count=3),
    HoldKey("ctrl+x", 0.01),
    Drag(((1, 2), (30, 4), (5, 60))),
    Drag(((1, 2), (30, 4)), "right", ("super",)),
    Scroll(5, 6, dx=1, dy=-2, modifiers=("ctrl",)),
    Key("down", 3),
)
FAULTS: dict[str, Callable[[Vendor], None]] = {
    "refused": lambda simulator: simulator.fail(409),
    "lost before it was done": lambda simulator: simulator.drop(),
    "lost after it was done": lambda simulator: simulator.drop(after_effect=True),
    "failed after it was done": lambda simulator: simulator.fail(500, after_effect=True),
}


def said(request: RecordedRequest) -> tuple[str, str] | None:
    """Return what a request says of a key or a button (``down`` or ``up``), and which; ``None`` where it does not."""
    body = request.body if isinstance(request.body, dict) else {}
    word, params = (body.get("command"), body.get("params")) if request.route == "cmd" else (request.route, body)
    if not isinstance(params, dict) or word not in {"key_down", "key_up", "mouse_down", "mouse_up"}:
        return None
    return str(word).partition("_")[2], str(params.get("key", params.get("button", "left")))


def held(requests: Iterable[RecordedRequest]) -> set[str]:
    """Return what is pressed after requests that were carried out."""
    pressed: set[str] = set()
    for request in requests:
        if request.performed and (found := said(request)) is not None:
            (pressed.add if found[0] == "down" else pressed.discard)(found[1])
    return pressed


async def perform(computer: ExternalComputer, action: InputAction) -> DeskhandError | None:
    """Perform an action, and return the error that it ends in."""
    try:
        await computer.perform(action)
    except DeskhandError as error:
        return error
    return None


@pytest.mark.parametrize("action", COMPOSED, ids=str)
@pytest.mark.parametrize("vendor", ["miosa", "cua", "daytona"])
async def test_nothing_stays_pressed_whichever_part_fails(vendor: str, action: InputAction) -> None:
    """Each request of an action in turn, by each fault; what was not sent was not done, what was may have been."""
    async with VENDORS[vendor]() as served:
        simulator, computer = served.simulator, served.computer
        before = len(simulator.requests)
        await computer.perform(action)
        total = len(simulator.requests) - before
        assert total > 1 or vendor == "daytona"  # which has words for more
        for index in range(total):
            for fault, arrange in FAULTS.items():
                place = f"{fault} at request {index + 1} of {total}"
                simulator.let_pass(times=index)
                arrange(simulator)
                error = await perform(computer, action)
                assert error is not None or fault != "refused", place  # what lets go is asked for again
                if error is not None:
                    known = "yes" if index else "no"
                    assert error.effect == (known if fault == "refused" else "unknown"), (place, error)
                    assert not (index and error.retryable), (place, error)
                assert simulator.pending_faults == 0, place
                assert held(simulator.requests) == set(), place
