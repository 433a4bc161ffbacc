"""Input as an independent X client receives it."""

from __future__ import annotations

import itertools
from pathlib import Path

import anyio
import pytest

from deskhand.errors import InvalidInputError
from deskhand.providers.actions import (
    Click,
    Drag,
    HoldKey,
    InputAction,
    Key,
    MouseButton,
    MouseDown,
    MouseUp,
    Move,
    Scroll,
    Type,
    Wait,
)
from deskhand.providers.keys import NAMED_KEYS
from deskhand.providers.local.display import Display
from deskhand.providers.local.keyboard import send
from deskhand.providers.local.keymap import key_keysym
from tests.providers.local.screens import Event, Logger, a_display, a_logger

pytestmark = pytest.mark.needs_x

ESCAPE = 0xFF1B
CAPS_LOCK, SHIFT, CONTROL, ALT = 2, 1, 4, 8
BUTTON_MASKS = 0x1F00


async def typed(display: Display, logger: Logger, text: str) -> str:
    """Type a text and return what the window read."""
    await display.perform(Type(text))
    await display.perform(Key("escape"))
    events = await logger.until_key(ESCAPE)
    return "".join(event["text"] for event in events if event["kind"] == "key_down")


async def pressed(display: Display) -> int:
    """Return how many keys and buttons are down."""
    x = display._connection
    keys = (await x.reply(x.core.QueryKeymap())).keys
    pointer = await x.reply(x.core.QueryPointer(x.root))
    return sum(bin(byte).count("1") for byte in keys) + bin(pointer.mask & BUTTON_MASKS).count("1")


@pytest.mark.parametrize(
    ("button", "number"), [("left", 1), ("middle", 2), ("right", 3), ("back", 8), ("forward", 9)], ids=str
)
async def test_click_presses_and_releases_at_the_point(button: MouseButton, number: int) -> None:
    """A click arrives as one press and one release of its button, exactly there."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(Click(321, 123, button))
        events = await logger.events(2, "button_down", "button_up")
    assert [(event["kind"], event["detail"], event["x"], event["y"]) for event in events] == [
        ("button_down", number, 321, 123),
        ("button_up", number, 321, 123),
    ]


async def test_click_reaches_every_corner() -> None:
    """The first and the last pixel of the screen can be clicked."""
    async with a_display() as display, a_logger(display) as logger:
        for x, y in itertools.product((0, 999), (0, 699)):
            await display.perform(Click(x, y))
            down, _ = await logger.events(2, "button_down", "button_up")
            assert (down["x"], down["y"]) == (x, y)
            assert await display.cursor_position() == (x, y)


async def test_click_counts_within_the_double_click_time_with_modifiers() -> None:
    """A triple click is three presses within 400 ms, its modifiers held in all and released after."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(Click(10, 20, count=3, modifiers=("ctrl", "shift")))
        events = await logger.events(6, "button_down", "button_up")
        assert await pressed(display) == 0
    assert [event["detail"] for event in events] == [1] * 6
    assert all(event["state"] & (CONTROL | SHIFT) == CONTROL | SHIFT for event in events)
    assert events[-1]["time"] - events[0]["time"] < 400


async def test_click_without_a_point_stays_where_the_pointer_is() -> None:
    """A click without coordinates is made where the pointer is."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(Move(77, 88))
        await display.perform(Click())
        down = (await logger.events(1, "button_down"))[0]
    assert (down["x"], down["y"]) == (77, 88)


async def test_mouse_down_stays_down_until_mouse_up() -> None:
    """A pressed button stays pressed over other actions."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(MouseDown("right"))
        await display.perform(Move(50, 60))
        assert await pressed(display) == 1
        await display.perform(MouseUp("right"))
        assert await pressed(display) == 0
        down, up = await logger.events(2, "button_down", "button_up")
    assert (down["detail"], up["detail"], up["x"], up["y"]) == (3, 3, 50, 60)


