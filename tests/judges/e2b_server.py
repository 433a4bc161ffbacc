"""A daemon made of the server that E2B's own package generates from its protocol; run by the judge's Python.

``python e2b_server.py`` serves processes and files of this machine, prints its port, and ends with its input.
"""

# ruff: noqa: ASYNC240, TID251, T201 (it is a program for tests, without anyio)

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from e2b.envd.filesystem import filesystem_pb as files
from e2b.envd.filesystem.filesystem_connect import Filesystem as FilesystemService
from e2b.envd.filesystem.filesystem_connect import FilesystemASGIApplication
from e2b.envd.process import process_pb as processes
from e2b.envd.process.process_connect import Process as ProcessService
from e2b.envd.process.process_connect import ProcessASGIApplication
from protobuf import Oneof

Event = processes.ProcessEvent


def event(name: Any, value: Any) -> Any:
    """Return an answer with one event."""
    return processes.StartResponse(event=Event(event=Oneof(name, value)))


class Process(ProcessService):  # type: ignore[misc]
    """Runs commands."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, request: Any, ctx: Any) -> AsyncIterator[Any]:
        """Start a process and tell what it writes."""
        config = request.process
        where = os.path.expanduser(config.cwd or "~")
        if not os.path.isdir(where):
            raise ConnectError(Code.INVALID_ARGUMENT, f"cwd '{where}' does not exist")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            config.cmd,
            *config.args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            cwd=where,
            env={**os.environ, **config.envs},
            start_new_session=True,
        )
        self.running[request.tag] = process
        pieces: asyncio.Queue[Any] = asyncio.Queue()

        async def read(name: str, stream: Any) -> None:
            while data := await stream.read(65_536):
                await pieces.put((name, data))
            await pieces.put(None)

        tasks = [asyncio.create_task(read(name, getattr(process, name))) for name in ("stdout", "stderr")]
        yield event("start", Event.StartEvent(pid=process.pid))
        for _ in tasks:
            while (piece := await pieces.get()) is not None:
                yield event("data", Event.DataEvent(output=Oneof(*piece)))
        code = await process.wait()
        del self.running[request.tag]
        said = f"exit status {code}" if code >= 0 else "signal: killed"
        yield event("end", Event.EndEvent(exit_code=code, exited=code >= 0, status=said, error=said if code else None))

    async def send_signal(self, request: Any, ctx: Any) -> Any:
        """Send a process a signal."""
        process = self.running.get(request.process.selector.value)
        if process is None:
            raise ConnectError(Code.NOT_FOUND, "process not found")
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        return processes.SendSignalResponse()


def entry(path: str) -> Any:
    """Describe a path."""
    found = Path(path).expanduser()
    if not found.exists():
        raise ConnectError(Code.NOT_FOUND, f"no such file or directory: {path}")
    status = found.stat()
    kind = files.FileType.DIRECTORY if found.is_dir() else files.FileType.FILE
    return files.EntryInfo(
        name=found.name, type=kind, path=str(found), size=status.st_size, mode=status.st_mode & 0o7777
    )


class Filesystem(FilesystemService):  # type: ignore[misc]
    """Tells of files and moves them."""

    async def stat(self, request: Any, ctx: Any) -> Any:
        """Describe a path."""
        return files.StatResponse(entry=entry(request.path))

    async def list_dir(self, request: Any, ctx: Any) -> Any:
        """List a folder."""
        return files.ListDirResponse(entries=[entry(str(one)) for one in Path(request.path).iterdir()])

    async def move(self, request: Any, ctx: Any) -> Any:
        """Move a file."""
        os.replace(request.source, request.destination)
        return files.MoveResponse(entry=entry(request.destination))

    async def remove(self, request: Any, ctx: Any) -> Any:
        """Remove a path and all below it."""
        path = Path(request.path)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return files.RemoveResponse()


PROCESS = ProcessASGIApplication(Process())
FILESYSTEM = FilesystemASGIApplication(Filesystem())


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Answer as the daemon does: its calls, files, and that it is there."""
    path = scope["path"]
    if path.startswith(PROCESS.path):
        await PROCESS(scope, receive, send)
    elif path.startswith(FILESYSTEM.path):
        await FILESYSTEM(scope, receive, send)
    else:
        await serve_bytes(scope, receive, send)


async def serve_bytes(scope: Any, receive: Any, send: Any) -> None:
    """Answer what is no call of the protocol."""
    status, body = 204, b""
    if scope["path"] == "/files":
        path = Path(parse_qs(scope["query_string"].decode())["path"][0])
        if scope["method"] == "POST":
            data = bytearray()
            while (message := await receive()).get("more_body") or message.get("body"):
                data += message["body"]
                if not message.get("more_body"):
                    break
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            status, body = 200, b'[{"name": "file", "type": "file", "path": "file"}]'
        elif path.is_file():
            status, body = 200, path.read_bytes()
        else:
            status, body = 404, b'{"code": 404, "message": "file does not exist"}'
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def main() -> None:
    """Serve until the input ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(serve, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    print(listener.getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main())
