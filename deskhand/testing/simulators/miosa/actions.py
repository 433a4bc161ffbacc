"""What is done on a computer: pointer, keyboard, screen, commands, Python."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

import anyio

from deskhand.errors import ComputerGoneError, DeadlineExceededError, DeskhandError, InvalidInputError
from deskhand.providers import (
    Capability,
    Click,
    Drag,
    ExternalComputer,
    InputAction,
    Key,
    MouseDown,
    MouseUp,
    Move,
    Region,
    Scroll,
    Type,
)
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .account import Account
from .computer import SCREEN, SimulatedComputer
from .dialect import MiosaDialect
from .keys import HeldKeys, canonical_key
from .wire import MiosaCall

__all__ = ["LONGEST", "TIMEOUT", "Actions", "computer_failed", "run_on"]

T = TypeVar("T")

TIMEOUT, LONGEST = 60, 3600
LONGEST_WAIT = 60
LONGEST_TEXT = 100_000
MOST_OUTPUT = 64 * 1024 * 1024

_PLACE = {"x": Field("integer", required=True), "y": Field("integer", required=True)}
_BUTTON = Field("string", choices=("left", "right", "middle"))
_KEY = {"key": Field("string", required=True)}
_SECONDS = Field("integer", low=1, high=LONGEST)
_FIELDS: Mapping[str, Mapping[str, Field]] = {
    "click": {**_PLACE, "button": _BUTTON},
    "double_click": _PLACE,
    "move": _PLACE,
    "mouse_down": {**_PLACE, "button": _BUTTON},
    "mouse_up": {**_PLACE, "button": _BUTTON},
    "drag": {name: Field("integer", required=True) for name in ("from_x", "from_y", "to_x", "to_y")},
    "scroll": {
        "direction": Field("string", required=True, choices=("up", "down", "left", "right")),
        "clicks": Field("integer", low=1, high=100),
        "x": Field("integer"),
        "y": Field("integer"),
    },
    "type": {"text": Field("string", required=True), "delay": Field("integer", low=0, high=1000)},
    "key": _KEY,
    "hotkey": {"keys": Field("array", required=True)},
    "key_down": _KEY,
    "key_up": _KEY,
    "wait": {"seconds": Field("number", required=True, low=0, high=LONGEST_WAIT)},
    "region": {
        **_PLACE,
        "width": Field("integer", required=True, low=1),
        "height": Field("integer", required=True, low=1),
    },
    "exec": {"command": Field("string", required=True), "timeout": _SECONDS},
    "python": {"code": Field("string", required=True), "timeout": _SECONDS},
}


class Actions:
    """The routes of one computer that act."""

    def __init__(self, account: Account, dialect: MiosaDialect) -> None:
        self._account = account
        self._dialect = dialect
        self._held: dict[str, HeldKeys] = {}

    # Screen

    async def screenshot(self, call: MiosaCall) -> Answer:
        """Captures the screen, as a PNG."""
        return await _picture(self._find(call).desktop(), None)

    async def region(self, call: MiosaCall) -> Answer:
        """Captures a part of the screen."""
        computer, body = self._read(call, "region")
        left, top = body["x"], body["y"]
        right, bottom = left + body["width"], top + body["height"]
        if left < 0 or top < 0 or right > SCREEN.width or bottom > SCREEN.height:
            raise ApiError(422, "The region is not on the screen.")
        return await _picture(computer.desktop(), Region(left, top, right, bottom))

    async def screen_size(self, call: MiosaCall) -> Answer:
        """Tells the screen's size."""
        screen = self._find(call).desktop().info.screen or SCREEN
        return json_answer({"width": screen.width, "height": screen.height})

    async def cursor(self, call: MiosaCall) -> Answer:
        """Tells where the pointer is, in pixels."""
        x, y = await _of(self._find(call).desktop().cursor_position())
        return json_answer({"x": x, "y": y})

    # Pointer

    async def click(self, call: MiosaCall) -> Answer:
        """Clicks once."""
        computer, body = self._read(call, "click")
        return await _performed(computer.desktop(), Click(*_point(body), body.get("button", "left")))

    async def double_click(self, call: MiosaCall) -> Answer:
        """Clicks twice."""
        computer, body = self._read(call, "double_click")
        return await _performed(computer.desktop(), Click(*_point(body), "left", 2))

    async def move(self, call: MiosaCall) -> Answer:
        """Moves the pointer."""
        computer, body = self._read(call, "move")
        return await _performed(computer.desktop(), Move(*_point(body)))

    async def mouse_down(self, call: MiosaCall) -> Answer:
        """Presses a button at a point and keeps it pressed."""
        computer, body = self._read(call, "mouse_down")
        return await _performed(computer.desktop(), Move(*_point(body)), MouseDown(body.get("button", "left")))

    async def mouse_up(self, call: MiosaCall) -> Answer:
        """Releases a button at a point."""
        computer, body = self._read(call, "mouse_up")
        return await _performed(computer.desktop(), Move(*_point(body)), MouseUp(body.get("button", "left")))

    async def drag(self, call: MiosaCall) -> Answer:
        """Drags from one point to another."""
        computer, body = self._read(call, "drag")
        path = (_on_screen(body["from_x"], body["from_y"]), _on_screen(body["to_x"], body["to_y"]))
        return await _performed(computer.desktop(), Drag(path))

    async def scroll(self, call: MiosaCall) -> Answer:
        """Turns the wheel, where the pointer is or at a point."""
        computer, body = self._read(call, "scroll")
        if ("x" in body) != ("y" in body):
            raise ApiError(422, "give x and y, or neither")
        clicks, direction = body.get("clicks", 3), body["direction"]
        notches = clicks if direction in {"down", "right"} else -clicks
        x, y = _point(body) if "x" in body else (None, None)
        is_upright = direction in {"up", "down"}
        turn = Scroll(x, y, dx=0 if is_upright else notches, dy=notches if is_upright else 0)
        return await _performed(computer.desktop(), turn)

    # Keyboard

    async def type(self, call: MiosaCall) -> Answer:
        """Types text."""
        computer, body = self._read(call, "type")
        text: str = body["text"]
        if len(text) > LONGEST_TEXT:
            raise ApiError(422, f"text is longer than {LONGEST_TEXT} characters")
        machine = computer.desktop()
        return await _performed(machine, *([Type(text)] if text else []))

    async def key(self, call: MiosaCall) -> Answer:
        """Strikes a key, or several together joined by ``+``."""
        computer, body = self._read(call, "key")
        return await _performed(computer.desktop(), Key(_chord(body["key"].split("+"))))

    async def hotkey(self, call: MiosaCall) -> Answer:
        """Strikes several keys together."""
        computer, body = self._read(call, "hotkey")
        keys = body["keys"]
        if not keys or not all(isinstance(key, str) for key in keys):
            raise ApiError(422, "keys must be an array of names")
        return await _performed(computer.desktop(), Key(_chord(keys)))

    async def key_down(self, call: MiosaCall) -> Answer:
        """Presses a key and keeps it pressed."""
        computer, body = self._read(call, "key_down")
        await self._keys(computer).press(body["key"])
        return _done()

    async def key_up(self, call: MiosaCall) -> Answer:
        """Releases a key."""
        computer, body = self._read(call, "key_up")
        await self._keys(computer).release(body["key"])
        return _done()

    async def wait(self, call: MiosaCall) -> Answer:
        """Waits on the server."""
        computer, body = self._read(call, "wait")
        computer.desktop()
        await anyio.sleep(body["seconds"])
        return _done()

    # Shell

    async def exec(self, call: MiosaCall) -> Answer:
        """Runs a command line."""
        computer, body = self._read(call, "exec")
        return self._ran(*await _run(computer, body["command"], body.get("timeout", TIMEOUT)))

    async def python(self, call: MiosaCall) -> Answer:
        """Runs Python code in an interpreter of its own."""
        computer, body = self._read(call, "python")
        code: str = body["code"]
        return self._ran(*await _run(computer, "exec python3 -", body.get("timeout", TIMEOUT), stdin=code.encode()))

    def _ran(self, stdout: str, stderr: str, code: int) -> Answer:
        told: Json = {"exit_code": code, "success": code == 0}
        if self._dialect.exec == "merged":
            return json_answer({**told, "output": stdout + stderr})
        return json_answer({**told, self._dialect.exec: stdout, "stderr": stderr})

    def _keys(self, computer: SimulatedComputer) -> HeldKeys:
        machine = computer.desktop()
        held = self._held.get(computer.id)
        if held is None or held.machine is not machine:
            held = self._held[computer.id] = HeldKeys(machine)
        return held

    def _find(self, call: MiosaCall) -> SimulatedComputer:
        return self._account.computer(call.caller, call.path["id"])

    def _read(self, call: MiosaCall, name: str) -> tuple[SimulatedComputer, dict[str, Any]]:
        return self._find(call), read_fields(call.body, _FIELDS[name])


