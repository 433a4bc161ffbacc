"""One sandbox of E2B."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import ClassVar, Final
from urllib.parse import quote

import anyio
from pydantic import JsonValue
from pydantic_core import from_json

from deskhand.errors import (
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    Effect,
    InvalidInputError,
    OutcomeUnknownError,
    OverloadedError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers.addresses import check_port
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    ExecStream,
    Screen,
    Terminal,
)
from deskhand.providers.e2b.api import NAME, OPERATIONS, E2BApi, computer_info
from deskhand.providers.e2b.desktop import VIEWER_PORT, bring_up, has_viewer, start_viewer
from deskhand.providers.e2b.files import Files
from deskhand.providers.e2b.processes import Processes
from deskhand.providers.e2b.request import DEFAULT_TTL, seconds_of, snapshot_name
from deskhand.providers.e2b.terminal import open_terminal
from deskhand.providers.restoring import Kin, RestoringComputer
from deskhand.providers.shell_desktop import ShellDesktop

__all__ = ["E2BComputer"]

_UP: Final = 60.0
"""Seconds that the daemon may take to answer."""
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
_IN_DOUBT: Final = (OutcomeUnknownError, ConnectionLostError, OverloadedError, ProtocolError, DeadlineExceededError)
"""Errors that may mean that the sandbox is not there any more."""
_ROUTES: Final = {
    "pause": Capability.PAUSE,
    "connect": Capability.PAUSE,
    "timeout": Capability.EXTEND,
    "fork": Capability.CLONE,
    "snapshots": Capability.SNAPSHOT,
}


class E2BComputer(RestoringComputer, ShellDesktop):
    """A sandbox in E2B's cloud.

    Commands, files and terminals go through the daemon inside of it. Its screen is seen and used by ``scrot`` and
    ``xdotool``, where its template has them and an X server: ``desktop`` has. Of a template without them there are
    shell and files. It ends when its time is up, whatever it is doing, unless that is extended.

    A snapshot is restored as another sandbox: this object is then that one, with another ``info.id``, and the former is
    destroyed. There is no kept shell, and no other screen size afterwards.
    """

    is_output_exact: ClassVar[bool] = True
    gone_words = "the {provider} computer {id} is gone"

    _kin: Kin[E2BComputer]

    def __init__(
        self,
        fields: Mapping[str, JsonValue],
        api: E2BApi,
        kin: Kin[E2BComputer],
        *,
        ttl: float = DEFAULT_TTL,
        screen: Screen | None = None,
        made_with: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self._api = api
        self._kin = kin
        self._ttl = ttl
        self._wanted_screen = screen
        self._made_with: Mapping[str, object] = made_with or {}
        self._is_owned = self._is_new = made_with is not None
        self._be(computer_info(fields), api.domain_of(fields), Processes(api, api.daemon(fields)))
        self._has_viewer = False
        self._missing: set[Capability] = set()

    def _be(self, info: ComputerInfo, domain: str, processes: Processes) -> None:
        """Be the sandbox with that id, whose processes these are."""
        self._info = info
        self._domain = domain
        self._processes = processes
        self._files: Files = Files(self._api, processes)

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer, as of the last time that E2B told."""
        return replace(self._info, screen=self.screen)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; a route that turns out to be missing takes its capability with it."""
        lacking = {_ROUTES[route] for route in self._api.missing} | self._missing
        if not self._has_viewer:
            lacking.add(Capability.LIVE_VIEW)
        return super().capabilities - lacking

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if capability is Capability.SHELL:
            return "use exec, or a terminal"
        if capability is Capability.LIVE_VIEW:
            return "spec.image names a template with x11vnc and noVNC: desktop has them"
        return super()._unsupported_hint(capability)

    def _check_there(self) -> None:
        super()._check_there()
        if self._info.status is ComputerStatus.PAUSED:
            raise self._asleep("no")

    # Coming up

    async def wait_until_up(self) -> None:
        """Wait until it takes commands, and find its desktop; of a new one, start that.

        Raises:
            DeadlineExceededError: If it does not come up in time.
        """
        if self._info.status is not ComputerStatus.RUNNING:
            return
        async with self._noticing():
            await self._until_healthy()
            if self._is_new:
                await bring_up(self._processes, self._wanted_screen)
            await self.find_desktop()
            self._has_viewer = self.screen is not None and await has_viewer(self._processes)
        self._is_new = False

    async def _until_healthy(self) -> None:
        ends, attempt = anyio.current_time() + _UP, 0
        while True:
            try:
                await self._processes.daemon.get(OPERATIONS["tell its health"], "/health")
            except DeskhandError as error:
                if not error.retryable:
                    raise
                pause = _PAUSES[min(attempt, len(_PAUSES) - 1)]
                if anyio.current_time() + pause > ends:
                    raise DeadlineExceededError(
                        f"the e2b computer {self._info.id} was not up after {_UP:g} s: {error.message}",
                        effect="yes",
                        provider=NAME,
                    ) from error
            else:
                return
            attempt += 1
            await anyio.sleep(pause)

    # Shell

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command; a timeout or cancellation ends it in the sandbox too, with all that it started."""
        self._check(Capability.EXEC)
        async with self._noticing(), self._files.given(stdin) as given:
            return await self._processes.run(command, timeout=timeout, cwd=cwd, env=env, stdin=given)

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command and follow its output; leaving the block ends it."""
        self._check(Capability.EXEC_STREAM)
        return self._exec_stream(command, timeout, cwd, env, stdin)

    @asynccontextmanager
    async def _exec_stream(
        self,
        command: str,
        timeout: float | None,
        cwd: str | None,
        env: Mapping[str, str] | None,
        stdin: bytes | None,
    ) -> AsyncIterator[ExecStream]:
        async with (
            self._noticing(),
            self._files.given(stdin) as given,
            self._processes.stream(command, timeout=timeout, cwd=cwd, env=env, stdin=given) as stream,
        ):
            yield stream

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a terminal; leaving the block ends it."""
        self._check(Capability.TERMINAL)
        return self._terminal(columns, rows)

    @asynccontextmanager
    async def _terminal(self, columns: int, rows: int) -> AsyncIterator[Terminal]:
        async with self._noticing(), AsyncExitStack() as stack:
            async with self._noticing(Capability.TERMINAL):  # what its user does with it says nothing of it
                opened = open_terminal(self._processes, lambda: self._lost(Capability.TERMINAL), columns, rows)
                terminal = await stack.enter_async_context(opened)
            yield terminal

    # Ports, life

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Return the address at which anybody can reach a port of the sandbox."""
        self._check(Capability.PORTS)
        check_port(port)
        return f"https://{port}-{self._info.id}.{self._domain}/{quote(path.lstrip('/'), safe='/?&=%#')}"

    async def live_view_url(self) -> str:
        """Start a viewer and return the page on which a person can watch the screen, its password in the address.

        An address that was returned before does not open it any more.
        """
        self._check(Capability.LIVE_VIEW)
        async with self._noticing():
            password = await start_viewer(self._processes)
        page = "vnc.html?autoconnect=true&resize=scale&view_only=true&password="
        return await self.preview_url(VIEWER_PORT, page + password)

    async def extend(self, ttl: float) -> None:
        """Say how many seconds it is kept, from now on.

        Raises:
            InvalidInputError: If that is no time, or longer than the plan allows.
        """
        self._check(Capability.EXTEND)
        seconds = seconds_of(ttl)
        async with self._noticing():
            await self._api.act("set its time", self._info.id, "timeout", {"timeout": seconds})
        self._ttl = ttl

    async def stop(self) -> None:
        """Pause it, its memory kept; that it is paused already is no error. Its time does not go on meanwhile."""
        if self._info.status is ComputerStatus.PAUSED:
            return
        self._check(Capability.PAUSE)
        async with self._noticing():
            with suppress(ConflictError):
                await self._api.act("pause a sandbox", self._info.id, "pause", {})
        self._info = replace(self._info, status=ComputerStatus.PAUSED)

    async def start(self, *, from_disk: bool = False) -> None:
        """Let it go on where it was paused, for as long as it was given at first.

        Args:
            from_disk: Whether it starts anew from its disk, its memory lost: the way for one whose memory E2B cannot
                restore.
        """
        if self._info.status is ComputerStatus.DESTROYED:
            self._check_there()
        self.require(Capability.PAUSE)
        async with self._noticing():
            body = {"timeout": seconds_of(self._ttl), **({"memory": False} if from_disk else {})}
            answer = await self._api.act("resume a sandbox", self._info.id, "connect", body)
            fields = _object(answer)
            self._processes.daemon = self._api.daemon({**self._info.raw, **fields})
            self._info = replace(self._info, status=ComputerStatus.RUNNING)
            self._is_new = self._is_new or from_disk  # its desktop is not up
            await self.wait_until_up()

    async def refresh(self) -> ComputerInfo:
        """Ask E2B what the computer is doing, and return its information: that it is gone too."""
        try:
            fields = await self._api.http.call(OPERATIONS["describe a sandbox"], self._api.path(self._info.id))
        except ComputerGoneError:
            self._notice_gone()
            return self.info
        self._info = replace(computer_info(fields), id=self._info.id)
        return self.info

    async def clone(self, name: str) -> E2BComputer:
        """Make a copy that goes on from here, owned by the provider; ``name`` is kept as metadata."""
        self._check(Capability.CLONE)
        if not name:
            raise InvalidInputError("a clone needs a name")
        return await self._kin.clone(self, name)

    async def snapshot(self, name: str) -> str:
        """Save disk and memory; it pauses meanwhile. The snapshot stays when the computer ends, until it is deleted.

        Args:
            name: What the snapshot's name at E2B begins with; a suffix makes it the only one of that name.
        """
        self._check(Capability.SNAPSHOT)
        body = {"name": snapshot_name(name)}
        async with self._noticing():
            answer = _object(await self._api.act("take a snapshot", self._info.id, "snapshots", body))
        snapshot_id = answer.get("snapshotID")
        if not isinstance(snapshot_id, str) or not snapshot_id:
            raise ProtocolError("e2b tells no id of the snapshot", provider=NAME)
        return snapshot_id

    async def _become(self, snapshot_id: str) -> E2BComputer:
        restored = await self._kin.restore(self, snapshot_id)
        self._be(replace(restored._info, metadata=self._info.metadata), restored._domain, restored._processes)
        self._has_viewer = restored._has_viewer
        self._desktop = restored._desktop
        return restored

    async def _leave(self, computer_id: str) -> None:
        await self._end(computer_id)

    async def _end(self, computer_id: str) -> None:
        await self._api.destroy(computer_id)

    @property
    def made_with(self) -> Mapping[str, object]:
        """The request that it was created with; empty of one that was created elsewhere."""
        return self._made_with

    @property
    def ttl(self) -> float:
        """Seconds that it is kept when it is created, resumed or copied."""
        return self._ttl

    async def _notice(self, error: DeskhandError, capability: Capability | None) -> None:
        """Ask what became of the sandbox where an error says that it is gone, or may mean it; note a missing route."""
        if isinstance(error, UnsupportedError) and capability is not None:
            self._lost(capability)
        elif isinstance(error, (ComputerGoneError, *_IN_DOUBT)) and not self._is_ended:
            status = self._info.status
            with suppress(DeskhandError):  # then what went wrong first is told
                status = await self._api.look(self._info.id)
            self._info = replace(self._info, status=status)
            if status is ComputerStatus.DESTROYED and not isinstance(error, ComputerGoneError):
                raise ComputerGoneError(
                    f"the e2b computer {self._info.id} ended, or its time was up, meanwhile: {error.message}",
                    effect=error.effect,
                    provider=NAME,
                ) from error
            if status is ComputerStatus.PAUSED and isinstance(error, ComputerGoneError):  # its daemon is not found
                raise self._asleep(error.effect) from error

    def _lost(self, capability: Capability) -> None:
        """Note that a route is not there, and with it what needs it."""
        self._missing.add(capability)

    def _asleep(self, effect: Effect) -> ConflictError:
        said = f"the e2b computer {self._info.id} is paused"
        return ConflictError(said, hint="start() lets it go on", effect=effect, provider=NAME)


def _object(data: bytes) -> dict[str, JsonValue]:
    try:
        value = from_json(data, allow_inf_nan=False)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProtocolError("e2b's answer is no JSON object", provider=NAME)
    return value
