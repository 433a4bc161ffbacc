"""Cua's cloud: the machines of an account, which are started and stopped, but neither made nor deleted here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from pydantic import JsonValue

from deskhand.errors import ComputerGoneError, NotFoundError, ProtocolError
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import ComputerInfo, ComputerStatus
from deskhand.providers.cua.api import CLOUD, NAME, STATUSES
from deskhand.providers.http import HttpClient

__all__ = ["Cloud", "CloudMachine", "address_of", "machine_info"]

_SECRET: Final = re.compile(r"(?i)password|token|secret|vnc_url")
_HOST: Final = "https://{name}.containers.cloud.trycua.com"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


class Cloud:
    """The control API of an account."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    async def machines(self) -> dict[str, JsonObject]:
        """Return the account's machines by name; what has no name of a machine is left out."""
        listed, _ = await self._http.call_list(CLOUD["list machines"], "/v1/vms")
        found: dict[str, JsonObject] = {}
        for fields in listed:
            if isinstance(fields, dict) and isinstance(name := fields.get("name"), str) and _NAME.fullmatch(name):
                found[name] = fields
        return found

    async def machine(self, name: str) -> JsonObject:
        """Return what is told of one machine.

        Raises:
            ComputerGoneError: If the account has none of that name.
        """
        fields = (await self.machines()).get(name)
        if fields is None:
            raise ComputerGoneError(f"the account has no machine {name}", effect="no", provider=NAME)
        return fields

    async def turn(self, operation: str, name: str, route: str) -> None:
        """Start or stop a machine.

        Raises:
            ComputerGoneError: If the account has none of that name.
        """
        try:
            await self._http.ask(CLOUD[operation], f"/v1/vms/{quote(name, safe='')}/{route}", is_urgent=True)
        except NotFoundError as error:
            raise ComputerGoneError(
                f"the account has no machine {name}", effect="no", provider=NAME, request_id=error.request_id
            ) from error


class CloudMachine:
    """One machine of the account."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._cloud = cloud
        self._name = name

    async def describe(self) -> ComputerInfo:
        """Ask what it is doing."""
        return machine_info(await self._cloud.machine(self._name))

    async def start(self) -> None:
        """Start it; it comes up some time later."""
        await self._cloud.turn("start a machine", self._name, "start")

    async def stop(self) -> None:
        """Stop it; it has stopped some time later."""
        with suppress(ComputerGoneError):
            await self._cloud.turn("stop a machine", self._name, "stop")

    async def view(self) -> str:
        """Return the page on which its screen can be watched: the vendor forces what opens it into the address."""
        fields = await self._cloud.machine(self._name)
        url, password = fields.get("vnc_url"), fields.get("password")
        if isinstance(url, str) and url:
            return url
        if isinstance(password, str) and password:
            return f"{_HOST.format(name=self._name)}/vnc.html?autoconnect=true&password={quote(password, safe='')}"
        raise ProtocolError(f"the machine {self._name} has no page to watch it on", provider=NAME, effect="no")


def address_of(fields: Mapping[str, JsonValue]) -> str:
    """Return where a machine's computer server is."""
    told = fields.get("api_url")
    if isinstance(told, str) and told.startswith(("https://", "http://")):
        return told.rstrip("/")
    return f"{_HOST.format(name=fields.get('name'))}:8443"


def machine_info(fields: Mapping[str, JsonValue]) -> ComputerInfo:
    """Read what the cloud says of a machine; nothing that opens its screen is kept."""
    status = fields.get("status")
    raw = {name: value for name, value in fields.items() if _SECRET.search(name) is None}
    name = str(fields.get("name"))
    return ComputerInfo(
        id=name,
        name=name,
        provider=NAME,
        source="external",
        status=STATUSES.get(status.lower() if isinstance(status, str) else "", ComputerStatus.ERROR),
        raw={**raw, "has_view": bool(fields.get("vnc_url") or fields.get("password"))},
    )
