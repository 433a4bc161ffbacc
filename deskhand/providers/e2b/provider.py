"""Creates, gets and lists the sandboxes of an account at E2B."""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar, Final

import anyio
from pydantic import JsonValue, SecretStr
from pydantic_core import from_json

from deskhand.errors import (
    ComputerGoneError,
    ConfigError,
    DeskhandError,
    NotFoundError,
    ProtocolError,
    ProviderError,
)
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import ComputerInfo, ComputerSpec, Screen
from deskhand.providers.creation import create_once, unique_name
from deskhand.providers.e2b.api import (
    DAEMON_ROWS,
    DOMAIN,
    DOMAINS,
    KEY_HINT,
    NAME,
    OPERATIONS,
    ROWS,
    E2BApi,
    computer_info,
)
from deskhand.providers.e2b.computer import E2BComputer
from deskhand.providers.e2b.request import DEFAULT_TTL, creation_body, restoration_body, seconds_of
from deskhand.providers.hosted import HostedProvider, oldest_first
from deskhand.providers.http import HttpClient, OwnClient
from deskhand.providers.restoring import Kin
from deskhand.providers.specs import checked_spec
from deskhand.retry import Clock

__all__ = ["E2BProvider"]

CONSOLE: Final = "https://e2b.dev/dashboard"

_LOOKS: Final = (0.0, 0.5, 1.0, 2.0)
"""Seconds before each look for a sandbox whose request may still be under way."""


