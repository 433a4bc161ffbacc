"""Input in Daytona's words: one request or several, letting go of what is held, and what it has no words for."""

from __future__ import annotations

import anyio
import pytest

from deskhand.errors import DeskhandError, OutcomeUnknownError, UnsupportedError
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
)
from deskhand.providers.daytona.keys import stroke
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import DaytonaDialect
from tests.providers.daytona.parts import daytona

SAME: list[InputAction] = [
    Click(3, 4),
    Click(3, 4, "middle", 1, ("ctrl", "super")),
    Click(3, 4, "left", 2),
    Click(3, 4, "left", 3, ("shift",)),
    Move(7, 8),
    MouseDown("right"),
    MouseUp("right"),
    Drag(((1, 2), (30, 40)), "left", ("alt",)),
    Scroll(5, 6, 0, 3),
    Scroll(5, 6, -2, 0, ("ctrl",)),
    Key("ctrl+shift+t"),
    Key("page_up"),
    Type("Grüße\n漢"),
]
"""What one request does, just so."""

COMPOSED: dict[str, tuple[InputAction, list[InputAction]]] = {
    "a click where the pointer is": (Click(), [Click(0, 0)]),
    "a capital": (Key("A"), [Key("shift+a")]),
    "a sign": (Key("ctrl++"), [Key("ctrl+shift+=")]),
    "a letter of its own": (Key("ö"), [Type("ö")]),
    "a tab in a text": (Type("a\tb"), [Type("a"), Key("tab"), Type("b")]),
    "two ways at once": (Scroll(5, 6, 1, -1), [Scroll(5, 6, 0, -1), Scroll(5, 6, 1, 0)]),
    "far": (Scroll(5, 6, 0, 150), [Scroll(5, 6, 0, 100), Scroll(5, 6, 0, 50)]),
    "twice": (Key("down", 2), [Key("down"), Key("down")]),
}


async def test_each_action_arrives_as_it_was_asked_for() -> None:
    """With its buttons, modifiers and counts, in one request each."""
    async with FakeComputer() as machine, daytona(lambda: machine) as hosted:
        computer = await hosted.create()
        for action in SAME:
            before = len(hosted.simulator.requests)
            await computer.perform(action)
            assert machine.performed[-1] == action
            assert len(hosted.simulator.requests) == before + 1, action


@pytest.mark.parametrize("name", COMPOSED)
async def test_what_takes_several_words_is_composed(name: str) -> None:
    """In order, and nothing else."""
    action, wanted = COMPOSED[name]
    async with FakeComputer() as machine, daytona(lambda: machine) as hosted:
        computer = await hosted.create()
        if isinstance(action, Click):
            await computer.move(0, 0)
        before = len(machine.performed)
        await computer.perform(action)
        assert machine.performed[before:] == wanted


async def test_three_clicks_of_an_older_daemon_are_three() -> None:
    """It passes over how many they are to be: they are a double one and another one."""
    old = ("mouse_down", "mouse_up", "key_down", "key_up")
    dialect = DaytonaDialect(clicks="passed over")
    async with FakeComputer() as machine, daytona(lambda: machine, dialect=dialect, without=old) as hosted:
        computer = await hosted.create()
        assert Capability.FULL_INPUT not in computer.capabilities
        await computer.triple_click(3, 4)
        assert machine.performed == [Click(3, 4, "left", 2), Click(3, 4)]
        hosted.simulator.let_pass(route="click")
        hosted.simulator.fail(500, route="click")
        with pytest.raises(DeskhandError) as caught:
            await computer.triple_click(3, 4)
        assert (caught.value.effect, caught.value.retryable) == ("unknown", False)


async def test_drag_with_corners_holds_the_button_on_its_way() -> None:
    """Down at the first point, through the corner, up at the last."""
    async with FakeComputer() as machine, daytona(lambda: machine) as hosted:
        computer = await hosted.create()
        await computer.drag((10, 10), (50, 10), (50, 90))
        moves = [(one.x, one.y) for one in machine.performed if isinstance(one, Move)]
        assert (moves[0], moves[-1]) == ((10, 10), (50, 90))
        assert (50, 10) in moves
        kinds = [type(one) for one in machine.performed]
        assert (kinds.index(MouseDown), kinds[-1]) == (1, MouseUp)


