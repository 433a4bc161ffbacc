"""Commands in a sandbox: one that is waited for, and sessions whose shell keeps its folder and variables."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc

from deskhand.errors import DeadlineExceededError, DeskhandError, FileMissingError, InvalidInputError
from deskhand.providers import Capability, ExternalComputer
from deskhand.testing.simulators.wire import Answer, Field, Json, json_answer

from .control import Control
from .sandbox import SimulatedSandbox
from .wire import DaemonError, DaytonaCall, read

__all__ = ["Processes", "SessionCommand", "failed"]

TIMEOUT = 360
MOST_OUTPUT = 64 * 1024 * 1024
LONGEST = 86_400
OUT, ERR = b"\x01\x01\x01", b"\x02\x02\x02"

_EXECUTE = {
    "command": Field("string", required=True),
    "cwd": Field("string"),
    "envs": Field("object"),
    "timeout": Field("integer", low=0),
}
_SESSION_EXEC = {
    "command": Field("string", required=True),
    "runAsync": Field("boolean"),
    "async": Field("boolean"),
    "suppressInputEcho": Field("boolean"),
}


@dataclass(eq=False, slots=True)
class SessionCommand:
    """A command of a session, and its log as it grows: each piece behind the mark of its stream."""

    command: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    exit_code: int | None = None
    log: bytearray = field(default_factory=bytearray)
    streams: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})
    output: bytearray = field(default_factory=bytearray)
    changed: anyio.Event = field(default_factory=anyio.Event)

    def add(self, stream: str, data: bytes) -> None:
        """Takes a piece of output."""
        if len(self.log) < MOST_OUTPUT:
            self.streams[stream] += data
            self.output += data
            self.log += (OUT if stream == "stdout" else ERR) + data
        self.tell()

    def end(self, code: int) -> None:
        """Says how it ended."""
        self.exit_code = code
        self.tell()

    def tell(self) -> None:
        """Wakes whoever follows."""
        self.changed.set()
        self.changed = anyio.Event()

    def as_json(self) -> Json:
        """Returns it as the daemon describes it."""
        ended: Json = {} if self.exit_code is None else {"exitCode": self.exit_code}
        return {"id": self.id, "command": self.command, **ended}

    def logs(self) -> Json:
        """Returns its output."""
        told: Json = {"output": self.output.decode(errors="replace")}
        return told | {name: data.decode(errors="replace") for name, data in self.streams.items()}


@dataclass(eq=False, slots=True)
class Session:
    """A session: its commands run one after the other."""

    id: str
    commands: dict[str, SessionCommand] = field(default_factory=dict)
    turn: anyio.Lock = field(default_factory=anyio.Lock)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    over: anyio.Event = field(default_factory=anyio.Event)


class Processes:
    """The routes ``/process/execute`` and ``/process/session``."""

    def __init__(self, control: Control, tasks: anyio.abc.TaskGroup) -> None:
        self._control = control
        self._tasks = tasks
        self._sessions: dict[tuple[str, str], Session] = {}

    async def execute(self, call: DaytonaCall) -> Answer:
        """Runs a command; stdout and stderr come merged."""
        sandbox = self._control.find(call.path["id"])
        machine = sandbox.on()
        body = read(call.body, _EXECUTE)
        if not body["command"].strip():
            raise DaemonError(400, "empty command")
        seconds = body.get("timeout") or TIMEOUT
        env = {**sandbox.env, **_texts(body.get("envs", {}))}
        output, code = await _run(machine, body["command"], seconds, body.get("cwd"), env)
        if code is None:
            raise DaemonError(408, "command execution timeout", "PROCESS_EXECUTION_TIMEOUT")
        return json_answer({"exitCode": code, "result": output})

    async def create_session(self, call: DaytonaCall) -> Answer:
        """Opens a session."""
        sandbox = self._control.find(call.path["id"])
        sandbox.on()
        body = read(call.body, {"sessionId": Field("string", required=True)})
        key = (sandbox.id, body["sessionId"])
        if key in self._sessions:
            raise DaemonError(409, "session already exists")
        self._sessions[key] = Session(body["sessionId"])
        return Answer(201, b"")

    async def list_sessions(self, call: DaytonaCall) -> Answer:
        """Lists the sessions."""
        sandbox = self._control.find(call.path["id"])
        sandbox.on()
        return json_answer([_told(one) for (box, _), one in self._sessions.items() if box == sandbox.id])

    async def get_session(self, call: DaytonaCall) -> Answer:
        """Describes a session."""
        return json_answer(_told(self._session(call)[1]))

    async def delete_session(self, call: DaytonaCall) -> Answer:
        """Ends a session and what runs in it."""
        sandbox, session = self._session(call)
        del self._sessions[sandbox.id, session.id]
        session.scope.cancel()
        session.over.set()
        for command in session.commands.values():
            command.tell()
        return Answer(204, b"")

    async def exec(self, call: DaytonaCall) -> Answer:
        """Runs a command in a session, in the background where asked to."""
        sandbox, session = self._session(call)
        body = read(call.body, _SESSION_EXEC)
        if not body["command"].strip():
            raise DaemonError(400, "command cannot be empty")
        command = SessionCommand(body["command"])
        session.commands[command.id] = command
        ended = anyio.Event()
        self._tasks.start_soon(self._live, sandbox, session, command, ended)
        if body.get("runAsync") or body.get("async"):
            return json_answer({"cmdId": command.id}, 202)
        await ended.wait()
        return json_answer({"cmdId": command.id, "exitCode": command.exit_code, **command.logs()})

    async def command(self, call: DaytonaCall) -> Answer:
        """Tells how a command goes."""
        return json_answer(self.find_command(call.path).as_json())

    async def logs(self, call: DaytonaCall) -> Answer:
        """Tells a command's output so far."""
        return json_answer(self.find_command(call.path).logs())

    def find_command(self, path: Mapping[str, str]) -> SessionCommand:
        """Returns a command of a session.

        Raises:
            ApiError: If there is none.
        """
        session = self.find_session(path)
        if path["command"] not in session.commands:
            raise DaemonError(404, "command not found", "PROCESS_NOT_FOUND")
        return session.commands[path["command"]]

    def find_session(self, path: Mapping[str, str]) -> Session:
        """Returns a session.

        Raises:
            ApiError: If there is none.
        """
        sandbox = self._control.find(path["id"])
        sandbox.on()
        if (sandbox.id, path["session"]) not in self._sessions:
            raise DaemonError(404, "session not found", "PROCESS_NOT_FOUND")
        return self._sessions[sandbox.id, path["session"]]

    def _session(self, call: DaytonaCall) -> tuple[SimulatedSandbox, Session]:
        return self._control.find(call.path["id"]), self.find_session(call.path)

    async def _live(
        self, sandbox: SimulatedSandbox, session: Session, command: SessionCommand, ended: anyio.Event
    ) -> None:
        """Runs a command of a session from beginning to end."""
        code = 1
        try:
            with session.scope:
                async with session.turn:
                    code = await _follow(sandbox, session, command)
        except DeskhandError as error:
            command.add("stderr", f"{error.message}\n".encode())
        finally:
            command.end(code)
            ended.set()