async def test_drag_presses_moves_in_steps_and_releases_at_the_end() -> None:
    """A drag is a press at the first point, motion through every corner, and a release at the last."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(Drag(((100, 100), (300, 100), (300, 250)), modifiers=("alt",)))
        events: list[Event] = []
        while not events or events[-1]["kind"] != "button_up":
            events += await logger.events(1, "button_down", "button_up", "motion")
        assert await pressed(display) == 0
    down = next(index for index, event in enumerate(events) if event["kind"] == "button_down")
    path = [(event["x"], event["y"]) for event in events[down:]]
    assert path[0] == (100, 100)
    assert path[-1] == (300, 250)
    assert (300, 100) in path
    assert len(path) > 10
    assert all(event["state"] & ALT for event in events[down:])


async def test_scroll_turns_the_wheel_notch_by_notch() -> None:
    """Every notch is one press and release of its wheel button, at the point, modifiers held."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(Scroll(200, 210, dy=3, modifiers=("ctrl",)))
        await display.perform(Scroll(dx=-2, dy=-60))
        events = await logger.events(65, "button_down")
    assert [event["detail"] for event in events] == [5] * 3 + [4] * 60 + [6] * 2
    assert all(event["state"] & CONTROL for event in events[:3])
    assert {(event["x"], event["y"]) for event in events} == {(200, 210)}


async def test_key_strikes_chords_with_the_shift_that_a_character_needs() -> None:
    """A chord goes down in order and up in reverse; ctrl and plus needs Shift on this keyboard."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(Key("ctrl++"))
        await display.perform(Key("escape", repeat=3))
        events = await logger.until_key(ESCAPE)
        events += await logger.events(4, "key_down", "key_up")
        assert await pressed(display) == 0
    plus = next(event for event in events if event["kind"] == "key_down" and event["text"] == "+")
    assert plus["state"] & (CONTROL | SHIFT) == CONTROL | SHIFT
    assert sum(event["kind"] == "key_down" and event["keysym"] == ESCAPE for event in events) == 3


async def test_key_strikes_every_named_key() -> None:
    """Every canonical key name reaches the application as its keysym."""
    async with a_display() as display, a_logger(display) as logger:
        for name in sorted(NAMED_KEYS):
            await display.perform(Key(name))
            down, *_ = await logger.until_key(key_keysym(name))
            while down["kind"] != "key_down":
                down = await logger.event()
            assert down["keysym"] == key_keysym(name), name
            if name in {"caps_lock", "num_lock"}:
                await display.perform(Key(name))
                await logger.until_key(key_keysym(name))


HOSTILE = '\'; rm -rf "$HOME" `id` $(id) \\ && || > < | * ? # ~ %s {a,b} [x] ! ^ &'
MANY = "".join(chr(code) for code in range(0x4E00, 0x4E00 + 300))


@pytest.mark.parametrize(
    "text",
    [
        "Hello, World! 0123456789",
        "\u00e9\u00df\u00d1 Zażółć gęślą jaźń ŁÓDŹ αβγΩ Привет",
        "👩‍👩‍👧 🏳️‍🌈 🇩🇪 👍🏽 😀",
        "שלום עולם مرحبا بالعالم",
        "e\u0301 n\u0303 o\u0308\u0323 Z\u0351\u036b",
        HOSTILE,
        "first\nsecond\r\nthird\tend",
        "The quick brown fox jumps over the lazy dog. " * 12,
        MANY,
        MANY + MANY[::-1],
    ],
    ids=[
        "ascii",
        "european",
        "emoji",
        "right-to-left",
        "combining",
        "hostile",
        "newlines",
        "long",
        "han-300",
        "han-600",
    ],
)
async def test_type_arrives_exactly(text: str) -> None:
    """Any text arrives character for character at an application that looks keys up when it reads them."""
    async with a_display() as display, a_logger(display) as logger:
        assert await typed(display, logger, text) == text.replace("\r\n", "\n")
        assert await typed(display, logger, "again: " + text) == "again: " + text.replace("\r\n", "\n")


async def test_type_is_exact_with_caps_lock_on_and_brings_it_back() -> None:
    """CapsLock does not change what is typed, and is on again afterwards."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(Key("caps_lock"))
        await logger.until_key(key_keysym("caps_lock"))
        assert await typed(display, logger, "abcXYZ1 éÉ") == "abcXYZ1 éÉ"
        await display.perform(Click(5, 5))
        down = (await logger.events(1, "button_down"))[0]
    assert down["state"] & CAPS_LOCK


