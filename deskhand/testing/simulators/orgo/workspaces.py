"""The routes of workspaces, which the older interface calls projects."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .account import Account, Workspace
from .computer import SimulatedComputer
from .dialect import OrgoDialect
from .wire import OrgoCall

__all__ = ["Workspaces"]

_FIELDS = {"name": Field("string", required=True), "icon_url": Field("string"), "status": Field("string")}
LONGEST_NAME = 200


class Workspaces:
    """The routes ``/workspaces`` and ``/projects``.

    Args:
        account: Whose workspaces they are.
        dialect: How they are listed.
        discard: Ends a computer.
    """

    def __init__(
        self, account: Account, dialect: OrgoDialect, discard: Callable[[SimulatedComputer], Awaitable[None]]
    ) -> None:
        self._account = account
        self._dialect = dialect
        self._discard = discard

    async def listing(self, call: OrgoCall) -> Answer:
        """Lists the workspaces with their computers."""
        found = [
            self._with_computers(workspace) if self._dialect.desktops == "listed" else workspace.as_json()
            for workspace in self._account.workspaces.values()
            if call.caller.workspace_id in {None, workspace.id}
        ]
        names = ("projects", "workspaces") if self._dialect.listing == "both" else (self._dialect.listing,)
        return json_answer({name: [*found] for name in names})

    async def get(self, call: OrgoCall) -> Answer:
        """Describes one, with its computers."""
        return json_answer(self._with_computers(self._account.workspace(call.caller, call.path["id"])))

    async def by_name(self, call: OrgoCall) -> Answer:
        """Describes the one with that name."""
        name = unquote(call.path["name"])
        for workspace in self._account.workspaces.values():
            if workspace.name == name and call.caller.workspace_id in {None, workspace.id}:
                return json_answer(self._with_computers(workspace))
        raise ApiError(404, "Workspace not found")

    async def create(self, call: OrgoCall) -> Answer:
        """Makes one."""
        body = read_fields(call.body, _FIELDS)
        if call.caller.workspace_id is not None:
            raise ApiError(403, "A key of one workspace cannot create another.", code="workspace_scope_mismatch")
        name = body["name"].strip()
        if not 0 < len(name) <= LONGEST_NAME:
            raise ApiError(400, f"name must have 1 to {LONGEST_NAME} characters")
        if any(workspace.name == name for workspace in self._account.workspaces.values()):
            raise ApiError(409, "A workspace with this name already exists")
        workspace = Workspace(str(uuid.uuid4()), name, self._account.user_id, body.get("icon_url"))
        self._account.workspaces[workspace.id] = workspace
        return json_answer(workspace.as_json(), 201)

    async def delete(self, call: OrgoCall) -> Answer:
        """Deletes one and all its computers."""
        workspace = self._account.workspace(call.caller, call.path["id"])
        if self._dialect.delete_workspace == 405:
            raise ApiError(405, "Method not allowed")
        return await self._deleted(workspace)

    async def delete_by_post(self, call: OrgoCall) -> Answer:
        """Deletes one, for servers that know no ``DELETE`` for it."""
        return await self._deleted(self._account.workspace(call.caller, call.path["id"]))

    async def _deleted(self, workspace: Workspace) -> Answer:
        del self._account.workspaces[workspace.id]
        for computer in self._in(workspace):
            await self._discard(computer)
        return json_answer({"success": True})

    def _in(self, workspace: Workspace) -> list[SimulatedComputer]:
        return [found for found in self._account.computers.values() if found.workspace_id == workspace.id]

    def _with_computers(self, workspace: Workspace) -> Json:
        computers = [found.as_json(self._dialect) for found in self._in(workspace)]
        return {**workspace.as_json(), "desktops": [*computers]}