def _done() -> Answer:
    return json_answer({"success": True})


def _point(body: Mapping[str, Any]) -> tuple[int, int]:
    return _on_screen(body["x"], body["y"])


def _on_screen(x: int, y: int) -> tuple[int, int]:
    """Returns a point as X takes it: what is beyond an edge is at the edge."""
    return min(max(x, 0), SCREEN.width - 1), min(max(y, 0), SCREEN.height - 1)


def _chord(names: list[str]) -> tuple[str, ...]:
    return tuple(canonical_key(name) for name in names)


async def _performed(machine: ExternalComputer, *actions: InputAction) -> Answer:
    for action in actions:
        try:
            await machine.perform(action)
        except DeskhandError as error:
            raise computer_failed(error) from error
    return _done()


async def _picture(machine: ExternalComputer, region: Region | None) -> Answer:
    return Answer(200, await _of(machine.screenshot(region=region)), "image/png")


async def _of(doing: Awaitable[T]) -> T:
    try:
        return await doing
    except DeskhandError as error:
        raise computer_failed(error) from error


async def _run(
    computer: SimulatedComputer, command: str, timeout: float, *, stdin: bytes = b""
) -> tuple[str, str, int]:
    return await run_on(computer.on(), command, timeout, env=computer.env, stdin=stdin)


