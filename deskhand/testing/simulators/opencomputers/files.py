"""The routes of a host's files."""

from __future__ import annotations

import posixpath

from deskhand.errors import DeskhandError, FileMissingError, InvalidInputError, PermissionDeniedError
from deskhand.providers import ExternalComputer, FileInfo
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer

from .account import Account, CodedError, HostCall, no_content, plain_fields, timestamp

__all__ = ["HostFileSystem"]


class HostFileSystem:
    """The routes ``/fs``.

    Args:
        account: Whose hosts they are.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    async def list(self, call: HostCall) -> Answer:
        """Lists a folder."""
        machine, path = self._asked(call)
        try:
            entries = [_entry(entry) for entry in await machine.list_dir(path)]
        except DeskhandError as error:
            raise _told(error) from error
        return json_answer({"path": path, "entries": [*entries]})

    async def stat(self, call: HostCall) -> Answer:
        """Describes a path."""
        machine, path = self._asked(call)
        try:
            info = await machine.stat(path)
        except DeskhandError as error:
            raise _told(error) from error
        entry = _entry(info)
        del entry["name"]
        return json_answer(
            {**entry, "mode": info.mode or 0, "is_symlink": info.kind == "symlink", "symlink_target": None}
        )

    async def download(self, call: HostCall) -> Answer:
        """Returns a file as it is."""
        machine, path = self._asked(call)
        try:
            content = await machine.read_bytes(path)
        except DeskhandError as error:
            raise _told(error) from error
        return Answer(200, content, "application/octet-stream")

    async def upload(self, call: HostCall) -> Answer:
        """Writes a file."""
        machine = self._account.host(call.path["id"]).on()
        file, path = call.form.get("file"), call.form.get("path")
        if not isinstance(file, tuple):
            raise ApiError(422, "file is required")
        if not isinstance(path, str):
            raise ApiError(422, "path is required")
        try:
            await machine.write_file(_absolute(path), file[2])
            return json_answer(_entry(await machine.stat(path)), 201)
        except DeskhandError as error:
            raise _told(error) from error

    async def make_folder(self, call: HostCall) -> Answer:
        """Makes a folder, and those above it."""
        machine = self._account.host(call.path["id"]).on()
        path = _absolute(str(plain_fields(call.body, {"path": Field("string", required=True)})["path"]))
        result = await machine.exec('mkdir -p -- "$FOLDER"', env={"FOLDER": path})
        if not result.ok:
            raise CodedError(400, "INVALID_PATH", result.output.strip())
        return no_content()

    async def delete(self, call: HostCall) -> Answer:
        """Deletes a file, or a folder."""
        machine, path = self._asked(call)
        try:
            await machine.delete(path, recursive=call.query.get("recursive") == "true")
        except DeskhandError as error:
            raise _told(error) from error
        return no_content()

    def _asked(self, call: HostCall) -> tuple[ExternalComputer, str]:
        machine = self._account.host(call.path["id"]).on()
        path = call.query.get("path")
        if path is None:
            raise ApiError(422, "path is required")
        return machine, _absolute(path)


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise CodedError(400, "INVALID_PATH", "path must be absolute")
    return path


def _entry(info: FileInfo) -> Json:
    at = timestamp(info.modified_at.timestamp()) if info.modified_at is not None else timestamp()
    name = posixpath.basename(info.path.rstrip("/"))
    return {"name": name, "path": info.path, "size": info.size, "is_dir": info.kind == "directory", "modified_at": at}


def _told(error: DeskhandError) -> ApiError:
    match error:
        case FileMissingError():
            return CodedError(404, "FILE_NOT_FOUND", "No such file or directory")
        case PermissionDeniedError():
            return CodedError(403, "PERMISSION_DENIED", error.message)
        case InvalidInputError():
            return CodedError(400, "INVALID_PATH", error.message)
        case _:
            return CodedError(500, "HOST_FAILED", error.message)
