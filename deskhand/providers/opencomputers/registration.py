"""How a host comes to be registered exactly once, with a key that is told once and never again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

import anyio
from pydantic import JsonValue, SecretStr

from deskhand.errors import ComputerGoneError, DeskhandError, InvalidInputError, OutcomeUnknownError, ProtocolError
from deskhand.providers.answers import JsonObject, text
from deskhand.providers.contract import ComputerSpec
from deskhand.providers.miosa.account import CONSOLE
from deskhand.providers.miosa.envelope import listed
from deskhand.providers.opencomputers.api import CREATED_HERE, HOSTS, NAME, OPERATIONS, HostApi, host_of
from deskhand.providers.options import check_option

__all__ = ["Registered", "Registry", "registration_body"]

_OPTIONS: Final = ("region",)
_PAUSES: Final = (0.0, 0.5, 1.0, 2.0)
"""Seconds between two looks for a host whose registration may still be under way."""
_PAGE: Final = 100
_MOST_PAGES: Final = 100
_NO_MACHINE: Final = ("cpus", "memory", "disk", "screen", "image", "ttl")


class Registered(NamedTuple):
    """A host that was just registered, and the key that its agent is to be started with."""

    fields: JsonObject
    key: SecretStr


def registration_body(name: str, spec: ComputerSpec, options: Mapping[str, object]) -> dict[str, object]:
    """Return the body of the request that registers a host.

    Raises:
        InvalidInputError: If something cannot be honoured: registering makes no machine.
    """
    wanted = [field for field in _NO_MACHINE if getattr(spec, field) is not None]
    if wanted or spec.env:
        raise InvalidInputError(
            f"{NAME} cannot honour {', '.join(wanted) or 'env'}: it registers a machine that there is already",
            hint="give env to each exec" if spec.env else "leave it out",
            provider=NAME,
        )
    for label in spec.metadata:
        if label in CREATED_HERE:
            raise InvalidInputError(f"the label {label} is deskhand's own", provider=NAME)
    body: dict[str, object] = {"name": name, "labels": {**spec.metadata, **CREATED_HERE}}
    for option, value in options.items():
        check_option(NAME, option, _OPTIONS)
        if not isinstance(value, str) or not value:
            raise InvalidInputError(f"{option} is {value!r}; it must be text")
        body[option] = value
    return body


class Registry:
    """The hosts of one account.

    Args:
        api: The API.
    """

    def __init__(self, api: HostApi) -> None:
        self._api = api

    async def hosts(self) -> list[JsonObject]:
        """Return all hosts that the key may see, page by page; servers without pages give all at once."""
        found: dict[str, JsonObject] = {}
        for page in range(1, _MOST_PAGES + 1):
            answer = await self._api.http.call(OPERATIONS["list hosts"], f"{HOSTS}?page={page}&per_page={_PAGE}")
            hosts = listed(answer, "hosts", provider=NAME)
            new = {named: host for host in hosts if (named := text(host.get("id"))) is not None and named not in found}
            found |= new
            if len(hosts) < _PAGE or not new:
                break
        return [*found.values()]

    async def find(self, name: str) -> str | None:
        """Return the id of the host of that name; look more than once, as its request may still be under way."""
        for pause in _PAUSES:
            await anyio.sleep(pause)
            for host in await self.hosts():
                if host.get("name") == name and host.get("status", host.get("state")) != "revoked":
                    return text(host.get("id"))
        return None

    async def register(self, body: Mapping[str, object]) -> Registered:
        """Register a host under a name that no other has.

        Where the answer is lost the host's key is lost with it, so that the host is of no use: it is looked for by its
        name and revoked, and only then is one registered again. Where it is not to be seen nobody can tell whether it
        will be, and the request is not sent again.

        Raises:
            OutcomeUnknownError: If nobody can tell whether there is one.
            DeskhandError: If there is none.
        """
        try:
            return await self._send(body)
        except DeskhandError as error:
            if error.effect == "no":
                raise
            lost = error
        name = str(body["name"])
        try:
            found = await self.find(name)
            if found is None:
                raise self._in_doubt(name, lost, "It is not to be seen so far.")
            with suppress(ComputerGoneError):  # which was to be reached
                await self._api.revoke(found)
        except OutcomeUnknownError:
            raise
        except DeskhandError as error:
            raise self._in_doubt(name, lost, f"Then this went wrong: {error.message}") from error
        return await self._send(body)

    async def _send(self, body: Mapping[str, object]) -> Registered:
        answer = await self._api.http.call(OPERATIONS["register a host"], HOSTS, body)
        fields = host_of(answer)
        key = text(fields.pop("host_key", None))
        if text(fields.get("id")) is None or key is None:
            raise ProtocolError(f"{NAME} tells no id and key of a new host", provider=NAME)
        return Registered(_without_key(fields), SecretStr(key))

    @staticmethod
    def _in_doubt(name: str, lost: DeskhandError, then: str) -> OutcomeUnknownError:
        return OutcomeUnknownError(
            f"nobody can tell whether {NAME} registered the host {name}: {lost.message}. {then}",
            hint=f"see at {CONSOLE} whether {name} is there; leaving the provider looks for it once more",
            provider=NAME,
            request_id=lost.request_id,
        )


def _without_key(fields: Mapping[str, JsonValue]) -> JsonObject:
    return {name: value for name, value in fields.items() if name not in {"host", "data"}}
