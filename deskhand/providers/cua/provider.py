"""Attaches to computer servers by their address, and starts the machines of an account in Cua's cloud."""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import ClassVar, Final

import anyio
from pydantic import JsonValue, SecretStr

from deskhand.errors import (
    ConflictError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    QuotaError,
    UnsupportedError,
)
from deskhand.providers.contract import ComputerInfo, ComputerSpec, ComputerStatus
from deskhand.providers.cua.api import NAME, ROWS
from deskhand.providers.cua.cloud import Cloud, CloudMachine, address_of, machine_info
from deskhand.providers.cua.computer import CuaComputer
from deskhand.providers.cua.server import MOST_IDLE, CuaServer
from deskhand.providers.hosted import HostedProvider
from deskhand.providers.http import HttpClient, OwnClient
from deskhand.providers.options import check_option
from deskhand.providers.specs import checked_spec

__all__ = ["CuaProvider"]

CLOUD_URL: Final = "https://api.cua.ai"
PORT: Final = 8000
"""The port that a computer server has where nobody says otherwise."""

_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?://)?(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::(?P<port>\d{1,5}))?/?"
)
_OPTIONS: Final = ("machine",)
_SPEC: Final = ("cpus", "memory", "disk", "screen", "image", "ttl", "env")


class CuaProvider(HostedProvider):
    """Linux desktops behind a cua-computer-server: one that runs, by its address, or machines of Cua's cloud.

    A server is attached to with `get`, by ``HOST:PORT`` or its URL; nobody can create one from here. With a key,
    machines of the account are listed, got and started: `create` starts one that is stopped, and stops it again when
    the provider is left. The key goes to the configured address, and to the account's machines, and nowhere else.

    Args:
        base_url: Where a computer server is; ``CUA_SERVER_URL``.
        api_key: The key, of the cloud or of the server; ``CUA_API_KEY``.
        container_name: Who the server is, where it asks for that; ``CUA_CONTAINER_NAME``.
        cloud_url: Where the cloud's API is; ``CUA_API_BASE``, else Cua's own. It is asked where there is a key and no
            ``base_url``.
        timeout: The longest that a request may take in seconds, where a shorter time does not hold anyway.
        http_client: A client of the caller's own, which is left open.
    """

    name: ClassVar[str] = NAME

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | SecretStr | None = None,
        container_name: str | None = None,
        cloud_url: str | None = None,
        timeout: float | None = None,
        http_client: OwnClient | None = None,
    ) -> None:
        super().__init__()
        secret = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        self._key = SecretStr((secret or os.environ.get("CUA_API_KEY") or "").strip())
        self._base_url = base_url or (None if cloud_url else os.environ.get("CUA_SERVER_URL")) or None
        self._container_name = container_name or os.environ.get("CUA_CONTAINER_NAME") or None
        self._timeout = timeout
        self._given = http_client
        self._own = self._client(self._base_url, self._key) if self._base_url else None
        self._control: HttpClient | None = None
        if self._own is None and self._key.get_secret_value():
            where = cloud_url or os.environ.get("CUA_API_BASE") or CLOUD_URL
            self._control = self._client(where, self._key, is_cloud=True)
        self._servers: dict[str, CuaServer] = {}
        self._open: AsyncExitStack | None = None
        self._starting: set[str] = set()
        self._choosing = anyio.Lock()

    def _client(self, url: str, key: SecretStr, *, is_cloud: bool = False) -> HttpClient:
        return HttpClient(
            provider=NAME,
            base_url=url,
            key=key,
            key_header="authorization" if is_cloud else "x-api-key",
            rows=ROWS,
            timeout=self._timeout,
            http_client=self._given,
            most_idle=None if is_cloud else MOST_IDLE,
        )

    def _connections(self) -> AbstractAsyncContextManager[object]:
        return self._opened()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for client in (self._own, self._control):
                if client is not None:
                    await stack.enter_async_context(client)
            self._open = stack
            try:
                yield
            finally:
                self._open = None
                self._servers.clear()

    async def _destroy(self, computer_id: str) -> None:
        await CloudMachine(self._cloud(), computer_id).stop()

    def _cloud(self) -> Cloud:
        if self._control is None:
            place = f"cua:{_id_of(self._base_url)}" if self._base_url else "cua:HOST:PORT"
            cloud = "" if self._base_url else "; or export CUA_API_KEY=... for the cloud"
            raise UnsupportedError(
                "no computer can be created behind cua: there is no account to ask for one",
                hint=f"borrow a server that runs: attach('{place}'), or --computer {place} of deskhand run{cloud}",
                provider=NAME,
            )
        return Cloud(self._control)

    async def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> CuaComputer:
        """Start a machine of the account that is stopped, wait until it is up, and find out what it can do.

        Args:
            name: What it is for, kept in its metadata as ``label``: a machine has its own name.
            spec: ``metadata`` alone is honoured: a machine is as it was made.
            **vendor_options: ``machine``: the name of the one to start; any that is stopped where not given.

        Raises:
            UnsupportedError: If there is no account: a server by its address is there or not.
            InvalidInputError: If the spec or an option cannot be honoured.
            NotFoundError: If the account has no such machine.
            ConflictError: If that one runs already.
            QuotaError: If none is stopped.
        """
        owner, spec, cloud = self._owned(), checked_spec(spec), self._cloud()
        if not name.strip() or not name.isprintable():
            raise InvalidInputError(f"{name!r} cannot be a name")
        _check_spec(spec)
        wanted = _machine(vendor_options)
        async with self._choosing:  # whoever starts another at the same time takes another
            chosen = await self._stopped(cloud, wanted)
            self._starting.add(chosen)
        metadata = {**spec.metadata, "label": name}

        async def find() -> str | None:
            status = machine_info(await cloud.machine(chosen)).status
            return chosen if status in {ComputerStatus.CREATING, ComputerStatus.RUNNING} else None

        async def begin() -> CuaComputer:
            machine = CloudMachine(cloud, chosen)
            try:
                await machine.start()
            except DeskhandError as error:
                if error.effect == "no" or await find() is None:  # else it starts, and its answer alone was lost
                    raise
            fields = await cloud.machine(chosen)
            info = replace(machine_info(fields), status=ComputerStatus.CREATING, metadata=metadata)
            return CuaComputer(info, await self._server_of(fields), machine)

        try:
            return await owner.make(chosen, begin, find)
        finally:
            self._starting.discard(chosen)

    async def _stopped(self, cloud: Cloud, wanted: str | None) -> str:
        """Return the name of a machine that is stopped, and not about to be started here."""
        machines = {name: machine_info(fields) for name, fields in (await cloud.machines()).items()}
        if wanted is not None:
            if wanted not in machines:
                known = ", ".join(sorted(machines)) or "none"
                raise NotFoundError(f"the account has no machine {wanted}", hint=f"it has {known}", provider=NAME)
            if machines[wanted].status is not ComputerStatus.STOPPED:
                raise ConflictError(
                    f"the machine {wanted} is {machines[wanted].status}, not stopped",
                    hint=f"borrow it: attach('cua:{wanted}')",
                    provider=NAME,
                )
            return wanted
        free = [name for name, info in sorted(machines.items()) if info.raw.get("status") == "stopped"]
        free = [name for name in free if name not in self._starting]
        if not free:
            raise QuotaError(
                f"none of the account's {len(machines)} machines is stopped",
                hint="make one at https://cua.ai, or borrow one that runs: deskhand ls",
                provider=NAME,
                effect="no",
            )
        return free[0]

    async def get(self, computer_id: str) -> CuaComputer:
        """Return an existing computer, borrowed: a machine of the account, or a server by ``HOST:PORT`` or its URL.

        Raises:
            NotFoundError: If the account has no such machine, or it is no address.
            ConnectionLostError: If no server answers there.
        """
        owner = self._owned()
        if isinstance(own := owner.computer(computer_id), CuaComputer):
            return own
        if self._control is not None:
            fields = (await Cloud(self._control).machines()).get(computer_id)
            if fields is not None:
                machine = CloudMachine(Cloud(self._control), computer_id)
                computer = CuaComputer(machine_info(fields), await self._server_of(fields), machine)
                if computer.info.status in {ComputerStatus.RUNNING, ComputerStatus.CREATING}:
                    await computer.wait_until_up()
                return computer
        url = self._url_of(computer_id)
        computer = CuaComputer(_server_info(url, ComputerStatus.CREATING), await self._server_at(url))
        await computer.wait_until_up()
        return computer

    def _url_of(self, computer_id: str) -> str:
        if self._base_url is not None and computer_id in {_id_of(self._base_url), self._base_url}:
            return self._base_url.rstrip("/")
        found = _ADDRESS.fullmatch(computer_id)
        port = int(found["port"] or PORT) if found else 0
        is_address = found is not None and (found["scheme"] or found["port"] or self._control is None)
        if found is None or not is_address or not 0 < port < 1 << 16:
            raise NotFoundError(
                f"cua knows no computer {computer_id!r}",
                hint="give a machine's name, or a server's HOST:PORT",
                provider=NAME,
            )
        return f"{found['scheme'] or 'http://'}{found['host']}:{port}"

    async def list(self) -> builtins.list[ComputerInfo]:
        """List the account's machines, or the server whose address is configured."""
        self._owned()
        if self._control is not None:
            machines = await Cloud(self._control).machines()
            return [machine_info(fields) for _, fields in sorted(machines.items())]
        if self._base_url is None:
            return []
        status = ComputerStatus.RUNNING
        try:
            await (await self._server_at(self._base_url.rstrip("/"))).status()
        except DeskhandError:
            status = ComputerStatus.ERROR
        return [_server_info(self._base_url.rstrip("/"), status)]

    async def _server_of(self, fields: Mapping[str, JsonValue]) -> CuaServer:
        """Return the server of a machine of the account, to which the key goes.

        Raises:
            ProtocolError: If the cloud names an address without TLS for it.
        """
        if self._control is not None:
            self._control.check_protected(address_of(fields), f"the machine {fields['name']}")
        return await self._entered(address_of(fields), self._key, str(fields["name"]))

    async def _server_at(self, url: str) -> CuaServer:
        """Return the server at an address; the key goes to the configured one alone."""
        if self._own is not None and self._base_url is not None and url == self._base_url.rstrip("/"):
            return self._servers.setdefault(url, CuaServer(self._own, self._container_name, self._in_background))
        return await self._entered(url, SecretStr(""), None)

    async def _entered(self, url: str, key: SecretStr, container_name: str | None) -> CuaServer:
        if self._open is None:
            raise ConflictError("this provider is not open", effect="no", provider=NAME)
        if url not in self._servers:
            client = await self._open.enter_async_context(self._client(url, key))
            self._servers[url] = CuaServer(client, container_name, self._in_background)
        return self._servers[url]

    def __repr__(self) -> str:
        """The state at a glance."""
        client = self._own or self._control
        return f"<CuaProvider {client.origin if client else 'by address'}{'' if self.is_open else ' closed'}>"


def _id_of(url: str) -> str:
    return url.rstrip("/").partition("://")[2]


def _server_info(url: str, status: ComputerStatus) -> ComputerInfo:
    return ComputerInfo(id=_id_of(url), name=_id_of(url), provider=NAME, source="external", status=status)


def _check_spec(spec: ComputerSpec) -> None:
    """Refuse what a machine that exists cannot be given.

    Raises:
        InvalidInputError: Naming the first.
    """
    for field in _SPEC:
        if getattr(spec, field) not in (None, {}):
            raise InvalidInputError(
                f"cua takes no {field} for a machine: it is as it was made",
                hint="give env to each exec" if field == "env" else "leave it out",
                provider=NAME,
            )


def _machine(options: Mapping[str, object]) -> str | None:
    for option in options:
        check_option("cua", option, _OPTIONS)
    machine = options.get("machine")
    if machine is not None and not (isinstance(machine, str) and machine):
        raise InvalidInputError(f"machine is {machine!r}; it must be a name")
    return machine
