"""One sandbox of MIOSA: a machine without a screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import anyio
from pydantic import JsonValue

from deskhand.errors import (
    ConflictError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers.addresses import check_port, with_path
from deskhand.providers.answers import JsonObject, text
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecStream,
    ShellEndpoint,
    Terminal,
)
from deskhand.providers.execution import checked_timeout
from deskhand.providers.miosa.api import NAME, OPERATIONS, MiosaApi
from deskhand.providers.miosa.commands import SandboxFiles
from deskhand.providers.miosa.discovery import Needs, capabilities_over, survey_routes
from deskhand.providers.miosa.envelope import listed, unwrapped
from deskhand.providers.miosa.machine import COMING_UP, MiosaMachine
from deskhand.providers.miosa.request import whole_seconds
from deskhand.providers.miosa.sandbox_streams import STREAM, TERMINAL, open_events, open_sandbox_terminal
from deskhand.providers.miosa.sockets import socket_uri
from deskhand.providers.readiness import set_going, until
from deskhand.providers.restoring import Kin
from deskhand.providers.shell_commands import Marked

__all__ = ["MiosaSandbox"]

_READINESS: Final = "readiness"
_COMPONENTS: Final = (
    *("command_agent", "process_control", "resource_contract", "clock"),
    *("identity", "durability", "filesystem", "internal_probe"),
)
"""What has to be ready before MIOSA lets commands through."""
_NEEDS: Final[Needs] = {
    Capability.EXEC: ("exec",),
    Capability.FILES: ("exec",),
    Capability.EXEC_STREAM: ("exec", STREAM),
    Capability.TERMINAL: (TERMINAL,),
    Capability.PORTS: ("expose",),
    Capability.EXTEND: ("extend",),
    Capability.PAUSE: ("pause|stop", "resume"),
    Capability.SNAPSHOT: ("snapshots|snapshot", "restore"),
    Capability.CLONE: ("fork",),
}
_OPTIONAL: Final = (_READINESS, "fs/download", "fs/write")
_DOUBLED: Final = (".sandbox.sandbox.preview.", ".sandbox.preview.")
"""What older servers write in an address, and what it should be."""


class MiosaSandbox(MiosaMachine):
    """A sandbox in MIOSA's cloud: shell, files and ports, and no screen.

    Each capability is there as long as its routes are. A sandbox is paused with its memory where its runtime can do
    that, else stopped. A snapshot is restored onto another machine, or in its place, as MIOSA has it: this object is
    then that one. There is no kept shell, and Python runs as a command: MIOSA's own interpreter keeps what was defined
    before, and cannot be ended with everything it started.
    """

    files_type = SandboxFiles

    _kin: Kin[MiosaSandbox]

    def __init__(
        self,
        info: ComputerInfo,
        api: MiosaApi,
        kin: Kin[MiosaSandbox],
        *,
        is_owned: bool = False,
        time: int | None = None,
    ) -> None:
        self._kin = kin
        self._wanted_time = time
        super().__init__(info, api, is_owned=is_owned)

    @property
    def time(self) -> int | None:
        """Seconds after which MIOSA ends one that nobody uses, as far as it is known."""
        told = self._info.raw.get("timeout_sec")
        return told if isinstance(told, int) and told > 0 else None

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this sandbox can do; a route that turns out to be missing takes its capability with it."""
        return capabilities_over(self._api, _NEEDS)

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if capability is Capability.SHELL:
            return "use exec, or a terminal"
        if capability in _NEEDS or capability is Capability.RESIZE:
            return None
        return 'a sandbox has no screen: create it with kind="computer"'

    # Coming up

    async def wait_until_up(self) -> None:
        """Wait until it takes commands, and find out meanwhile what it can do; of one that is off, what others can.

        Raises:
            DeadlineExceededError: If it does not come up in time.
        """
        failure: DeskhandError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._survey)
            if self._info.status not in COMING_UP:
                return
            try:
                await until(f"the miosa sandbox {self._info.id}", self._is_up, provider=NAME)
                await self._keep_time()
            except DeskhandError as error:
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _survey(self) -> None:
        await survey_routes(self._api, self._info.id, (_NEEDS,), _OPTIONAL, socket=TERMINAL)

    async def _is_up(self) -> bool:
        if not await self._is_running():
            return False
        if _READINESS not in self._api.missing:
            with suppress(UnsupportedError):  # which is remembered
                told = await self._api.act("tell whether it takes commands", self._info.id, _READINESS)
                return _is_ready(unwrapped(told))
        if "exec" not in self._api.missing:
            with suppress(UnsupportedError):
                await self._commands.plain("look around", ":")  # refused, for now, by one that is not ready
        return True

    async def _keep_time(self) -> None:
        """Give it the time of what it was made from, where MIOSA gave it another."""
        wanted, self._wanted_time = self._wanted_time, None
        if wanted is not None and wanted != self.time:
            with suppress(UnsupportedError):
                await self._set_time(wanted)

    async def _set_time(self, seconds: int) -> None:
        await self._api.do("set its time", self._info.id, "extend", {"timeout_sec": seconds})
        self._info = replace(self._info, raw={**self._info.raw, "timeout_sec": seconds})

    # Shell

    @asynccontextmanager
    async def _stream(
        self,
        command: str,
        timeout: float | None,
        cwd: str | None,
        env: Mapping[str, str] | None,
        stdin: bytes | None,
    ) -> AsyncIterator[ExecStream]:
        checked_timeout(timeout)
        async with self._noticing(), self._files.given(stdin) as given:
            marked = Marked.of(NAME, command, cwd=cwd, env=env, stdin=given)
            here = (self._api, self._info.id, self._commands, marked)
            async with open_events(*here, timeout=timeout, cwd=cwd) as stream:
                yield stream

    async def shell_endpoint(self) -> ShellEndpoint:
        """Tell where the terminal's socket is; it takes the provider's key in the header ``authorization``."""
        self._check()
        if Capability.TERMINAL not in self.capabilities:
            return ShellEndpoint(kind="exec-only")
        meta = {"header": "authorization", "frames": "json"}
        return ShellEndpoint(kind="websocket", uri=socket_uri(self._api, self._info.id, TERMINAL), meta=meta)

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a terminal; leaving the block ends it. Its exit code is known where MIOSA tells it."""
        self._check(Capability.TERMINAL)
        return self._terminal(columns, rows)

    @asynccontextmanager
    async def _terminal(self, columns: int, rows: int) -> AsyncIterator[Terminal]:
        async with AsyncExitStack() as stack:
            async with self._knowing_socket(TERMINAL):  # what its user does with it says nothing of it
                opening = open_sandbox_terminal(self._api, self._info.id, columns=columns, rows=rows)
                terminal = await stack.enter_async_context(opening)
            yield terminal

    # Ports

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Expose a port and return the URL at which MIOSA serves it."""
        self._check(Capability.PORTS)
        check_port(port)
        async with self._noticing():
            answer = await self._api.act("expose a port", self._info.id, "expose", {"port": port})
        told = {**answer, **unwrapped(answer)}
        address = text(told.get("url")) or text(told.get("preview_url"))
        if address is None:
            raise ProtocolError("miosa tells no address of the port", provider=NAME, effect="yes")
        return with_path(address.replace(*_DOUBLED), path)

    # Life

    async def extend(self, ttl: float) -> None:
        """Say how many seconds it may go unused from now on before MIOSA ends it.

        Raises:
            InvalidInputError: If that is no time, or longer than the plan allows.
        """
        self._check(Capability.EXTEND)
        seconds = whole_seconds(ttl)
        async with self._noticing():
            await self._set_time(seconds)

    async def stop(self) -> None:
        """Pause it with its memory, or stop it where its runtime cannot pause; wait until it is. Its disk is kept."""
        self._check(Capability.PAUSE)
        async with self._noticing():
            await set_going(self._pause, self.refresh, ComputerStatus.STOPPED, ComputerStatus.PAUSED)
            await until(f"the pause of the miosa sandbox {self._info.id}", self._is_stopped, provider=NAME)

    async def _pause(self) -> None:
        if "pause" not in self._api.missing:
            # There is no route for it, which is remembered, or its runtime has no pause.
            with suppress(UnsupportedError, InvalidInputError):
                return await self._api.do("stop a computer", self._info.id, "pause", {})
        return await self._api.do("stop a computer", self._info.id, "stop", {})

    async def start(self) -> None:
        """Let it go on, once what MIOSA saves of it after a pause is saved, and wait until it takes commands."""
        self._check(Capability.PAUSE)
        async with self._noticing():
            await until(f"the miosa sandbox {self._info.id}", self._is_resumed, provider=NAME)
            self._info = replace(self._info, status=ComputerStatus.CREATING)
            await self.wait_until_up()

    async def _is_resumed(self) -> bool:
        info = await self.refresh()
        if info.status in COMING_UP:
            return True
        self._check_there()
        if info.raw.get("checkpoint_pending") is True:
            return False
        try:
            await self._api.do("start a computer", info.id, "resume", {})
        except ConflictError:
            return (await self.refresh()).status in COMING_UP
        return True

    async def clone(self, name: str) -> MiosaSandbox:
        """Make a copy that goes on from here, owned by the provider."""
        self._check(Capability.CLONE)
        async with self._noticing():
            return await self._kin.clone(self, name)

    async def _begin_snapshot(self, name: str) -> JsonObject:
        if "snapshots" not in self._api.missing:
            with suppress(UnsupportedError):  # which is remembered
                return await super()._begin_snapshot(name)
        return unwrapped(await self._api.act("take a snapshot", self._info.id, "snapshot", {}), "snapshot")

    async def _described_snapshot(self, snapshot_id: str) -> JsonObject:
        """Return what the list of snapshots says of one, as it is the one route that tells."""
        answer = await self._api.http.call(OPERATIONS["list snapshots"], self._api.path(self._info.id, "snapshots"))
        for one in listed(answer, "snapshots", "items", provider=NAME):
            if snapshot_id in (one.get("id"), one.get("snapshot_id")):
                return one
        raise NotFoundError(f"miosa's list has no snapshot {snapshot_id}", provider=NAME, effect="unknown")

    def _is_saved(self, snapshot: Mapping[str, JsonValue]) -> bool:
        """Whether it is saved: servers that answer when it is tell no status."""
        return snapshot.get("status", "ready") == "ready"

    async def _become(self, snapshot_id: str) -> MiosaSandbox:
        restored = await self._kin.restore(self, snapshot_id)
        self._be(replace(restored.info, metadata=self._info.metadata))
        return restored


def _is_ready(told: Mapping[str, JsonValue]) -> bool:
    """Whether commands are let through: told as a whole, or part by part."""
    if told.get("ready") is True:
        return True
    inner = told.get("readiness")
    parts = inner.get("components") if isinstance(inner, dict) else None
    parts = parts or told.get("components") or told.get("readiness_components")
    if not isinstance(parts, dict):
        return False
    said = [parts.get(name) for name in _COMPONENTS]
    return all((one.get("status") if isinstance(one, dict) else one) == "ready" for one in said)