async def test_type_survives_a_keyboard_that_somebody_else_changes() -> None:
    """A map changed from outside is read anew, and texts stay exact."""
    async with a_display() as display, a_logger(display) as logger:
        assert await typed(display, logger, "ąć") == "ąć"
        x = display._connection
        keycode = display._input._keyboard._keymap.bound[0x01000105]  # type: ignore[union-attr]
        x.core.ChangeKeyboardMapping(1, keycode, 2, [ord("q"), ord("Q")])
        await x.sync()
        assert await typed(display, logger, "ąćq") == "ąćq"


async def test_hold_key_repeats_and_releases() -> None:
    """A held key repeats as a person's would, and is up afterwards."""
    async with a_display() as display, a_logger(display) as logger:
        await display.perform(HoldKey("a", 1.0))
        assert await pressed(display) == 0
        await display.perform(Key("escape"))
        events = await logger.until_key(ESCAPE)
    assert sum(event["kind"] == "key_down" and event["text"] == "a" for event in events) > 3


@pytest.mark.parametrize(
    "action",
    [
        HoldKey("ctrl+shift+a", 30),
        Type(MANY * 3),
        Type("A" * 20_000),
        Drag(((1, 1), (900, 600), (1, 600), (900, 1)), modifiers=("shift",)),
        Click(5, 5, count=3, modifiers=("ctrl",)),
        Scroll(5, 5, dy=1000, modifiers=("ctrl",)),
    ],
    ids=["hold", "type-many", "type-long", "drag", "click", "scroll"],
)
async def test_cancellation_at_any_point_leaves_nothing_pressed(action: InputAction) -> None:
    """Wherever an action is cancelled, every key and button is up, and the display goes on working."""
    async with a_display() as display, a_logger(display) as logger:
        for delay in (0.0, 0.0005, 0.002, 0.01, 0.05):
            with anyio.move_on_after(delay):
                await display.perform(action)
            assert await pressed(display) == 0
        await display.perform(Click(9, 9, "right"))
        while (event := (await logger.events(1, "button_down"))[0])["detail"] != 3:
            pass
        assert (event["x"], event["y"]) == (9, 9)


@pytest.mark.parametrize(
    "action",
    [
        Click(1000, 10),
        Click(10, -1),
        Move(10, 700),
        Scroll(-5, 5, dy=1),
        Drag(((1, 1), (2000, 1))),
    ],
    ids=["right", "above", "below", "left", "drag"],
)
async def test_points_off_the_screen_are_refused_before_anything_is_sent(action: InputAction) -> None:
    """A point off the screen is refused, and the message names the screen's size."""
    async with a_display() as display:
        await display.perform(Move(3, 4))
        with pytest.raises(InvalidInputError, match="1000x700"):
            await display.perform(action)
        assert await display.cursor_position() == (3, 4)
        assert await pressed(display) == 0


async def test_wait_does_not_keep_others_from_acting() -> None:
    """Waiting holds no lock."""
    async with a_display() as display, anyio.create_task_group() as tasks:
        tasks.start_soon(display.perform, Wait(30))
        with anyio.fail_after(5):
            await display.perform(Move(1, 2))
        tasks.cancel_scope.cancel()


async def test_nothing_of_the_display_is_left_after_its_block() -> None:
    """Leaving the block removes the socket and the lock."""
    async with a_display() as display:
        assert display.socket.exists()
    assert not display.socket.exists()
    assert not Path(f"/tmp/.X{display.name[1:]}-lock").exists()  # noqa: ASYNC240 - a look, no wait


async def test_type_is_exact_while_a_modifier_is_held_and_gives_it_back() -> None:
    """A Shift and a Control that are held down change nothing of a text, and are down again afterwards."""
    async with a_display() as display, a_logger(display) as logger:
        held = await display._input._keyboard.chord(("shift", "ctrl"))
        for key in held:
            send(display._connection, key, press=True)
        assert await pressed(display) == 2
        await display.perform(Type("abcXYZ1é漢"))
        assert await pressed(display) == 2
        for key in held:
            send(display._connection, key, press=False)
        await display.perform(Key("escape"))
        events = await logger.until_key(ESCAPE)
    struck = [event for event in events if event["kind"] == "key_down" and event["text"]]
    assert "".join(event["text"] for event in struck) == "abcXYZ1é漢"
    assert not any(event["state"] & CONTROL for event in struck)
