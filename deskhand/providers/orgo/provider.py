"""Creates, gets and lists the computers of an account at Orgo."""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import ClassVar, Final

from pydantic import JsonValue, SecretStr

from deskhand.errors import (
    ComputerGoneError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
)
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import ComputerInfo, ComputerSpec
from deskhand.providers.creation import id_of, unique_name
from deskhand.providers.hosted import HostedProvider, oldest_first
from deskhand.providers.http import HttpClient, OwnClient
from deskhand.providers.orgo.api import KEY_HINT, NAME, OPERATIONS, ROWS, OrgoApi, computer_info
from deskhand.providers.orgo.computer import OrgoComputer
from deskhand.providers.orgo.directory import Directory
from deskhand.providers.orgo.request import creation_body
from deskhand.providers.specs import checked_spec

__all__ = ["OrgoProvider"]

BASE_URL: Final = "https://www.orgo.ai/api"
AGENT_MODEL: Final = "claude-sonnet-4.6"

_AUTO_STOP: Final = re.compile(r"(?i)auto.?stop")
"""What a refusal is about that is about the idle time."""


class OrgoProvider(HostedProvider):
    """Hosted Linux desktops of Orgo, over its HTTP API.

    What it creates is destroyed when it is left; should this process be killed, each computer stops by itself after an
    idle time. A computer's name gets a suffix, so that no other has it: an answer that is lost on the way is made up
    for by looking for the name, and never leaves two computers.

    Args:
        api_key: The key; ``ORGO_API_KEY`` where not given.
        workspace_id: The workspace to create in; ``ORGO_WORKSPACE_ID``, else the account's first.
        base_url: Where the API is; ``ORGO_API_BASE``, else Orgo's own.
        timeout: The longest that a request may take in seconds, where a shorter time does not hold anyway.
        http_client: A client of the caller's own, which is left open.
        agent_model: The model of Orgo's own agent, for `OrgoComputer.prompt`.
    """

    name: ClassVar[str] = NAME

    def __init__(
        self,
        *,
        api_key: str | SecretStr | None = None,
        workspace_id: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        http_client: OwnClient | None = None,
        agent_model: str = AGENT_MODEL,
    ) -> None:
        super().__init__()
        secret = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        self._http = HttpClient(
            provider=NAME,
            base_url=base_url or os.environ.get("ORGO_API_BASE") or BASE_URL,
            key=SecretStr((secret or os.environ.get("ORGO_API_KEY") or "").strip()),
            rows=ROWS,
            timeout=timeout,
            http_client=http_client,
        )
        self._api = OrgoApi(self._http, self._in_background)
        self._directory = Directory(self._api, workspace_id or os.environ.get("ORGO_WORKSPACE_ID") or None)
        self._agent_model = agent_model

    def _check_ready(self) -> None:
        self._check_key(self._http, KEY_HINT)

    def _connections(self) -> AbstractAsyncContextManager[object]:
        return self._http

    async def _destroy(self, computer_id: str) -> None:
        await self._api.destroy(computer_id)

    async def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> OrgoComputer:
        """Create a computer, wait until its desktop is up, and find out what it can do.

        Args:
            name: What its name begins with.
            spec: All but ``env`` is honoured: ``ttl`` as the idle time after which it stops by itself (an hour where
                not given, where the plan lets one set it), memory and cores rounded up to what Orgo has.
            **vendor_options: ``workspace_id``, ``os``, ``gpu`` and ``template_ref``, as Orgo has them.

        Raises:
            InvalidInputError: If the spec or an option cannot be honoured.
            PermissionDeniedError: If the plan allows no more.
            OutcomeUnknownError: If nobody can tell whether there is one; leaving the provider looks for it once more.
        """
        owner, spec = self._owned(), checked_spec(spec)
        unique = unique_name(name)
        creation_body(unique, "", spec, vendor_options)  # refused before anything is asked
        given = vendor_options.get("workspace_id")
        workspace_id = str(given) if given else await self._directory.workspace()
        body = creation_body(unique, workspace_id, spec, vendor_options)

        async def begin() -> OrgoComputer:
            return self._computer(await self._created(body, is_ttl_wanted=spec.ttl is not None), spec.metadata)

        return await owner.make(unique, begin, lambda: id_of(self._directory.find(unique)))

    async def _created(self, body: dict[str, object], *, is_ttl_wanted: bool) -> JsonObject:
        """Create a computer; plans that fix the idle time refuse one, so that ours is only asked for."""
        try:
            return await self._directory.create(body)
        except (PermissionDeniedError, InvalidInputError) as error:
            if is_ttl_wanted or _AUTO_STOP.search(error.message) is None:
                raise
        return await self._directory.create({key: value for key, value in body.items() if key != "auto_stop_minutes"})

    async def get(self, computer_id: str) -> OrgoComputer:
        """Return an existing computer, borrowed; one that runs is waited for until its desktop is up.

        Raises:
            NotFoundError: If there is none with that id.
        """
        if (own := self._known(computer_id, OrgoComputer)) is not None:
            return own
        try:
            fields = await self._http.call(OPERATIONS["describe a computer"], self._api.path(computer_id))
        except ComputerGoneError as error:
            raise self._unknown(computer_id, error.request_id) from error
        computer = self._computer({"id": computer_id, **fields})
        await computer.wait_until_up()
        return computer

    async def list(self) -> builtins.list[ComputerInfo]:
        """List the computers of all workspaces that the key may see, the oldest first."""
        owner = self._owned()
        found = [computer_info(fields) for fields in await self._directory.computers()]
        own = {info.id: computer for info in found if (computer := owner.computer(info.id)) is not None}
        told = [
            replace(info, metadata=own[info.id].info.metadata) if info.id in own else info  # Orgo keeps none
            for info in found
        ]
        return oldest_first(told)

    def _computer(self, fields: Mapping[str, JsonValue], metadata: Mapping[str, str] | None = None) -> OrgoComputer:
        info = computer_info(fields, metadata)
        return OrgoComputer(info, self._api, agent_model=self._agent_model, adopt=self._clone)

    async def _clone(self, original: OrgoComputer, name: str) -> OrgoComputer:
        """Have a copy made, which is owned like what was created."""
        owner = self._owned()
        before: set[str] | None = None
        with suppress(NotFoundError):  # whoever cannot list cannot find a lost one either
            before = {str(one.get("id")) for one in await self._directory.computers()}

        async def find() -> JsonObject | None:
            return None if before is None else await self._directory.find_clone(original.info.name, before)

        async def begin() -> OrgoComputer:
            try:
                fields = await self._api.act("clone a computer", original.info.id, "clone")
                if not fields.get("id"):
                    raise ProtocolError("orgo tells no id of the clone", provider=NAME)
            except DeskhandError as error:
                if error.effect == "no" or (found := await find()) is None:
                    raise
                fields = found
            return self._computer(fields, {**original.info.metadata, "clone": name})

        return await owner.make(f"{original.info.name} (clone)", begin, lambda: id_of(find()))

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<OrgoProvider {self._http.origin}{'' if self.is_open else ' closed'}>"
