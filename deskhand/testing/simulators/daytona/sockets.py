"""The WebSockets of a sandbox: terminals, and the logs of a session's commands."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectSendStream

from deskhand.errors import DeskhandError
from deskhand.providers import Capability, Terminal
from deskhand.testing.simulators.hardware import Power
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer

from .control import Control
from .dialect import DaytonaDialect
from .process import Processes, Session, SessionCommand
from .sandbox import SimulatedSandbox
from .wire import DaemonError, DaytonaCall, envelope, read, stamp

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

__all__ = ["Sockets"]

EXIT_CONTROL = "X-Daytona-Pty-Exit-Control"
MOST_CELLS = 1000
NORMAL, GOING_AWAY, FAILED, SLOW = 1000, 1001, 1011, 1008
BUFFER = 256


@dataclass(eq=False, slots=True)
class Pty:
    """A terminal of a sandbox: it lives on when a socket leaves, until its shell ends or somebody ends it."""

    id: str
    sandbox: SimulatedSandbox
    columns: int
    rows: int
    terminal: Terminal | None = None
    exit_code: int | None = None
    error: str | None = None
    begun: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    viewers: set[MemoryObjectSendStream[bytes]] = field(default_factory=set)

    def as_json(self) -> Json:
        """Returns it as the daemon describes it."""
        return {
            "id": self.id,
            "cwd": "/home/daytona",
            "envs": {"TERM": "xterm-256color"},
            "cols": self.columns,
            "rows": self.rows,
            "createdAt": stamp(self.sandbox.created_at),
            "active": not self.ended.is_set(),
            "lazyStart": False,
        }

    async def live(self) -> None:
        """Runs the shell from beginning to end."""
        try:
            with self.scope:
                async with self.sandbox.on().terminal(columns=self.columns, rows=self.rows) as terminal:
                    self.terminal = terminal
                    self.begun.set()
                    async for data in terminal:
                        self.show(data)
                    self.exit_code = terminal.exit_code
        except (DeskhandError, ApiError) as error:
            self.error = error.message
        finally:
            self.begun.set()
            self.ended.set()
            for viewer in tuple(self.viewers):
                viewer.close()

    def show(self, data: bytes) -> None:
        """Gives output to whoever watches; who is too slow watches no more."""
        for viewer in tuple(self.viewers):
            try:
                viewer.send_nowait(data)
            except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
                self.viewers.discard(viewer)
                viewer.close()


class Sockets:
    """The routes that are sockets, and those of terminals.

    Args:
        control: The sandboxes.
        processes: The sessions.
        dialect: What output comes in.
        tasks: Where terminals live.
        admit: Refuses a request whose key is wrong.
        silent: Tells whether terminals give no more output just now.
    """

    def __init__(
        self,
        control: Control,
        processes: Processes,
        dialect: DaytonaDialect,
        tasks: anyio.abc.TaskGroup,
        *,
        admit: Callable[[Mapping[str, str]], None],
        silent: Callable[[], bool],
    ) -> None:
        self._control = control
        self._processes = processes
        self._dialect = dialect
        self._tasks = tasks
        self._admit = admit
        self._silent = silent
        self._ptys: dict[tuple[str, str], Pty] = {}

    # Terminals

    async def list(self, call: DaytonaCall) -> Answer:
        """Lists the terminals."""
        sandbox = self._control.find(call.path["id"])
        sandbox.on()
        return json_answer({"sessions": [one.as_json() for (box, _), one in self._ptys.items() if box == sandbox.id]})

    async def resize(self, call: DaytonaCall) -> Answer:
        """Changes a terminal's size."""
        pty = self._pty(call.path)
        fields = {name: Field("integer", required=True, low=1, high=MOST_CELLS) for name in ("cols", "rows")}
        body = read(call.body, fields)
        if pty.terminal is None or pty.ended.is_set():
            raise DaemonError(410, "PTY session is not active", "SESSION_ENDED")
        await pty.terminal.resize(body["cols"], body["rows"])
        pty.columns, pty.rows = body["cols"], body["rows"]
        return json_answer(pty.as_json())

    async def delete(self, call: DaytonaCall) -> Answer:
        """Ends a terminal."""
        pty = self._pty(call.path)
        del self._ptys[pty.sandbox.id, pty.id]
        if pty.terminal is not None:
            with suppress(DeskhandError):  # it has ended by itself
                await pty.terminal.kill()
        pty.scope.cancel()
        await pty.ended.wait()
        return json_answer({"message": "PTY session deleted"})

    async def create(self, socket: WebSocket, path: Mapping[str, str]) -> None:
        """Opens a terminal and shows it."""
        try:
            pty = self._new(socket, path)
        except ApiError as error:
            await _refuse(socket, error)
            return
        await self._attach(socket, pty, is_new=True)

    async def connect(self, socket: WebSocket, path: Mapping[str, str]) -> None:
        """Shows a terminal that is there."""
        try:
            self._admit(dict(socket.headers))
            pty = self._pty(path)
        except ApiError as error:
            await _refuse(socket, error)
            return
        await self._attach(socket, pty, is_new=False)

    def _new(self, socket: WebSocket, path: Mapping[str, str]) -> Pty:
        self._admit(dict(socket.headers))
        sandbox = self._control.find(path["id"])
        machine = sandbox.on()
        query = socket.query_params
        name = query.get("id", "")
        if not name:
            raise DaemonError(400, "session ID is required")
        if (sandbox.id, name) in self._ptys:
            raise DaemonError(409, f"PTY session with ID '{name}' already exists")
        columns, rows = _cells(query.get("cols"), 80), _cells(query.get("rows"), 24)
        if any(one.startswith("X-Daytona-Pty-Envs~") for one in socket.scope.get("subprotocols", [])):
            raise DaemonError(400, "a simulated terminal takes no variables")
        if Capability.TERMINAL not in machine.capabilities:
            raise DaemonError(500, "failed to start PTY session")
        pty = self._ptys[sandbox.id, name] = Pty(name, sandbox, columns, rows)
        return pty

    def _pty(self, path: Mapping[str, str]) -> Pty:
        sandbox = self._control.find(path["id"])
        sandbox.on()
        found = self._ptys.get((sandbox.id, path["pty"]))
        if found is None:
            raise DaemonError(404, "PTY session not found", "PROCESS_NOT_FOUND")
        return found

    async def _attach(self, socket: WebSocket, pty: Pty, *, is_new: bool) -> None:
        offered = EXIT_CONTROL in socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=EXIT_CONTROL if offered else None)
        send, receive = anyio.create_memory_object_stream[bytes](BUFFER)
        with send, receive:  # also where nobody comes to show it
            pty.viewers.add(send)
            try:
                await self._view(socket, pty, receive, offered, is_new=is_new)
            finally:
                pty.viewers.discard(send)

    async def _view(
        self,
        socket: WebSocket,
        pty: Pty,
        output: anyio.abc.ObjectReceiveStream[bytes],
        offered: bool,
        *,
        is_new: bool,
    ) -> None:
        if is_new:
            self._tasks.start_soon(self._live, pty, name=f"terminal {pty.id}")
        await pty.begun.wait()
        if pty.terminal is None:
            await _say(socket, {"type": "control", "status": "error", "error": pty.error or "no shell"})
            await _close(socket, NORMAL, "")
            return
        await _say(socket, {"type": "control", "status": "connected"})
        async with anyio.create_task_group() as group:
            group.start_soon(self._show, socket, pty, output, offered)
            await _type_in(socket, pty)
            group.cancel_scope.cancel()

    async def _live(self, pty: Pty) -> None:
        await pty.live()
        self._ptys.pop((pty.sandbox.id, pty.id), None)

    async def _show(
        self, socket: WebSocket, pty: Pty, output: anyio.abc.ObjectReceiveStream[bytes], offered: bool
    ) -> None:
        async with output:
            async for data in output:
                if self._silent():
                    continue
                if self._dialect.terminal_output == "text":
                    await _send(socket, data.decode(errors="replace"))
                else:
                    await _send(socket, data)
        if not pty.ended.is_set():
            await _close(socket, SLOW, "slow consumer")
            return
        if pty.sandbox.state != "started":
            await _close(socket, GOING_AWAY, "")
            return
        ended: Json = {"exitCode": pty.exit_code if pty.exit_code is not None else 137}
        if offered:
            await _say(socket, {"type": "control", "status": "exited", **ended})
        await _close(socket, NORMAL, json.dumps(ended))

    # Logs

    async def follow(self, socket: WebSocket, path: Mapping[str, str]) -> None:
        """Sends a command's log as it grows."""
        try:
            self._admit(dict(socket.headers))
            session, command = self._processes.find_session(path), self._processes.find_command(path)
            power = self._control.find(path["id"]).hardware.power
        except ApiError as error:
            await _refuse(socket, error)
            return
        await socket.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(_until, power, group)
            group.start_soon(self._stream, socket, session, command)
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass
            group.cancel_scope.cancel()

    async def _stream(self, socket: WebSocket, session: Session, command: SessionCommand) -> None:
        sent = 0
        while True:
            changed = command.changed
            if sent < len(command.log):
                piece = bytes(command.log[sent : sent + 32_768])
                sent += len(piece)
                await _send(socket, piece)
                continue
            is_over = command.exit_code is not None and self._dialect.log_end == "closed"
            if is_over or session.over.is_set():
                await _close(socket, NORMAL, "")
                return
            await changed.wait()


