"""Registers, gets and lists the machines of an account at OpenComputers."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from pydantic import JsonValue, SecretStr

from deskhand.errors import ComputerGoneError, NotFoundError
from deskhand.providers.contract import ComputerInfo, ComputerSpec, ComputerStatus
from deskhand.providers.creation import unique_name
from deskhand.providers.hosted import HostedProvider, oldest_first
from deskhand.providers.http import OwnClient
from deskhand.providers.miosa.account import KEY_HINT
from deskhand.providers.miosa.service import miosa_client
from deskhand.providers.opencomputers.api import NAME, ROWS, HostApi, host_info, is_of_deskhand
from deskhand.providers.opencomputers.computer import OpenComputersComputer
from deskhand.providers.opencomputers.registration import Registry, registration_body
from deskhand.providers.opencomputers.tunnels import TunnelAccess, Tunnels
from deskhand.providers.specs import checked_spec

__all__ = ["OpenComputersProvider"]


class OpenComputersProvider(HostedProvider):
    """Machines of one's own at MIOSA's OpenComputers, over its HTTP API.

    `get` and `attach` borrow a machine whose agent is connected: the usual way. `create` makes no machine: it registers
    a host, which is pending until somebody starts MIOSA's agent on a machine with the host's key. What was registered
    is revoked when the provider is left, and tunnels that were opened are closed; machines are left alone.

    Args:
        api_key: The key; ``MIOSA_API_KEY`` where neither is given.
        access_token: A token in its place; ``MIOSA_ACCESS_TOKEN``, which counts first, where neither is given.
        base_url: Where the API is; ``MIOSA_BASE_URL``, else MIOSA's own.
        tenant: Whose account is used, where the key has several; ``MIOSA_TENANT``.
        tunnel_access: Who may use what `OpenComputersComputer.preview_url` returns: ``tenant_only`` is whoever is
            logged in at the same account, ``public`` everybody who knows the address.
        timeout: The longest that a request may take in seconds, where a shorter time does not hold anyway.
        http_client: A client of the caller's own, which is left open.
    """

    name: ClassVar[str] = NAME
    noun = "host"

    def __init__(
        self,
        *,
        api_key: str | SecretStr | None = None,
        access_token: str | SecretStr | None = None,
        base_url: str | None = None,
        tenant: str | None = None,
        tunnel_access: TunnelAccess = "tenant_only",
        timeout: float | None = None,
        http_client: OwnClient | None = None,
    ) -> None:
        super().__init__()
        self._http = miosa_client(
            NAME,
            api_key=api_key,
            access_token=access_token,
            base_url=base_url,
            tenant=tenant,
            timeout=timeout,
            http_client=http_client,
            rows=ROWS,
        )
        self._api = HostApi(self._http, self._in_background)
        self._registry = Registry(self._api)
        self._tunnels = Tunnels(self._api, tunnel_access)

    def _check_ready(self) -> None:
        self._check_key(self._http, KEY_HINT)

    def _connections(self) -> AbstractAsyncContextManager[object]:
        return self._connected()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        async with self._http:
            try:
                yield
            finally:
                await self._tunnels.aclose()

    async def _destroy(self, computer_id: str) -> None:
        await self._api.revoke(computer_id)

    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object
    ) -> OpenComputersComputer:
        """Register a host, which is pending: it can do nothing until an agent has connected with its ``host_key``.

        Args:
            name: What its name begins with.
            spec: ``metadata``, which becomes the host's labels; a machine that is there already has the rest.
            **vendor_options: ``region``.

        Raises:
            InvalidInputError: If the spec or an option cannot be honoured.
            QuotaError: If the plan allows no more.
            OutcomeUnknownError: If nobody can tell whether there is one; leaving the provider looks for it once more.
        """
        owner = self._owned()
        unique = unique_name(name)
        body = registration_body(unique, checked_spec(spec), vendor_options)

        async def begin() -> OpenComputersComputer:
            fields, key = await self._registry.register(body)
            return self._computer({"name": unique, **fields}, key)

        return await owner.make(unique, begin, lambda: self._registry.find(unique))

    async def get(self, computer_id: str) -> OpenComputersComputer:
        """Return a registered machine, borrowed; what one that is online can do is found out.

        Raises:
            NotFoundError: If there is none with that id, or it was revoked.
        """
        if (own := self._known(computer_id, OpenComputersComputer)) is not None:
            return own
        try:
            fields = await self._api.describe(computer_id)
        except (ComputerGoneError, NotFoundError) as error:
            raise self._unknown(computer_id, error.request_id) from error
        computer = self._computer({"id": computer_id, **fields})
        if computer.info.status is ComputerStatus.DESTROYED:
            raise self._unknown(computer_id)
        await computer.wait_until_up()
        return computer

    async def list(self) -> builtins.list[ComputerInfo]:
        """List the hosts of the account, the oldest first; those that were revoked are none any more."""
        self._owned()
        found = [host_info(fields) for fields in await self._registry.hosts()]
        return oldest_first(info for info in found if info.status is not ComputerStatus.DESTROYED)

    def _computer(self, fields: Mapping[str, JsonValue], key: SecretStr | None = None) -> OpenComputersComputer:
        is_deskhands = key is not None or is_of_deskhand(fields)
        return OpenComputersComputer(
            host_info(fields), self._api, self._tunnels, is_deskhands=is_deskhands, host_key=key
        )

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<OpenComputersProvider {self._http.origin}{'' if self.is_open else ' closed'}>"
