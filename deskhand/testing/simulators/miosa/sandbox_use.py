"""What is done in a sandbox: commands, whole or as they run, files, ports."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from deskhand.errors import DeadlineExceededError, DeskhandError
from deskhand.providers import Capability, ExternalComputer
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .account import Account
from .actions import LONGEST, TIMEOUT, run_on
from .dialect import MiosaDialect
from .files import PATH, absolute, entry_of, file_failed, unpacked, write_to
from .sandbox import SimulatedSandbox
from .wire import MiosaCall

__all__ = ["SandboxUse"]

BUFFER = 64
MOST_DEPTH = 10
KILLED_BY_TIME = 124
_COMMAND = {
    "command": Field("string", required=True),
    "cwd": Field("string"),
    "env": Field("object"),
    "timeout": Field("integer", low=1),
}


class SandboxUse:
    """The routes of one sandbox that act.

    Args:
        account: Whose sandboxes they are.
        dialect: How what comes is told.
        tasks: Where commands run that are told of as they run.
    """

    def __init__(self, account: Account, dialect: MiosaDialect, tasks: anyio.abc.TaskGroup) -> None:
        self._account = account
        self._dialect = dialect
        self._tasks = tasks

    # Commands

    async def exec(self, call: MiosaCall) -> Answer:
        """Runs a command line, and answers when it has ended."""
        sandbox, machine, body = self._command(call)
        began = time.monotonic()
        out, err, code = await run_on(
            machine,
            body["command"],
            body.get("timeout", TIMEOUT),
            env={**sandbox.env, **body.get("env", {})},
            cwd=body.get("cwd"),
        )
        told: Json = {"stdout": out, "stderr": err, "exit_code": code}
        return json_answer({"data": {**told, "duration_ms": int((time.monotonic() - began) * 1000)}})

    async def exec_stream(self, call: MiosaCall) -> Answer:
        """Runs a command line and tells of it line by line; it goes on until its time is up when the client leaves."""
        sandbox, machine, body = self._command(call)
        machine.require(Capability.EXEC_STREAM)
        send, receive = anyio.create_memory_object_stream[bytes](BUFFER)
        self._tasks.start_soon(self._follow, sandbox, machine, body, send)
        events = _sent(receive)
        begun = await anext(events)  # so that it cleans up although nobody may read it
        return Answer(200, begun, "text/event-stream", stream=events)

    def _command(self, call: MiosaCall) -> tuple[SimulatedSandbox, ExternalComputer, dict[str, Any]]:
        sandbox = self._find(call)
        body = read_fields(call.body, _COMMAND)
        if body.get("timeout", TIMEOUT) > LONGEST:
            raise ApiError(422, f"timeout must be at most {LONGEST} seconds", code="TIMEOUT_TOO_LONG")
        if not all(isinstance(value, str) for value in body.get("env", {}).values()):
            raise ApiError(422, "env must be an object of strings")
        return sandbox, sandbox.on(), body

    async def _follow(
        self,
        sandbox: SimulatedSandbox,
        machine: ExternalComputer,
        body: dict[str, Any],
        send: MemoryObjectSendStream[bytes],
    ) -> None:
        code: int | None = None
        lines = {name: _Lines() for name in ("stdout", "stderr")}
        env, cwd, timeout = {**sandbox.env, **body.get("env", {})}, body.get("cwd"), body.get("timeout", TIMEOUT)
        teller = _Teller(send)
        try:
            async with machine.exec_stream(body["command"], timeout=timeout, cwd=cwd, env=env) as stream:
                async for chunk in stream:
                    for line in lines[chunk.stream].taken(chunk.data):
                        await teller.tell(self._event(chunk.stream, {"line": line}))
            code = stream.exit_code
        except DeadlineExceededError:
            code = KILLED_BY_TIME
        except DeskhandError:
            code = None
        for name, left in lines.items():
            if left.rest:
                await teller.tell(self._event(name, {"line": left.rest}))
        await teller.tell(self._event("exit", {"exit_code": 137 if code is None else code}))
        send.close()

    def _event(self, name: str, fields: Json) -> bytes:
        head = f"event: {name}\n" if self._dialect.events == "named" else ""
        return f"{head}data: {json.dumps(fields)}\n\n".encode()

    # Files

    async def write(self, call: MiosaCall) -> Answer:
        """Writes text as it is, or what comes in base64."""
        machine = self._find(call).on()
        body = read_fields(call.body, {**PATH, "content": Field("string"), "content_base64": Field("string")})
        if ("content" in body) == ("content_base64" in body):
            raise ApiError(422, "give content or content_base64")
        packed = body.get("content_base64")
        content = body["content"].encode() if packed is None else unpacked(packed)
        await write_to(machine, absolute(body["path"]), content)
        return json_answer({"data": {"path": body["path"], "size": len(content)}})

    async def download(self, call: MiosaCall) -> Answer:
        """Gives a file's bytes."""
        machine, path = self._find(call).on(), absolute(call.query.get("path", ""))
        try:
            return Answer(200, await machine.read_bytes(path), "application/octet-stream")
        except DeskhandError as error:
            raise file_failed(error) from error

    async def stat(self, call: MiosaCall) -> Answer:
        """Describes a path; a link is described as such."""
        machine = self._find(call).on()
        path = absolute(read_fields(call.body, PATH)["path"])
        try:
            info = await machine.stat(path)
        except DeskhandError as error:
            raise file_failed(error) from error
        return json_answer({"data": {**entry_of(info), "mode": info.mode or 0, "is_symlink": info.kind == "symlink"}})

    async def listing(self, call: MiosaCall) -> Answer:
        """Lists a folder, and what is below it as deep as is asked for."""
        machine, path = self._find(call).on(), absolute(call.query.get("path", "/workspace"))
        depth = call.query.get("depth", "1")
        if not depth.isdecimal() or not 1 <= int(depth) <= MOST_DEPTH:
            raise ApiError(422, f"depth must be 1 to {MOST_DEPTH}")
        return json_answer({"data": {"path": path, "entries": await _entries(machine, path, int(depth))}})

    # Ports

    async def expose(self, call: MiosaCall) -> Answer:
        """Exposes a port, the template's own where none is named; one that is exposed stays so."""
        sandbox = self._find(call)
        port = read_fields(call.body, {"port": Field("integer", low=1, high=65_535)}).get("port", 3000)
        machine = sandbox.on()
        url = f"https://{port}-{sandbox.slug}.sandbox.preview.miosa.ai"
        if Capability.PORTS in machine.capabilities:
            url = (await machine.preview_url(port)).rstrip("/")
        told: Json = {"url": url, "port": port, "url_class": "temporary_preview", "stable_for_embedding": False}
        return json_answer({"data": told})

    def _find(self, call: MiosaCall) -> SimulatedSandbox:
        return self._account.sandbox(call.caller, call.path["id"])


