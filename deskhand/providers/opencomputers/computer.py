"""One machine of somebody's own, which MIOSA's agent connects to OpenComputers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

import anyio
from pydantic import SecretStr

from deskhand.errors import (
    ComputerGoneError,
    DeadlineExceededError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers.answers import text
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    ExecStream,
    ShellEndpoint,
)
from deskhand.providers.hosted_computer import HostedComputer
from deskhand.providers.needs import INPUT
from deskhand.providers.opencomputers.agent import AGENT, prompt_agent
from deskhand.providers.opencomputers.api import NAME, HostApi, host_info
from deskhand.providers.opencomputers.commands import EXEC, HostCommands
from deskhand.providers.opencomputers.files import HostFiles
from deskhand.providers.opencomputers.jobs import HostJob, list_jobs, start_job
from deskhand.providers.opencomputers.tunnels import TUNNELS, Tunnels
from deskhand.providers.shell_desktop import ShellDesktop

__all__ = ["OpenComputersComputer"]

_PAUSES: Final = (0.2, 0.5, 1.0, 2.0)
_QUESTION: Final = r"""exec 2>/dev/null </dev/null
find / -maxdepth 0 -printf '' && stat -c %s / >&2 && printf '' | base64 -w0 && echo files
echo commands"""
"""Asks whether there is bash, and whether the programs are those that files are handled with."""

_SCREEN: Final = INPUT | {Capability.SCREENSHOT, Capability.REGION, Capability.CURSOR}
_ROUTES: Final[Mapping[Capability, str]] = {
    **dict.fromkeys((Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES, *_SCREEN), EXEC),
    Capability.PORTS: TUNNELS,
    Capability.PROMPT: AGENT,
}
"""The route without which a capability is not there."""


class OpenComputersComputer(HostedComputer, ShellDesktop):
    """A machine of one's own, registered at OpenComputers, as long as its agent is connected.

    Commands go over the vendor's route, stdout and stderr apart; files by commands where the machine has GNU's
    programs, large ones over the vendor's routes for files. Screen and input are `ShellDesktop`'s: they are there where
    the machine has an X display, ``xdotool`` and ``scrot``. What was found is asked once, when the machine is first
    seen online. The frames of the vendor's terminal are not public, so there is no `terminal`; `shell_endpoint` tells
    where it is, with a ticket.

    Only a host that was registered from here, now or in another program, is ever revoked by `destroy`.

    Attributes:
        host_key: The key that the machine's agent is started with; told once, to whoever registered the host.
    """

    gone_words = "the {provider} host {id} is revoked"

    def __init__(
        self,
        info: ComputerInfo,
        api: HostApi,
        tunnels: Tunnels,
        *,
        is_deskhands: bool,
        host_key: SecretStr | None = None,
    ) -> None:
        self._info = info
        self._api = api
        self._tunnels = tunnels
        self._is_deskhands = is_deskhands
        self.host_key: SecretStr | None = host_key
        self._commands = HostCommands(api, info.id)
        self._files: HostFiles = HostFiles(api, info.id, self._commands)
        self._abilities = frozenset[Capability]()
        self._is_known = False

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer, as of the last time that the vendor told."""
        return replace(self._info, screen=self.screen)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do: nothing until its agent has connected; less where a route is missing."""
        desktop = super().capabilities & _SCREEN if self._desktop is not None else frozenset[Capability]()
        return frozenset(one for one in self._abilities | desktop if _ROUTES[one] not in self._api.missing)

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if not self._is_known:
            return "its agent has not connected: start miosa-host with the host's key, then wait_until_online()"
        if capability is Capability.TERMINAL:
            return "shell_endpoint() tells where the vendor's terminal is; from here, use exec or exec_stream"
        if capability is Capability.FILES and Capability.EXEC in self._abilities:
            return "it needs GNU's find, stat and base64 on the machine; move files with exec"
        if capability in {Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES}:
            return "it needs bash on the machine"
        return super()._unsupported_hint(capability)

    def require(self, *capabilities: Capability) -> None:
        """Check that this computer is there and can do all of these."""
        self._check_there()
        super().require(*capabilities)

    # Coming up

    async def wait_until_up(self) -> None:
        """Find out what a host that is online can do; of one that is not there is nothing to find out yet."""
        if self._info.status is ComputerStatus.RUNNING and not self._is_known:
            await self._look_around()

    async def wait_until_online(self, timeout: float = 300.0) -> None:
        """Wait until the machine's agent has connected, and find out what the machine can do.

        Args:
            timeout: Seconds.

        Raises:
            DeadlineExceededError: If it does not connect in time.
            ComputerGoneError: If the host was revoked.
        """
        attempt = 0
        with anyio.move_on_after(timeout):
            while (await self.refresh()).status is not ComputerStatus.RUNNING:
                self._check()
                await anyio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
                attempt += 1
            return
        raise DeadlineExceededError(
            f"the agent of the {NAME} host {self._info.id} did not connect within {timeout:g} s",
            hint="start miosa-host on the machine with the host's key",
            effect="no",
            provider=NAME,
        )

    async def _look_around(self) -> None:
        found = {Capability.PORTS, Capability.PROMPT}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask_for, TUNNELS)
            tasks.start_soon(self._ask_for, f"{AGENT}/sessions")
            said = await self._said()
        if "commands" in said:
            found |= {Capability.EXEC, Capability.EXEC_STREAM}
        if "files" in said:
            found.add(Capability.FILES)
        self._abilities = frozenset(found)
        if Capability.EXEC in found:
            await self.find_desktop()
        self._is_known = True

    async def _said(self) -> list[str]:
        try:
            output, _ = await self._commands.plain("look around", _QUESTION)
        except DeskhandError:  # no bash, no route for commands, or nobody there: the first use tells
            return []
        return output.split()

    async def _ask_for(self, route: str) -> None:
        """Ask a question of a route that has one: that it is not found is remembered; all else its first use tells."""
        with suppress(DeskhandError):
            await self._api.act("tell whether a route is there", self._info.id, route)

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
        """Run a command; a timeout or cancellation ends it on the machine too, by a second request."""
        self._check(Capability.EXEC)
        async with self._noticing(), self._files.given(stdin) as place:
            return await self._commands.run(command, timeout=timeout, cwd=cwd, env=env, stdin=place)

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command and follow its output; leaving the block ends it on the machine."""
        self._check(Capability.EXEC_STREAM)
        return self._stream(command, timeout, cwd, env, stdin)

    @asynccontextmanager
    async def _stream(
        self,
        command: str,
        timeout: float | None,
        cwd: str | None,
        env: Mapping[str, str] | None,
        stdin: bytes | None,
    ) -> AsyncIterator[ExecStream]:
        async with (
            self._noticing(),
            self._files.given(stdin) as place,
            self._commands.follow(command, timeout=timeout, cwd=cwd, env=env, stdin=place) as running,
        ):
            yield running

    async def shell_endpoint(self) -> ShellEndpoint:
        """Tell where the vendor's terminal is, with a ticket for it that soon expires; its frames are not public."""
        self._check()
        if not self._is_known or "terminal" in self._api.missing:
            return ShellEndpoint(kind="exec-only")
        try:
            async with self._noticing():
                answer = await self._api.act("tell a ticket for a terminal", self._info.id, "terminal/ticket")
        except UnsupportedError:
            return ShellEndpoint(kind="exec-only")
        uri, ticket = text(answer.get("ws_url")), text(answer.get("ticket"))
        if uri is None or ticket is None:
            raise ProtocolError(f"{NAME} tells no address and ticket of a terminal", effect="no", provider=NAME)
        expires = text(answer.get("expires_at"))
        return ShellEndpoint("websocket", uri, SecretStr(ticket), {"expires_at": expires} if expires else {})

    # Jobs

    async def start_job(
        self,
        command: str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 3600.0,
    ) -> HostJob:
        """Start a command that goes on when this process has ended, and return without waiting for it.

        Args:
            command: A line for bash.
            cwd: The folder that it starts in.
            env: Further variables; the vendor passes them on.
            timeout: Seconds after which the vendor ends it, rounded up to whole ones.

        Raises:
            OutcomeUnknownError: If nobody can tell whether it was started; it is not started again.
        """
        self._check(Capability.EXEC)
        async with self._noticing():
            return await start_job(self._api, self._info.id, command, cwd=cwd, env=env, timeout=timeout)

    async def job(self, job_id: str) -> HostJob:
        """Return a job that was started before, here or anywhere.

        Raises:
            NotFoundError: If the host has no such job.
        """
        self._check(Capability.EXEC)
        if not job_id or not job_id.isprintable():
            raise InvalidInputError(f"{job_id!r} is no job's id", provider=NAME)
        async with self._noticing():
            found = HostJob(self._api, self._info.id, {"id": job_id})
            await found.refresh()
        return found

    async def jobs(self, limit: int = 20) -> list[HostJob]:
        """List the jobs that the vendor's latest entries are about, the newest first.

        Args:
            limit: Entries at most, 1 to 100; a job has one for its start and one for its end. Commands are among them.
        """
        self._check(Capability.EXEC)
        async with self._noticing():
            return await list_jobs(self._api, self._info.id, limit)

    # Ports, agent, life

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Return the address of a port over a tunnel, which is opened where there is none yet.

        The provider says who may use it, and closes it when it is left.
        """
        self._check(Capability.PORTS)
        async with self._noticing():
            return await self._tunnels.url(self._info.id, port, path)

    async def prompt(self, text: str) -> str:
        """Give a goal to MIOSA's own agent, which may act on the machine for up to half an hour."""
        self._check(Capability.PROMPT)
        async with self._noticing():
            return await prompt_agent(self._api, self._info.id, text)

    async def refresh(self) -> ComputerInfo:
        """Ask whether the machine's agent is connected; the first time that it is, find out what it can do."""
        try:
            told = host_info(await self._api.describe(self._info.id))
        except (ComputerGoneError, NotFoundError):
            self._notice_gone()
            return self.info
        self._info = replace(told, id=self._info.id)
        await self.wait_until_up()
        return self.info

    async def destroy(self) -> None:
        """Revoke the registration of a host that was registered from here; the machine itself is left alone.

        Raises:
            PermissionDeniedError: If somebody else registered it.
        """
        if self._is_ended:
            return
        if not self._is_deskhands:
            raise PermissionDeniedError(
                f"the {NAME} host {self._info.id} is somebody's machine, which deskhand did not register",
                hint="it is left alone when the provider is left; whoever registered it revokes it at MIOSA",
                effect="no",
                provider=NAME,
            )
        with suppress(ComputerGoneError):  # revoked by somebody else, or by an earlier request whose answer was lost
            await self._api.revoke(self._info.id)
        self._is_ended = True
        self._notice_gone()

    async def _notice(self, error: DeskhandError, capability: Capability | None) -> None:
        """Note that the host is gone."""
        if isinstance(error, ComputerGoneError):
            await self._notice_if_gone(self._api.is_there)
