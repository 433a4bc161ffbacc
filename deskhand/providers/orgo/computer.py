"""One hosted desktop of Orgo."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import anyio
import anyio.to_thread
from pydantic import SecretStr

from deskhand.errors import (
    ComputerGoneError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers.actions import InputAction
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    Region,
    ShellEndpoint,
    Terminal,
)
from deskhand.providers.hosted_computer import HostedComputer
from deskhand.providers.needs import capabilities_for
from deskhand.providers.orgo.agent import prompt_agent
from deskhand.providers.orgo.api import NAME, OPERATIONS, OrgoApi, computer_info, instance_of
from deskhand.providers.orgo.commands import line_to
from deskhand.providers.orgo.discovery import IDLE_TIME, TERMINAL, Facts, capabilities_of, learn_desktop, survey
from deskhand.providers.orgo.hands import Hands
from deskhand.providers.orgo.pictures import inline_image
from deskhand.providers.orgo.python import run_python
from deskhand.providers.orgo.request import idle_minutes
from deskhand.providers.orgo.terminal import open_terminal, terminal_uri
from deskhand.providers.pictures import IMAGES_AT_ONCE, formed
from deskhand.providers.readiness import set_going, until_status, until_up
from deskhand.providers.shell_commands import ShellCommands
from deskhand.providers.shell_files import ShellFiles
from deskhand.providers.xdotool import INSTALL_HINT

__all__ = ["OrgoComputer"]


class OrgoComputer(HostedComputer):
    """A desktop in Orgo's cloud.

    Commands, files, terminal, screenshots and common input go over the vendor's routes; each capability is there as
    long as its route is. What has no route (held keys and buttons, modifiers with the pointer, other buttons, the wheel
    sideways, drags with corners, the pointer's place) is composed with ``xdotool`` where that works on the desktop,
    which is asked once when the computer is created or got; elsewhere ``FULL_INPUT`` and ``CURSOR`` are absent. Input
    is sent once and never repeated.

    stdout and stderr come merged. There is no kept shell, no streamed command and no snapshot; ports cannot be reached
    from outside. A screenshot cannot leave out the pointer, so ``cursor=False`` is refused.
    """

    def __init__(
        self,
        info: ComputerInfo,
        api: OrgoApi,
        *,
        agent_model: str,
        adopt: Callable[[OrgoComputer, str], Awaitable[OrgoComputer]],
    ) -> None:
        self._info = info
        self._api = api
        self._agent_model = agent_model
        self._adopt = adopt
        self._commands = ShellCommands(NAME, line_to(api, info.id), api.in_background)
        self._files: ShellFiles = ShellFiles(NAME, self._commands)
        self._facts = Facts()
        self._hands = Hands(api, self._commands, info.id, None)
        self._decoders = anyio.CapacityLimiter(IMAGES_AT_ONCE)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; a route that turns out to be missing takes its capability with it."""
        return capabilities_of(self._api, self._info, self._facts)

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if capability is Capability.PORTS:
            return "Orgo lets nobody in from outside: serve from elsewhere, or look with the computer's own browser"
        if capability in {Capability.FULL_INPUT, Capability.CURSOR}:
            return INSTALL_HINT
        if capability is Capability.CLONE:
            return "the plan of this key has no clones, see https://www.orgo.ai/pricing"
        if capability in {Capability.SHELL, Capability.EXEC_STREAM}:
            return "use exec, or a terminal"
        return None

    # Coming up

    async def wait_until_up(self) -> None:
        """Wait until the desktop is up, and find out meanwhile what it can do; of one that is off, what its vendor can.

        Raises:
            DeadlineExceededError: If it does not come up in time.
        """
        failure: DeskhandError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(survey, self._api, self._info)
            if self._info.status not in {ComputerStatus.RUNNING, ComputerStatus.CREATING}:
                return
            try:
                await until_up(self._look_around, NAME, self._info.id)
            except DeskhandError as error:
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._info = replace(self._info, status=ComputerStatus.RUNNING)
        if self._info.screen is None and "screenshot" not in self._api.missing:
            await self._picture()  # its size is the screen's

    async def _look_around(self) -> None:
        if "bash" not in self._api.missing:
            with suppress(UnsupportedError):  # no commands here, which is remembered: its health has to do
                self._facts = await learn_desktop(self._commands)
                self._hands.display = self._facts.display
                return
        instance = instance_of(self._info)
        if instance is not None:
            with suppress(NotFoundError):  # nobody can tell: the first use will
                await self._api.http.fetch(OPERATIONS["tell its health"], f"/desktops/{instance}/proxy/health")

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
        """Run a command; a timeout or cancellation ends it on the computer too, by a second request."""
        self._check(Capability.EXEC)
        async with self._noticing(), self._files.given(stdin) as given:
            return await self._commands.run(command, timeout=timeout, cwd=cwd, env=env, stdin=given)

    async def python(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Run Python code, in whole seconds up to 300; longer, or where the route is missing, as a command."""
        self._check(Capability.EXEC)
        async with self._noticing():
            result = await run_python(self._api, self._info.id, code, timeout)
        return await super().python(code, timeout=timeout) if result is None else result

    async def shell_endpoint(self) -> ShellEndpoint:
        """Tell where the terminal's socket is, and the token that it takes as the query parameter ``token``."""
        self._check()
        if Capability.TERMINAL not in self.capabilities:
            return ShellEndpoint(kind="exec-only")
        async with self._noticing():
            token = await self._terminal_token()
        meta = {"token_parameter": "token", "frames": "json"}
        return ShellEndpoint(kind="websocket", uri=self._terminal_uri(), token=token, meta=meta)

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a terminal; leaving the block ends it."""
        self._check(Capability.TERMINAL)
        return self._terminal(columns, rows)

    @asynccontextmanager
    async def _terminal(self, columns: int, rows: int) -> AsyncIterator[Terminal]:
        async with self._noticing():
            token = await self._terminal_token()
        async with AsyncExitStack() as stack:
            try:
                opened = open_terminal(self._terminal_uri(), token, columns=columns, rows=rows)
                terminal = await stack.enter_async_context(opened)
            except UnsupportedError:
                self._api.missing.add(TERMINAL)
                raise
            yield terminal  # what its user does with it says nothing of it

    def _terminal_uri(self) -> str:
        return terminal_uri(self._api.http.origin, instance_of(self._info) or "")

    async def _terminal_token(self) -> SecretStr:
        answer = await self._api.act("tell the terminal's token", self._info.id, "vnc-password")
        token = answer.get("desktop_api_token") or answer.get("password")
        if not isinstance(token, str) or not token:
            raise ProtocolError("orgo tells no token for the terminal", provider=NAME, effect="no")
        return SecretStr(token)

    # Screen and input

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen, and cut a region out here; ``auto`` is what Orgo sends.

        Raises:
            UnsupportedError: If it is to be without the pointer.
        """
        form = self._check_picture(region, format)
        if not cursor:
            raise UnsupportedError(
                "orgo's screenshots cannot leave out the pointer", hint="take it with cursor=True", provider=NAME
            )
        async with self._noticing():
            data = await self._picture()
        return await formed(data, region, form, NAME, self._decoders)

    async def _picture(self) -> bytes:
        answer = await self._api.act("take a screenshot", self._info.id, "screenshot?response_format=base64")
        image = inline_image(answer)
        if isinstance(image, str):
            where = image if image.startswith("http") else self._api.http.below_origin(image)
            image = await self._api.http.fetch(OPERATIONS["fetch a screenshot"], where)
        return self._seen(image)

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""
        self._check(Capability.CURSOR)
        async with self._noticing():
            return await self._hands.position()

    async def perform(self, action: InputAction) -> None:
        """Perform one input action, once: a failure is told, not repeated."""
        self._check(*sorted(capabilities_for(action)))
        async with self._noticing():
            await self._hands.perform(action, self._info.screen)

    # Life

    async def live_view_url(self) -> str:
        """Return the page on which whoever is logged in at Orgo can watch the screen."""
        self._check(Capability.LIVE_VIEW)
        return str(self._info.raw["connection_url"])

    async def start(self) -> None:
        """Start it and wait until it is up; its terminal has another token afterwards."""
        self._check(Capability.PAUSE)
        async with self._noticing():
            start = partial(self._api.do, "start a computer", self._info.id, "start")
            await set_going(start, self.refresh, ComputerStatus.RUNNING, ComputerStatus.CREATING)
            self._info = replace(self._info, status=ComputerStatus.CREATING)
            await self.wait_until_up()

    async def stop(self) -> None:
        """Stop it and wait until it has: the disk is kept, memory is lost."""
        self._check(Capability.PAUSE)
        async with self._noticing():
            stop = partial(self._api.do, "stop a computer", self._info.id, "stop", {})
            await set_going(stop, self.refresh, ComputerStatus.STOPPED, ComputerStatus.PAUSED)
            await until_status(self.refresh, "stopped", "suspended")

    async def extend(self, ttl: float) -> None:
        """Say after how much time, in which nobody uses it, Orgo stops it; rounded up to whole minutes.

        Raises:
            InvalidInputError: If that is no time.
            PermissionDeniedError: If the plan does not let one say it.
        """
        self._check(Capability.EXTEND)
        minutes = idle_minutes(ttl)
        async with self._noticing():
            await self._api.do("set the idle time", self._info.id, IDLE_TIME, {"auto_stop_minutes": minutes})

    async def restart(self) -> None:
        """Restart it and wait until it is up; old hosts know no restart and are stopped and started."""
        self._check(Capability.PAUSE)
        async with self._noticing():
            try:
                await self._api.do("restart a computer", self._info.id, "restart")
            except UnsupportedError:
                await self.stop()
                await self.start()
                return
            await until_status(self.refresh, "running")
            await self.wait_until_up()

    async def refresh(self) -> ComputerInfo:
        """Ask Orgo what the computer is doing, and return its information: that it is gone too."""
        try:
            fields = await self._api.http.call(OPERATIONS["describe a computer"], self._api.path(self._info.id))
        except ComputerGoneError:
            self._notice_gone()
            return self._info
        told = computer_info(fields, self._info.metadata)
        self._info = replace(told, id=self._info.id, screen=told.screen or self._info.screen)
        return self._info

    async def destroy(self) -> None:
        """End it for good; that it is gone already is no error."""
        if self._is_ended:
            return
        try:
            await self._api.destroy(self._info.id)
        except ComputerGoneError:
            pass  # it ended by itself, or by an earlier request whose answer was lost
        except NotFoundError:
            if await self._api.is_there(self._info.id):
                raise  # and what ends it is not
        self._is_ended = True
        self._notice_gone()

    async def clone(self, name: str) -> OrgoComputer:
        """Make a copy, owned by the provider; Orgo names it after the original, and ``name`` is kept as metadata.

        Raises:
            UnsupportedError: If the plan has no clones.
        """
        self._check(Capability.CLONE)
        if not name:
            raise InvalidInputError("a clone needs a name")
        return await self._adopt(self, name)

    async def prompt(self, text: str) -> str:
        """Give a goal to Orgo's own agent, which may act for up to half an hour; return its last words."""
        self._check(Capability.PROMPT)
        async with self._noticing():
            return await prompt_agent(self._api, self._info.id, self._agent_model, text)

    async def _notice(self, error: DeskhandError, capability: Capability | None) -> None:
        """Note that the computer is gone where Orgo itself says so."""
        if isinstance(error, ComputerGoneError):
            await self._notice_if_gone(self._api.is_there)