class _Lines:
    """Makes lines of what comes, as a server does that sends text."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.rest = ""

    def taken(self, data: bytes) -> list[str]:
        """Takes bytes, and returns the lines that are whole, without their ends."""
        *whole, self.rest = (self.rest + self._decoder.decode(data)).split("\n")
        return whole


class _Teller:
    """Tells a client that may have left."""

    def __init__(self, send: MemoryObjectSendStream[bytes]) -> None:
        self._send = send
        self._has_left = False

    async def tell(self, event: bytes) -> None:
        """Tells, as long as somebody listens."""
        if self._has_left:
            return
        try:
            await self._send.send(event)
        except anyio.BrokenResourceError:
            self._has_left = True


async def _sent(receive: MemoryObjectReceiveStream[bytes]) -> AsyncIterator[bytes]:
    async with receive:
        yield b": begun\n\n"
        async for event in receive:
            yield event


async def _entries(machine: ExternalComputer, path: str, depth: int) -> list[Any]:
    try:
        found = await machine.list_dir(path)
    except DeskhandError as error:
        raise file_failed(error) from error
    entries: list[Any] = [entry_of(info) for info in found]
    if depth > 1:
        for info in found:
            if info.kind == "directory":
                entries += await _entries(machine, info.path, depth - 1)
    return entries
