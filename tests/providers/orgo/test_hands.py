"""Input: what is asked of the vendor for each action, and what is refused where it has no way."""

from __future__ import annotations

import anyio
import pytest

from deskhand.errors import DeskhandError, InvalidInputError, ProviderError, RateLimitedError, UnsupportedError
from deskhand.providers import (
    Capability,
    Click,
    Drag,
    HoldKey,
    InputAction,
    Key,
    MouseDown,
    MouseUp,
    Move,
    Scroll,
    Type,
    Wait,
)
from deskhand.providers.keys import NAMED_KEYS
from deskhand.testing import FakeComputer
from tests.providers.orgo.parts import Orgo, orgo

ACTIONS = ("click", "mouse_move", "drag", "scroll", "type", "key")
REQUESTS: list[tuple[InputAction, list[tuple[str, dict[str, object]]]]] = [
    (Click(3, 4), [("click", {"x": 3, "y": 4, "button": "left"})]),
    (Click(3, 4, "right"), [("click", {"x": 3, "y": 4, "button": "right"})]),
    (Click(3, 4, count=2), [("click", {"x": 3, "y": 4, "button": "left", "double": True})]),
    (
        Click(3, 4, count=3),
        [
            ("click", {"x": 3, "y": 4, "button": "left", "double": True}),
            ("click", {"x": 3, "y": 4, "button": "left"}),
        ],
    ),
    (Move(5, 6), [("mouse_move", {"x": 5, "y": 6})]),
    (
        Drag(((1, 2), (3, 4))),
        [("drag", {"start_x": 1, "start_y": 2, "end_x": 3, "end_y": 4, "button": "left"})],
    ),
    (Scroll(1, 2, dy=3), [("scroll", {"direction": "down", "amount": 3, "x": 1, "y": 2})]),
    (
        Scroll(1, 2, dy=-150),
        [
            ("scroll", {"direction": "up", "amount": 100, "x": 1, "y": 2}),
            ("scroll", {"direction": "up", "amount": 50, "x": 1, "y": 2}),
        ],
    ),
    (Type("añ\r\n漢"), [("type", {"text": "añ\n漢"})]),
    (Type(""), []),
    (Key("ctrl+s"), [("key", {"key": "ctrl+s"})]),
    (Key("ctrl+shift+page_up"), [("key", {"key": "ctrl+shift+Page_Up"})]),
    (Key("enter", repeat=2), [("key", {"key": "Return"})] * 2),
    (Key("ctrl+plus"), [("key", {"key": "ctrl+plus"})]),
    (Key("ü"), [("type", {"text": "ü"})]),
    (Wait(0), []),
]


def asked(hosted: Orgo) -> list[tuple[str, dict[str, object]]]:
    """Return what was asked of the vendor's hands."""
    return [
        (str(request.route), dict(request.body))
        for request in hosted.simulator.requests
        if request.route in ACTIONS and isinstance(request.body, dict) and request.body
    ]


@pytest.mark.parametrize(("action", "requests"), REQUESTS, ids=lambda value: str(value)[:40])
async def test_action_is_asked_for(action: InputAction, requests: list[tuple[str, dict[str, object]]]) -> None:
    """One request where the vendor has one for it, all of its own in turn where it has not."""
    async with orgo() as hosted:
        await (await hosted.create()).perform(action)
        assert asked(hosted) == requests


@pytest.mark.parametrize(
    "action",
    [
        Click(),
        Click(1, 1, "middle"),
        Click(1, 1, modifiers=("ctrl",)),
        Click(1, 1, "right", 2),
        Drag(((1, 1), (2, 2), (3, 3))),
        Drag(((1, 1), (2, 2)), "right"),
        Scroll(1, 1, dx=1),
        Scroll(dy=1),
        HoldKey("a", 0.1),
        MouseDown(),
        MouseUp(),
    ],
    ids=str,
)
async def test_action_that_has_no_route_is_refused_without_xdotool(action: InputAction) -> None:
    """Nothing is done half, and the hint says what would give it."""
    async with orgo() as hosted:
        computer = await hosted.create()
        assert Capability.FULL_INPUT not in computer.capabilities
        with pytest.raises(UnsupportedError) as caught:
            await computer.perform(action)
        assert caught.value.hint is not None
        assert "xdotool" in caught.value.hint
        assert asked(hosted) == []


async def test_points_off_the_screen_are_refused_here() -> None:
    """The vendor would click at the edge."""
    async with orgo() as hosted:
        computer = await hosted.create()
        width, height = computer.info.screen or (0, 0)
        for action in (Click(width, 0), Move(0, height), Drag(((0, 0), (-1, 0))), Scroll(0, height, dy=1)):
            with pytest.raises(InvalidInputError, match="off the screen"):
                await computer.perform(action)
        assert asked(hosted) == []


async def test_failed_action_is_never_reported_as_done() -> None:
    """Neither with an error's status, nor with status 200 and a word in the body."""
    async with FakeComputer() as machine, orgo(lambda: machine) as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(500, route="click", upstream_status=500, message="xdotool died")
        with pytest.raises(ProviderError, match="xdotool died") as caught:
            await computer.left_click(1, 1)
        assert (caught.value.effect, bool(caught.value.request_id)) == ("unknown", True)
        for body in (b'{"success": false, "action": "click", "error": "no display"}', b'{"error": "no display"}'):
            hosted.simulator.respond(body, route="click", content_type="application/json")
            with pytest.raises(ProviderError, match="no display") as caught:
                await computer.left_click(1, 1)
            assert caught.value.effect == "unknown"
        assert machine.performed == []


async def test_part_of_an_action_that_was_done_is_told() -> None:
    """A refusal of the second request does not mean that nothing happened."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.let_pass(route="key")
        hosted.simulator.fail(429, route="key", retry_after=1)
        with pytest.raises(RateLimitedError) as caught:
            await computer.key("enter", repeat=3)
        assert (caught.value.effect, caught.value.retryable) == ("yes", False)
        hosted.simulator.fail(429, route="key", retry_after=1)
        with pytest.raises(DeskhandError) as first:
            await computer.key("enter", repeat=3)
        assert (first.value.effect, first.value.retryable) == ("no", True)


async def test_all_keys_arrive() -> None:
    """Every named key and every sign is struck through the vendor's route."""
    signs = [chr(code) for code in range(0x21, 0x7F)]
    async with FakeComputer() as machine, orgo(lambda: machine) as hosted:
        computer = await hosted.create()
        for name in [*sorted(NAMED_KEYS), *(f"ctrl+{sign}" for sign in signs if sign != "+")]:
            await computer.key(name)
        struck = [action for action in machine.performed if isinstance(action, Key)]
        assert len(struck) == len(NAMED_KEYS) + len(signs) - 1


async def test_actions_at_once_do_not_mix() -> None:
    """What takes several requests is not parted by another."""
    async with orgo(FakeComputer) as hosted:
        computer = await hosted.create()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(computer.perform, Scroll(1, 2, dy=250))
            tasks.start_soon(computer.left_click, 7, 7)
        assert [route for route, _ in asked(hosted)] == ["scroll", "scroll", "scroll", "click"]
