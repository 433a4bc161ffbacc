"""Input over the server's own commands, where there is no xdotool: what is sent, what is refused, what is let go of."""

from __future__ import annotations

import anyio
import pytest

from deskhand.errors import DeskhandError, InvalidInputError, OutcomeUnknownError, UnsupportedError
from deskhand.providers import Click, Drag, HoldKey, InputAction, Key, MouseDown, MouseUp, Move, Scroll, Type
from deskhand.providers.local import LocalComputer
from deskhand.testing import FakeComputer
from deskhand.testing.received import typed_text
from deskhand.testing.x_ground_truth import x_ground_truth
from tests.providers.cua.parts import cua
from tests.providers.shell_machines import symbols, without_xvfb_skipped

SENT: dict[str, tuple[InputAction, list[tuple[str, dict[str, object]]]]] = {
    "left": (Click(5, 6), [("left_click", {"x": 5, "y": 6})]),
    "left here": (Click(), [("left_click", {})]),
    "origin": (Click(0, 0), [("left_click", {"x": 0, "y": 0})]),
    "right": (Click(5, 6, "right"), [("right_click", {"x": 5, "y": 6})]),
    "double": (Click(5, 6, count=2), [("double_click", {"x": 5, "y": 6})]),
    "triple": (Click(5, 6, count=3), [("double_click", {"x": 5, "y": 6}), ("left_click", {})]),
    "middle": (
        Click(5, 6, "middle"),
        [("mouse_down", {"x": 5, "y": 6, "button": "middle"}), ("mouse_up", {"button": "middle"})],
    ),
    "with modifiers": (
        Click(5, 6, modifiers=("ctrl", "super")),
        [
            ("key_down", {"key": "ctrl"}),
            ("key_down", {"key": "win"}),
            ("left_click", {"x": 5, "y": 6}),
            ("key_up", {"key": "win"}),
            ("key_up", {"key": "ctrl"}),
        ],
    ),
    "move": (Move(7, 8), [("move_cursor", {"x": 7, "y": 8})]),
    "down": (MouseDown("right"), [("mouse_down", {"button": "right"})]),
    "up": (MouseUp("right"), [("mouse_up", {"button": "right"})]),
    "drag": (
        Drag(((1, 2), (30, 40))),
        [("drag", {"start_x": 1, "start_y": 2, "end_x": 30, "end_y": 40, "button": "left"})],
    ),
    "scroll": (Scroll(5, 6, dx=1, dy=2), [("move_cursor", {"x": 5, "y": 6}), ("scroll", {"x": 1, "y": -2})]),
    "key": (Key("Page_Up"), [("press_key", {"key": "pageup"})]),
    "chord": (Key("Control_L+c"), [("hotkey", {"keys": ["ctrl", "c"]})]),
    "repeated": (Key("down", 2), [("press_key", {"key": "down"})] * 2),
    "held": (HoldKey("x", 0.01), [("key_down", {"key": "x"}), ("key_up", {"key": "x"})]),
    "text": (Type("a\r\nb"), [("type_text", {"text": "a\nb"})]),
    "no text": (Type(""), []),
}


@pytest.mark.parametrize("name", SENT)
async def test_action_is_put_together_of_the_servers_commands(name: str) -> None:
    """Each action is one command, or several that hold, do and let go."""
    action, wanted = SENT[name]
    async with cua() as hosted:
        computer = await hosted.create()
        before = len(hosted.simulator.asked("cmd"))
        await computer.perform(action)
        bodies = [request.body for request in hosted.simulator.asked("cmd")[before:]]
    assert bodies == [{"command": command, "params": params} for command, params in wanted]


async def test_drag_with_corners_passes_them_with_the_button_down() -> None:
    """Between pressing and releasing, the pointer is moved through each corner."""
    async with cua() as hosted:
        computer = await hosted.create()
        before = len(hosted.sent())
        await computer.drag((10, 10), (50, 10), (50, 90), button="middle")
        sent = hosted.sent()[before:]
        assert sent == ["move_cursor", "mouse_down", *["move_cursor"] * 8, "mouse_up"]
        moves = hosted.params("move_cursor")
    assert {"x": 50, "y": 10} in moves
    assert moves[-1] == {"x": 50, "y": 90}


