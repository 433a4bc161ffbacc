"""Input by MIOSA's routes: what is asked for each action, what arrives, and what is refused before anything is sent."""

from __future__ import annotations

import json

import anyio
import pytest

from deskhand.errors import InvalidInputError, ProtocolError, ProviderError, UnsupportedError
from deskhand.providers import (
    NAMED_KEYS,
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
from deskhand.testing import FakeComputer
from tests.providers.miosa.parts import Miosa, miosa

ROUTES = frozenset(
    ("click", "double_click", "move", "mouse_down", "mouse_up", "drag", "scroll", "type", "key", "key_down", "key_up")
)
AT: dict[str, object] = {"x": 3, "y": 4}
LEFT: dict[str, object] = {"button": "left"}
MIDDLE: dict[str, object] = {"x": 640, "y": 360}
REQUESTS: list[tuple[InputAction, list[tuple[str, dict[str, object]]]]] = [
    (Click(3, 4), [("click", AT | LEFT)]),
    (Click(3, 4, "middle"), [("click", AT | {"button": "middle"})]),
    (Click(3, 4, count=2), [("double_click", AT)]),
    (Click(3, 4, count=3), [("double_click", AT), ("click", AT | LEFT)]),
    (Click(3, 4, "right", 2), [("click", AT | {"button": "right"})] * 2),
    (Click(), [("click", MIDDLE | LEFT)]),
    (
        Click(3, 4, modifiers=("ctrl", "altgr")),
        [
            ("key_down", {"key": "ctrl"}),
            ("key_down", {"key": "ISO_Level3_Shift"}),
            ("click", AT | LEFT),
            ("key_up", {"key": "ISO_Level3_Shift"}),
            ("key_up", {"key": "ctrl"}),
        ],
    ),
    (Move(3, 4), [("move", AT)]),
    (MouseDown("right"), [("mouse_down", {"x": 640, "y": 360, "button": "right"})]),
    (MouseUp("right"), [("mouse_up", {"x": 640, "y": 360, "button": "right"})]),
    (Drag(((1, 2), (3, 4))), [("drag", {"from_x": 1, "from_y": 2, "to_x": 3, "to_y": 4})]),
    (Scroll(3, 4, dy=2), [("scroll", {"direction": "down", "clicks": 2, **AT})]),
    (Scroll(dx=-1), [("scroll", {"direction": "left", "clicks": 1})]),
    (
        Scroll(3, 4, dx=1, dy=-150),
        [
            ("scroll", {"direction": "up", "clicks": 100, **AT}),
            ("scroll", {"direction": "up", "clicks": 50, **AT}),
            ("scroll", {"direction": "right", "clicks": 1, **AT}),
        ],
    ),
    (Type("añ\r\n漢\rx"), [("type", {"text": "añ\n漢\nx"})]),
    (Type(""), []),
    (Key("enter"), [("key", {"key": "Return"})]),
    (Key("ctrl+shift+page_up"), [("key", {"key": "ctrl+shift+Page_Up"})]),
    (Key("ctrl+plus"), [("key", {"key": "ctrl+plus"})]),
    (Key("down", repeat=2), [("key", {"key": "Down"})] * 2),
    (Key("ü"), [("type", {"text": "ü"})]),
    (HoldKey("ctrl+a", 0), [("key_down", {"key": "ctrl"}), ("key_down", {"key": "a"})]),
    (Wait(0), []),
]


def asked(hosted: Miosa) -> list[tuple[str, dict[str, object]]]:
    """Return what was asked of the vendor's hands."""
    return [
        (str(request.route), dict(request.body))
        for request in hosted.simulator.requests
        if request.route in ROUTES and isinstance(request.body, dict) and request.body
    ]


@pytest.mark.parametrize(("action", "requests"), REQUESTS, ids=lambda value: str(value)[:60])
async def test_action_is_asked_for(action: InputAction, requests: list[tuple[str, dict[str, object]]]) -> None:
    """One request where the vendor has one for it, all of its own in turn where it has not."""
    async with miosa() as hosted:
        computer = await hosted.create()
        if isinstance(action, HoldKey):
            requests = [*requests, ("key_up", {"key": "a"}), ("key_up", {"key": "ctrl"})]
        await computer.move(640, 360)
        await computer.perform(action)
        assert asked(hosted)[1:] == requests


async def test_drag_with_corners_holds_the_button_on_its_way() -> None:
    """Down at the first point, through each corner, up at the last, with the modifier held around it all."""
    async with FakeComputer() as machine, miosa(lambda: machine) as hosted:
        computer = await hosted.create()
        await computer.drag((10, 10), (50, 10), (50, 90), button="middle", modifiers=["alt"])
        words = [route for route, _ in asked(hosted)]
        assert [words[0], words[1], words[2], words[-2], words[-1]] == [
            "key_down",
            "move",
            "mouse_down",
            "mouse_up",
            "key_up",
        ]
        moves = [(one.x, one.y) for one in machine.performed if isinstance(one, Move)]
        assert (50, 10) in moves
        assert (moves[0], moves[-1]) == ((10, 10), (50, 90))
        kinds = [type(one) for one in machine.performed if not isinstance(one, Move)]
        assert kinds == [MouseDown, MouseUp]


async def test_every_key_that_has_a_name_arrives_as_itself() -> None:
    """The vendor's names of keys are X's; a character goes as text."""
    async with FakeComputer() as machine, miosa(lambda: machine) as hosted:
        computer = await hosted.create()
        for name in sorted(NAMED_KEYS):
            await computer.key(name)
            assert machine.performed[-1] == Key(name)
        for sign in map(chr, range(0x21, 0x7F)):
            chord = Key(f"ctrl+{'plus' if sign == '+' else sign}")
            await computer.key(sign)
            await computer.perform(chord)
            assert machine.performed[-2:] == [Type(sign), chord]


async def test_what_is_wrong_is_refused_before_anything_is_sent() -> None:
    """Points off the screen, keys that are none, buttons without a route."""
    async with miosa() as hosted:
        computer = await hosted.create()
        width, height = computer.info.screen or (0, 0)
        for action in (Click(width, 0), Move(0, height), Drag(((0, 0), (-1, 0))), Scroll(0, height, dy=1)):
            with pytest.raises(InvalidInputError, match="off the screen"):
                await computer.perform(action)
        for key in ("ctrl+nosuch", "", "Retrun"):
            with pytest.raises(InvalidInputError):
                await computer.key(key)
        for pressed in (Click(1, 1, "back"), MouseDown("forward"), MouseUp("back")):
            with pytest.raises(UnsupportedError, match="button") as refused:
                await computer.perform(pressed)
            assert "xdotool" in str(refused.value.hint)
        assert asked(hosted) == []
        assert Capability.POINTER in computer.capabilities


async def test_failed_action_is_never_reported_as_done() -> None:
    """An answer of success that says in its body that it is none is an error; one that says nothing is none."""
    async with FakeComputer() as machine, miosa(lambda: machine) as hosted:
        computer = await hosted.create()
        for fields in (
            {"success": False, "message": "no display"},
            {"success": "true", "message": "no display"},
            {"error": "no display"},
            {"success": True, "error": {"message": "no display"}},
        ):
            hosted.simulator.respond(json.dumps(fields).encode(), route="click", content_type="application/json")
            with pytest.raises(ProviderError) as caught:
                await computer.left_click(1, 1)
            assert (caught.value.effect, "look" in str(caught.value.hint) or "see" in str(caught.value.hint)) == (
                "unknown",
                True,
            )
        for told in ({}, {"success": True}, {"status": "ok", "message": "clicked"}):
            hosted.simulator.respond(json.dumps(told).encode(), route="click", content_type="application/json")
            await computer.left_click(1, 1)
        assert machine.performed == []


async def test_pointer_that_is_nowhere_ends_what_needs_its_place() -> None:
    """A button is pressed where the pointer is: where nobody tells, nothing is pressed."""
    async with miosa() as hosted:
        computer = await hosted.create()
        for body in (
            b"{}",
            b'{"x": 1}',
            b'{"x": "1", "y": 2}',
            b'{"x": -5, "y": 2}',
            b'{"x": true, "y": 2}',
            b'{"x": 0.5, "y": 0}',
        ):
            hosted.simulator.respond(body, route="cursor", content_type="application/json")
            with pytest.raises(ProtocolError) as caught:
                await computer.mouse_down()
            assert caught.value.effect == "no"
        assert asked(hosted) == []


async def test_cancelled_hold_lets_go() -> None:
    """Whoever stops waiting for a held chord lets go of all its keys, the last first."""
    async with miosa() as hosted:
        computer = await hosted.create()
        with anyio.move_on_after(0.5) as scope:
            await computer.hold_key("ctrl+shift+x", 60)
        assert scope.cancelled_caught
        assert asked(hosted)[-3:] == [("key_up", {"key": name}) for name in ("x", "shift", "ctrl")]


async def test_actions_at_once_do_not_mix() -> None:
    """What is held for one action is not held for another."""
    async with miosa() as hosted:
        computer = await hosted.create()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: computer.left_click(5, 5, modifiers=["ctrl"]))
            tasks.start_soon(computer.left_click, 7, 7)
        words = [(route, body.get("x")) for route, body in asked(hosted)]
        held = words[words.index(("key_down", None)) : words.index(("key_up", None))]
        assert held == [("key_down", None), ("click", 5)]
