"""The simulated computer server: one route for commands, one WebSocket for the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue
from pydantic_core import from_json

from deskhand.testing.simulators.wire import Answer, ApiError, Call, Json, json_answer

from .machines import SimulatedMachine

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["Server"]

MOST_FRAME = 10 * 1024 * 1024


class Server:
    """The routes of the machines' servers.

    Args:
        machines: The machines by name.
        known: Tells whether the servers know a command.
        refusal: Tells why credentials are refused, if they are.
    """

    def __init__(
        self,
        machines: Mapping[str, SimulatedMachine],
        known: Callable[[str], bool],
        refusal: Callable[[str, str | None, str | None], str | None],
    ) -> None:
        self._machines = machines
        self._known = known
        self._refusal = refusal

    async def status(self, call: Call[None]) -> Answer:
        """Tells that it is up, to anybody."""
        self._on(call.path["name"])
        return json_answer({"status": "ok", "os_type": "linux", "features": []})

    async def responses(self, call: Call[None]) -> Answer:
        """Has no agent."""
        self._on(call.path["name"])
        raise ApiError(501, "ComputerAgent not available")

    async def cmd(self, call: Call[None]) -> Answer:
        """Runs a command; that it failed is told in an answer of success."""
        machine = self._on(call.path["name"])
        body = _object(call.content)
        if body is None:
            raise ApiError(400, "Invalid JSON body: Expecting value: line 1 column 1 (char 0)")
        command = body.get("command")
        if not command:
            raise ApiError(400, "Command is required")
        refused = self._refusal(machine.name, call.headers.get("x-container-name"), call.headers.get("x-api-key"))
        if refused is not None:
            raise ApiError(401, refused)
        if not isinstance(command, str) or not self._known(command):
            raise ApiError(400, f"Unknown command: {command}")
        told = await self._run(machine, command, body.get("params", {}))
        return Answer(200, f"data: {json.dumps(told)}\n\n".encode(), "text/plain; charset=utf-8")

    async def socket(self, socket: WebSocket, path: Mapping[str, str]) -> None:
        """Runs the commands of one client, one after the other."""
        from starlette.websockets import WebSocketDisconnect

        machine = self._machines.get(path["name"])
        await socket.accept()
        if machine is None or machine.status != "running":
            await socket.close(1013)
            return
        try:
            if not await self._introduced(socket, machine):
                await socket.close()
                return
            while True:
                await socket.send_text(json.dumps(await self._answer(machine, await socket.receive_text())))
        except WebSocketDisconnect:
            return

    async def _introduced(self, socket: WebSocket, machine: SimulatedMachine) -> bool:
        """Lets a client say who it is, where it must."""
        if self._refusal(machine.name, None, None) is None:
            return True
        first = _object((await socket.receive_text()).encode()) or {}
        given = first.get("params")
        params = given if isinstance(given, dict) else {}
        if first.get("command") != "authenticate":
            refused: str | None = "First message must be authentication"
        else:
            refused = self._refusal(machine.name, _text(params.get("container_name")), _text(params.get("api_key")))
        told: Json = {"success": False, "error": refused}
        if refused is None:
            told = {"success": True, "message": "Authentication successful"}
        await socket.send_text(json.dumps(told))
        return refused is None

    async def _answer(self, machine: SimulatedMachine, frame: str) -> Json:
        if len(frame) > MOST_FRAME:
            return {"success": False, "error": "message too big"}
        body = _object(frame.encode(errors="surrogatepass"))
        if body is None:
            return {"success": False, "error": "Invalid JSON: Expecting value: line 1 column 1 (char 0)"}
        command = body.get("command")
        if not isinstance(command, str) or not self._known(command):
            return {"success": False, "error": f"Unknown command: {command}"}
        return await self._run(machine, command, body.get("params", {}))

    async def _run(self, machine: SimulatedMachine, command: str, params: JsonValue) -> Json:
        if not isinstance(params, dict):
            return {"success": False, "error": f"{type(params).__name__!r} object has no attribute 'items'"}
        return await machine.commands().run(command, dict[str, Any](params))

    def _on(self, name: str) -> SimulatedMachine:
        machine = self._machines.get(name)
        if machine is None:
            raise ApiError(404, "Not Found")
        machine.commands()
        return machine


def _object(content: bytes) -> Json | None:
    try:
        decoded: JsonValue = from_json(content, allow_inf_nan=False)
    except ValueError:
        return None
    return decoded if isinstance(decoded, dict) else None


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None
