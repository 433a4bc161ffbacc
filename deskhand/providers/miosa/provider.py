"""Creates, gets and lists the cloud computers of an account at MIOSA."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import ClassVar
from urllib.parse import quote

from pydantic import JsonValue, SecretStr

from deskhand.errors import ComputerGoneError
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import ComputerInfo, ComputerSpec
from deskhand.providers.creation import id_of, unique_name
from deskhand.providers.hosted import HostedProvider, oldest_first
from deskhand.providers.http import OwnClient
from deskhand.providers.miosa.api import NAME, OPERATIONS, MiosaApi, computer_info
from deskhand.providers.miosa.computer import Idle, MiosaComputer
from deskhand.providers.miosa.directory import Directory
from deskhand.providers.miosa.envelope import unwrapped
from deskhand.providers.miosa.request import ATTRIBUTION, creation_body, idle_seconds
from deskhand.providers.miosa.service import KEY_HINT, miosa_client
from deskhand.providers.restoring import Kin

__all__ = ["MiosaProvider"]


class MiosaProvider(HostedProvider):
    """Cloud computers of MIOSA, over its HTTP API.

    What it creates is destroyed when it is left; should this process be killed, each computer stops by itself after an
    idle time. A computer's name gets a suffix, by which it is found again where the answer was lost on the way: MIOSA
    would make another of a request that is sent twice, so that it never is.

    Args:
        api_key: The key; ``MIOSA_API_KEY`` where neither is given.
        access_token: A token in its place; ``MIOSA_ACCESS_TOKEN``, which counts first, where neither is given.
        base_url: Where the API is, with or without ``/api/v1``; ``MIOSA_BASE_URL``, else MIOSA's own.
        tenant: Whose account is used, where the key has several; ``MIOSA_TENANT``.
        workspace_id: The workspace to create in and to list; the key's own, and all that it may see, where not given.
        timeout: The longest that a request may take in seconds, where a shorter time does not hold anyway.
        http_client: A client of the caller's own, which is left open.
    """

    name: ClassVar[str] = NAME

    def __init__(
        self,
        *,
        api_key: str | SecretStr | None = None,
        access_token: str | SecretStr | None = None,
        base_url: str | None = None,
        tenant: str | None = None,
        workspace_id: str | None = None,
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
        )
        self._api = MiosaApi(self._http, self._in_background)
        self._workspace_id = workspace_id
        self._directory = Directory(self._api, workspace_id)
        self._kin: Kin[MiosaComputer] = Kin(self._clone, self._restore)

    def _check_ready(self) -> None:
        self._check_key(self._http, KEY_HINT)

    def _connections(self) -> AbstractAsyncContextManager[object]:
        return self._http

    async def _destroy(self, computer_id: str) -> None:
        await self._api.destroy(computer_id)

    async def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> MiosaComputer:
        """Create a computer, wait until its desktop is up, and find out what it can do.

        Args:
            name: What its name begins with.
            spec: ``image`` is the template, ``ttl`` the idle time after which it stops by itself (an hour where not
                given), ``env`` its variables. ``metadata`` is kept with it; of that, ``workspace_id``,
                ``external_workspace_id`` and ``external_project_id`` say for whom its usage is counted. Cores, memory,
                disk and screen come with the template and the option ``size``, and are refused.
            **vendor_options: What MIOSA takes besides: ``size`` (xs to xl), the three of the metadata above,
                ``environment``, ``environment_id``, ``setup_file``, ``agent_runtime_profile_id``, ``no_env``,
                ``fail_fast``, ``compute_placement_request``.

        Raises:
            InvalidInputError: If the spec or an option cannot be honoured.
            QuotaError: If the plan or the balance allows no more.
            OutcomeUnknownError: If nobody can tell whether there is one; leaving the provider looks for it once more.
        """
        owner, spec = self._owned(), spec or ComputerSpec()
        if self._workspace_id is not None and "workspace_id" not in spec.metadata:
            vendor_options = {"workspace_id": self._workspace_id, **vendor_options}
        unique = unique_name(name)
        body = creation_body(unique, spec, vendor_options)
        whose: dict[str, str] = {key: str(body[key]) for key in ATTRIBUTION if key in body}

        async def begin() -> MiosaComputer:
            info = computer_info(await self._directory.create(body), {**spec.metadata, **whose})
            idle = Idle(idle_seconds(spec), is_wanted=spec.ttl is not None)
            return MiosaComputer(info, self._api, self._kin, is_owned=True, idle=idle)

        return await owner.make(unique, begin, lambda: id_of(self._directory.named(unique)))

    async def get(self, computer_id: str) -> MiosaComputer:
        """Return an existing computer, borrowed; one that runs is waited for until its desktop is up.

        Raises:
            NotFoundError: If there is none with that id.
        """
        if (own := self._known(computer_id, MiosaComputer)) is not None:
            return own
        try:
            fields = await self._http.call(OPERATIONS["describe a computer"], self._api.path(computer_id))
        except ComputerGoneError as error:
            raise self._unknown(computer_id, error.request_id) from error
        info = computer_info({"id": computer_id, **unwrapped(fields, "computer")})
        computer = MiosaComputer(info, self._api, self._kin)
        await computer.wait_until_up()
        return computer

    async def list(self) -> builtins.list[ComputerInfo]:
        """List the computers that the key may see, of the workspace where one is given, the oldest first."""
        self._owned()
        found = [computer_info(fields) for fields in await self._directory.computers()]
        return oldest_first(found)

    def _copy(self, fields: Mapping[str, JsonValue], original: MiosaComputer) -> MiosaComputer:
        info = computer_info(fields, original.info.metadata)
        return MiosaComputer(info, self._api, self._kin, is_owned=True, idle=Idle(original.idle_seconds))

    async def _clone(self, original: MiosaComputer, name: str) -> MiosaComputer:
        """Have a copy made, which is owned like what was created."""
        owner, unique = self._owned(), unique_name(name)

        async def send() -> JsonObject:
            return await self._api.act("clone a computer", original.info.id, "clone", {"name": unique})

        async def begin() -> MiosaComputer:
            fields = await self._directory.copied(send, lambda: self._directory.named(unique))
            return self._copy(fields, original)

        return await owner.make(unique, begin, lambda: id_of(self._directory.named(unique)))

    async def _restore(self, original: MiosaComputer, snapshot_id: str) -> MiosaComputer:
        """Have a computer made of a snapshot, which is owned like what was created; the vendor gives it its name."""
        owner = self._owned()
        before = {str(one.get("id")) for one in await self._directory.computers()}
        path = self._api.path(original.home_of(snapshot_id), f"restore/{quote(snapshot_id, safe='')}")

        def is_it(one: JsonObject) -> bool:
            return str(one.get("id")) not in before and str(one.get("name")).startswith(original.info.name)

        async def send() -> JsonObject:
            return await self._http.call(OPERATIONS["restore a snapshot"], path)

        async def begin() -> MiosaComputer:
            fields = await self._directory.copied(send, lambda: self._directory.find(is_it))
            return self._copy(fields, original)

        called = f"{original.info.name} (of the snapshot {snapshot_id})"
        return await owner.make(called, begin, lambda: id_of(self._directory.find(is_it)))

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<MiosaProvider {self._http.origin}{'' if self.is_open else ' closed'}>"
