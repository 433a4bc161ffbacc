"""Creates, gets and lists the cloud computers and the sandboxes of an account at MIOSA."""

from __future__ import annotations

import builtins
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import ClassVar, Final, Literal, TypeAlias, TypeVar, get_args, overload

from pydantic import SecretStr

from deskhand.errors import (
    ComputerGoneError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedError,
)
from deskhand.providers.contract import ComputerInfo, ComputerSpec
from deskhand.providers.hosted import HostedProvider, oldest_first
from deskhand.providers.http import OwnClient
from deskhand.providers.miosa.account import KEY_HINT
from deskhand.providers.miosa.api import NAME, MiosaApi, SandboxApi
from deskhand.providers.miosa.computer import MiosaComputer
from deskhand.providers.miosa.fleets import Computers, Sandboxes
from deskhand.providers.miosa.sandbox import MiosaSandbox
from deskhand.providers.miosa.service import miosa_client
from deskhand.providers.options import meant
from deskhand.providers.specs import checked_spec

__all__ = ["MiosaKind", "MiosaProvider"]

MiosaKind: TypeAlias = Literal["computer", "sandbox"]
"""What MIOSA has: computers with a desktop, and sandboxes without."""

T = TypeVar("T")

_KINDS: Final[tuple[MiosaKind, ...]] = get_args(MiosaKind)


