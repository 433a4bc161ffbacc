"""The routes of the daemon inside of a sandbox: processes and files."""

from __future__ import annotations

import base64
import binascii
import gzip
import posixpath
import shlex
from collections.abc import AsyncIterator, Mapping
from typing import TypeAlias

import anyio
from pydantic import JsonValue

from deskhand.errors import DeskhandError, FileMissingError
from deskhand.providers import ExternalComputer, FileInfo, Terminal
from deskhand.testing.simulators.front import read_form
from deskhand.testing.simulators.wire import Answer, ApiError, Call, Json, json_answer

from .account import SimulatedSandbox, timestamp
from .processes import Process
from .wire import end_of, envelope, opened, refused

__all__ = ["Daemon"]

DaemonCall: TypeAlias = Call[SimulatedSandbox]

_STREAM = "application/connect+json"
_SIGNALS = ("SIGNAL_SIGTERM", "SIGNAL_SIGKILL")
_SELECTOR, _CONFIG = ("pid", "tag"), ("cmd", "args", "envs", "cwd")
_SIZES = ("size",)
_TAKES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "start": {"process": _CONFIG, "pty": _SIZES, "tag": (), "stdin": ()},
    "attach": {"process": _SELECTOR},
    "list_processes": {},
    "send_input": {"process": _SELECTOR, "input": ("stdin", "pty")},
    "send_signal": {"process": _SELECTOR, "signal": ()},
    "close_stdin": {"process": _SELECTOR},
    "update": {"process": _SELECTOR, "pty": _SIZES},
    "stat": {"path": ()},
    "list_dir": {"path": (), "depth": ()},
    "make_dir": {"path": ()},
    "move": {"source": (), "destination": ()},
    "remove": {"path": ()},
}
"""The fields of each call, and those within. The vendor's daemon passes over others, so that a mistake goes unseen."""
_KINDS = {"file": "FILE_TYPE_FILE", "directory": "FILE_TYPE_DIRECTORY", "symlink": "FILE_TYPE_SYMLINK"}


def check_message(route: str, body: Mapping[str, JsonValue]) -> None:
    """Checks that a call holds what the vendor's has and nothing else.

    Raises:
        ApiError: If it holds more.
    """
    takes = _TAKES[route]
    for name, value in body.items():
        if name not in takes:
            raise ApiError(400, f"{route} has no field {name!r}")
        unknown = set(value) - set(takes[name]) if isinstance(value, dict) and takes[name] else set()
        if unknown:
            raise ApiError(400, f"{route}.{name} has no field {min(unknown)!r}")


