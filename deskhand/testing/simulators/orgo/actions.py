"""What is done on a computer: pointer, keyboard, commands, Python."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

import anyio

from deskhand.errors import ComputerGoneError, DeadlineExceededError, DeskhandError, InvalidInputError
from deskhand.providers import (
    Capability,
    Click,
    Drag,
    ExternalComputer,
    InputAction,
    Key,
    MouseButton,
    Move,
    Screen,
    Scroll,
    Type,
)
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .account import Account
from .computer import SimulatedComputer
from .dialect import OrgoDialect
from .keys import canonical_chord
from .wire import OrgoCall

__all__ = ["Actions"]

BASH_TIMEOUT, LONGEST_BASH = 200, 3600
PYTHON_TIMEOUT, LONGEST_PYTHON = 10, 300
LONGEST_WAIT = 60
LONGEST_TEXT = 100_000
MOST_OUTPUT = 64 * 1024 * 1024

_PLACE = {"x": Field("integer", required=True), "y": Field("integer", required=True)}
_BUTTON = Field("string", choices=("left", "right", "middle"))
_FIELDS: Mapping[str, Mapping[str, Field]] = {
    "click": {**_PLACE, "button": _BUTTON, "double": Field("boolean")},
    "mouse_move": _PLACE,
    "drag": {
        **{name: Field("integer", required=True) for name in ("start_x", "start_y", "end_x", "end_y")},
        "button": _BUTTON,
        "duration": Field("number", low=0, high=60),
    },
    "scroll": {
        "direction": Field("string", required=True, choices=("up", "down")),
        "amount": Field("integer", low=1, high=100),
        "x": Field("integer"),
        "y": Field("integer"),
    },
    "type": {"text": Field("string", required=True), "delay_ms": Field("integer", low=0, high=1000)},
    "key": {"key": Field("string", required=True)},
    "bash": {"command": Field("string", required=True), "timeout": Field("integer", low=1, high=LONGEST_BASH)},
    "exec": {"code": Field("string", required=True), "timeout": Field("integer", low=1, high=LONGEST_PYTHON)},
}
_RUNNER = """\
import contextlib, io, json, sys
out = io.StringIO()
answer = {{}}
try:
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        exec(compile({code!r}, "<exec>", "exec"), {{"__name__": "__main__"}})
except SystemExit:
    pass
except BaseException as error:
    answer = {{"error": str(error), "error_type": type(error).__name__}}
