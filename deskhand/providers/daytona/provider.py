"""Creates, gets and lists the sandboxes of an account at Daytona."""

from __future__ import annotations

import builtins
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import ClassVar, Final
from urllib.parse import urlencode

from pydantic import JsonValue, SecretStr

from deskhand.errors import (
    ComputerGoneError,
    NotFoundError,
    ProtocolError,
)
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import ComputerInfo, ComputerSpec, ComputerStatus
from deskhand.providers.creation import create_once, id_of, unique_name
from deskhand.providers.daytona.api import KEY_HINT, NAME, OPERATIONS, ROWS, DaytonaApi, computer_info, state_of
from deskhand.providers.daytona.computer import DaytonaComputer
from deskhand.providers.daytona.request import creation_body, restoration_body
from deskhand.providers.hosted import HostedProvider, oldest_first
from deskhand.providers.http import HttpClient, OwnClient
from deskhand.providers.ownership import Hosted
from deskhand.providers.restoring import Kin
from deskhand.providers.specs import checked_spec
from deskhand.retry import Clock

__all__ = ["DaytonaProvider"]

BASE_URL: Final = "https://app.daytona.io/api"
CONSOLE: Final = "https://app.daytona.io/dashboard/sandboxes"
_PAGE: Final = 100
_MOST_PAGES: Final = 200
_PAUSES: Final = (0.0, 0.5, 1.0, 2.0)
"""Seconds before each look for a sandbox whose request may still be under way."""