async def test_held_keys_are_let_go_of_whatever_happens() -> None:
    """When the time is over, when it is cancelled, and when a request in between fails."""
    async with FakeComputer() as machine, daytona(lambda: machine) as hosted:
        computer = await hosted.create()
        await computer.hold_key("ctrl+x", 0.05)
        with anyio.move_on_after(0.3):
            await computer.hold_key("ctrl+shift+x", 60)
        box = hosted.simulator.computers[computer.info.id]
        assert not box.held
        hosted.simulator.let_pass(route="key_down")
        hosted.simulator.drop(route="key_down")
        with pytest.raises(OutcomeUnknownError):
            await computer.hold_key("alt+y", 60)
        assert not box.held
        held = [one.keys for one in machine.performed if isinstance(one, HoldKey)]
        assert held[0] == ("ctrl", "x")
        assert set(held[1]) == {"ctrl", "shift", "x"}


async def test_lost_answer_to_a_click_is_not_sent_again() -> None:
    """A click that is repeated may confirm what nobody has read."""
    async with FakeComputer() as machine, daytona(lambda: machine) as hosted:
        computer = await hosted.create()
        for is_done in (True, False):
            hosted.simulator.drop(route="click", after_effect=is_done)
            with pytest.raises(OutcomeUnknownError):
                await computer.left_click(3, 4)
        assert machine.performed == [Click(3, 4)]
        assert len(hosted.simulator.asked("click")) == 2


async def test_key_that_cannot_be_let_go_of_keeps_no_other_pressed() -> None:
    """Each is let go of for itself."""
    async with FakeComputer() as machine, daytona(lambda: machine) as hosted:
        computer = await hosted.create()
        hosted.simulator.let_pass(route="key_down", times=2)
        hosted.simulator.drop(route="key_down")
        hosted.simulator.fail(403, route="key_up")
        with pytest.raises(OutcomeUnknownError):
            await computer.hold_key("ctrl+shift+x", 60)
        assert hosted.simulator.pending_faults == 0
        asked = [request.body for request in hosted.simulator.asked("key_up") if request.body]
        assert asked == [{"key": "x"}, {"key": "shift"}, {"key": "ctrl"}]
        assert len(hosted.simulator.computers[computer.info.id].held) <= 1


async def test_part_that_was_done_is_told() -> None:
    """A refusal after the first of several requests is no "nothing happened"."""
    async with daytona() as hosted:
        computer = await hosted.create()
        hosted.simulator.let_pass(route="key")
        hosted.simulator.fail(429, route="key")
        with pytest.raises(DeskhandError) as caught:
            await computer.key("down", repeat=3)
        assert (caught.value.effect, caught.value.retryable) == ("yes", False)


@pytest.mark.parametrize("action", [Key("kp_enter"), Key("volume_up"), Key("altgr+q"), Click(1, 1, "back")], ids=str)
async def test_what_has_no_words_is_refused_before_anything_is_sent(action: InputAction) -> None:
    """Where there is no xdotool; the capability stays, as it is for all else."""
    async with daytona() as hosted:
        computer = await hosted.create()
        before = len(hosted.simulator.requests)
        with pytest.raises(UnsupportedError) as caught:
            await computer.perform(action)
        assert caught.value.hint is not None
        assert "xdotool" in caught.value.hint
        assert len(hosted.simulator.requests) == before
        assert Capability.FULL_INPUT in computer.capabilities


async def test_every_key_that_has_a_name_is_known_to_the_vendor() -> None:
    """Each arrives as itself."""
    async with FakeComputer() as machine, daytona(lambda: machine) as hosted:
        computer = await hosted.create()
        for name in sorted(NAMED_KEYS):
            words = stroke((name,))
            if words is not None:
                await computer.key(name)
                assert machine.performed[-1] == Key(name)
        for sign in "".join(map(chr, range(0x21, 0x7F))):
            assert stroke((sign,)) is not None, sign


async def test_route_that_turns_out_to_be_missing_takes_its_capability() -> None:
    """The next use is refused without a request."""
    async with daytona(without=("click",)) as hosted:
        computer = await hosted.create()
        with pytest.raises(UnsupportedError, match="click"):
            await computer.left_click(1, 1)
        assert Capability.POINTER not in computer.capabilities
        with pytest.raises(UnsupportedError):
            await computer.left_click(1, 1)
        paths = [request.path for request in hosted.simulator.requests]
        assert sum(path.endswith("/mouse/click") for path in paths) == 1


async def test_actions_at_once_do_not_mix_after_a_restore_too() -> None:
    """No click comes between the parts of a drag, although a restored sandbox has other hands."""
    async with daytona() as hosted:
        computer = await hosted.create()
        await computer.restore(await computer.snapshot("mine"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(computer.drag, (1, 1), (50, 50), (90, 10))
            tasks.start_soon(computer.left_click, 5, 5)
        routes = [request.route for request in hosted.simulator.requests if "/mouse/" in request.path]
        assert sorted(("mouse_down", "mouse_up", "click"), key=routes.index) == routes[:1] + routes[-2:]
