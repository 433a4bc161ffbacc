"""One computer server: commands go to its one route, and each answer is one line of events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pydantic_core import from_json

from deskhand.errors import DeskhandError, ProtocolError, ProviderError, UnsupportedError
from deskhand.providers.answers import JsonObject
from deskhand.providers.cua.api import CLOUD, COMMANDS, NAME, REFUSALS
from deskhand.providers.http import HttpClient, Operation
from deskhand.providers.shell_commands import Background

__all__ = ["MOST_IDLE", "CuaServer"]

MOST_IDLE: Final = 2
"""Connections to one server that are kept: every machine is a server of its own, and there may be hundreds."""

_LINE: Final = re.compile(rb"(?:\s*\n)?data:([^\n]*)(?:\n\s*)?")
_SHOWN: Final = 500


class CuaServer:
    """Speaks to one computer server.

    Args:
        http: The client, its base URL the server's.
        container_name: Who the server has to be, where it asks for that.
        in_background: Does something to its end, whatever becomes of whoever asked for it.

    Attributes:
        missing: Commands that the server turned out not to know.
    """

    def __init__(self, http: HttpClient, container_name: str | None, in_background: Background) -> None:
        self.http = http
        self.in_background = in_background
        self.missing: set[str] = set()
        self._headers = [("x-container-name", container_name)] if container_name else []

    async def status(self) -> JsonObject:
        """Ask how it is.

        Raises:
            ConnectionLostError: If it cannot be reached.
        """
        return await self.http.call(CLOUD["tell its status"], "/status", is_urgent=True)

    async def ask(
        self,
        name: str,
        params: Mapping[str, object] | None = None,
        *,
        deadline: float | None = None,
        is_urgent: bool = False,
    ) -> JsonObject:
        """Give a command and return what came of it.

        Args:
            name: What it does, as the table has it.
            params: Its parameters; the server drops those that it does not know, without a word.
            deadline: Seconds, in place of the operation's own.
            is_urgent: Whether it need not wait until others are done.

        Raises:
            UnsupportedError: If the server does not know the command, which is remembered.
            DeskhandError: If it says that it failed, or whatever a request ends in.
        """
        command, operation = COMMANDS[name]
        try:
            asking = self.http.ask(
                operation,
                "/cmd",
                {"command": command, "params": dict(params or {})},
                deadline=deadline,
                headers=self._headers,
                is_urgent=is_urgent,
            )
            return _checked(_event((await asking).data, operation), operation)  # (nobody else holds the bytes)
        except UnsupportedError as error:
            if "unknown command" in error.message.lower():
                self.missing.add(command)
            raise

    async def knows(self, name: str) -> bool:
        """Ask whether it knows a command, by giving it without what it needs: it is refused before anything is done."""
        try:
            await self.ask(name, is_urgent=True)
        except UnsupportedError:
            return COMMANDS[name][0] not in self.missing
        except DeskhandError as error:
            if not isinstance(error, ValueError):
                raise
        return True


def _event(data: bytes, operation: Operation) -> JsonObject:
    """Return the one event of an answer.

    Raises:
        ProtocolError: If it is none: a page, or one that was cut off.
    """
    size, found = len(data), _LINE.fullmatch(data)
    line = found[1] if found else b""
    del data, found  # a picture is large: what was read is let go of before it is read again
    try:
        event = from_json(line, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        event = None
    if isinstance(event, dict) and isinstance(event.get("success"), bool):
        return event
    raise ProtocolError(
        f"{NAME} was asked to {operation.name} and did not answer with one line of data ({size} bytes)",
        hint="see that the address is a cua-computer-server's, and what stands before it",
        provider=NAME,
        effect="no" if operation.repetition == "read" else "unknown",
    )


def _checked(event: JsonObject, operation: Operation) -> JsonObject:
    """Refuse an event that says that the command failed.

    Raises:
        DeskhandError: What it means, by what it says.
    """
    if event["success"] is True:
        return event
    told = event.get("error") or event.get("message")
    said = told[:_SHOWN] if isinstance(told, str) and told else "it does not say why"
    found = next((error for holds, error in REFUSALS if holds in said.lower()), None)
    is_harmless = operation.repetition == "read" or found is not None
    raise (found or ProviderError)(
        f"{NAME} failed to {operation.name}: {said}",
        hint=None if found else "look at the screen before it is done again",
        provider=NAME,
        effect="no" if is_harmless else "unknown",
    )
