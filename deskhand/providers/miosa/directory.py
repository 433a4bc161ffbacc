"""What the account has, and how a new computer comes to be there exactly once."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from urllib.parse import quote

import anyio
from pydantic_core import from_json

from deskhand.errors import OutcomeUnknownError, ProtocolError
from deskhand.providers.answers import JsonObject
from deskhand.providers.creation import create_once
from deskhand.providers.miosa.account import CONSOLE
from deskhand.providers.miosa.api import NAME, OPERATIONS, MiosaApi
from deskhand.providers.miosa.envelope import listed, machine_in
from deskhand.retry import Clock

__all__ = ["Directory"]

_PAUSES: Final = (0.0, 0.5, 1.0, 2.0)
"""Seconds between two looks for a computer whose request may still be under way."""
_TOLD: Final = 10
"""Computers that an error names at most."""


class Directory:
    """The computers of one kind of one account.

    Args:
        api: The API.
        workspace_id: The workspace whose computers are meant; all that the key may see where not given.
    """

    def __init__(self, api: MiosaApi, workspace_id: str | None) -> None:
        self._api = api
        self._workspace_id = workspace_id
        self._clock = Clock()

    async def computers(self) -> list[JsonObject]:
        """Return the computers that the key may see."""
        asked = self._workspace_id if self._api.lists_by_workspace else None
        which = f"?workspace_id={quote(asked, safe='')}" if asked else ""
        reply = await self._api.http.ask(OPERATIONS["list computers"], f"{self._api.prefix}{which}")
        try:
            answer = from_json(reply.data)
        except ValueError as error:
            raise ProtocolError("miosa's answer lists no computers", provider=NAME, effect="no") from error
        found = listed(answer, self._api.prefix.removeprefix("/"), "items", provider=NAME)
        if self._workspace_id is None:
            return found
        return [one for one in found if one.get("workspace_id", self._workspace_id) == self._workspace_id]

    async def find(self, is_it: Callable[[JsonObject], bool]) -> JsonObject | None:
        """Return the one computer that is meant; look more than once, as its request may still be under way.

        Raises:
            OutcomeUnknownError: If several may be meant, of which some are somebody else's then.
        """
        for pause in _PAUSES:
            await anyio.sleep(pause)
            found = [one for one in await self.computers() if one.get("id") and is_it(one)]
            if len(found) > 1:
                ids = ", ".join(str(one["id"]) for one in found[:_TOLD])
                raise OutcomeUnknownError(
                    f"of what miosa has, several may be what was asked for, and none was touched: {ids}",
                    hint=f"see at {CONSOLE} which of them is nobody's, and end it there",
                    provider=NAME,
                )
            if found:
                return found[0]
        return None

    async def named(self, name: str) -> JsonObject | None:
        """Return the computer of that name."""
        return await self.find(lambda one: one.get("name") == name)

    async def create(self, body: Mapping[str, object]) -> JsonObject:
        """Create a computer under a name that no other has; it is found by it where the answer was lost.

        MIOSA does not refuse a name that is taken, so that a request whose answer was lost is not sent again, unless it
        bears a key, which MIOSA does once.

        Raises:
            OutcomeUnknownError: If nobody can tell whether there is one.
            DeskhandError: If there is none.
        """
        key = self.key()

        async def send() -> JsonObject:
            return await self._api.http.call(OPERATIONS["create a computer"], self._api.prefix, body, headers=key)

        name = str(body["name"])
        return await self.once(name, send, lambda: self.named(name), has_key=bool(key))

    def key(self) -> list[tuple[str, str]]:
        """Return the headers that make one of a request that comes twice, where MIOSA has such a thing."""
        return [("idempotency-key", f"deskhand-{secrets.token_hex(16)}")] if self._api.takes_keys else []

    async def once(
        self,
        called: str,
        send: Callable[[], Awaitable[JsonObject]],
        find: Callable[[], Awaitable[JsonObject | None]],
        *,
        has_key: bool,
        is_found_later: bool = True,
    ) -> JsonObject:
        """Ask for a computer, and look for it where the answer was lost.

        Args:
            called: What it is called.
            send: Asks.
            find: Looks.
            has_key: Whether the request bears a key, so that it may be sent once more where nothing is found.
            is_found_later: Whether it is looked for again when the provider is left.

        Raises:
            OutcomeUnknownError: If nobody can tell whether there is one.
            DeskhandError: If there is none.
        """

        async def ask() -> JsonObject:
            return checked(await send(), called)

        return await create_once(
            NAME,
            called,
            ask,
            find,
            console=CONSOLE,
            clock=self._clock,
            is_name_unique=has_key,
            is_found_later=is_found_later,
        )


def checked(answer: JsonObject, what: str) -> JsonObject:
    """Return the computer in an answer.

    Raises:
        ProtocolError: If it has no id.
    """
    computer = machine_in(answer)
    if not computer.get("id"):
        raise ProtocolError(f"miosa tells no id of {what}", provider=NAME)
    return computer