@pytest.mark.parametrize(
    "action",
    [
        Key("kp_enter"),
        Key("f13"),
        Key("volume_up"),
        Key("ctrl+ö"),
        Click(5, 5, "back"),
        MouseDown("forward"),
        Click(5, 5, modifiers=("altgr",)),
        Type("naïve"),
    ],
    ids=str,
)
async def test_what_the_server_would_ignore_is_refused(action: InputAction) -> None:
    """A key, button or text that the server loses without a word is refused before anything is sent."""
    async with cua() as hosted:
        computer = await hosted.create()
        before = len(hosted.sent())
        with pytest.raises(UnsupportedError, match="cua's server has no") as refused:
            await computer.perform(action)
        assert refused.value.effect == "no"
        assert "xdotool" in str(refused.value.hint)
        assert len(hosted.sent()) == before


async def test_points_off_the_screen_are_refused() -> None:
    """The server would click at the edge instead."""
    async with cua() as hosted:
        computer = await hosted.create()
        before = len(hosted.sent())
        for action in (Click(1280, 0), Move(0, 800), Drag(((0, 0), (-1, 0)))):
            with pytest.raises(InvalidInputError, match="off the screen"):
                await computer.perform(action)
        assert len(hosted.sent()) == before


async def test_cancelled_hold_lets_go() -> None:
    """Whoever stops waiting for a held chord lets go of all its keys."""
    async with cua() as hosted:
        computer = await hosted.create()
        before = len(hosted.sent())
        with anyio.move_on_after(0.5) as scope:
            await computer.hold_key("ctrl+shift+x", 60)
        assert scope.cancelled_caught
        assert hosted.sent()[before:] == ["key_down"] * 3 + ["key_up"] * 3
        assert [*hosted.params("key_up")] == [{"key": "x"}, {"key": "shift"}, {"key": "ctrl"}]


@pytest.mark.parametrize("after_effect", [False, True])
async def test_click_that_fails_lets_go_of_its_modifiers(after_effect: bool) -> None:
    """Where the click in the middle fails, what is held for it is let go of, and nothing is sent twice."""
    async with cua() as hosted:
        computer = await hosted.create()
        before = len(hosted.sent())
        hosted.simulator.let_pass(route="cmd")
        hosted.simulator.drop(route="cmd", after_effect=after_effect)
        with pytest.raises(OutcomeUnknownError):
            await computer.left_click(5, 5, modifiers=("ctrl",))
        assert hosted.sent()[before:] == ["key_down", "left_click", "key_up"]


async def test_part_that_was_done_is_told() -> None:
    """Where a later part is refused, the error says that something happened."""
    async with cua() as hosted:
        computer = await hosted.create()
        hosted.simulator.let_pass(route="cmd")
        hosted.simulator.fail(401, route="cmd")
        with pytest.raises(DeskhandError) as refused:
            await computer.triple_click(5, 5)
        assert (refused.value.effect, refused.value.retryable) == ("yes", False)


async def test_actions_at_once_do_not_mix() -> None:
    """What is held for one action is not held for another."""
    async with cua() as hosted:
        computer = await hosted.create()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: computer.left_click(5, 5, modifiers=("ctrl",)))
            tasks.start_soon(computer.left_click, 7, 7)
        behind = hosted.simulator.machines[computer.info.id].hardware.machine
        assert isinstance(behind, FakeComputer)
        clicks = {action for action in behind.performed if isinstance(action, Click)}
    assert clicks == {Click(5, 5, modifiers=("ctrl",)), Click(7, 7)}


@pytest.mark.needs_x
@without_xvfb_skipped
async def test_letters_without_a_key_are_bound_at_once_where_there_is_xdotool() -> None:
    """One by one a program that is busy for a moment would miss some; the keymap is as it was, also when cancelled."""
    text = "Übermut kostet 3 €, naïve Cafés und ein Ω. " * 3
    async with cua(None) as hosted:
        computer = await hosted.create()
        machine = hosted.simulator.machines[computer.info.id].hardware.machine
        assert isinstance(machine, LocalComputer)
        assert machine.x_access is not None
        before = symbols(*machine.x_access)
        async with x_ground_truth(*machine.x_access) as truth:
            await computer.type(text)
            assert typed_text(await truth.events()) == text
            assert symbols(*machine.x_access) == before
            await truth.clear()
            async with anyio.create_task_group() as group:
                group.start_soon(computer.type, text * 9)
                while not typed_text(await truth.events()):
                    await anyio.lowlevel.checkpoint()
                bound = {*symbols(*machine.x_access)} - {*before}
                group.cancel_scope.cancel()
            assert (text * 9).startswith(typed_text(await truth.events()))
            assert len(bound) == len({letter for letter in text if not letter.isascii()})
            assert symbols(*machine.x_access) == before