def _told(session: Session) -> Json:
    return {"sessionId": session.id, "commands": [one.as_json() for one in session.commands.values()]}


async def _follow(sandbox: SimulatedSandbox, session: Session, command: SessionCommand) -> int:
    """Runs a command where the one before it in the session left off."""
    state = shlex.quote(f"/tmp/.session-{sandbox.id}-{session.id}")  # noqa: S108 - on the simulated machine
    line = (
        f"[ -f {state} ] && . {state}\n{{ {command.command}\n}}\ncode=$?\n"
        f"{{ export -p; printf 'cd %q\\n' \"$PWD\"; }} > {state}\nexit $code"
    )
    async with sandbox.on().exec_stream(line, timeout=LONGEST, env=sandbox.env) as stream:
        async for chunk in stream:
            command.add(chunk.stream, chunk.data)
        return stream.exit_code if stream.exit_code is not None else 1


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in values.values()):
        raise DaemonError(400, "envs must hold strings alone")
    return dict(values)


async def _run(
    machine: ExternalComputer, command: str, timeout: float, cwd: str | None, env: Mapping[str, str]
) -> tuple[str, int | None]:
    """Runs a command; returns its output and its exit code, None where its time was up."""
    chunks: list[bytes] = []
    room = MOST_OUTPUT
    try:
        if Capability.EXEC_STREAM not in machine.capabilities or machine.info.provider != "local":
            result = await machine.exec(command, timeout=timeout, cwd=cwd, env=env)
            return result.output, result.exit_code
        # It has two pipes, whose order is lost: let its shell merge them.
        async with machine.exec_stream(f"exec 2>&1\n{command}", timeout=timeout, cwd=cwd, env=env) as stream:
            try:
                async for chunk in stream:
                    chunks.append(chunk.data[:room])
                    room -= len(chunks[-1])
            except DeadlineExceededError:
                return "", None
            return b"".join(chunks).decode(errors="replace"), stream.exit_code
    except FileMissingError:  # the vendor cannot start a shell in a folder that is not there
        return "", -1
    except InvalidInputError as error:
        raise DaemonError(400, error.message) from error
    except DeskhandError as error:
        raise failed(error) from error


def failed(error: DeskhandError) -> DaemonError:
    """Returns what the daemon says when the machine failed."""
    return DaemonError(500, f"the machine failed: {error.message}")