async def run_on(
    machine: ExternalComputer,
    command: str,
    timeout: float,
    *,
    env: Mapping[str, str],
    cwd: str | None = None,
    stdin: bytes = b"",
) -> tuple[str, str, int]:
    """Runs a command; returns its output, its errors and its exit code.

    Raises:
        ApiError: If its time was up.
    """
    kept: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    room = MOST_OUTPUT
    try:
        if Capability.EXEC_STREAM not in machine.capabilities:
            result = await machine.exec(command, timeout=timeout, cwd=cwd, stdin=stdin, env=env)
            code, apart = result.exit_code, result.stdout is not None
            out, err = (result.stdout, result.stderr) if apart else (result.output, "")
        else:
            async with machine.exec_stream(command, timeout=timeout, cwd=cwd, stdin=stdin, env=env) as stream:
                async for chunk in stream:
                    kept[chunk.stream].append(chunk.data[:room])
                    room = max(0, room - len(chunk.data))
            code = stream.exit_code
            out, err = (b"".join(kept[name]).decode(errors="replace") for name in ("stdout", "stderr"))
    except DeadlineExceededError:
        code, out, err = None, "", ""
    except DeskhandError as error:
        raise computer_failed(error) from error
    if code is None:
        raise ApiError(504, f"The command timed out after {timeout} seconds.", code="EXEC_TIMEOUT")
    return out or "", err or "", code


def computer_failed(error: DeskhandError) -> ApiError:
    """Returns what the API says when the computer, not the API, failed."""
    if isinstance(error, InvalidInputError):
        return ApiError(422, error.message)
    if isinstance(error, ComputerGoneError):
        return ApiError(503, "The computer could not be reached.", code="COMPUTER_UNREACHABLE")
    return ApiError(500, f"The computer failed: {error.message}", code="COMPUTER_FAILED")
