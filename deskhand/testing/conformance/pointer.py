"""The pointer, as an application on the machine receives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from deskhand.errors import InvalidInputError
from deskhand.providers import Capability, Click, Drag, InputAction, MouseButton, Move, Scroll
from deskhand.testing.conformance import case as kit
from deskhand.testing.conformance.case import Case, Target, expect, expect_equal, refuses
from deskhand.testing.received import Received

CASES: Final[list[Case]] = []
_case = partial(kit.case, CASES, truth=True)

_BUTTONS: Final[tuple[MouseButton, ...]] = ("left", "middle", "right", "back", "forward")
_DOUBLE_CLICK: Final = 0.4
"""Seconds within which applications take two clicks for a double click, by the strictest common setting."""


def _buttons(events: Iterable[Received]) -> list[Received]:
    return [event for event in events if event.kind in {"button_down", "button_up"}]


def _brief(events: Iterable[Received]) -> list[tuple[str, str, int, int]]:
    return [(event.kind, event.name, event.x, event.y) for event in _buttons(events)]


def _expect_released(events: Sequence[Received]) -> None:
    """Fail if a key or button that went down did not come up."""
    held: list[str] = []
    for event in events:
        if event.kind.endswith("_down") and event.name not in held:  # a key that repeats goes down again
            held.append(event.name)
        elif event.kind.endswith("_up") and event.name in held:
            held.remove(event.name)
    expect_equal("what is still held", held, [])


@_case(Capability.POINTER, Capability.FULL_INPUT)
async def click_presses_and_releases_at_the_point(target: Target) -> None:
    """A click of each button is one press and one release, exactly there."""
    width, height = target.screen
    for number, button in enumerate(_BUTTONS):
        x, y = width // 4 + number * 31, height // 3 + number * 17
        await target.forget()
        await target.computer.click(x, y, button=button)
        wanted = [("button_down", button, x, y), ("button_up", button, x, y)]
        expect_equal(f"what arrived of a {button} click", _brief(await target.received()), wanted)


@_case(Capability.POINTER)
async def click_has_two_common_buttons(target: Target) -> None:
    """A click of the left and one of the right button is one press and one release, exactly there."""
    for button in _BUTTONS[:1] + _BUTTONS[2:3]:
        await target.forget()
        await target.computer.click(211, 123, button=button)
        wanted = [("button_down", button, 211, 123), ("button_up", button, 211, 123)]
        expect_equal(f"what arrived of a {button} click", _brief(await target.received()), wanted)


@_case(Capability.POINTER)
async def click_reaches_every_corner(target: Target) -> None:
    """The first and the last pixel of the screen can be clicked."""
    width, height = target.screen
    corners = [(x, y) for x in (0, width - 1) for y in (0, height - 1)]
    for x, y in corners:
        await target.forget()
        await target.computer.left_click(x, y)
        wanted = [("button_down", "left", x, y), ("button_up", "left", x, y)]
        expect_equal(f"what arrived of a click at {x},{y}", _brief(await target.received()), wanted)


@_case(Capability.POINTER)
async def click_counts_are_fast_enough(target: Target) -> None:
    """A double click is two presses at one point, a triple click three, within the double-click time."""
    for count in (2, 3):
        await target.forget()
        await target.computer.click(200, 150, count=count)
        events = _buttons(await target.received())
        wanted = [("button_down", "left", 200, 150), ("button_up", "left", 200, 150)] * count
        expect_equal(f"what arrived of a click times {count}", _brief(events), wanted)
        took = events[-1].time - events[0].time
        expect(took < _DOUBLE_CLICK * (count - 1), f"a click times {count} took {took:.3f} s")


@_case(Capability.POINTER, Capability.FULL_INPUT)
async def click_holds_its_modifiers(target: Target) -> None:
    """Every modifier, and several together, are down in the click and up after it."""
    for modifiers in (("shift",), ("ctrl",), ("alt",), ("super",), ("ctrl", "shift"), ("ctrl", "alt", "shift")):
        await target.forget()
        await target.computer.left_click(321, 234, modifiers=modifiers)
        await target.computer.left_click(300, 200)
        events = await target.received()
        held = [event.modifiers for event in events if event.kind == "button_down"]
        expect_equal(f"the modifiers of a click with {modifiers}", held[:1], [frozenset(modifiers)])
        expect_equal("the modifiers of the click after it", held[1:], [frozenset()])
        _expect_released(events)


@_case(Capability.POINTER, Capability.MOVE, Capability.SCROLL, Capability.FULL_INPUT)
async def click_without_a_point_stays_where_the_pointer_is(target: Target) -> None:
    """Without coordinates, a click and a turn of the wheel happen where the pointer is."""
    await target.computer.move(177, 188)
    await target.forget()
    await target.computer.left_click()
    await target.computer.scroll(dy=1)
    places = {(event.x, event.y) for event in _buttons(await target.received())}
    expect_equal("the places", places, {(177, 188)})


@_case(Capability.MOVE)
async def move_arrives_as_motion(target: Target) -> None:
    """Moving ends exactly at the point, presses nothing, and is seen as motion."""
    await target.computer.move(20, 30)
    await target.forget()
    await target.computer.move(421, 322)
    events = await target.received()
    expect(bool(events), "nothing arrived of a move")
    expect_equal("the kinds of events", {event.kind for event in events}, {"motion"})
    expect_equal("where it ends", (events[-1].x, events[-1].y), (421, 322))


@_case(Capability.MOVE, Capability.FULL_INPUT)
async def mouse_down_stays_down_until_mouse_up(target: Target) -> None:
    """A button pressed stays pressed over moves and is released where the pointer then is."""
    await target.computer.move(100, 120)
    await target.forget()
    await target.computer.mouse_down()
    await target.computer.move(300, 320)
    expect_equal(
        "what arrived before the release", _brief(await target.received()), [("button_down", "left", 100, 120)]
    )
    await target.computer.mouse_up()
    wanted = [("button_down", "left", 100, 120), ("button_up", "left", 300, 320)]
    expect_equal("what arrived", _brief(await target.received()), wanted)


@_case(Capability.DRAG)
async def drag_leads_from_point_to_point(target: Target) -> None:
    """A drag with the left button presses at the first point and releases at the last, moving in between."""
    await target.computer.drag((100, 110), (400, 330))
    events = await target.received()
    wanted = [("button_down", "left", 100, 110), ("button_up", "left", 400, 330)]
    expect_equal("the ends of a drag", _brief(events), wanted)
    kinds = [event.kind for event in events]
    within = events[kinds.index("button_down") : kinds.index("button_up")]
    expect(any(event.kind == "motion" for event in within), "nothing moved while the button was down")


@_case(Capability.DRAG, Capability.FULL_INPUT)
async def drag_moves_with_the_button_down(target: Target) -> None:
    """A drag presses at the first point, moves through every corner in steps, and releases at the last."""
    path = ((100, 110), (400, 130), (380, 410))
    for button in ("left", "middle", "right"):
        await target.forget()
        await target.computer.perform(Drag(path, button))
        events = await target.received()
        wanted = [("button_down", button, *path[0]), ("button_up", button, *path[-1])]
        expect_equal(f"the ends of a drag with {button}", _brief(events), wanted)
        kinds = [event.kind for event in events]
        within = events[kinds.index("button_down") : kinds.index("button_up")]
        places = [(event.x, event.y) for event in within if event.kind == "motion"]
        expect(path[1] in places, f"the drag with {button} does not pass its corner {path[1]}: {places}")
        expect(len(places) >= 4, f"the drag with {button} moves in {len(places)} steps; applications want more")


@_case(Capability.DRAG, Capability.FULL_INPUT)
async def drag_holds_its_modifiers(target: Target) -> None:
    """Modifiers are down from the press to the release of a drag, and up after it."""
    await target.computer.drag((150, 160), (350, 260), modifiers=("ctrl", "shift"))
    events = await target.received()
    held = {event.modifiers for event in _buttons(events)}
    expect_equal("the modifiers at both ends", held, {frozenset({"ctrl", "shift"})})
    _expect_released(events)


@_case(Capability.SCROLL)
async def scroll_turns_the_wheel_notch_by_notch(target: Target) -> None:
    """Every notch is one turn of the wheel at the point, down and up."""
    await _expect_turns(target, {"wheel_down": (0, 5), "wheel_up": (0, -3)})


@_case(Capability.SCROLL, Capability.FULL_INPUT)
async def scroll_turns_the_wheel_sideways(target: Target) -> None:
    """Every notch is one turn of the wheel at the point, right and left."""
    await _expect_turns(target, {"wheel_right": (2, 0), "wheel_left": (-4, 0)})


async def _expect_turns(target: Target, turns: Mapping[str, tuple[int, int]]) -> None:
    for wheel, (dx, dy) in turns.items():
        await target.forget()
        await target.computer.scroll(211, 222, dx=dx, dy=dy)
        wanted = [("button_down", wheel, 211, 222), ("button_up", wheel, 211, 222)] * (abs(dx) + abs(dy))
        expect_equal(f"what arrived of dx={dx}, dy={dy}", _brief(await target.received()), wanted)


@_case(Capability.SCROLL, Capability.FULL_INPUT)
async def scroll_goes_far_and_holds_its_modifiers(target: Target) -> None:
    """Many notches all arrive, both ways in one action, with the modifiers held in each."""
    await target.computer.scroll(211, 222, dx=3, dy=-120, modifiers=("ctrl",))
    events = await target.received()
    downs = [event for event in events if event.kind == "button_down"]
    counts = {name: sum(event.name == name for event in downs) for name in ("wheel_up", "wheel_right")}
    expect_equal("the notches", counts, {"wheel_up": 120, "wheel_right": 3})
    expect_equal("the modifiers in each", {event.modifiers for event in downs}, {frozenset({"ctrl"})})
    _expect_released(events)


@_case(Capability.POINTER, Capability.MOVE, Capability.DRAG, Capability.SCROLL)
async def points_off_the_screen_are_refused(target: Target) -> None:
    """A point off the screen is refused before anything is sent."""
    width, height = target.screen
    await target.computer.move(33, 44)
    await target.forget()
    actions: tuple[InputAction, ...] = (
        Click(width, 10),
        Click(10, height),
        Click(-1, 10),
        Move(10, -5),
        Scroll(width + 500, 10, dy=1),
        Drag(((10, 10), (width, 10))),
    )
    for action in actions:
        with refuses(InvalidInputError, f"{action}"):
            await target.computer.perform(action)
    expect_equal("what arrived of all that", await target.received(), [])
