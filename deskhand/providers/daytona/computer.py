"""One sandbox of Daytona."""

from __future__ import annotations

import binascii
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final

import anyio
import anyio.to_thread
from pydantic import JsonValue, SecretStr

from deskhand.errors import (
    ComputerGoneError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers.actions import InputAction
from deskhand.providers.addresses import check_port, with_path
from deskhand.providers.answers import text
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
from deskhand.providers.creation import unique_name
from deskhand.providers.daytona.api import NAME, OPERATIONS, DaytonaApi, computer_info
from deskhand.providers.daytona.commands import line_to
from deskhand.providers.daytona.files import DaytonaFiles
from deskhand.providers.daytona.hands import Hands
from deskhand.providers.daytona.request import minutes, settings_told
from deskhand.providers.daytona.streams import follow
from deskhand.providers.daytona.terminal import open_terminal
from deskhand.providers.execution import check_command, checked_timeout
from deskhand.providers.needs import INPUT, capabilities_for
from deskhand.providers.pictures import IMAGES_AT_ONCE, formed
from deskhand.providers.readiness import until_status, until_up
from deskhand.providers.restoring import Kin, RestoringComputer
from deskhand.providers.shell_commands import Marked, ShellCommands

__all__ = ["DaytonaComputer", "PreviewLink"]

_BUILD: Final = 240.0
"""Seconds that a sandbox may take to start: its image may have to be built or fetched first."""
_PARTLY: Final = 20.0
"""Seconds after which a desktop that has a screen is used although Daytona does not call it active."""
_SIGNED: Final = 3600
"""Seconds that a signed address opens a port."""
_AFTER_SAVING: Final = ("started", "stopped", "paused", "archived")
"""The states that a sandbox may go back to when a snapshot of it was taken."""
_SSH: Final = re.compile(r"^ssh (?:-p (?P<port>\d{1,5}) )?\S+@(?P<host>[A-Za-z0-9.-]+)$", re.ASCII)
"""The command that Daytona tells: its name is the token."""
_VIEW_PORT: Final = 6080
_VIEW_PATH: Final = "/vnc.html?autoconnect=true&resize=scale"
_LONGEST_TTL: Final = 365 * 86_400

_SHELL: Final = frozenset(
    {Capability.EXEC, Capability.EXEC_STREAM, Capability.FILES, Capability.TERMINAL, Capability.PORTS}
)
_LEANS: Final = ((Capability.REGION, Capability.SCREENSHOT), (Capability.LIVE_VIEW, Capability.PORTS))
"""What goes with another capability."""
_LIFE: Final = frozenset({Capability.EXTEND, Capability.PAUSE, Capability.CLONE, Capability.SNAPSHOT})
_DESKTOP: Final = (INPUT - {Capability.FULL_INPUT}) | {
    Capability.SCREENSHOT,
    Capability.REGION,
    Capability.CURSOR,
    Capability.LIVE_VIEW,
}


@dataclass(frozen=True, slots=True)
class PreviewLink:
    """Where a port can be reached: its address, and what is sent with it as ``X-Daytona-Preview-Token``."""

    url: str
    token: SecretStr = field(repr=False)


class DaytonaComputer(RestoringComputer):
    """A sandbox in Daytona's cloud.

    Commands run in bash. What `exec` returns comes merged, as the vendor has it; `exec_stream` keeps the streams apart.
    Screen and input go over the vendor's computer use, where the sandbox's snapshot has that: it is started when the
    sandbox is created, got or started, and asked then what it can do. Held buttons and keys, modifiers with the
    pointer and the wheel sideways need a daemon that can press and let go; without it ``FULL_INPUT`` is absent. What
    the vendor has no words for (the keys of the number pad that are no digits, media keys, chords of modifiers alone,
    the buttons back and forward) is struck by ``xdotool`` where the sandbox has it, and refused elsewhere, before
    anything is sent. Input is sent once and never repeated.

    A snapshot is restored as another sandbox: this object is then that one, with another ``info.id``, and the former is
    destroyed. There is no kept shell.
    """

    _kin: Kin[DaytonaComputer]

    def __init__(
        self,
        info: ComputerInfo,
        api: DaytonaApi,
        kin: Kin[DaytonaComputer],
        *,
        made_with: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self._api = api
        self._kin = kin
        self._made_with: Mapping[str, object] = made_with or {}
        self._is_owned = made_with is not None
        self._ttl: int | None = None
        self._decoders = anyio.CapacityLimiter(IMAGES_AT_ONCE)
        self._turn = anyio.Lock()
        self._capabilities = _SHELL | _LIFE
        self._missing: set[Capability] = set()
        self._has_no_ssh = False
        self._be(info)

    def _be(self, info: ComputerInfo) -> None:
        """Be the sandbox with that id."""
        self._info = info
        self._commands = ShellCommands(NAME, line_to(self._api, info.id), self._api.in_background)
        self._files: DaytonaFiles = DaytonaFiles(self._api, self._commands, info.id)
        self._hands = Hands(self._api, Composition(NAME, self._commands, None), info.id, self._turn)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; a route that turns out to be missing takes its capability with it."""
        return frozenset(self._capabilities - self._missing - {one for one, on in _LEANS if on in self._missing})

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if capability is Capability.FULL_INPUT:
            return "its daemon cannot hold buttons and keys: use a newer snapshot"
        if capability in _DESKTOP:
            return "its snapshot has no desktop: use one with computer use"
        if capability is Capability.SHELL:
            return "use exec, or a terminal"
        return None

    # Coming up

    async def wait_until_up(self) -> None:
        """Wait until the sandbox has started and its desktop is up, and find out what it can do.

        Raises:
            DeadlineExceededError: If it does not come up in time.
            ProviderError: If it failed; the reason is Daytona's.
        """
        if self._info.status is not ComputerStatus.RUNNING:
            if self._info.status is not ComputerStatus.CREATING:
                return
            await until_status(
                self.refresh, "started", field="state", failed=("error", "build_failed"), deadline=_BUILD
            )
        await until_up(self._look_around, NAME, self._info.id)
        await self._start_desktop()

    async def _look_around(self) -> None:
        """Use the toolbox, which may be up a moment later than the sandbox is said to be."""
        self._hands.composed.display = None
        await self._commands.plain("look around", "true")

    async def _start_desktop(self) -> None:
        """Start computer use and wait for its screen; a sandbox without one has no desktop."""
        try:
            await self._api.act("start the desktop", self._info.id, "computeruse/start")
        except UnsupportedError:
            self._capabilities = _SHELL | _LIFE
            self._info = replace(self._info, screen=None)
            return
        began = anyio.current_time()
        await until_up(lambda: self._see_screen(began), NAME, self._info.id)
        self._hands.composed.display = await display_of(self._commands)
        self._capabilities = _SHELL | _LIFE | _DESKTOP
        self._hands.is_new = await self._can_hold()
        if self._hands.is_new:
            self._capabilities |= {Capability.FULL_INPUT}

    async def _see_screen(self, began: float) -> None:
        """Look for the screen, which is used after some time although a part of the desktop does not come up."""
        status = await self._api.act("tell how the desktop is", self._info.id, "computeruse/process-status")
        shown = await self._api.act("tell the screen's size", self._info.id, "computeruse/display/info")
        screen = _screen(shown.get("displays"))
        is_up = status.get("status") == "active" or anyio.current_time() - began > _PARTLY
        if screen is None or not is_up:
            raise OverloadedError("the desktop is not up yet", effect="no", retryable=True, provider=NAME)
        self._info = replace(self._info, screen=screen)

    async def _can_hold(self) -> bool:
        """Ask whether buttons and keys can be held: half a point and no key are refused by whoever can."""
        for route in ("mouse/down", "mouse/up", "keyboard/down", "keyboard/up"):
            url = await self._api.toolbox(self._info.id, f"computeruse/{route}")
            body: dict[str, object] = {"x": 0} if route.startswith("mouse") else {}
            status, _ = await self._api.http.probe(OPERATIONS["ask for half a point"], url, body)
            if status not in {400, 422}:
                return False
        return True

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
        async with self._files.given(stdin) as given, self._noticing(Capability.EXEC):
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
        """Run a command in a session of its own and follow its output; leaving the block kills it."""
        self._check(Capability.EXEC_STREAM)
        check_command(command, env)
        return self._follow(command, checked_timeout(timeout), cwd, env, stdin)

    @asynccontextmanager
    async def _follow(
        self, command: str, seconds: float, cwd: str | None, env: Mapping[str, str] | None, stdin: bytes | None
    ) -> AsyncIterator[ExecStream]:
        async with self._noticing(), self._files.given(stdin) as given, AsyncExitStack() as stack:
            async with self._noticing(Capability.EXEC_STREAM):  # what its user does with it says nothing of it
                marked = Marked.of(NAME, command, cwd=cwd, env=env, stdin=given)
                following = follow(self._api, self._commands, self._info.id, marked, cwd=cwd, seconds=seconds)
                stream = await stack.enter_async_context(following)
            yield stream

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a terminal; leaving the block ends it."""
        self._check(Capability.TERMINAL)
        return self._terminal(columns, rows)

    @asynccontextmanager
    async def _terminal(self, columns: int, rows: int) -> AsyncIterator[Terminal]:
        async with self._noticing(), AsyncExitStack() as stack:
            async with self._noticing(Capability.TERMINAL):
                opened = open_terminal(self._api, self._info.id, columns=columns, rows=rows)
                terminal = await stack.enter_async_context(opened)
            yield terminal

    async def shell_endpoint(self) -> ShellEndpoint:
        """Open a way in over SSH for an hour; the token is the name to log in with, and opens it to whoever has it."""
        self._check()
        if self._has_no_ssh:
            return ShellEndpoint(kind="exec-only")
        try:
            async with self._noticing():
                route = f"ssh-access?expiresInMinutes={_SIGNED // 60}"
                answer = await self._api.use("open a way in over SSH", self._info.id, route)
        except UnsupportedError:
            self._has_no_ssh = True
            return ShellEndpoint(kind="exec-only")
        token, told = text(answer.get("token")), _SSH.search(text(answer.get("sshCommand")) or "")
        if token is None or told is None:
            raise ProtocolError("daytona tells no token and no address for SSH", provider=NAME, effect="yes")
        uri = f"ssh://{told['host']}" + (f":{told['port']}" if told["port"] else "")
        expires = text(answer.get("expiresAt"))
        return ShellEndpoint("ssh", uri, SecretStr(token), {"expires_at": expires} if expires else {})

    # Screen and input

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen or a part of it, with the pointer or without; ``auto`` is PNG."""
        form = self._check_picture(region, format)
        pointer = f"showCursor={'true' if cursor else 'false'}"
        route = f"computeruse/screenshot?{pointer}"
        if region is not None:
            left, top, right, bottom = region
            place = f"x={left}&y={top}&width={right - left}&height={bottom - top}"
            route = f"computeruse/screenshot/region?{place}&{pointer}"
        async with self._noticing(Capability.SCREENSHOT if region is None else Capability.REGION):
            data = _image(await self._api.act("take a screenshot", self._info.id, route))
        return await formed(self._seen(data, region), None, form, NAME, self._decoders)

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""
        self._check(Capability.CURSOR)
        async with self._noticing(Capability.CURSOR):
            return await self._hands.position()

    async def perform(self, action: InputAction) -> None:
        """Perform one input action, once: a failure is told, not repeated."""
        needed = sorted(capabilities_for(action))
        self._check(*needed)
        self._hands.check(action, self._info.screen)
        lacking = Capability.FULL_INPUT if Capability.FULL_INPUT in needed else next(iter(needed), None)
        async with self._noticing(lacking):
            await self._hands.perform(action)

    # Ports

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Return an address that opens a port for an hour to whoever has it; that of a public sandbox has no end."""
        self._check(Capability.PORTS)
        check_port(port)
        return with_path(await self._port_url(port), path)

    async def preview_link(self, port: int) -> PreviewLink:
        """Return a port's address and the token that is to be sent with each request to it."""
        self._check(Capability.PORTS)
        check_port(port)
        async with self._noticing(Capability.PORTS):
            answer = await self._api.use("tell a port's address", self._info.id, f"ports/{port}/preview-url")
        token = answer.get("token")
        return PreviewLink(_url(answer), SecretStr(token if isinstance(token, str) else ""))

    async def live_view_url(self) -> str:
        """Return the page on which the screen can be watched, for an hour, by whoever has the address."""
        self._check(Capability.LIVE_VIEW)
        return with_path(await self._port_url(_VIEW_PORT), _VIEW_PATH)

    async def _port_url(self, port: int) -> str:
        is_public = self._info.raw.get("public") is True
        route = "preview-url" if is_public else f"signed-preview-url?expiresInSeconds={_SIGNED}"
        async with self._noticing(Capability.PORTS):
            return _url(await self._api.use("tell a port's address", self._info.id, f"ports/{port}/{route}"))

    # Life

    async def start(self) -> None:
        """Start it and wait until it is up, its desktop too; one that is archived takes longer."""
        self._check(Capability.PAUSE)
        async with self._noticing(Capability.PAUSE):
            if (await self.refresh()).status is not ComputerStatus.RUNNING:
                await self._switch("start a computer", "start", "starting", "restoring", "resuming", "started")
                self._info = replace(self._info, status=ComputerStatus.CREATING)
            await self.wait_until_up()

    async def stop(self) -> None:
        """Stop it and wait until it has: the disk is kept, memory is lost."""
        self._check(Capability.PAUSE)
        async with self._noticing(Capability.PAUSE):
            if (await self.refresh()).status is ComputerStatus.RUNNING:
                await self._switch("stop a computer", "stop", "stopping", "stopped")
            await until_status(self.refresh, "stopped", "archived", field="state", failed=("error",))

    async def archive(self) -> None:
        """Move a stopped one to storage that costs less, and wait for that; `start` brings it back.

        Raises:
            ConflictError: If it runs.
        """
        self._check(Capability.PAUSE)
        async with self._noticing():
            if (await self.refresh()).status is ComputerStatus.RUNNING:
                raise ConflictError("only a stopped sandbox is archived", hint="stop it", effect="no", provider=NAME)
            await self._switch("archive a computer", "archive", "archiving", "archived")
            await until_status(self.refresh, "archived", field="state", failed=("error",), deadline=_BUILD)

    async def _switch(self, operation: str, route: str, *aimed: str) -> None:
        """Have it go to another state; that it is there or on its way is what an answer that was lost had said."""
        try:
            self._learn(await self._api.use(operation, self._info.id, route))
        except ConflictError:
            await self.refresh()
            if self._info.raw.get("state") not in aimed:
                raise

    async def extend(self, ttl: float) -> None:
        """Have it destroyed so many seconds from now, rounded up to minutes, in place of any other time."""
        self._check(Capability.EXTEND)
        if ttl > _LONGEST_TTL:
            raise InvalidInputError(f"{ttl:g} s is longer than a sandbox may live", provider=NAME)
        _positive(ttl)
        async with self._noticing(Capability.EXTEND):
            whole = minutes(await self._api.age(self._info.id) + ttl)  # the vendor counts from its creation
            self._learn(await self._api.use("set its time to live", self._info.id, f"ttl/{whole}"))
            self._ttl = minutes(ttl)

    async def refresh(self) -> ComputerInfo:
        """Ask Daytona what the computer is doing, and return its information: that it is gone too."""
        try:
            fields = await self._api.ask("describe a computer", self._info.id)
        except (ComputerGoneError, NotFoundError):
            self._notice_gone()
            return self._info
        self._learn(fields)
        return self._info

    def _learn(self, fields: Mapping[str, JsonValue]) -> None:
        """Note what an answer says of this sandbox; some say nothing."""
        if fields.get("id") != self._info.id:
            return
        self._api.learn_toolbox(self._info.id, fields.get("toolboxProxyUrl"))
        self._info = replace(computer_info(fields), screen=self._info.screen)

    async def clone(self, name: str) -> DaytonaComputer:
        """Fork it: a copy with the same files, owned by the provider.

        Raises:
            UnsupportedError: If sandboxes of this kind cannot be forked.
        """
        self._check(Capability.CLONE)
        async with self._noticing(Capability.CLONE):
            return await self._kin.clone(self, name)

    async def snapshot(self, name: str) -> str:
        """Save its files, and wait until that is done. The snapshot stays when the computer ends, until it is deleted.

        Args:
            name: What the snapshot's name begins with; a suffix makes it the only one of that name.
        """
        self._check(Capability.SNAPSHOT)
        unique = unique_name(name)
        async with self._noticing(Capability.SNAPSHOT):
            self._learn(await self._api.use("take a snapshot", self._info.id, "snapshot", {"name": unique}))
            await until_status(self.refresh, *_AFTER_SAVING, field="state", failed=("error",), deadline=_BUILD)
        return unique

    async def _become(self, snapshot_id: str) -> DaytonaComputer:
        restored = await self._kin.restore(self, snapshot_id)
        self._be(replace(restored.info, metadata=self._info.metadata))
        self._hands.composed.display = restored._hands.composed.display
        self._hands.is_new = restored._hands.is_new
        self._capabilities = restored._capabilities
        return restored

    async def _leave(self, computer_id: str) -> None:
        await self._end(computer_id)

    async def _end(self, computer_id: str) -> None:
        await self._api.destroy(computer_id)

    @property
    def made_with(self) -> Mapping[str, object]:
        """What asks for another one like it: the request that it was created with, with the last time to live.

        Of one that was created elsewhere it is what the vendor tells.
        """
        made = self._made_with or settings_told(self._info.raw)
        return made if self._ttl is None else {**made, "ttlMinutes": self._ttl}

    async def _notice(self, error: DeskhandError, capability: Capability | None) -> None:
        """Note that the sandbox is gone, or a route."""
        if isinstance(error, ComputerGoneError):
            with suppress(DeskhandError):  # nobody can tell: its next use will
                if not await self._api.is_there(self._info.id):
                    self._notice_gone()
        elif isinstance(error, UnsupportedError) and capability is not None:
            self._missing.add(capability)


def _positive(seconds: float) -> float:
    if not seconds > 0:
        raise InvalidInputError(f"{seconds} is no time to live; it must be a positive number of seconds")
    return seconds


def _url(answer: Mapping[str, JsonValue]) -> str:
    url = answer.get("url")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ProtocolError("daytona tells no address of the port", provider=NAME, effect="no")
    return url


def _screen(displays: JsonValue) -> Screen | None:
    """Return the size of the display that is in use."""
    found = [one for one in displays if isinstance(one, dict)] if isinstance(displays, list) else []
    for one in sorted(found, key=lambda one: one.get("isActive") is not True):
        width, height = one.get("width"), one.get("height")
        if isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0:
            return Screen(width, height)
    return None


def _image(answer: Mapping[str, JsonValue]) -> bytes:
    image = answer.get("screenshot")
    try:
        if isinstance(image, str) and image:
            return binascii.a2b_base64(image, strict_mode=True)  # (as it is: base64.b64decode copies a text first)
    except (binascii.Error, ValueError):
        pass
    raise ProtocolError(
        "daytona's screenshot is no picture in base64", hint="take it again", provider=NAME, effect="no"
    )