answer["output"] = out.getvalue()
print({mark!r} + json.dumps(answer))
"""


class Actions:
    """The routes ``POST /computers/{id}/...`` that act."""

    def __init__(self, account: Account, dialect: OrgoDialect) -> None:
        self._account = account
        self._dialect = dialect

    async def click(self, call: OrgoCall) -> Answer:
        """Clicks once or twice."""
        computer, body = self._read(call, "click")
        machine, double = computer.on(), body.get("double", False)
        x, y = _on_screen(computer.settings.screen, body["x"], body["y"])
        button: MouseButton = "left" if double else body.get("button", "left")
        await _perform(machine, Click(x, y, button, 2 if double else 1))
        details = {"x": body["x"], "y": body["y"], "button": button}
        return _done("double_click" if double else "click", details)

    async def move(self, call: OrgoCall) -> Answer:
        """Moves the pointer."""
        computer, body = self._read(call, "mouse_move")
        machine = computer.on()
        await _perform(machine, Move(*_on_screen(computer.settings.screen, body["x"], body["y"])))
        return _done("mouse_move", {"x": body["x"], "y": body["y"]})

    async def drag(self, call: OrgoCall) -> Answer:
        """Drags from one point to another."""
        computer, body = self._read(call, "drag")
        machine, screen = computer.on(), computer.settings.screen
        path = (
            _on_screen(screen, body["start_x"], body["start_y"]),
            _on_screen(screen, body["end_x"], body["end_y"]),
        )
        await _perform(machine, Drag(path, body.get("button", "left")))
        return _done("drag", body)

    async def scroll(self, call: OrgoCall) -> Answer:
        """Turns the wheel. As on the vendor's Linux, the pointer goes to 0 on an axis that is left out."""
        computer, body = self._read(call, "scroll")
        if computer.settings.os == "windows" and ("x" in body or "y" in body):
            raise ApiError(400, "x and y are not supported on Windows")
        machine = computer.on()
        x, y = _on_screen(computer.settings.screen, body.get("x", 0), body.get("y", 0))
        amount = body.get("amount", 3)
        notches = amount if body["direction"] == "down" else -amount
        await _perform(machine, Scroll(x, y, dy=notches))
        return _done("scroll", {"direction": body["direction"], "amount": amount, "x": x, "y": y})

    async def type(self, call: OrgoCall) -> Answer:
        """Types text."""
        computer, body = self._read(call, "type")
        text: str = body["text"]
        if len(text) > LONGEST_TEXT:
            raise ApiError(400, f"text is longer than {LONGEST_TEXT} characters")
        machine = computer.on()
        if text:
            await _perform(machine, Type(text))
        return _done("type", {"text": text})

    async def key(self, call: OrgoCall) -> Answer:
        """Presses a key or a combination."""
        computer, body = self._read(call, "key")
        machine = computer.on()
        await _perform(machine, Key(canonical_chord(body["key"])))
        return _done("key_press", {"key": body["key"]})

    async def wait(self, call: OrgoCall) -> Answer:
        """Waits on the server."""
        names = ("seconds",) if self._dialect.wait_field == "seconds" else ("seconds", "duration")
        computer = self._account.computer(call.caller, call.path["id"])
        body = read_fields(call.body, {name: Field("number", low=0, high=LONGEST_WAIT) for name in names})
        if not body:
            raise ApiError(400, "seconds is required")
        computer.on()
        seconds = body["seconds"] if "seconds" in body else body["duration"]
        await anyio.sleep(seconds)
        return _done("wait", {"seconds": seconds})

    async def bash(self, call: OrgoCall) -> Answer:
        """Runs a command line; stdout and stderr come merged."""
        computer, body = self._read(call, "bash")
        command: str = body["command"]
        timeout = body.get("timeout", BASH_TIMEOUT)
        output, exit_code = await _run(computer.on(), command, timeout)
        if exit_code is None:
            raise ApiError(500, f"Command timed out after {timeout} seconds", upstream_status=500, output=output)
        answer: Json = {"success": True, "action": "bash", "command": command, "output": output, "exit_code": exit_code}
        return json_answer(answer)

    async def python(self, call: OrgoCall) -> Answer:
        """Runs Python code; that it raised is told in a good answer."""
        computer, body = self._read(call, "exec")
        timeout = body.get("timeout", PYTHON_TIMEOUT)
        mark = secrets.token_hex(16)
        code = _RUNNER.format(code=body["code"], mark=mark)
        output, exit_code = await _run(computer.on(), "python3 -", timeout, stdin=code.encode())
        if exit_code is None:
            return json_answer(
                {
                    "success": False,
                    "action": "exec",
                    "output": output,
                    "error": f"Execution timed out after {timeout} seconds",
                    "error_type": "TimeoutError",
                    "timeout": True,
                }
            )
        before, marked, told = output.rpartition(mark)
        if not marked:
            failed: Json = {"success": False, "output": output, "error": f"exit code {exit_code}"}
            return json_answer({**failed, "error_type": "RuntimeError"})
        answer: Json = json.loads(told)
        if "error" in answer:
            return json_answer({"success": False, "action": "exec", **answer, "output": ""})
        return json_answer(
            {"success": True, "action": "exec", "output": f"{before}{answer['output']}", "timeout": False}
        )

    def _read(self, call: OrgoCall, name: str) -> tuple[SimulatedComputer, dict[str, Any]]:
        computer = self._account.computer(call.caller, call.path["id"])
        return computer, read_fields(call.body, _FIELDS[name])


def _done(action: str, details: Mapping[str, Any]) -> Answer:
    return json_answer({"success": True, "action": action, "details": dict(details)})


def _on_screen(screen: Screen, x: int, y: int) -> tuple[int, int]:
    """Returns a point as X takes it: what is beyond an edge is at the edge."""
    return min(max(x, 0), screen.width - 1), min(max(y, 0), screen.height - 1)


async def _perform(machine: ExternalComputer, action: InputAction) -> None:
    try:
        await machine.perform(action)
    except InvalidInputError as error:
        raise ApiError(400, error.message) from error
    except DeskhandError as error:
        raise desktop_failed(error) from error


async def _run(
    machine: ExternalComputer, command: str, timeout: float, *, stdin: bytes = b""
) -> tuple[str, int | None]:
    """Runs a command; returns its output and its exit code, None where its time was up."""
    chunks: list[bytes] = []
    room = MOST_OUTPUT
    try:
        if Capability.EXEC_STREAM not in machine.capabilities:
            result = await machine.exec(command, timeout=timeout, stdin=stdin)
            return result.output, result.exit_code
        if machine.info.provider == "local":  # it has two pipes, whose order is lost: let its shell merge them
            command = f"exec 2>&1\n{command}"
        async with machine.exec_stream(command, timeout=timeout, stdin=stdin) as stream:
            try:
                async for chunk in stream:
                    chunks.append(chunk.data[:room])
                    room -= len(chunks[-1])
            except DeadlineExceededError:
                return _text(chunks), None
            return _text(chunks), stream.exit_code
    except InvalidInputError as error:
        raise ApiError(400, error.message) from error
    except DeskhandError as error:
        raise desktop_failed(error) from error


def _text(chunks: list[bytes]) -> str:
    return b"".join(chunks).decode(errors="replace")


def desktop_failed(error: DeskhandError) -> ApiError:
    """Returns what the API says when the desktop, not the API, failed."""
    if isinstance(error, ComputerGoneError):
        return ApiError(503, "Could not reach the desktop. Try again in a moment.", upstream_status=503)
    return ApiError(500, f"The desktop failed: {error.message}", upstream_status=500)
