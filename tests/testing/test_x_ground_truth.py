"""The X client that writes down what it receives, before it judges anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest

from deskhand.errors import ConfigError
from deskhand.providers.actions import Click, Key, Move, Scroll, Type
from deskhand.providers.local.display import Display
from deskhand.testing.received import GroundTruth, Received, typed_text
from deskhand.testing.x_ground_truth import x_ground_truth
from tests.providers.local.screens import a_display
from tests.providers.shell_machines import a_bare_machine, without_xvfb_skipped

pytestmark = pytest.mark.needs_x


@asynccontextmanager
async def a_truth(display: Display) -> AsyncIterator[GroundTruth]:
    """Have the display watched."""
    async with x_ground_truth(display.name, display.xauthority) as truth:
        yield truth


def brief(events: Sequence[Received]) -> list[tuple[str, str, int, int, frozenset[str]]]:
    """Return what matters of events."""
    return [(event.kind, event.name, event.x, event.y, event.modifiers) for event in events]


async def test_truth_holds_everything_sent_before_it_is_asked() -> None:
    """Asked right after input was sent, it has all of it: places, buttons, modifiers, order."""
    async with a_display() as display, a_truth(display) as truth:
        await display.perform(Move(5, 6))
        await truth.clear()
        await display.perform(Click(321, 123, "right", modifiers=("ctrl",)))
        await display.perform(Scroll(dy=-1))
        buttons = [event for event in await truth.events() if event.kind.startswith("button")]
        ctrl, none = frozenset({"ctrl"}), frozenset[str]()
        assert brief(buttons) == [
            ("button_down", "right", 321, 123, ctrl),
            ("button_up", "right", 321, 123, ctrl),
            ("button_down", "wheel_up", 321, 123, none),
            ("button_up", "wheel_up", 321, 123, none),
        ]
        keys = [(event.kind, event.name) for event in await truth.events() if event.kind.startswith("key")]
        assert keys == [("key_down", "ctrl"), ("key_up", "ctrl")]
        await truth.clear()
        assert await truth.events() == []


async def test_truth_reads_keys_as_an_application_does() -> None:
    """Characters that the keyboard has not by itself, chords and key names are what an application would read."""
    async with a_display() as display, a_truth(display) as truth:
        await display.perform(Type("aÄ漢👍\n\t"))
        assert typed_text(await truth.events()) == "aÄ漢👍\n\t"
        await truth.clear()
        await display.perform(Key("ctrl+s"))
        struck = [event for event in await truth.events() if event.kind == "key_down"]
        assert [(event.name, event.text, event.modifiers) for event in struck] == [
            ("ctrl", "", frozenset()),
            ("s", "", frozenset({"ctrl"})),
        ]


@without_xvfb_skipped
async def test_truth_that_nobody_asks_for_long_is_read_as_it_came() -> None:
    """Whatever has gathered meanwhile, a key types what was on it when it was struck."""
    async with a_bare_machine() as (machine, display), x_ground_truth(display) as truth:
        struck = await machine.exec("exec xdotool key --delay 0" + " a" * 3000, env={"DISPLAY": display})
        assert struck.ok
        await machine.type("漢字かな交じり文")  # by keys that have nothing on them before and after
        assert typed_text(await truth.events()) == "a" * 3000 + "漢字かな交じり文"


async def test_truth_of_a_display_that_is_not_there_is_a_typed_error() -> None:
    """Where there is no display, the error says which one and what its client said."""
    with pytest.raises(ConfigError, match="no ground truth on the X display :9876"):
        async with x_ground_truth(":9876"):
            pass


async def test_truth_cancelled_leaves_the_display_usable() -> None:
    """Cancelling while it starts or watches ends its process; the display serves the next one."""
    async with a_display() as display:
        for delay in (0.0, 0.05, 0.5):
            with anyio.move_on_after(delay):
                async with a_truth(display):
                    await anyio.sleep_forever()
        async with a_truth(display) as truth:
            await display.perform(Click(9, 9))
            assert [event.kind for event in await truth.events()][-2:] == ["button_down", "button_up"]
