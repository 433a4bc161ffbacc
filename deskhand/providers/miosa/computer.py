"""One cloud computer of MIOSA."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from deskhand.errors import (
    ConflictError,
    DeskhandError,
    NotFoundError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers.actions import InputAction
from deskhand.providers.addresses import check_port, with_path
from deskhand.providers.answers import JsonObject, text
from deskhand.providers.composition import Composition, display_of
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    ExecStream,
    Region,
    Screen,
    ShellEndpoint,
    Terminal,
)
from deskhand.providers.execution import check_command, checked_timeout, timed_out
from deskhand.providers.miosa.agent import prompt_agent
from deskhand.providers.miosa.api import NAME, OPERATIONS, MiosaApi, screen_of
from deskhand.providers.miosa.commands import ran
from deskhand.providers.miosa.discovery import IDLE_TIME, Facts, capabilities_of, survey
from deskhand.providers.miosa.envelope import listed, unwrapped
from deskhand.providers.miosa.hands import Hands
from deskhand.providers.miosa.machine import COMING_UP, MiosaMachine
from deskhand.providers.miosa.request import DEFAULT_TTL, DESKTOP, whole_seconds
from deskhand.providers.miosa.sockets import ROUTE, open_stream, open_terminal, socket_uri
from deskhand.providers.needs import capabilities_for
from deskhand.providers.pictures import IMAGES_AT_ONCE, formed, size_of
from deskhand.providers.readiness import set_going, until
from deskhand.providers.restoring import Kin
from deskhand.providers.shell_commands import Marked, kept

__all__ = ["Idle", "MiosaComputer"]

_PYTHON_MARGIN: Final = 15.0
"""Seconds that an answer may take beyond its code."""
_PATIENCE: Final = 20.0
"""Seconds that a desktop may not be found for, of a template that has one."""
_PREVIEW_DOMAIN: Final = "miosa.ai"
_ADDRESSES: Final = ("url", "public_url", "preview_url")


@dataclass(frozen=True, slots=True)
class Idle:
    """After how many idle seconds a computer shall stop by itself, and whether somebody asked for that."""

    seconds: int
    is_wanted: bool = False


class MiosaComputer(MiosaMachine):
    """A computer in MIOSA's cloud.

    Everything goes over the vendor's routes; each capability is there as long as its routes are. What has no route of
    its own is several requests in a row: held keys and modifiers, drags with corners, the pointer's buttons where it
    is. The buttons ``back`` and ``forward`` need ``xdotool`` on the computer. Input is sent once and never repeated.

    A snapshot is restored onto another machine of the vendor's: this object is then that one, with another ``info.id``,
    and the former is stopped and ends with it. A screenshot cannot leave out the pointer, so ``cursor=False`` is
    refused. There is no kept shell.
    """

    _kin: Kin[MiosaComputer]

    def __init__(
        self,
        info: ComputerInfo,
        api: MiosaApi,
        kin: Kin[MiosaComputer],
        *,
        is_owned: bool = False,
        idle: Idle | None = None,
    ) -> None:
        self._kin = kin
        self._idle = idle
        self._is_idle_time_set = idle is None
        self._decoders = anyio.CapacityLimiter(IMAGES_AT_ONCE)
        super().__init__(info, api, is_owned=is_owned)

    def _be(self, info: ComputerInfo) -> None:
        super()._be(info)
        self._facts = Facts()
        self._desktop_due: float | None = None
        self._hands = Hands(self._api, Composition(NAME, self._commands, None), info.id)

    @property
    def idle(self) -> Idle:
        """The idle time after which it stops by itself, where that was said here; else the usual one."""
        return Idle(DEFAULT_TTL) if self._idle is None else self._idle

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; a route that turns out to be missing takes its capability with it."""
        return capabilities_of(self._api, self._facts)

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if capability is Capability.SHELL:
            return "use exec, or a terminal"
        if capability is Capability.RESIZE:
            return "the screen has the size that its template gives it"
        return None if self._facts.has_desktop else "this computer's template has no desktop"

    # Coming up

    async def wait_until_up(self) -> None:
        """Wait until it is up, and find out meanwhile what it can do; of one that is off, what its vendor can.

        Raises:
            DeadlineExceededError: If it does not come up in time.
        """
        failure: DeskhandError | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(survey, self._api, self._info)
            if self._info.status not in COMING_UP:
                return
            try:
                await until(f"the miosa computer {self._info.id}", self._is_up, provider=NAME)
                await self._set_idle_time()
            except DeskhandError as error:
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _is_up(self) -> bool:
        if not await self._is_running():
            return False
        screen = await self._see_screen()
        if screen is None and self._is_desktop_due():
            return False
        self._info = replace(self._info, screen=screen)
        self._facts = Facts(has_desktop=screen is not None)
        if "exec" not in self._api.missing:
            with suppress(UnsupportedError):  # no commands here, which is remembered
                self._hands.composed.display = await display_of(self._commands) if screen is not None else None
        return True

    def _is_desktop_due(self) -> bool:
        """Whether a desktop that is not there may yet come up: a computer is said to run before its desktop does."""
        if self._info.raw.get("template_type") != DESKTOP:
            return False
        if self._desktop_due is None:
            self._desktop_due = anyio.current_time() + _PATIENCE
        return anyio.current_time() < self._desktop_due

    async def _see_screen(self) -> Screen | None:
        """Return the screen's size; ``None`` where there is no screen."""
        route = self._api.path(self._info.id, "desktop/screen-size")
        try:
            screen = screen_of(unwrapped(await self._api.http.call(OPERATIONS["tell the screen's size"], route)))
        except (NotFoundError, UnsupportedError):
            screen = None
        if screen is not None:
            return screen
        try:
            route = self._api.path(self._info.id, "desktop/screenshot")
            return size_of((await self._api.http.ask(OPERATIONS["take a screenshot"], route)).data, NAME)
        except (NotFoundError, UnsupportedError):
            return None

    async def _set_idle_time(self) -> None:
        """Have it stop by itself after some idle time; that it cannot be had is no matter where nobody insists."""
        if self._idle is None or self._is_idle_time_set:
            return
        self._is_idle_time_set = True
        try:
            await self._ask_for_idle_time(self._idle.seconds)
        except DeskhandError:
            if self._idle.is_wanted:
                raise

    async def _ask_for_idle_time(self, seconds: int) -> None:
        await self._api.do("set the idle time", self._info.id, IDLE_TIME, {"seconds": seconds})

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
        async with self._files.given(stdin) as given, AsyncExitStack() as stack:
            marked = Marked.of(NAME, command, cwd=cwd, env=env, stdin=given)
            here = (self._api, self._info.id, self._commands, self._files, marked)
            async with self._knowing_socket(ROUTE):  # what its user does with it says nothing of it
                stream = await stack.enter_async_context(open_stream(*here, timeout=timeout, cwd=cwd))
            yield stream

    async def python(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Run Python code, by the vendor's route for it; as a command where that is missing.

        The vendor ends it when its time is over, in whole seconds.
        """
        self._check(Capability.EXEC)
        seconds = checked_timeout(timeout)
        check_command(code)
        if "exec/python" not in self._api.missing:
            async with self._noticing():
                with suppress(UnsupportedError):  # which is remembered
                    return await self._python(code, math.ceil(seconds))
        return await super().python(code, timeout=timeout)

    async def _python(self, code: str, seconds: int) -> ExecResult:
        began = time.monotonic()
        body = {"code": code, "timeout": seconds}
        try:
            answer = await self._api.act(
                "run Python", self._info.id, "exec/python", body, deadline=seconds + _PYTHON_MARGIN
            )
        except DeskhandError as error:
            if error.effect == "no" or time.monotonic() - began < seconds:
                raise
            return ExecResult("", None, None, None, timed_out(seconds), time.monotonic() - began)
        done, duration = ran(unwrapped(answer)), time.monotonic() - began
        output, dropped = kept(done.output)
        if done.stderr is None:
            return ExecResult(output, None, None, done.exit_code, done.error, duration, dropped)
        stderr, more = kept(done.stderr)
        return ExecResult(output + stderr, output, stderr, done.exit_code, done.error, duration, dropped + more)

    async def shell_endpoint(self) -> ShellEndpoint:
        """Tell where the socket for programs is; it takes the provider's key in the header ``authorization``."""
        self._check()
        if Capability.TERMINAL not in self.capabilities:
            return ShellEndpoint(kind="exec-only")
        meta = {"query": "command, args, rows, cols", "header": "authorization", "frames": "json"}
        return ShellEndpoint(kind="websocket", uri=socket_uri(self._api, self._info.id), meta=meta)

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a terminal; leaving the block ends it."""
        self._check(Capability.TERMINAL)
        return self._terminal(columns, rows)

    @asynccontextmanager
    async def _terminal(self, columns: int, rows: int) -> AsyncIterator[Terminal]:
        async with AsyncExitStack() as stack:
            async with self._knowing_socket(ROUTE):
                opening = open_terminal(self._api, self._info.id, columns=columns, rows=rows)
                terminal = await stack.enter_async_context(opening)
            yield terminal

    # Screen and input

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen, or a part of it where the vendor has a route for that; ``auto`` is what MIOSA sends.

        Raises:
            UnsupportedError: If it is to be without the pointer.
        """
        form = self._check_picture(region, format)
        if not cursor:
            raise UnsupportedError(
                "miosa's screenshots cannot leave out the pointer", hint="take it with cursor=True", provider=NAME
            )
        async with self._noticing():
            if region is not None and "desktop/screenshot/region" not in self._api.missing:
                with suppress(UnsupportedError):  # which is remembered: it is cut out here
                    return await formed(await self._part(region), None, form, NAME, self._decoders)
            return await formed(await self._picture(), region, form, NAME, self._decoders)

    async def _picture(self) -> bytes:
        return self._seen((await self._api.ask("take a screenshot", self._info.id, "desktop/screenshot")).data)

    async def _part(self, region: Region) -> bytes:
        wanted = Screen(region.right - region.left, region.bottom - region.top)
        body = {"x": region.left, "y": region.top, "width": wanted.width, "height": wanted.height}
        reply = await self._api.ask("take a part of a screenshot", self._info.id, "desktop/screenshot/region", body)
        return self._seen(reply.data, region)

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

    # Ports

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Expose a port, where it is not yet, and return the URL at which MIOSA serves it."""
        self._check(Capability.PORTS)
        check_port(port)
        async with self._noticing():
            try:
                told = unwrapped(await self._api.act("expose a port", self._info.id, "ports", {"port": port}), "port")
            except ConflictError:
                if (exposed := await self._exposed(port)) is None:
                    raise  # and it is not that it is exposed already
                told = exposed
        address = next((one for name in _ADDRESSES if (one := text(told.get(name)))), self._usual_address(port))
        return with_path(address, path)

    async def _exposed(self, port: int) -> JsonObject | None:
        """Return what the vendor's list says of a port; ``None`` where it is not exposed."""
        answer = await self._api.http.call(OPERATIONS["list ports"], self._api.path(self._info.id, "ports"))
        return next((one for one in listed(answer, "ports", "items", provider=NAME) if one.get("port") == port), None)

    def _usual_address(self, port: int) -> str:
        raw = self._info.raw
        domain = text(raw.get("preview_domain")) or _PREVIEW_DOMAIN
        return f"https://{port}-{text(raw.get('slug')) or self._info.id}.sandbox.{domain}"

    async def live_view_url(self) -> str:
        """Have a page made on which the screen can be watched without a password; the URL is a secret, for a time."""
        self._check(Capability.LIVE_VIEW)
        async with self._noticing():
            answer = unwrapped(await self._api.act("make a page of the screen", self._info.id, "embed"))
        url = answer.get("url")
        if not isinstance(url, str) or not url:
            raise ProtocolError("miosa tells no page of the screen", provider=NAME, effect="no")
        return url

    # Life

    async def start(self) -> None:
        """Start it and wait until it is up."""
        self._check(Capability.PAUSE)
        async with self._noticing():
            start = partial(self._api.do, "start a computer", self._info.id, "start")
            await set_going(start, self.refresh, *COMING_UP)
            self._info = replace(self._info, status=ComputerStatus.CREATING)
            await self.wait_until_up()

    async def extend(self, ttl: float) -> None:
        """Say after how many seconds, in which nobody uses it, MIOSA stops it; a copy has the same time.

        Raises:
            InvalidInputError: If that is no time.
            PermissionDeniedError: If the plan does not let one say it.
        """
        self._check(Capability.EXTEND)
        seconds = whole_seconds(ttl)
        async with self._noticing():
            await self._ask_for_idle_time(seconds)
        self._idle, self._is_idle_time_set = Idle(seconds, is_wanted=True), True

    async def stop(self) -> None:
        """Stop it and wait until it has; its disk is kept."""
        self._check(Capability.PAUSE)
        async with self._noticing():
            stop = partial(self._api.do, "stop a computer", self._info.id, "stop")
            await set_going(stop, self.refresh, ComputerStatus.STOPPED, ComputerStatus.PAUSED)
            await until(f"the stop of the miosa computer {self._info.id}", self._is_stopped, provider=NAME)

    async def clone(self, name: str) -> MiosaComputer:
        """Make a copy, owned by the provider."""
        self._check(Capability.CLONE)
        async with self._noticing():
            return await self._kin.clone(self, name)

    async def _become(self, snapshot_id: str) -> MiosaComputer:
        restored = await self._kin.restore(self, snapshot_id)
        facts, display = restored._facts, restored._hands.composed.display
        self._be(replace(restored.info, metadata=self._info.metadata))
        self._facts, self._hands.composed.display = facts, display
        return restored

    async def prompt(self, text: str) -> str:
        """Give a goal to MIOSA's own agent, which may act for up to half an hour; return what it says in the end."""
        self._check(Capability.PROMPT)
        async with self._noticing():
            return await prompt_agent(self._api, self._info.id, text)
