"""The routes of a workspace's files: they are no file system of a computer."""

from __future__ import annotations

import mimetypes
import posixpath
import uuid
from collections.abc import Callable

from deskhand.errors import DeskhandError, FileMissingError
from deskhand.providers import Capability
from deskhand.testing.simulators.wire import Answer, ApiError, Field, json_answer, read_fields

from .account import Account, StoredFile
from .actions import desktop_failed
from .computer import SimulatedComputer
from .wire import OrgoCall

__all__ = ["Storage"]

LARGEST = 10 * 1024 * 1024


class Storage:
    """The routes ``/files``.

    Args:
        account: Whose files they are.
        address: Gives the signed address of a file.
    """

    def __init__(self, account: Account, address: Callable[[StoredFile], str]) -> None:
        self._account = account
        self._address = address

    async def upload(self, call: OrgoCall) -> Answer:
        """Stores a file, and puts it on a computer's desktop where one is named."""
        sent, workspace_id = call.form.get("file"), call.form.get("projectId")
        if not isinstance(sent, tuple):
            raise ApiError(400, "file is required")
        if not isinstance(workspace_id, str) or not workspace_id:
            raise ApiError(400, "projectId is required")
        name, content_type, content = sent
        if len(content) > LARGEST:
            raise ApiError(400, "File too large. At most 10 MB.")
        workspace = self._account.workspace(call.caller, workspace_id)
        computer = self._computer(call, call.form.get("desktopId"))
        name = posixpath.basename(name.replace("\\", "/")) or "file"
        file = StoredFile(
            str(uuid.uuid4()),
            name,
            content,
            content_type,
            workspace.id,
            computer.id if computer is not None else None,
            "upload",
        )
        if computer is not None:
            await _put(computer, name, content)
        return json_answer({"file": self._account.store(file).as_json()})

    async def list(self, call: OrgoCall) -> Answer:
        """Lists the files of a workspace, or of one of its computers."""
        workspace_id = call.query.get("projectId")
        if not workspace_id:
            raise ApiError(400, "projectId is required")
        workspace = self._account.workspace(call.caller, workspace_id)
        computer_id = call.query.get("desktopId")
        found = [
            file.as_json()
            for file in self._account.files.values()
            if file.workspace_id == workspace.id
            and file.source in {"upload", "export"}
            and computer_id in {None, file.computer_id}
        ]
        return json_answer({"files": [*found]})

    async def export(self, call: OrgoCall) -> Answer:
        """Takes a file off a computer."""
        body = read_fields(
            call.body, {"desktopId": Field("string", required=True), "path": Field("string", required=True)}
        )
        computer = self._account.computer(call.caller, body["desktopId"])
        path: str = body["path"]
        relative = path.removeprefix("~/").removeprefix("/home/user/")
        if relative.startswith(("/", "~")) or ".." in relative.split("/"):
            raise ApiError(403, "The path is outside the home folder")
        try:
            content = await computer.on().read_bytes(relative)
        except FileMissingError as error:
            raise ApiError(404, "File not found") from error
        except DeskhandError as error:
            raise desktop_failed(error) from error
        name = posixpath.basename(relative)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        file = StoredFile(str(uuid.uuid4()), name, content, kind, computer.workspace_id, computer.id, "export")
        self._account.store(file)
        return json_answer({"success": True, "file": file.as_json(), "url": self._address(file)})

    async def download(self, call: OrgoCall) -> Answer:
        """Tells a signed address of a file."""
        return json_answer({"url": self._address(self._find(call))})

    async def delete(self, call: OrgoCall) -> Answer:
        """Deletes a file."""
        del self._account.files[self._find(call).id]
        return json_answer({"success": True})

    def _find(self, call: OrgoCall) -> StoredFile:
        file = self._account.files.get(call.query.get("id", ""))
        if file is None:
            raise ApiError(404, "File not found")
        self._account.check_scope(call.caller, file.workspace_id)
        return file

    def _computer(self, call: OrgoCall, computer_id: object) -> SimulatedComputer | None:
        if not isinstance(computer_id, str) or not computer_id:
            return None
        return self._account.computer(call.caller, computer_id)


async def _put(computer: SimulatedComputer, name: str, content: bytes) -> None:
    machine = computer.on()
    if Capability.FILES not in machine.capabilities:
        raise ApiError(500, "The desktop takes no files", upstream_status=500)
    try:
        await machine.write_file(f"Desktop/{name}", content)
    except DeskhandError as error:
        raise desktop_failed(error) from error
    computer.tell("file_change", {"path": f"/home/user/Desktop/{name}", "action": "created"})