class DaytonaProvider(HostedProvider):
    """Hosted sandboxes of Daytona with a desktop, over its HTTP API.

    What it creates is destroyed when it is left; should this process be killed, a sandbox stops after an idle hour and
    is deleted after a day, or is destroyed when the ``ttl`` of its spec is over. Its name gets a suffix, so that no
    other has it: an answer that is lost on the way is made up for by looking for the name, and never leaves two.

    Args:
        api_key: The key; ``DAYTONA_API_KEY`` where not given.
        base_url: Where the API is; ``DAYTONA_API_URL``, else Daytona's own.
        target: The region to create in; ``DAYTONA_TARGET``, else the organization's.
        timeout: The longest that a request may take in seconds, where a shorter time does not hold anyway.
        http_client: A client of the caller's own, which is left open.
    """

    name: ClassVar[str] = NAME

    def __init__(
        self,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        target: str | None = None,
        timeout: float | None = None,
        http_client: OwnClient | None = None,
    ) -> None:
        super().__init__()
        secret = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        self._http = HttpClient(
            provider=NAME,
            base_url=base_url or os.environ.get("DAYTONA_API_URL") or BASE_URL,
            key=SecretStr((secret or os.environ.get("DAYTONA_API_KEY") or "").strip()),
            rows=ROWS,
            timeout=timeout,
            http_client=http_client,
        )
        self._api = DaytonaApi(self._http, self._in_background)
        self._kin: Kin[DaytonaComputer] = Kin(self._fork, self._restore, self._succeed)
        self._target = target or os.environ.get("DAYTONA_TARGET") or None
        self._clock = Clock()

    def _check_ready(self) -> None:
        self._check_key(self._http, KEY_HINT)

    def _connections(self) -> AbstractAsyncContextManager[object]:
        return self._http

    async def _destroy(self, computer_id: str) -> None:
        await self._api.destroy(computer_id)

    async def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> DaytonaComputer:
        """Create a sandbox, wait until it and its desktop are up, and find out what it can do.

        Args:
            name: What its name begins with.
            spec: ``cpus``, ``memory`` and ``disk`` need an ``image``, as a snapshot has its own; ``ttl`` counts from
                its creation, whatever it does; ``metadata`` are its labels.
            **vendor_options: ``snapshot``, ``target``, ``user``, ``public``, ``network_block_all``,
                ``network_allow_list``, ``domain_allow_list``, ``auto_stop_minutes``, ``auto_pause_minutes``,
                ``auto_archive_minutes`` and ``auto_delete_minutes``, as Daytona has them.

        Raises:
            InvalidInputError: If the spec or an option cannot be honoured.
            QuotaError: If the organization allows no more.
            OutcomeUnknownError: If nobody can tell whether there is one; leaving the provider looks for it once more.
        """
        self._owned()
        unique = unique_name(name)
        return await self._make(unique, creation_body(unique, checked_spec(spec), vendor_options, self._target))

    async def _make(self, unique: str, body: Mapping[str, object]) -> DaytonaComputer:
        """Have a sandbox created, which is owned, and found by its name where the answer is lost."""
        return await self._owning(
            unique, lambda: self._http.call(OPERATIONS["create a computer"], "/sandbox", body), body
        )

    async def _owning(
        self, unique: str, ask: Callable[[], Awaitable[JsonObject]], made_with: Mapping[str, object]
    ) -> DaytonaComputer:
        async def send() -> JsonObject:
            return _made(await ask())

        async def begin() -> DaytonaComputer:
            fields = await create_once(
                NAME, unique, send, lambda: self._find(unique), console=CONSOLE, clock=self._clock
            )
            return self._computer(fields, made_with)

        return await self._owned().make(unique, begin, lambda: id_of(self._find(unique)))

    async def _find(self, name: str) -> JsonObject | None:
        """Return the sandbox of a name; look more than once, as its request may still be under way."""
        for pause in _PAUSES:
            await self._clock.sleep(pause)
            try:
                fields = await self._api.ask("describe a computer", name)
            except (ComputerGoneError, NotFoundError):
                continue
            if fields.get("id") and fields.get("name") == name and state_of(fields) not in {"destroying", "destroyed"}:
                return fields
        return None

    async def get(self, computer_id: str) -> DaytonaComputer:
        """Return an existing sandbox by its id or name, borrowed; one that runs is waited for until it is up.

        Raises:
            NotFoundError: If there is none.
        """
        if (own := self._known(computer_id, DaytonaComputer)) is not None:
            return own
        try:
            fields = _made(await self._api.ask("describe a computer", computer_id))
        except (ComputerGoneError, NotFoundError) as error:
            raise self._unknown(computer_id, error.request_id) from error
        computer = self._computer(fields)
        if computer.info.status is ComputerStatus.DESTROYED:
            raise self._unknown(computer_id)
        await computer.wait_until_up()
        return computer

    async def list(self) -> builtins.list[ComputerInfo]:
        """List all sandboxes that the key may see, the oldest first."""
        owner = self._owned()
        found: builtins.list[ComputerInfo] = []
        cursor: JsonValue = None
        for _ in range(_MOST_PAGES):
            query = urlencode({"limit": _PAGE} | ({"cursor": str(cursor)} if cursor else {}))
            answer = await self._http.call(OPERATIONS["list computers"], f"/sandbox?{query}")
            items = answer.get("items")
            if not isinstance(items, builtins.list):
                raise ProtocolError("daytona's answer lists no sandboxes", provider=NAME, effect="no")
            found += [computer_info(item) for item in items if isinstance(item, dict)]
            cursor = answer.get("nextCursor")
            if not cursor:
                break
        told = [self._with_screen(info, owner.computer(info.id)) for info in found]
        there = [info for info in told if info.status is not ComputerStatus.DESTROYED]
        return oldest_first(there)

    @staticmethod
    def _with_screen(info: ComputerInfo, own: Hosted | None) -> ComputerInfo:
        return info if own is None else replace(info, screen=own.info.screen)

    def _computer(
        self, fields: Mapping[str, JsonValue], made_with: Mapping[str, object] | None = None
    ) -> DaytonaComputer:
        info = computer_info(fields)
        self._api.learn_toolbox(info.id, fields.get("toolboxProxyUrl"))
        return DaytonaComputer(info, self._api, self._kin, made_with=made_with)

    async def _fork(self, original: DaytonaComputer, name: str) -> DaytonaComputer:
        """Have a copy made, which is owned like what was created."""
        unique = unique_name(name)

        async def ask() -> JsonObject:
            return await self._api.use("fork a computer", original.info.id, "fork", {"name": unique})

        return await self._owning(unique, ask, original.made_with)

    async def _restore(self, original: DaytonaComputer, snapshot_id: str) -> DaytonaComputer:
        """Have a sandbox made of a snapshot, which is owned like what was created."""
        info = original.info
        unique = unique_name(info.name.rpartition("-")[0] or info.name)
        body = restoration_body(unique, snapshot_id, info.metadata, original.made_with)
        try:
            return await self._make(unique, body)
        except NotFoundError as error:
            raise NotFoundError(
                f"daytona has no snapshot {snapshot_id}", provider=NAME, request_id=error.request_id
            ) from error

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<DaytonaProvider {self._http.origin}{'' if self.is_open else ' closed'}>"


def _made(fields: JsonObject) -> JsonObject:
    """Return what was said of a sandbox.

    Raises:
        ProtocolError: If it has no id.
    """
    if not isinstance(fields.get("id"), str) or not fields["id"]:
        raise ProtocolError("daytona tells no id of the sandbox", provider=NAME)
    return fields
