"""What a cloud computer and a sandbox of MIOSA have in common: commands, snapshots, and how they end."""

from __future__ import annotations

import abc
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import ClassVar, Final
from urllib.parse import quote

from pydantic import JsonValue

from deskhand.errors import (
    ComputerGoneError,
    DeskhandError,
    NotFoundError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers.answers import JsonObject, text
from deskhand.providers.contract import Capability, ComputerInfo, ComputerStatus, ExecResult, ExecStream
from deskhand.providers.miosa.api import NAME, OPERATIONS, MiosaApi, computer_info, state_of
from deskhand.providers.miosa.commands import MiosaFiles, line_to
from deskhand.providers.miosa.envelope import machine_in, unwrapped
from deskhand.providers.readiness import until
from deskhand.providers.restoring import RestoringComputer
from deskhand.providers.shell_commands import ShellCommands

__all__ = ["COMING_UP", "MiosaMachine"]

COMING_UP: Final = frozenset({ComputerStatus.RUNNING, ComputerStatus.CREATING})
"""What a computer is doing that can be waited for."""


class MiosaMachine(RestoringComputer):
    """A machine of MIOSA's, of either kind.

    Args:
        info: What is known of it.
        api: The API of its kind.
        is_owned: Whether the provider ends it.
    """

    files_type: ClassVar[type[MiosaFiles]] = MiosaFiles

    def __init__(self, info: ComputerInfo, api: MiosaApi, *, is_owned: bool) -> None:
        super().__init__()
        self._api = api
        self._is_owned = is_owned
        self._homes: dict[str, str] = {}
        self._be(info)

    def _be(self, info: ComputerInfo) -> None:
        """Be the computer with that id."""
        self._info = info
        self._commands = ShellCommands(NAME, line_to(self._api, info.id), self._api.in_background)
        self._files: MiosaFiles = self.files_type(self._api, self._commands, info.id)

    @abc.abstractmethod
    async def wait_until_up(self) -> None:
        """Wait until it can be used, and find out meanwhile what it can do."""

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command; a timeout or cancellation ends it on the computer too, by a second request."""
        self._check(Capability.EXEC)
        async with self._noticing(), self._files.given(stdin) as given:
            return await self._commands.run(command, timeout=timeout, cwd=cwd, env=env, stdin=given)

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command and follow its output, byte for byte; leaving the block ends it and all that it started."""
        self._check(Capability.EXEC_STREAM)
        return self._stream(command, timeout, cwd, env, stdin)

    @abc.abstractmethod
    def _stream(
        self,
        command: str,
        timeout: float | None,
        cwd: str | None,
        env: Mapping[str, str] | None,
        stdin: bytes | None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command and follow it, by the way that this kind of machine has."""

    @asynccontextmanager
    async def _knowing_socket(self, route: str) -> AsyncIterator[None]:
        """Find out what it means that a socket is not there: the computer is not, or the route."""
        try:
            yield
        except UnsupportedError as error:
            if not await self._api.is_there(self._info.id):
                self._notice_gone()
                raise ComputerGoneError(error.message, effect="no", provider=NAME) from error
            self._api.missing.add(route)
            raise

    # Life

    async def _is_running(self) -> bool:
        """Ask whether it runs, where that is not known.

        Raises:
            ComputerGoneError: If it is gone.
            ProviderError: If it has failed.
        """
        if self._info.status is ComputerStatus.RUNNING:
            return True
        info = await self.refresh()
        if info.status is ComputerStatus.DESTROYED:
            raise ComputerGoneError(f"the miosa computer {info.id} is gone", provider=NAME)
        if info.status is ComputerStatus.ERROR:
            raise ProviderError(f"the miosa computer {info.id} has failed", hint="destroy it", provider=NAME)
        return info.status is ComputerStatus.RUNNING

    async def _is_stopped(self) -> bool:
        info = await self.refresh()
        if info.status is ComputerStatus.DESTROYED:
            raise ComputerGoneError(f"the miosa computer {info.id} is gone", provider=NAME)
        return state_of(info.raw) in {"stopped", "paused"}

    async def refresh(self) -> ComputerInfo:
        """Ask MIOSA what the computer is doing, and return its information: that it is gone too."""
        try:
            answer = await self._api.http.call(OPERATIONS["describe a computer"], self._api.path(self._info.id))
        except (ComputerGoneError, NotFoundError):
            self._notice_gone()
            return self._info
        told = computer_info(machine_in(answer), self._info.metadata, source=self._api.source)
        self._info = replace(told, id=self._info.id, screen=self._info.screen)
        return self._info

    async def snapshot(self, name: str) -> str:
        """Save disk and memory, and wait until that is done; the name is the snapshot's comment."""
        self._check(Capability.SNAPSHOT)
        async with self._noticing():
            snapshot = await self._begin_snapshot(name)
            snapshot_id = text(snapshot.get("id")) or text(snapshot.get("snapshot_id"))
            if snapshot_id is None:
                raise ProtocolError("miosa tells no id of the snapshot", provider=NAME)
            self._homes[snapshot_id] = self._info.id

            async def is_ready() -> bool:
                nonlocal snapshot
                _check_snapshot(snapshot_id, snapshot)
                if not self._is_saved(snapshot):
                    snapshot = await self._described_snapshot(snapshot_id)
                return self._is_saved(snapshot)

            await until(f"the snapshot {snapshot_id}", is_ready, provider=NAME)
        return snapshot_id

    async def _begin_snapshot(self, name: str) -> JsonObject:
        answer = await self._api.act("take a snapshot", self._info.id, "snapshots", {"comment": name})
        return unwrapped(answer, "snapshot")

    async def _described_snapshot(self, snapshot_id: str) -> JsonObject:
        path = self._api.path(self._info.id, f"snapshots/{quote(snapshot_id, safe='')}")
        return unwrapped(await self._api.http.call(OPERATIONS["describe a snapshot"], path), "snapshot")

    def _is_saved(self, snapshot: Mapping[str, JsonValue]) -> bool:
        return snapshot.get("status") == "ready"

    def home_of(self, snapshot_id: str) -> str:
        """Return the id of the computer that a snapshot was taken of: its own where another is not known."""
        return self._homes.get(snapshot_id, self._info.id)

    async def _leave(self, computer_id: str) -> None:
        """Stop it only: of the snapshots of a machine that is destroyed nothing could be restored again."""
        await self._api.do("stop a computer", computer_id, "stop")

    async def _end(self, computer_id: str) -> None:
        await self._api.destroy(computer_id)

    async def _notice(self, error: DeskhandError, capability: Capability | None) -> None:
        """Note that the computer is gone where MIOSA itself says so."""
        if isinstance(error, ComputerGoneError):
            await self._notice_if_gone(self._api.is_there)


def _check_snapshot(snapshot_id: str, snapshot: Mapping[str, JsonValue]) -> None:
    """Refuse a snapshot that came to nothing.

    Raises:
        ProviderError: If it did.
    """
    if snapshot.get("status") in {"failed", "deleted"}:
        said = text(snapshot.get("error")) or f"it is {snapshot.get('status')}"
        raise ProviderError(f"the snapshot {snapshot_id} came to nothing: {said[:500]}", provider=NAME)
