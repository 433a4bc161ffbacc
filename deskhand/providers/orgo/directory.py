"""What the account has: workspaces and the computers in them, and how a new one comes to be there exactly once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import quote

import anyio
from pydantic import JsonValue

from deskhand.errors import (
    ConflictError,
    DeskhandError,
    NotFoundError,
    ProtocolError,
)
from deskhand.providers.answers import JsonObject, text
from deskhand.providers.creation import create_once
from deskhand.providers.orgo.api import NAME, OPERATIONS, OrgoApi
from deskhand.retry import Clock

__all__ = ["Directory"]

_WORKSPACE: Final = "deskhand"
"""What a workspace is called where the account has none yet."""
_PATHS: Final = ("/workspaces", "/projects")
"""Where workspaces are: now, and on older servers."""
_PAUSES: Final = (0.5, 1.0, 2.0)
"""Seconds between two looks for a computer whose request may still be under way."""


class Directory:
    """The workspaces of one account.

    Args:
        api: The API.
        workspace_id: The workspace to use; the account's first where not given, made where it has none.
    """

    def __init__(self, api: OrgoApi, workspace_id: str | None) -> None:
        self._api = api
        self._workspace_id = workspace_id
        self._path: str | None = None
        self._choosing = anyio.Lock()
        self._clock = Clock()

    async def computers(self) -> list[JsonObject]:
        """Return all computers that the key may see: those that the list does not tell, each workspace tells."""
        found: list[JsonObject] = []
        for workspace in await self._workspaces():
            inside = _computers_in(workspace)
            if inside is None and (workspace_id := text(workspace.get("id"))) is not None:
                inside = _computers_in(await self._described(workspace_id))
            found += inside or []
        return found

    async def _workspaces(self) -> list[JsonObject]:
        """Return the workspaces that the key may see; servers name the list in two ways."""
        answer = await self._call("list workspaces")
        listed = answer.get("workspaces", answer.get("projects"))
        if not isinstance(listed, list):
            raise ProtocolError("orgo's answer lists no workspaces", provider=NAME, effect="no")
        return [workspace for workspace in listed if isinstance(workspace, dict)]

    async def _described(self, workspace_id: str) -> JsonObject:
        where = f"{self._path or _PATHS[0]}/{quote(workspace_id, safe='')}"
        try:
            return await self._api.http.call(OPERATIONS["describe a workspace"], where)
        except NotFoundError:  # somebody has deleted it meanwhile
            return {}

    async def workspace(self) -> str:
        """Return the id of the workspace in which computers are created."""
        async with self._choosing:
            if self._workspace_id is None:
                self._workspace_id = await self._first() or await self._made()
        return self._workspace_id

    async def _first(self) -> str | None:
        ids = [text(workspace.get("id")) for workspace in await self._workspaces()]
        return next((one for one in ids if one is not None), None)

    async def _made(self) -> str:
        """Make the account's first workspace; its name is taken where another has made it meanwhile."""
        failure: DeskhandError | None = None
        try:
            made = (await self._call("create a workspace", {"name": _WORKSPACE})).get("id")
        except DeskhandError as error:
            if error.effect == "no" and not isinstance(error, ConflictError):
                raise
            made, failure = None, error
        found = made if isinstance(made, str) and made else await self._first()
        if found is None:
            raise failure or ProtocolError("orgo tells no id of a new workspace", provider=NAME)
        return found

    async def _call(self, operation: str, body: Mapping[str, object] | None = None) -> JsonObject:
        """Ask for workspaces under the name that the server has for them."""
        if self._path is None:
            try:
                answer = await self._api.http.call(OPERATIONS[operation], _PATHS[0], body)
            except NotFoundError:
                self._path = _PATHS[1]
            else:
                self._path = _PATHS[0]
                return answer
        return await self._api.http.call(OPERATIONS[operation], self._path, body)

    async def find(self, name: str) -> JsonObject | None:
        """Return the computer of that name; look more than once, as its request may still be under way."""
        for pause in (0.0, *_PAUSES):
            await anyio.sleep(pause)
            for one in await self.computers():
                if one.get("name") == name and one.get("id"):
                    return one
        return None

    async def find_clone(self, name: str, before: Collection[str]) -> JsonObject | None:
        """Return the copy of a computer that was not there before; Orgo names it after the original."""
        for pause in (0.0, *_PAUSES):
            await anyio.sleep(pause)
            for one in await self.computers():
                if str(one.get("name")).startswith(f"{name} (clone") and str(one.get("id")) not in before:
                    return one
        return None

    async def create(self, body: Mapping[str, object]) -> JsonObject:
        """Create a computer under a name that no other has.

        An answer that is lost is made up for by looking for the name. Only where the name is not there is the request
        sent again, under the same name, which the vendor gives once: there are never two.

        Raises:
            OutcomeUnknownError: If nobody can tell whether there is one.
            DeskhandError: If there is none.
        """

        async def send() -> JsonObject:
            made = await self._api.http.call(OPERATIONS["create a computer"], "/computers", body)
            if not made.get("id"):
                raise ProtocolError("orgo tells no id of a new computer", provider=NAME)
            return made

        name = str(body["name"])
        return await create_once(
            NAME, name, send, lambda: self.find(name), console="https://www.orgo.ai", clock=self._clock
        )


def _computers_in(workspace: Mapping[str, JsonValue]) -> list[JsonObject] | None:
    """Return the computers of a workspace, which servers name in two ways; ``None`` where they are not told."""
    inside = workspace.get("desktops", workspace.get("computers"))
    return [one for one in inside if isinstance(one, dict)] if isinstance(inside, list) else None