class E2BProvider(HostedProvider):
    """Sandboxes of E2B, over its HTTP API.

    What it creates is destroyed when it is left; should this process be killed, each sandbox ends by itself when its
    time is up. A sandbox has a name with a suffix in its metadata, so that no other has it: an answer that is lost on
    the way is made up for by looking for the name, and never leaves two.

    Args:
        api_key: The key; ``E2B_API_KEY`` where not given.
        base_url: Where the API is; ``E2B_API_URL``, else that of the domain.
        domain: Whose API it is, and below what its sandboxes are; ``E2B_DOMAIN``, else E2B's own.
        sandbox_url: Where all sandboxes are; ``E2B_SANDBOX_URL``, else where E2B says for each.
        timeout: The longest that a request may take in seconds, where a shorter time does not hold anyway.
        http_client: A client of the caller's own, which is left open.
    """

    name: ClassVar[str] = NAME
    noun = "sandbox"

    def __init__(
        self,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        domain: str | None = None,
        sandbox_url: str | None = None,
        timeout: float | None = None,
        http_client: OwnClient | None = None,
    ) -> None:
        super().__init__()
        secret = api_key.get_secret_value() if isinstance(api_key, SecretStr) else api_key
        inside = sandbox_url or os.environ.get("E2B_SANDBOX_URL") or None
        domain = domain or os.environ.get("E2B_DOMAIN") or DOMAIN
        if not DOMAINS.fullmatch(domain):
            raise ConfigError(f"{domain!r} is no domain", hint="such as e2b.app; see E2B_DOMAIN", provider=NAME)
        self._http = HttpClient(
            provider=NAME,
            base_url=base_url or os.environ.get("E2B_API_URL") or f"https://api.{domain}",
            key=SecretStr((secret or os.environ.get("E2B_API_KEY") or "").strip()),
            key_header="x-api-key",
            rows=ROWS,
            timeout=timeout,
            http_client=http_client,
        )
        self._daemons = HttpClient(
            provider=NAME,
            base_url=inside or f"https://sandbox.{domain}",
            key=SecretStr(""),  # each sandbox has a token of its own
            rows=DAEMON_ROWS,
            timeout=timeout,
            http_client=http_client,
        )
        self._api = E2BApi(self._http, self._daemons, inside, self._in_background, domain)
        self._kin: Kin[E2BComputer] = Kin(self._clone, self._restore, self._succeed)
        self._clock = Clock()

    def _check_ready(self) -> None:
        self._check_key(self._http, KEY_HINT)

    def _connections(self) -> AbstractAsyncContextManager[object]:
        return self._both()

    @asynccontextmanager
    async def _both(self) -> AsyncIterator[None]:
        async with self._http, self._daemons:
            yield

    async def _destroy(self, computer_id: str) -> None:
        await self._api.destroy(computer_id)

    async def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> E2BComputer:
        """Create a sandbox, start its desktop where its template has one, and find out what it can do.

        Args:
            name: What its name begins with.
            spec: ``image`` names the template (``desktop`` where not given), ``ttl`` is how long it is kept (an hour
                where not given), ``screen`` the size of its desktop (1280x800); ``env`` is in all its processes. Cores,
                memory and disk are the template's.
            **vendor_options: ``allow_internet_access``; ``auto_pause``, with which it is paused rather than destroyed
                when its time is up.

        Raises:
            InvalidInputError: If the spec or an option cannot be honoured.
            NotFoundError: If there is no such template.
            QuotaError: If the plan allows no more.
            OutcomeUnknownError: If nobody can tell whether there is one; leaving the provider looks for it once more.
        """
        self._owned()
        spec = checked_spec(spec)
        unique = unique_name(name)
        screen = None if spec.screen is None else Screen(*spec.screen)
        ttl = DEFAULT_TTL if spec.ttl is None else spec.ttl
        return await self._make(unique, creation_body(unique, spec, vendor_options), ttl, screen)

    async def _make(self, unique: str, body: Mapping[str, object], ttl: float, screen: Screen | None) -> E2BComputer:
        """Have a sandbox made, which is owned, and found again by its name where the answer is lost."""
        once = [("idempotency-key", f"deskhand-{unique.rpartition('-')[2]}-{unique_name('x').rpartition('-')[2]}")]

        async def send() -> JsonObject:
            made = await self._http.call(OPERATIONS["create a sandbox"], "/v2/sandboxes", body, headers=once)
            if not made.get("sandboxID"):
                raise ProtocolError("e2b tells no id of a new sandbox", provider=NAME)
            return {**made, "metadata": body["metadata"]}  # type: ignore[dict-item]

        async def find() -> JsonObject | None:
            found = await self._found(unique)
            return None if found is None else await self._described(str(found["sandboxID"]))

        async def begin() -> E2BComputer:
            fields = await create_once(NAME, unique, send, find, console=CONSOLE, clock=self._clock)
            return self._computer(fields, ttl=ttl, screen=screen, made_with=body)

        async def look() -> str | None:
            found = await self._found(unique)
            return None if found is None else str(found["sandboxID"])

        return await self._owned().make(unique, begin, look)

    async def _found(self, name: str) -> JsonObject | None:
        """Return the sandbox of that name; look more than once, as its request may still be under way."""
        for pause in _LOOKS:
            await anyio.sleep(pause)
            if (found := await self._api.find(name)) is not None:
                return found
        return None

    async def _described(self, sandbox_id: str) -> JsonObject:
        return await self._http.call(OPERATIONS["describe a sandbox"], self._api.path(sandbox_id))

    async def get(self, computer_id: str) -> E2BComputer:
        """Return an existing sandbox, borrowed; one that runs is waited for until it takes commands.

        Raises:
            NotFoundError: If there is none with that id.
        """
        if (own := self._known(computer_id, E2BComputer)) is not None:
            return own
        try:
            fields = await self._described(computer_id)
        except ComputerGoneError as error:
            raise self._unknown(computer_id, error.request_id) from error
        computer = self._computer({**fields, "sandboxID": computer_id})
        await computer.wait_until_up()
        return computer

    async def list(self) -> builtins.list[ComputerInfo]:
        """List the sandboxes that the key may see, running and paused, the oldest first."""
        self._owned()
        found = [computer_info(fields) for fields in await self._api.list()]
        return oldest_first(found)

    def _computer(
        self,
        fields: Mapping[str, JsonValue],
        *,
        ttl: float = DEFAULT_TTL,
        screen: Screen | None = None,
        made_with: Mapping[str, object] | None = None,
    ) -> E2BComputer:
        return E2BComputer(fields, self._api, self._kin, ttl=ttl, screen=screen, made_with=made_with)

    async def _clone(self, original: E2BComputer, name: str) -> E2BComputer:
        """Have a copy made, which is owned like what was created."""
        owner = self._owned()
        before = {str(one.get("sandboxID")) for one in await self._api.list()}

        async def find() -> str | None:
            for pause in _LOOKS:
                await anyio.sleep(pause)
                for one in await self._api.list({"deskhand-name": original.info.name}):
                    if str(one.get("sandboxID")) not in before:
                        return str(one["sandboxID"])
            return None

        async def begin() -> E2BComputer:
            try:
                body = {"timeout": seconds_of(original.ttl), "count": 1}
                made = _forked(await self._api.act("fork a sandbox", original.info.id, "fork", body))
            except DeskhandError as error:
                if error.effect == "no" or (found := await find()) is None:
                    raise
                made = await self._described(found)
            metadata = {**original.info.metadata, "clone": name}
            fields: JsonObject = {**made, "metadata": {**metadata, "deskhand-name": original.info.name}}
            return self._computer(fields, ttl=original.ttl, screen=original.screen, made_with=original.made_with)

        return await owner.make(f"{original.info.name} (copy)", begin, find)

    async def _restore(self, original: E2BComputer, snapshot_id: str) -> E2BComputer:
        """Have a sandbox made of a snapshot, which is owned like what was created."""
        info = original.info
        unique = unique_name(info.name.rpartition("-")[0] or info.name)
        body = restoration_body(unique, snapshot_id, original.ttl, info.metadata, original.made_with)
        try:
            return await self._make(unique, body, original.ttl, original.screen)
        except NotFoundError as error:
            raise NotFoundError(
                f"e2b has no snapshot {snapshot_id}", provider=NAME, request_id=error.request_id
            ) from error

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<E2BProvider {self._http.origin}{'' if self.is_open else ' closed'}>"


def _forked(data: bytes) -> JsonObject:
    """Return the one copy that an answer tells of.

    Raises:
        ProviderError: If it tells why there is none.
        ProtocolError: If it tells neither.
    """
    try:
        made = from_json(data, allow_inf_nan=False)
    except ValueError:
        made = None
    first = made[0] if isinstance(made, list) and made else None
    sandbox, failed = (first.get("sandbox"), first.get("error")) if isinstance(first, dict) else (None, None)
    if isinstance(sandbox, dict) and sandbox.get("sandboxID"):
        return sandbox
    if isinstance(failed, dict):
        raise ProviderError(f"e2b could not fork: {str(failed.get('message'))[:500]}", provider=NAME, effect="no")
    raise ProtocolError("e2b tells no id of the copy", provider=NAME)
