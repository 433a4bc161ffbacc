"""The files of a sandbox."""

from __future__ import annotations

import json
import posixpath
import re
import secrets
import shlex
import time
from collections.abc import Mapping

from deskhand.errors import DeskhandError, FileMissingError, InvalidInputError, PermissionDeniedError
from deskhand.providers import Capability, ExternalComputer, FileInfo
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer

from .control import Control
from .process import failed
from .wire import DaemonError, DaytonaCall, read, stamp

__all__ = ["Files"]

_FIELD = re.compile(r"files\[(\d+)\]\.(path|file)")


class Files:
    """The routes ``/files``."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def upload(self, call: DaytonaCall) -> Answer:
        """Writes files; the field of a path counts, not a file's own name."""
        machine = self._machine(call)
        paths: dict[str, str] = {}
        contents: dict[str, bytes] = {}
        for name, value in call.form.items():
            found = _FIELD.fullmatch(name)
            if found is None:
                raise DaemonError(400, f"unexpected field {name}")
            if isinstance(value, str) and found[2] == "path":
                paths[found[1]] = value
            elif not isinstance(value, str) and found[2] == "file":
                contents[found[1]] = value[2]
        if not paths or paths.keys() != contents.keys():
            raise DaemonError(400, "each file needs a path and a content")
        written: list[Json] = []
        errors: list[str] = []
        for index, path in paths.items():
            try:
                await machine.write_file(path, contents[index])
                written.append({"path": path, "bytes": len(contents[index])})
            except DeskhandError as error:
                errors.append(f"{path}: {error.message}")
        return json_answer({"files": [*written], "errors": [*errors]}, 200 if not errors or written else 400)

    async def download(self, call: DaytonaCall) -> Answer:
        """Sends files as the parts of a form; what is wrong with one is a part too."""
        machine = self._machine(call)
        body = read(call.body, {"paths": Field("array", required=True)})
        boundary = secrets.token_hex(16)
        parts: list[bytes] = []
        for path in body["paths"]:
            if not isinstance(path, str):
                raise DaemonError(400, "paths must hold strings alone")
            try:
                name, kind, content = "file", "application/octet-stream", await machine.read_bytes(path)
            except DeskhandError as error:
                told = _refusal(error, path)
                body_of = {"message": told.message, "statusCode": told.status, **told.extra}
                name, kind, content = "error", "application/json", json.dumps(body_of).encode()
            head = f'content-disposition: form-data; name="{name}"; filename={json.dumps(path)}\r\ncontent-type: {kind}'
            parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
        body_bytes = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        return Answer(200, body_bytes, f"multipart/form-data; boundary={boundary}")

    async def list(self, call: DaytonaCall) -> Answer:
        """Lists a folder."""
        machine, path = self._machine(call), call.query.get("path", ".")
        try:
            entries = await machine.list_dir(path)
        except DeskhandError as error:
            raise _refusal(error, path) from error
        return json_answer([_described(entry) for entry in entries])

    async def info(self, call: DaytonaCall) -> Answer:
        """Describes a file."""
        machine, path = self._machine(call), _path(call.query)
        try:
            return json_answer(_described(await machine.stat(path)))
        except DeskhandError as error:
            raise _refusal(error, path) from error

    async def delete(self, call: DaytonaCall) -> Answer:
        """Deletes a file, or a folder where that is asked for."""
        machine, path = self._machine(call), _path(call.query)
        try:
            await machine.delete(path, recursive=call.query.get("recursive") == "true")
        except DeskhandError as error:
            raise _refusal(error, path) from error
        return Answer(204, b"")

    async def create_folder(self, call: DaytonaCall) -> Answer:
        """Makes a folder."""
        machine, path, mode = self._machine(call), _path(call.query), call.query.get("mode", "")
        if not re.fullmatch("0?[0-7]{3}", mode):
            raise DaemonError(400, "mode must be octal, such as 755")
        made = await machine.exec(f"mkdir -p -m {mode} -- {shlex.quote(path)}")
        if not made.ok:
            raise DaemonError(403, made.output.strip(), "FILE_ACCESS_DENIED")
        return Answer(201, b"")

    async def home(self, call: DaytonaCall) -> Answer:
        """Tells the home folder, where commands begin too."""
        told = await self._machine(call).exec("cd; pwd")
        return json_answer({"dir": told.output.strip()})

    def _machine(self, call: DaytonaCall) -> ExternalComputer:
        machine = self._control.find(call.path["id"]).on()
        if Capability.FILES not in machine.capabilities:
            raise DaemonError(500, "the machine has no files")
        return machine


def _path(query: Mapping[str, str]) -> str:
    if not query.get("path"):
        raise DaemonError(400, "path is required", "INVALID_FILE_PATH")
    return query["path"]


def _described(entry: FileInfo) -> Json:
    mode = entry.mode if entry.mode is not None else 0o644
    modified = entry.modified_at.timestamp() if entry.modified_at is not None else time.time()
    return {
        "name": posixpath.basename(entry.path.rstrip("/")) or "/",
        "isDir": entry.kind == "directory",
        "size": entry.size,
        "modTime": stamp(modified),
        "modifiedAt": stamp(modified),
        "mode": oct(mode),
        "permissions": f"{mode & 0o777:04o}",
        "owner": "daytona",
        "group": "daytona",
    }


def _refusal(error: DeskhandError, path: str) -> ApiError:
    match error:
        case FileMissingError():
            return DaemonError(404, f"file not found: {path}", "FILE_NOT_FOUND")
        case PermissionDeniedError():
            return DaemonError(403, f"permission denied: {path}", "FILE_ACCESS_DENIED")
        case InvalidInputError():
            return DaemonError(400, error.message, "INVALID_FILE_PATH")
        case _:
            return failed(error)