class Daemon:
    """The routes ``/process.Process``, ``/filesystem.Filesystem``, ``/files`` and ``/health``."""

    # Processes

    async def start(self, call: DaemonCall) -> Answer:
        """Starts a process and follows it."""
        self._check_stream(call)
        body = opened(call.content)
        check_message("start", body)
        config = _object(body, "process")
        _text(config, "cmd")
        args, envs = config.get("args", []), config.get("envs", {})
        if not (isinstance(args, list) and all(isinstance(one, str) for one in args)):
            raise ApiError(400, "process.args must be a list of strings")
        if not (isinstance(envs, dict) and all(isinstance(one, str) for one in envs.values())):
            raise ApiError(400, "process.envs must be a map of strings")
        size = None
        if "pty" in body:
            size = _size(_object(body, "pty"))
            if args != ["-i", "-l"]:
                raise ApiError(501, "the simulated terminal runs /bin/bash -i -l and nothing else")
        tag = body.get("tag")
        process = await call.caller.processes.start(
            config, tag=str(tag) if tag else None, takes_input=body.get("stdin") is True, size=size
        )
        return self._followed(call, process)

    async def attach(self, call: DaemonCall) -> Answer:
        """Follows a process that runs."""
        self._check_stream(call)
        body = opened(call.content)
        check_message("attach", body)
        return self._followed(call, call.caller.processes.find(_object(body, "process")))

    def _followed(self, call: DaemonCall, process: Process) -> Answer:
        seconds, silence = call.headers.get("connect-timeout-ms"), call.headers.get("keepalive-ping-interval")
        limit = int(seconds) / 1000 if seconds else None
        events = process.listen()

        async def follow() -> AsyncIterator[bytes]:
            ends = anyio.current_time() + limit if limit else None
            pause = float(silence) if silence else None
            try:
                await process.started.wait()
                if not (process.ended.is_set() and process.refusal is not None):
                    yield envelope({"event": {"start": {"pid": process.pid}}})
                async for event in events.told(lambda: _pause(ends, pause)):
                    if ends is not None and anyio.current_time() >= ends:
                        await process.kill()
                        yield end_of(ApiError(504, "context deadline exceeded"))
                        return
                    yield envelope({"event": event if event is not None else {"keepalive": {}}})
            finally:
                process.leave(events)
            if process.refusal is not None:
                yield end_of(process.refusal)
                return
            yield envelope({"event": {"end": process.end}})
            yield end_of()

        return Answer(200, content_type=_STREAM, stream=follow())

    @staticmethod
    def _check_stream(call: DaemonCall) -> None:
        if call.headers.get("content-type") != _STREAM:
            raise ApiError(415, "unsupported media type")

    async def list_processes(self, call: DaemonCall) -> Answer:
        """Lists what runs."""
        check_message("list_processes", call.body)
        return json_answer({"processes": [one.as_json() for one in call.caller.processes.running.values()]})

    async def send_input(self, call: DaemonCall) -> Answer:
        """Gives a process input."""
        check_message("send_input", call.body)
        process = call.caller.processes.find(_object(call.body, "process"))
        given = _object(call.body, "input")
        kind = "pty" if process.is_terminal else "stdin"
        try:
            data = base64.b64decode(_text(given, kind), validate=True)
        except binascii.Error as error:
            raise ApiError(400, f"input.{kind} is no base64") from error
        if process.is_terminal:
            await process.started.wait()
            if isinstance(process.running, Terminal):
                await process.running.send(data)
        elif process.input_closed.is_set():
            raise ApiError(400, "stdin is not enabled or closed")
        else:
            process.input += data
        return json_answer({})

    async def send_signal(self, call: DaemonCall) -> Answer:
        """Sends a process a signal; either of the two ends it here."""
        check_message("send_signal", call.body)
        process = call.caller.processes.find(_object(call.body, "process"))
        if call.body.get("signal") not in _SIGNALS:
            raise ApiError(400, "invalid signal")
        await process.kill()
        return json_answer({})

    async def close_stdin(self, call: DaemonCall) -> Answer:
        """Tells a process that its input is complete."""
        check_message("close_stdin", call.body)
        call.caller.processes.find(_object(call.body, "process")).input_closed.set()
        return json_answer({})

    async def update(self, call: DaemonCall) -> Answer:
        """Changes a terminal's size."""
        check_message("update", call.body)
        process = call.caller.processes.find(_object(call.body, "process"))
        columns, rows = _size(_object(call.body, "pty"))
        if not process.is_terminal:
            raise ApiError(400, "tty not assigned to process")
        await process.started.wait()
        if isinstance(process.running, Terminal):
            await process.running.resize(columns, rows)
        return json_answer({})

    # Files

    async def stat(self, call: DaemonCall) -> Answer:
        """Describes a path."""
        check_message("stat", call.body)
        machine, path = call.caller.on(), _text(call.body, "path")
        return json_answer({"entry": await self._entry(machine, path)})

    async def list_dir(self, call: DaemonCall) -> Answer:
        """Lists a folder."""
        check_message("list_dir", call.body)
        machine, path = call.caller.on(), _text(call.body, "path")
        if call.body.get("depth", 1) not in {0, 1}:
            raise ApiError(501, "the simulator lists one level")
        try:
            found = await machine.list_dir(path)
        except DeskhandError as error:
            raise refused(error) from error
        base = await _absolute(machine, path)
        entries = [await self._described(machine, one, posixpath.join(base, _name(one.path))) for one in found]
        return json_answer({"entries": [*entries]})

    async def make_dir(self, call: DaemonCall) -> Answer:
        """Makes a folder and those above it."""
        check_message("make_dir", call.body)
        machine, path = call.caller.on(), _text(call.body, "path")
        try:
            await machine.stat(path)
        except FileMissingError:
            await self._shell(machine, f"mkdir -p -- {shlex.quote(path)}")
            return json_answer({"entry": await self._entry(machine, path)})
        raise ApiError(409, f"directory already exists: {path}")

    async def move(self, call: DaemonCall) -> Answer:
        """Moves a file over whatever is there."""
        check_message("move", call.body)
        machine = call.caller.on()
        source, destination = _text(call.body, "source"), _text(call.body, "destination")
        await self._entry(machine, source)
        moved = await machine.exec(f"mv -fT -- {shlex.quote(source)} {shlex.quote(destination)}")
        if not moved.ok:
            try:
                await machine.write_file(destination, await machine.read_bytes(source))
                await machine.delete(source)
            except DeskhandError as error:
                raise refused(error) from error
        return json_answer({"entry": await self._entry(machine, destination)})

    async def remove(self, call: DaemonCall) -> Answer:
        """Removes a path and all below it; what is not there is removed already."""
        check_message("remove", call.body)
        machine, path = call.caller.on(), _text(call.body, "path")
        try:
            await machine.delete(path, recursive=True)
        except FileMissingError:
            pass
        except DeskhandError as error:
            raise refused(error) from error
        return json_answer({})

    async def read_file(self, call: DaemonCall) -> Answer:
        """Returns a file's bytes."""
        try:
            data = await call.caller.on().read_bytes(_query(call.query, "path"))
        except DeskhandError as error:
            raise refused(error) from error
        return Answer(200, data, "application/octet-stream")

    async def write_file(self, call: DaemonCall) -> Answer:
        """Writes files: the body's bytes, or those of a form."""
        kind = call.headers.get("content-type", "").partition(";")[0].strip()
        if kind == "application/octet-stream":
            is_packed = call.headers.get("content-encoding") == "gzip"
            written = {_query(call.query, "path"): gzip.decompress(call.content) if is_packed else call.content}
        elif kind == "multipart/form-data":
            written = await self._form(call)
        else:
            raise ApiError(400, f"unsupported content type {kind!r}")
        machine = call.caller.on()
        told_of: list[JsonValue] = []
        for path, data in written.items():
            try:
                await machine.write_file(path, data)
            except DeskhandError as error:
                raise refused(error) from error
            told_of.append({"name": _name(path), "type": "file", "path": await _absolute(machine, path)})
        return json_answer([*told_of])

    @staticmethod
    async def _form(call: DaemonCall) -> dict[str, bytes]:
        from starlette.datastructures import Headers

        form = await read_form(Headers(dict(call.headers)), call.content)
        sent = form.get("file")
        if not isinstance(sent, tuple):
            raise ApiError(400, "file is required")
        return {call.query.get("path", sent[0]): sent[2]}

    async def health(self, call: DaemonCall) -> Answer:
        """Tells that it is there."""
        call.caller.on()
        return Answer(204)

    async def _entry(self, machine: ExternalComputer, path: str) -> Json:
        try:
            found = await machine.stat(path)
        except DeskhandError as error:
            raise refused(error) from error
        return await self._described(machine, found, await _absolute(machine, path))

    async def _described(self, machine: ExternalComputer, found: FileInfo, path: str) -> Json:
        mode = found.mode if found.mode is not None else 0o644
        entry: Json = {
            "name": _name(path),
            "path": path,
            "size": str(found.size),
            "mode": mode,
            "permissions": _permissions(found.kind, mode),
            "owner": "user",
            "group": "user",
            "modifiedTime": timestamp(found.modified_at.timestamp() if found.modified_at else 0.0),
        }
        if found.kind in _KINDS:
            entry["type"] = _KINDS[found.kind]
        if found.kind == "symlink":
            target = await machine.exec(f"readlink -f -- {shlex.quote(path)}")
            entry |= {"isSymlink": True, "symlinkTarget": (target.stdout or target.output).strip()}
        return entry

    @staticmethod
    async def _shell(machine: ExternalComputer, line: str) -> None:
        done = await machine.exec(line)
        if not done.ok:
            raise ApiError(500, done.output.strip() or "failed")