class MiosaProvider(HostedProvider):
    """Cloud computers and sandboxes of MIOSA, over its HTTP API.

    What it creates is destroyed when it is left; should this process be killed, each computer stops by itself after an
    idle time. A computer's name gets a suffix, by which it is found again where the answer was lost on the way: MIOSA
    would make another computer of a request that is sent twice, so that it never is. A request for a sandbox bears a
    key, with which MIOSA makes one of it however often it comes.

    Args:
        api_key: The key; ``MIOSA_API_KEY`` where neither is given.
        access_token: A token in its place; ``MIOSA_ACCESS_TOKEN``, which counts first, where neither is given.
        base_url: Where the API is, with or without ``/api/v1``; ``MIOSA_BASE_URL``, else MIOSA's own.
        tenant: Whose account is used, where the key has several; ``MIOSA_TENANT``.
        workspace_id: The workspace to create in and to list; the key's own, and all that it may see, where not given.
        kind: What `create` makes where it is not told: a ``computer`` with a desktop, or a ``sandbox`` without;
            ``MIOSA_KIND``, else ``computer``.
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
        kind: MiosaKind | None = None,
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
        self._kind = checked_kind(kind or os.environ.get("MIOSA_KIND") or "computer")
        self._fleets: dict[MiosaKind, Computers | Sandboxes] = {
            "computer": Computers(MiosaApi(self._http, self._in_background), self._owned, workspace_id),
            "sandbox": Sandboxes(SandboxApi(self._http, self._in_background), self._owned, workspace_id),
        }

    def _check_ready(self) -> None:
        self._check_key(self._http, KEY_HINT)

    def _connections(self) -> AbstractAsyncContextManager[object]:
        return self._http

    async def _destroy(self, computer_id: str) -> None:
        try:
            await self._wherever(computer_id, lambda fleet: fleet.destroy(computer_id))
        except NotFoundError as error:
            raise ComputerGoneError(error.message, effect="no", provider=NAME) from error

    @overload
    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, kind: Literal["computer"], **vendor_options: object
    ) -> MiosaComputer: ...

    @overload
    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, kind: Literal["sandbox"], **vendor_options: object
    ) -> MiosaSandbox: ...

    @overload
    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object
    ) -> MiosaComputer | MiosaSandbox: ...

    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object
    ) -> MiosaComputer | MiosaSandbox:
        """Create a computer, wait until it can be used, and find out what it can do.

        Args:
            name: What its name begins with.
            spec: ``image`` is the template, ``ttl`` the time after which one that nobody uses stops by itself (an hour
                where not given), ``env`` its variables. ``metadata`` is kept with it; of that, ``workspace_id``,
                ``external_workspace_id`` and ``external_project_id`` say for whom its usage is counted. Cores, memory
                and disk are a sandbox's alone: those of a computer come with the template and the option ``size``. A
                screen is the template's.
            **vendor_options: ``kind`` is ``computer``, with a desktop, or ``sandbox``, without; the provider's own
                where not given. What MIOSA takes besides: ``size`` (xs to xl), the three of the metadata above,
                ``environment``, ``setup_file``, ``agent_profile_id``, ``fail_fast``, ``compute_placement_request``
                and more; for a sandbox also ``persistent``, ``always_on``, ``idle_timeout_sec``, ``region``,
                ``runtime_profile``, ``tags`` and more, as docs/miosa.md tells.

        Raises:
            InvalidInputError: If the spec or an option cannot be honoured.
            QuotaError: If the plan or the balance allows no more.
            OutcomeUnknownError: If nobody can tell whether there is one; leaving the provider looks for it once more.
        """
        fleet = self._fleets[checked_kind(vendor_options.pop("kind", None) or self._kind)]
        return await fleet.create(name, checked_spec(spec), vendor_options)

    async def get(self, computer_id: str) -> MiosaComputer | MiosaSandbox:
        """Return an existing computer or sandbox, borrowed; one that runs is waited for until it can be used.

        Raises:
            NotFoundError: If there is none with that id.
        """
        own = self._known(computer_id, MiosaComputer) or self._known(computer_id, MiosaSandbox)
        if own is not None:
            return own

        async def ask(fleet: Computers | Sandboxes) -> MiosaComputer | MiosaSandbox:
            return await fleet.get(computer_id)

        return await self._wherever(computer_id, ask)

    async def list(self) -> builtins.list[ComputerInfo]:
        """List the computers and sandboxes that the key may see, of the workspace where one is given, the oldest first.

        ``source`` says which of the two each is.
        """
        self._owned()
        found: builtins.list[ComputerInfo] = []
        lacking: builtins.list[DeskhandError] = []
        for fleet in self._fleets.values():
            try:
                found += await fleet.list()
            except (
                NotFoundError,
                PermissionDeniedError,
                UnsupportedError,
            ) as error:  # an API or a key for one
                lacking.append(error)
        if len(lacking) == len(self._fleets):
            raise lacking[0]
        return oldest_first(found)

    async def _wherever(self, computer_id: str, do: Callable[[Computers | Sandboxes], Awaitable[T]]) -> T:
        """Do something with what has an id, of the usual kind or else of the other.

        Raises:
            NotFoundError: If neither is there.
            PermissionDeniedError: If the key may not look for one of both, and the other is not there.
            UnsupportedError: If one of both cannot be looked for, and the other is not there.
        """
        denied: PermissionDeniedError | UnsupportedError | None = None
        missing: ComputerGoneError | NotFoundError | None = None
        for kind in sorted(self._fleets, key=lambda one: one != self._kind):
            try:
                return await do(self._fleets[kind])
            except (ComputerGoneError, NotFoundError) as error:
                missing = error
            except (PermissionDeniedError, UnsupportedError) as error:  # a key or an API may be for the other kind
                denied = error
        if denied is not None:
            raise denied
        raise self._unknown(computer_id, missing.request_id if missing is not None else None) from missing

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<MiosaProvider {self._http.origin}{'' if self.is_open else ' closed'}>"


def checked_kind(kind: object) -> MiosaKind:
    """Return one of the kinds that there are.

    Raises:
        InvalidInputError: If there is no such kind.
    """
    for one in _KINDS:
        if kind == one:
            return one
    raise InvalidInputError(
        f"miosa has no kind {kind!r}{meant(str(kind), _KINDS)}", hint=f"kinds: {', '.join(_KINDS)}", provider=NAME
    )
