"""Input actions that cannot be made wrongly, and what a computer has by default."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest

from deskhand.errors import ConflictError, InvalidInputError, UnsupportedError
from deskhand.providers import (
    Capability,
    Click,
    ComputerInfo,
    ComputerStatus,
    Drag,
    ExecResult,
    ExternalComputer,
    HoldKey,
    Key,
    MouseDown,
    MouseUp,
    Move,
    Scroll,
    Type,
    Wait,
)
from tests.tools.recording import RecordingComputer


class Bare(ExternalComputer):
    """Only what every computer must have."""

    @property
    def info(self) -> ComputerInfo:
        return ComputerInfo("cmp_bare", "bare", "test", "external", ComputerStatus.RUNNING)

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        return ExecResult(f"{command} {stdin!r} {timeout}", None, None, 0)

    async def destroy(self) -> None:
        return None


Untyped = Callable[..., object]
"""What a caller without a type checker can write."""

click: Untyped = Click
move: Untyped = Move
mouse_down: Untyped = MouseDown
mouse_up: Untyped = MouseUp
drag: Untyped = Drag
scroll: Untyped = Scroll
hold_key: Untyped = HoldKey
key: Untyped = Key
wait: Untyped = Wait
type_text: Untyped = Type


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: click(5), "x is 5 and y is None"),
        (lambda: click(None, 5), "x is None and y is 5"),
        (lambda: click(1.5, 2), "x is 1.5"),
        (lambda: click(1, "2"), "y is '2'"),
        (lambda: click(True, 2), "x is True"),
        (lambda: click(math.nan, 2), "x is nan"),
        (lambda: click(1, 2, "lefft"), "no button is called 'lefft'; did you mean 'left'"),
        (lambda: click(1, 2, count=0), "count is 0; allowed is 1 to 3"),
        (lambda: click(1, 2, count=4), "count is 4"),
        (lambda: click(1, 2, count=1.5), "count is 1.5"),
        (lambda: click(1, 2, modifiers=("s",)), "'s' is not a modifier"),
        (lambda: click(1, 2, modifiers=("crtl",)), "did you mean 'ctrl'"),
        (lambda: move(None, None), "needs x and y"),
        (lambda: move(1, None), "y is None"),
        (lambda: mouse_down("wheel"), "no button is called 'wheel'"),
        (lambda: mouse_up("Left"), "did you mean 'left'"),
        (lambda: drag(((1, 2),)), "points of a drag is 1; allowed is 2 to 1000"),
        (lambda: drag(((1, 2),) * 1001), "1001"),
        (lambda: drag(((1, 2), (3,))), "is no point of a drag"),
        (lambda: drag(((1, 2), (None, None))), "is no point of a drag"),
        (lambda: drag(((1, 2), (3.5, 4))), "x is 3.5"),
        (lambda: drag(((1, 2), (3, 4)), "no"), "no button"),
        (lambda: scroll(1, 2), "scroll notches is 0"),
        (lambda: scroll(1, 2, dy=1001), "dy is 1001"),
        (lambda: scroll(1, 2, dy=0.5), "dy is 0.5"),
        (lambda: scroll(1, None, dy=1), "y is None"),
        (lambda: key(""), "empty"),
        (lambda: key("a", 0), "repeat is 0; allowed is 1 to 100"),
        (lambda: key("a", 101), "repeat is 101"),
        (lambda: hold_key("a", -1), "duration is -1; allowed is 0 to 300"),
        (lambda: hold_key("a", math.inf), "duration is inf"),
        (lambda: wait(math.nan), "duration is nan"),
        (lambda: wait(301), "duration is 301"),
        (lambda: wait("1"), "duration is '1'"),
        (lambda: type_text("a\x00b"), r"U\+0000"),
        (lambda: type_text("\x1b[A"), r"U\+001B"),
        (lambda: type_text("\x7f"), r"U\+007F"),
        (lambda: type_text("\ud800"), "lone surrogate"),
    ],
)  # fmt: skip
def test_input_action_that_cannot_be_is_refused(make: Callable[[], object], text: str) -> None:
    """When it is made, with what is allowed."""
    with pytest.raises(InvalidInputError, match=text):
        make()


def test_input_action_is_kept_in_canonical_names() -> None:
    """However it was asked for, so that an adapter has one form to perform."""
    assert Click(1, 2, modifiers=("Control_L", "ctrl", "Shift")).modifiers == ("ctrl", "shift")
    assert Key("S+Ctrl") == Key(("ctrl", "s"))
    assert Key("ctrl++").keys == ("ctrl", "+")
    assert HoldKey("Return", 1).keys == ("enter",)
    assert Click(-5, 10**6) == Click(-5, 10**6)  # the screen's size is the computer's to know
    assert Type("naïve\n\t👩‍👩‍👧 e\u0301").text == "naïve\n\t👩‍👩‍👧 e\u0301"


async def test_computer_that_can_little_says_so() -> None:
    """What its class does not override is unsupported, as an error of two kinds, and in no capability."""
    computer = Bare()
    assert computer.capabilities == {Capability.EXEC}
    assert (await computer.python("1")).output == "exec python3 - b'1' None"
    assert (await computer.shell_endpoint()).kind == "exec-only"
    assert await computer.settle() == 0.0
    for call in (computer.screenshot, computer.cursor_position, computer.left_click, computer.live_view_url):
        with pytest.raises(UnsupportedError, match="the test computer cmp_bare has no") as caught:
            await call()
        assert isinstance(caught.value, NotImplementedError)
        assert caught.value.effect == "no"
    with pytest.raises(UnsupportedError, match="has no keyboard"):
        await computer.key("a")
    with pytest.raises(UnsupportedError, match="has no full_input"):
        await computer.mouse_down()
    for opening in (computer.shell, computer.terminal):
        with pytest.raises(UnsupportedError):
            opening()
    with pytest.raises(UnsupportedError, match="has no files"):
        computer.require(Capability.EXEC, Capability.FILES)
    computer.require(Capability.EXEC)


async def test_methods_of_input_perform_one_action_each() -> None:
    """The thin methods over perform."""
    computer = RecordingComputer()
    await computer.left_click(1, 2)
    await computer.right_click()
    await computer.middle_click(1, 2, modifiers=["Ctrl"])
    await computer.double_click(1, 2)
    await computer.triple_click(1, 2)
    await computer.move(3, 4)
    await computer.mouse_down()
    await computer.mouse_up("right")
    await computer.drag((1, 2), (3, 4), modifiers=["shift"])
    await computer.scroll(dy=-3)
    await computer.key("ctrl+s", repeat=2)
    await computer.hold_key("a", 0.5)
    await computer.type("x")
    await computer.wait(0)
    assert computer.performed == [
        Click(1, 2),
        Click(button="right"),
        Click(1, 2, "middle", modifiers=("ctrl",)),
        Click(1, 2, count=2),
        Click(1, 2, count=3),
        Move(3, 4),
        MouseDown(),
        MouseUp("right"),
        Drag(((1, 2), (3, 4)), modifiers=("shift",)),
        Scroll(dy=-3),
        Key("ctrl+s", 2),
        HoldKey("a", 0.5),
        Type("x"),
        Wait(0),
    ]


async def test_lease_is_given_back_whatever_happens() -> None:
    """One owner at a time."""
    computer = RecordingComputer()

    async def fail() -> None:
        async with computer.lease("run_a"):
            with pytest.raises(ConflictError, match="cmp_1 is in use by run_a"):
                async with computer.lease("run_b"):
                    pytest.fail("it was leased twice")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with computer.lease("run_b"):
        pass


def test_computer_is_kept_only_when_asked() -> None:
    """And shows its state."""
    computer = Bare()
    assert not computer.kept
    computer.keep()
    assert computer.kept
    assert repr(computer) == "<Bare test:cmp_bare running>"