async def _until(power: Power, group: anyio.abc.TaskGroup) -> None:
    """Ends a group when the machine goes."""
    await power.leave.wait()
    group.cancel_scope.cancel()


def _cells(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MOST_CELLS):
        raise DaemonError(400, "invalid value for cols or rows")
    return int(text)


async def _type_in(socket: WebSocket, pty: Pty) -> None:
    """Hands on what is typed, until the client has left."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        data = message.get("bytes")
        data = data if data is not None else (message.get("text") or "").encode()
        if pty.terminal is not None and not pty.ended.is_set():
            with suppress(DeskhandError):  # the shell has just ended, which is told by itself
                await pty.terminal.send(data)


async def _refuse(socket: WebSocket, error: ApiError) -> None:
    from starlette.responses import Response

    body = json.dumps(envelope(error)).encode()
    await socket.send_denial_response(Response(body, error.status, media_type="application/json"))


async def _say(socket: WebSocket, words: Json) -> None:
    await _send(socket, json.dumps(words))


async def _send(socket: WebSocket, data: str | bytes) -> None:
    from starlette.websockets import WebSocketDisconnect

    with suppress(WebSocketDisconnect, RuntimeError):  # the client has left, which is seen where it is listened to
        await (socket.send_text(data) if isinstance(data, str) else socket.send_bytes(data))


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    from starlette.websockets import WebSocketDisconnect

    with suppress(WebSocketDisconnect, RuntimeError):  # the client closed it at the same time
        await socket.close(code, reason)
