"""The routes of a computer's files."""

from __future__ import annotations

import base64
import binascii
import posixpath
import shlex
from typing import Any

from deskhand.errors import DeskhandError, FileMissingError, InvalidInputError, PayloadTooLargeError
from deskhand.providers import ExternalComputer, FileInfo
from deskhand.testing.simulators.wire import Answer, ApiError, Field, json_answer, read_fields

from .account import Account
from .actions import computer_failed
from .wire import MiosaCall

__all__ = ["PATH", "Files", "absolute", "entry_of", "file_failed", "unpacked", "write_to"]

PATH = {"path": Field("string", required=True)}


class Files:
    """The routes ``/computers/{id}/files...``; paths are absolute."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def write(self, call: MiosaCall) -> Answer:
        """Writes what comes in base64."""
        machine = self._machine(call)
        body = read_fields(call.body, {**PATH, "content_base64": Field("string", required=True)})
        await write_to(machine, absolute(body["path"]), unpacked(body["content_base64"]))
        return json_answer({"success": True})

    async def upload(self, call: MiosaCall) -> Answer:
        """Writes a file that comes as a form."""
        machine = self._machine(call)
        path, file = call.form.get("path"), call.form.get("file")
        if set(call.form) != {"path", "file"} or not isinstance(path, str) or not isinstance(file, tuple):
            raise ApiError(422, "the form must have path and file")
        await write_to(machine, absolute(path), file[2])
        return json_answer({"success": True})

    async def download(self, call: MiosaCall) -> Answer:
        """Gives a file's bytes."""
        machine, path = self._machine(call), absolute(call.query.get("path", ""))
        try:
            return Answer(200, await machine.read_bytes(path), "application/octet-stream")
        except DeskhandError as error:
            raise file_failed(error) from error

    async def listing(self, call: MiosaCall) -> Answer:
        """Lists a folder."""
        found = await self._entries(call, call.query.get("path", "/"))
        return json_answer({"data": [entry_of(info) for info in found]})

    async def readdir(self, call: MiosaCall) -> Answer:
        """Lists a folder with what kind each entry is."""
        found = await self._entries(call, call.query.get("path", ""))
        entries = [{**entry_of(info), "is_symlink": info.kind == "symlink"} for info in found]
        return json_answer({"data": {"entries": [*entries]}})

    async def stat(self, call: MiosaCall) -> Answer:
        """Describes a path; a link is described as such."""
        machine = self._machine(call)
        path = absolute(read_fields(call.body, PATH)["path"])
        try:
            info = await machine.stat(path)
        except DeskhandError as error:
            raise file_failed(error) from error
        told = {**entry_of(info), "mode": info.mode or 0, "is_symlink": info.kind == "symlink", "symlink_target": None}
        return json_answer(told)

    async def mkdir(self, call: MiosaCall) -> Answer:
        """Makes a folder."""
        body = read_fields(call.body, {**PATH, "recursive": Field("boolean"), "mode": Field("string")})
        path = shlex.quote(absolute(body["path"]))
        await self._run(call, f"mkdir {'-p' if body.get('recursive', True) else ''} -- {path}")
        return json_answer({"success": True})

    async def rename(self, call: MiosaCall) -> Answer:
        """Moves a file or folder."""
        body = read_fields(call.body, {name: Field("string", required=True) for name in ("from", "to")})
        source, target = shlex.quote(absolute(body["from"])), shlex.quote(absolute(body["to"]))
        await self._run(call, f"mv -fT -- {source} {target}")
        return json_answer({"success": True})

    async def delete(self, call: MiosaCall) -> Answer:
        """Deletes a file, or a folder and all in it."""
        machine = self._machine(call)
        path = absolute(read_fields(call.body, PATH)["path"])
        try:
            await machine.delete(path, recursive=True)
        except DeskhandError as error:
            raise file_failed(error) from error
        return json_answer({"success": True})

    def _machine(self, call: MiosaCall) -> ExternalComputer:
        return self._account.computer(call.caller, call.path["id"]).on()

    async def _entries(self, call: MiosaCall, path: str) -> list[FileInfo]:
        try:
            return await self._machine(call).list_dir(absolute(path))
        except DeskhandError as error:
            raise file_failed(error) from error

    async def _run(self, call: MiosaCall, command: str) -> None:
        try:
            result = await self._machine(call).exec(command)
        except DeskhandError as error:
            raise file_failed(error) from error
        if not result.ok:
            raise ApiError(400, result.output.strip()[:200] or "it could not be done", code="INVALID_PATH")


def unpacked(text: str) -> bytes:
    """Returns what comes in base64.

    Raises:
        ApiError: If it is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(422, "content_base64 is no base64") from error


async def write_to(machine: ExternalComputer, path: str, content: bytes) -> None:
    """Writes a file on a machine."""
    try:
        await machine.write_file(path, content)
    except DeskhandError as error:
        raise file_failed(error) from error


def absolute(path: str) -> str:
    """Returns a path that is absolute.

    Raises:
        ApiError: If it is not.
    """
    if not path.startswith("/") or "\0" in path:
        raise ApiError(400, "path must be absolute", code="INVALID_PATH")
    return path


def entry_of(info: FileInfo) -> dict[str, Any]:
    """Returns an entry of a folder as the API describes it."""
    return {
        "name": posixpath.basename(info.path),
        "path": info.path,
        "size": info.size,
        "is_dir": info.kind == "directory",
        "modified_at": None if info.modified_at is None else info.modified_at.isoformat(),
    }


def file_failed(error: DeskhandError) -> ApiError:
    """Returns what the API says when a file could not be read or written."""
    if isinstance(error, FileMissingError):
        return ApiError(404, "No such file or directory", code="FILE_NOT_FOUND")
    if isinstance(error, PayloadTooLargeError):
        return ApiError(413, "The file is too large.", code="TOO_LARGE")
    if isinstance(error, InvalidInputError):
        return ApiError(400, error.message, code="INVALID_PATH")
    return computer_failed(error)