async def _absolute(machine: ExternalComputer, path: str) -> str:
    if path.startswith("/"):
        return posixpath.normpath(path)
    home = await machine.exec('printf %s "$HOME"')
    return posixpath.normpath(posixpath.join(home.output, "." if path == "~" else path.removeprefix("~/")))


def _name(path: str) -> str:
    return posixpath.basename(path.rstrip("/"))


def _permissions(kind: str, mode: int) -> str:
    letters = "".join(letter if mode >> (8 - at) & 1 else "-" for at, letter in enumerate("rwxrwxrwx"))
    return {"directory": "d", "symlink": "L"}.get(kind, "-") + letters


def _object(body: Mapping[str, object], name: str) -> Json:
    value = body.get(name)
    if not isinstance(value, dict):
        raise ApiError(400, f"{name} is required")
    return value


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ApiError(400, f"{name} is required")
    return value


def _query(query: Mapping[str, str], name: str) -> str:
    if not query.get(name):
        raise ApiError(400, f"{name} is required")
    return query[name]


def _size(pty: Json) -> tuple[int, int]:
    size = _object(pty, "size")
    columns, rows = size.get("cols"), size.get("rows")
    if not isinstance(columns, int) or not isinstance(rows, int) or not (0 < columns <= 65_535 and 0 < rows <= 65_535):
        raise ApiError(400, "size must have cols and rows")
    return columns, rows


def _pause(ends: float | None, silence: float | None) -> float | None:
    """Returns after how many seconds to say something: that it is still there, or that its time is over."""
    left = None if ends is None else max(0.0, ends - anyio.current_time())
    return min((one for one in (left, silence) if one is not None), default=None)
