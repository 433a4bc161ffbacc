"""Creates, gets and lists the computers of an account at Orgo."""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import ClassVar, Final, Self

import anyio
import anyio.abc
from pydantic import JsonValue, SecretStr

from deskhand.errors import (
    ComputerGoneError,
    ConfigError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
)
from deskhand.logs import package_logger
from deskhand.providers.contract import ComputeProvider, ComputerInfo, ComputerSpec
from deskhand.providers.http import HttpClient, OwnClient
from deskhand.providers.orgo.api import KEY_HINT, NAME, OPERATIONS, ROWS, JsonObject, OrgoApi, computer_info
from deskhand.providers.orgo.computer import OrgoComputer
from deskhand.providers.orgo.directory import Directory
from deskhand.providers.orgo.ownership import Owner
from deskhand.providers.orgo.request import creation_body, unique_name

__all__ = ["OrgoProvider"]

_log = package_logger(__name__)

BASE_URL: Final = "https://www.orgo.ai/api"
AGENT_MODEL: Final = "claude-sonnet-4.6"

_AUTO_STOP: Final = re.compile(r"(?i)auto.?stop")
"""What a refusal is about that is about the idle time."""
_BACKGROUND: Final = 20.0
"""Seconds for what is done although whoever asked for it has left."""


class OrgoProvider(ComputeProvider):
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
        self._leave = anyio.Event()
        self._outer: anyio.abc.TaskGroup | None = None
        self._tasks: anyio.abc.TaskGroup | None = None
        self._owner: Owner | None = None

    async def __aenter__(self) -> Self:
        """Open the connections.

        Raises:
            ConfigError: If there is no key.
        """
        if self._outer is not None:
            raise ConflictError("this provider is open already", hint="make one provider for each `async with`")
        if not self._http.has_key:
            raise ConfigError("there is no key for orgo", hint=KEY_HINT, provider=NAME, code="no_key")
        self._leave, opened = anyio.Event(), anyio.Event()  # it may be opened again when it was left
        self._outer = await anyio.create_task_group().__aenter__()
        self._outer.start_soon(self._live, self._leave, opened, name="orgo provider")
        try:
            await opened.wait()
        except BaseException:  # cancelled too
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Destroy what was created here and neither destroyed nor kept, and close the connections."""
        del exc_type, traceback
        owner, self._owner = self._owner, None
        is_cancelled = exc is not None and not isinstance(exc, Exception)
        try:
            await self._end()
        except anyio.get_cancelled_exc_class():
            is_cancelled = True
            raise
        finally:
            failed = owner.left_behind() if owner is not None else []
            for error in failed:
                if is_cancelled:  # nobody reads the notes of a cancellation
                    _log.warning("%s", error.__notes__[-1])
                elif exc is not None:
                    exc.add_note(error.__notes__[-1])
        if failed and exc is None:
            raise failed[0] if len(failed) == 1 else ExceptionGroup("orgo computers could not be destroyed", failed)

    async def _live(self, leave: anyio.Event, opened: anyio.Event) -> None:
        """Own connections and computers, from opening the provider until all of them have ended in order.

        A task of its own: whatever cancels the one that opened the provider, in whatever way, does not reach it.
        """
        with anyio.CancelScope(shield=True):
            try:
                async with self._http, anyio.create_task_group() as tasks:
                    self._tasks = tasks
                    owner = self._owner = Owner(self._api, tasks)
                    opened.set()
                    await leave.wait()
                    owner.release()
            finally:
                self._tasks = None

    async def _end(self) -> None:
        outer, self._outer = self._outer, None
        if outer is not None:
            self._leave.set()
            # No computer raises into the group; told of the block's own error, it would wrap that in a group.
            await outer.__aexit__(None, None, None)

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
        owner, spec = self._opened(), spec or ComputerSpec()
        unique = unique_name(name)
        creation_body(unique, "", spec, vendor_options)  # refused before anything is asked
        given = vendor_options.get("workspace_id")
        workspace_id = str(given) if given else await self._directory.workspace()
        body = creation_body(unique, workspace_id, spec, vendor_options)

        async def begin() -> OrgoComputer:
            return self._computer(await self._created(body, is_ttl_wanted=spec.ttl is not None), spec.metadata)

        return await owner.make(unique, begin, lambda: self._directory.find(unique))

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
        owner = self._opened()
        if not computer_id or not computer_id.isprintable():
            raise InvalidInputError(f"{computer_id!r} is no computer's id")
        if (own := owner.computer(computer_id)) is not None:
            return own
        try:
            fields = await self._http.call(OPERATIONS["describe a computer"], self._api.path(computer_id))
        except ComputerGoneError as error:
            raise NotFoundError(
                f"orgo has no computer {computer_id}",
                hint="deskhand ls tells which there are",
                provider=NAME,
                request_id=error.request_id,
            ) from error
        computer = self._computer({"id": computer_id, **fields})
        await computer.wait_until_up()
        return computer

    async def list(self) -> builtins.list[ComputerInfo]:
        """List the computers of all workspaces that the key may see, the oldest first."""
        owner = self._opened()
        found = [computer_info(fields) for fields in await self._directory.computers()]
        own = {info.id: computer for info in found if (computer := owner.computer(info.id)) is not None}
        told = [
            replace(info, metadata=own[info.id].info.metadata) if info.id in own else info  # Orgo keeps none
            for info in found
        ]
        return sorted(told, key=lambda info: (info.created_at.timestamp() if info.created_at else 0.0, info.id))

    def _opened(self) -> Owner:
        if self._owner is None:
            raise ConflictError("this provider is not open", hint="async with OrgoProvider() as provider: ...")
        return self._owner

    def _computer(self, fields: Mapping[str, JsonValue], metadata: Mapping[str, str] | None = None) -> OrgoComputer:
        info = computer_info(fields, metadata)
        return OrgoComputer(info, self._api, agent_model=self._agent_model, adopt=self._clone)

    async def _clone(self, original: OrgoComputer, name: str) -> OrgoComputer:
        """Have a copy made, which is owned like what was created."""
        owner = self._opened()
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

        return await owner.make(f"{original.info.name} (clone)", begin, find)

    async def _in_background(self, do: Callable[[], Awaitable[None]]) -> None:
        """Do something to its end, and wait for that, whatever becomes of this task."""
        tasks = self._tasks
        if tasks is None:
            return  # the computers of a provider that was left are gone, or somebody else's
        done = anyio.Event()

        async def run() -> None:
            with anyio.move_on_after(_BACKGROUND, shield=True):
                with suppress(DeskhandError):  # nobody waits for it who could do more
                    await do()
            done.set()

        tasks.start_soon(run)
        with anyio.CancelScope(shield=True):
            await done.wait()

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<OrgoProvider {self._http.origin}{'' if self._owner else ' closed'}>"
