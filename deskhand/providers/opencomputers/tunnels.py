"""Ports of hosts that can be reached over MIOSA's tunnels, which are closed again when the provider is left."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

import anyio
from pydantic import JsonValue

from deskhand.errors import DeskhandError, InvalidInputError, ProtocolError
from deskhand.providers.addresses import check_port, with_path
from deskhand.providers.answers import JsonObject, text
from deskhand.providers.miosa.envelope import listed, unwrapped
from deskhand.providers.opencomputers.api import NAME, OPERATIONS, HostApi

__all__ = ["TUNNELS", "TunnelAccess", "Tunnels"]

TUNNELS: Final = "tunnels"
TunnelAccess: TypeAlias = Literal["tenant_only", "public"]
"""Who may use a tunnel: whoever is logged in at the same account, or everybody who knows its address."""

_CLOSING: Final = 15.0


class Tunnels:
    """The tunnels that were opened here.

    Args:
        api: The API.
        access: Who may use them.
    """

    def __init__(self, api: HostApi, access: TunnelAccess) -> None:
        if access not in ("tenant_only", "public"):
            raise InvalidInputError(f"{access!r} is no access of tunnels", hint="tenant_only or public", provider=NAME)
        self._api = api
        self._access = access
        self._opened: dict[tuple[str, int], JsonObject] = {}
        self._in_doubt: set[tuple[str, str]] = set()
        self._opening = anyio.Lock()

    async def url(self, host_id: str, port: int, path: str) -> str:
        """Return the address of a port, over a tunnel that is opened where there is none of ours yet.

        Raises:
            InvalidInputError: If there is no such port, or the path does not begin with a slash.
        """
        check_port(port)
        if not path.startswith("/"):
            raise InvalidInputError(f"{path!r} is no path: it must begin with /", provider=NAME)
        async with self._opening:
            tunnel = self._opened.get((host_id, port))
            if tunnel is None:
                tunnel = self._opened[host_id, port] = await self._open(host_id, port)
        address = text(tunnel.get("public_url"))
        if address is None or not address.startswith(("https://", "http://")):
            raise ProtocolError(f"{NAME} tells no address of a tunnel", effect="yes", provider=NAME)
        return with_path(address, path)

    async def _open(self, host_id: str, port: int) -> JsonObject:
        """Open a tunnel under a name of its own, by which it is found where its answer is lost."""
        slug = f"deskhand-{secrets.token_hex(8)}"
        body = {"target_port": port, "auth_mode": self._access, "slug": slug}
        self._in_doubt.add((host_id, slug))  # until it is told, though whoever asked for it may be cancelled
        try:
            tunnel = unwrapped(await self._api.act("open a tunnel", host_id, TUNNELS, body), "tunnel")
            if text(tunnel.get("id")) is None:
                raise ProtocolError(f"{NAME} tells no id of a tunnel", provider=NAME)
        except DeskhandError as error:
            if error.effect == "no":
                self._in_doubt.discard((host_id, slug))
                raise
            if (found := await self._find(host_id, slug)) is None:
                raise
            tunnel = found
        self._in_doubt.discard((host_id, slug))
        return tunnel

    async def _find(self, host_id: str, slug: str) -> JsonObject | None:
        with suppress(DeskhandError):
            answer = await self._api.act("list tunnels", host_id, TUNNELS)
            for tunnel in listed(answer, TUNNELS, provider=NAME):
                if tunnel.get("slug") == slug and text(tunnel.get("id")) is not None:
                    return tunnel
        return None

    async def aclose(self) -> None:
        """Close what was opened here, and what may have been, as far as that can be done in some seconds."""
        opened, self._opened = self._opened, {}
        in_doubt, self._in_doubt = self._in_doubt, set()
        with anyio.move_on_after(_CLOSING):
            async with anyio.create_task_group() as tasks:
                for (host_id, _), tunnel in opened.items():
                    tasks.start_soon(self._close, host_id, tunnel)
                for host_id, slug in in_doubt:
                    tasks.start_soon(self._close_if_there, host_id, slug)

    async def _close_if_there(self, host_id: str, slug: str) -> None:
        if (found := await self._find(host_id, slug)) is not None:
            await self._close(host_id, found)

    async def _close(self, host_id: str, tunnel: Mapping[str, JsonValue]) -> None:
        where = self._api.path(host_id, f"{TUNNELS}/{quote(str(tunnel['id']), safe='')}")
        with suppress(DeskhandError):  # the host is gone, and its tunnels with it
            await self._api.http.ask(OPERATIONS["close a tunnel"], where, is_urgent=True)
