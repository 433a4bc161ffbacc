"""The desktop of a sandbox: screen, pointer, keyboard."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from deskhand.errors import DeskhandError, InvalidInputError
from deskhand.providers import (
    Capability,
    Click,
    Drag,
    ExternalComputer,
    HoldKey,
    InputAction,
    Key,
    MouseButton,
    MouseDown,
    MouseUp,
    Move,
    Region,
    Screen,
    Scroll,
    Type,
)
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer

from .control import Control
from .dialect import DaytonaDialect
from .keys import canonical, canonical_modifiers, keysym
from .process import failed
from .sandbox import SimulatedSandbox
from .wire import DaemonError, DaytonaCall, read, whole

__all__ = ["Desk"]

PROCESSES = {"xvfb": 100, "xfce4": 200, "x11vnc": 300, "novnc": 400}
BUTTONS = ("left", "right", "middle")

_NUMBER, _TEXT, _LIST = Field("integer"), Field("string"), Field("array")
_PLACE = {"x": Field("integer", required=True), "y": Field("integer", required=True)}
_BUTTON = {"button": Field("string", choices=BUTTONS)}
_FIELDS: Mapping[str, Mapping[str, Field]] = {
    "move": _PLACE,
    "click": {**_PLACE, **_BUTTON, "double": Field("boolean"), "clicks": Field("integer", low=1), "modifiers": _LIST},
    "half": {"x": _NUMBER, "y": _NUMBER, **_BUTTON},
    "drag": {
        **{name: Field("integer", required=True) for name in ("startX", "startY", "endX", "endY")},
        **_BUTTON,
        "modifiers": _LIST,
    },
    "scroll": {
        **_PLACE,
        "direction": Field("string", required=True, choices=("up", "down", "left", "right")),
        "amount": Field("integer", low=0),
        "modifiers": _LIST,
    },
    "type": {"text": Field("string", required=True), "delay": Field("integer", low=0)},
    "key": {"key": Field("string", required=True), "modifiers": _LIST},
    "hotkey": {"keys": Field("string", required=True)},
    "held": {"key": Field("string", required=True)},
}

T = TypeVar("T")


class Desk:
    """The routes ``/computeruse``."""

    def __init__(self, control: Control, dialect: DaytonaDialect) -> None:
        self._control = control
        self._dialect = dialect

    # The desktop

    async def start(self, call: DaytonaCall) -> Answer:
        """Starts the desktop; does nothing to one that is up."""
        sandbox = self._sandbox(call)
        sandbox.on()
        sandbox.desktop = True
        return self._processes("Computer use processes started successfully", sandbox)

    async def stop(self, call: DaytonaCall) -> Answer:
        """Stops the desktop."""
        sandbox = self._sandbox(call)
        sandbox.on()
        sandbox.desktop = False
        return self._processes("Computer use processes stopped successfully", sandbox)

    def _processes(self, message: str, sandbox: SimulatedSandbox) -> Answer:
        told: Json = {
            name: {"running": sandbox.desktop, "priority": priority, "autoRestart": True, "pid": priority}
            for name, priority in PROCESSES.items()
        }
        return json_answer({"message": message, "status": told})

    async def status(self, call: DaytonaCall) -> Answer:
        """Tells whether it is up."""
        sandbox = self._sandbox(call)
        sandbox.on()
        return json_answer({"status": "active" if sandbox.desktop else "inactive"})

    async def display(self, call: DaytonaCall) -> Answer:
        """Tells the size of the screen."""
        sandbox = self._sandbox(call)
        machine = sandbox.on()
        if not sandbox.desktop:
            return json_answer({"displays": []})
        width, height = _screen(machine, sandbox)
        shown: Json = {"id": 0, "x": 0, "y": 0, "width": width, "height": height, "isActive": True}
        return json_answer({"displays": [shown]})

    async def screenshot(self, call: DaytonaCall) -> Answer:
        """Captures the screen."""
        return await self._captured(call, None)

    async def region(self, call: DaytonaCall) -> Answer:
        """Captures a part of the screen."""
        x, y, width, height = (whole(call.query.get(name), name) for name in ("x", "y", "width", "height"))
        return await self._captured(call, Region(x, y, x + width, y + height))

    async def _captured(self, call: DaytonaCall, region: Region | None) -> Answer:
        machine = self._sandbox(call).desk()
        cursor = call.query.get("showCursor") == "true"
        try:
            image = await machine.screenshot(region=region, cursor=cursor)
            x, y = await machine.cursor_position()
        except InvalidInputError as error:
            raise DaemonError(400, error.message) from error
        except DeskhandError as error:
            raise failed(error) from error
        place: Json = {"cursorPosition": {"x": x, "y": y}} if cursor else {}
        return json_answer({"screenshot": base64.b64encode(image).decode(), "sizeBytes": len(image), **place})

    # Pointer

    async def position(self, call: DaytonaCall) -> Answer:
        """Tells where the pointer is."""
        return await _pointed(self._sandbox(call).desk())

    async def move(self, call: DaytonaCall) -> Answer:
        """Moves the pointer; what is beyond an edge is at the edge."""
        sandbox, machine, body = self._read(call, "move")
        await _perform(machine, Move(*_on_screen(machine, sandbox, body["x"], body["y"])))
        return await _pointed(machine)

    async def click(self, call: DaytonaCall) -> Answer:
        """Clicks."""
        sandbox, machine, body = self._read(call, "click")
        x, y = _on_screen(machine, sandbox, body["x"], body["y"])
        once = 2 if body.get("double") else 1
        count = body.get("clicks", once) if self._dialect.clicks == "counted" else once
        if count > 3:
            raise DaemonError(400, "clicks must be at most 3")
        await _perform(machine, Click(x, y, _button(body), count, canonical_modifiers(body.get("modifiers"))))
        return await _pointed(machine)

    async def down(self, call: DaytonaCall) -> Answer:
        """Presses a button, at a point where one is given."""
        machine, button = await self._there(call)
        await _perform(machine, MouseDown(button))
        return await _pointed(machine)

    async def up(self, call: DaytonaCall) -> Answer:
        """Lets go of a button, at a point where one is given."""
        machine, button = await self._there(call)
        await _perform(machine, MouseUp(button))
        return await _pointed(machine)

    async def _there(self, call: DaytonaCall) -> tuple[ExternalComputer, MouseButton]:
        sandbox, machine, body = self._read(call, "half")
        if ("x" in body) != ("y" in body):
            raise DaemonError(400, "x and y must be provided together")
        if "x" in body:
            await _perform(machine, Move(*_on_screen(machine, sandbox, body["x"], body["y"])))
        return machine, _button(body)

    async def drag(self, call: DaytonaCall) -> Answer:
        """Drags from one point to another."""
        sandbox, machine, body = self._read(call, "drag")
        path = (
            _on_screen(machine, sandbox, body["startX"], body["startY"]),
            _on_screen(machine, sandbox, body["endX"], body["endY"]),
        )
        await _perform(machine, Drag(path, _button(body), canonical_modifiers(body.get("modifiers"))))
        return await _pointed(machine)

    async def scroll(self, call: DaytonaCall) -> Answer:
        """Turns the wheel; no amount is one notch."""
        sandbox, machine, body = self._read(call, "scroll")
        x, y = _on_screen(machine, sandbox, body["x"], body["y"])
        amount = body.get("amount") or 1
        sideways, vertical = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}[body["direction"]]
        held = canonical_modifiers(body.get("modifiers"))
        await _perform(machine, Scroll(x, y, sideways * amount, vertical * amount, held))
        return json_answer({"success": True})

    # Keyboard

    async def type(self, call: DaytonaCall) -> Answer:
        """Types text; a tab is no text."""
        _, machine, body = self._read(call, "type")
        text: str = body["text"]
        if "\t" in text:
            raise DaemonError(400, "keyboard.type does not translate '\\t' to Tab; use keyboard.press(\"tab\")")
        if text:
            await _perform(machine, Type(text))
        return json_answer({})

    async def key(self, call: DaytonaCall) -> Answer:
        """Strikes a key with modifiers."""
        _, machine, body = self._read(call, "key")
        key, held = canonical(body["key"]), canonical_modifiers(body.get("modifiers"))
        if key in held:
            raise DaemonError(400, "duplicate modifier usage after normalization")
        await _perform(machine, Key((*held, key)))
        return json_answer({})

    async def hotkey(self, call: DaytonaCall) -> Answer:
        """Strikes a chord that is written with plus signs."""
        _, machine, body = self._read(call, "hotkey")
        *held, key = body["keys"].split("+")
        await _perform(machine, Key((*canonical_modifiers(held), canonical(key))))
        return json_answer({})

    async def key_down(self, call: DaytonaCall) -> Answer:
        """Presses a key and keeps it down."""
        sandbox, machine, body = self._read(call, "held")
        key = canonical(body["key"])
        if key in sandbox.held:
            return json_answer({})
        sandbox.held[key] = time.monotonic()
        await _xdotool(machine, f"keydown {keysym(key)}")
        return json_answer({})

    async def key_up(self, call: DaytonaCall) -> Answer:
        """Lets go of a key; where the machine behind has no xdotool, all are struck when the last is let go of."""
        sandbox, machine, body = self._read(call, "held")
        key = canonical(body["key"])
        began = sandbox.held.get(key)
        if began is None or await _xdotool(machine, f"keyup {keysym(key)}"):
            sandbox.held.pop(key, None)
            return json_answer({})
        sandbox.held[f"up:{key}"] = sandbox.held.pop(key)
        if all(name.startswith("up:") for name in sandbox.held):
            chord = tuple(name.removeprefix("up:") for name in sorted(sandbox.held, key=lambda one: sandbox.held[one]))
            longest = time.monotonic() - min(sandbox.held.values())
            sandbox.held.clear()
            await _perform(machine, HoldKey(chord, longest))
        return json_answer({})

    def _sandbox(self, call: DaytonaCall) -> SimulatedSandbox:
        sandbox = self._control.find(call.path["id"])
        machine = sandbox.machine
        has_screen = machine is None or Capability.SCREENSHOT in machine.capabilities
        if not (self._dialect.computer_use and has_screen):
            raise DaemonError(503, "Computer-use functionality is not available")
        return sandbox

    def _read(self, call: DaytonaCall, name: str) -> tuple[SimulatedSandbox, ExternalComputer, dict[str, Any]]:
        sandbox = self._sandbox(call)
        machine = sandbox.desk()
        try:
            return sandbox, machine, read(call.body, _FIELDS[name])
        except ApiError as error:
            raise DaemonError(400, error.message) from error


def _button(body: Mapping[str, Any]) -> MouseButton:
    return cast("MouseButton", body.get("button", "left"))


def _screen(machine: ExternalComputer, sandbox: SimulatedSandbox) -> Screen:
    return machine.info.screen or sandbox.screen


def _on_screen(machine: ExternalComputer, sandbox: SimulatedSandbox, x: int, y: int) -> tuple[int, int]:
    """Returns a point as X takes it: what is beyond an edge is at the edge."""
    screen = _screen(machine, sandbox)
    return min(max(x, 0), screen.width - 1), min(max(y, 0), screen.height - 1)


async def _pointed(machine: ExternalComputer) -> Answer:
    try:
        x, y = await machine.cursor_position()
    except DeskhandError as error:
        raise failed(error) from error
    return json_answer({"x": x, "y": y})


async def _perform(machine: ExternalComputer, action: InputAction) -> None:
    try:
        await machine.perform(action)
    except InvalidInputError as error:
        raise DaemonError(400, error.message) from error
    except DeskhandError as error:
        raise failed(error) from error


async def _xdotool(machine: ExternalComputer, words: str) -> bool:
    """Tells whether the machine behind has done it."""
    if Capability.EXEC not in machine.capabilities:
        return False
    try:
        return (await machine.exec(f"xdotool {words}")).ok
    except DeskhandError as error:
        raise failed(error) from error
