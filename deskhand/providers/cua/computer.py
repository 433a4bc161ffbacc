"""One Linux desktop behind a computer server."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, Protocol

import anyio
import anyio.to_thread

from deskhand.errors import (
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeadlineExceededError,
    DeskhandError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers.actions import InputAction
from deskhand.providers.answers import JsonObject
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    Region,
)
from deskhand.providers.cua.api import FAILED, NAME
from deskhand.providers.cua.commands import LONGEST_INPUT, CuaCommands
from deskhand.providers.cua.discovery import capabilities_of, has_xdotool, screen_of, survey
from deskhand.providers.cua.files import CuaFiles
from deskhand.providers.cua.hands import Hands
from deskhand.providers.cua.pictures import picture_of, with_pointer
from deskhand.providers.cua.server import CuaServer
from deskhand.providers.hosted_computer import HostedComputer
from deskhand.providers.needs import capabilities_for
from deskhand.providers.pictures import IMAGES_AT_ONCE, formed

__all__ = ["CuaComputer", "Machine"]

_BOOT: Final = 180.0
"""Seconds that a machine of the cloud may take to come up, or to stop."""
_OF_THE_CLOUD: Final = frozenset({Capability.PAUSE, Capability.LIVE_VIEW})
"""What is asked of the cloud, and needs no server that runs."""
_PAUSES: Final = (0.05, 0.1, 0.25, 0.5, 1.0)


class Machine(Protocol):
    """A machine of the cloud: what starts and stops what the server runs on."""

    async def describe(self) -> ComputerInfo:
        """Ask what it is doing.

        Raises:
            ComputerGoneError: If the account has no such machine any more.
        """
        ...

    async def start(self) -> None:
        """Start it; it comes up some time later."""

    async def stop(self) -> None:
        """Stop it; it has stopped some time later."""

    async def view(self) -> str:
        """Return the page on which its screen can be watched, with what opens it."""
        ...


class CuaComputer(HostedComputer):
    """A desktop that is driven through a cua-computer-server on it.

    Commands, files, pictures and common input go over the server's commands; each capability is there as long as the
    server knows them. What it has no command for is put together of others, or done by ``xdotool`` in one call where
    that works on the server's display, which is asked once. Input is sent once and never repeated.

    stdout and stderr come apart. There is no kept shell, no streamed command, no terminal and no snapshot. The server's
    pictures show no pointer: it is drawn into them. `destroy` stops a machine of the cloud; of a server that was
    reached by its address it only lets go.
    """

    gone_words = "the {provider} computer {id} was let go of"

    def __init__(self, info: ComputerInfo, server: CuaServer, machine: Machine | None = None) -> None:
        self._info = info
        self._server = server
        self._machine = machine
        self._commands = CuaCommands(server)
        self._files: CuaFiles = CuaFiles(server, self._commands)
        self._hands = Hands(server, self._commands, f"the cua computer {info.id}")
        self._decoders = anyio.CapacityLimiter(IMAGES_AT_ONCE)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; a command that turns out to be missing takes its capabilities with it."""
        found = capabilities_of(self._server)
        if self._machine is not None:
            found |= {Capability.PAUSE}
            if self._info.raw.get("has_view"):
                found |= {Capability.LIVE_VIEW}
        return frozenset(found)

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if capability in {Capability.SHELL, Capability.EXEC_STREAM, Capability.TERMINAL}:
            return "the server has no terminal: use exec"
        if capability is Capability.PAUSE and self._machine is None:
            return "a server that is reached by its address cannot be stopped from here"
        return None

    def _check(self, *capabilities: Capability) -> None:
        super()._check(*capabilities)
        if self._info.status is ComputerStatus.STOPPED and not _OF_THE_CLOUD.issuperset(capabilities):
            said = f"the cua computer {self._info.id} is stopped"
            raise ConflictError(said, hint="start() brings it up again", effect="no", provider=NAME)

    # Coming up

    async def wait_until_up(self) -> None:
        """Wait until a machine of the cloud is up, and find out what the computer can do.

        Raises:
            ConnectionLostError: If a server that was reached by its address does not answer.
            DeadlineExceededError: If a machine does not come up in time.
            UnsupportedError: If it is no Linux.
        """
        status = await (self._server.status() if self._machine is None else self._until(self._server.status))
        system = status.get("os_type")
        if status.get("status") != "ok" or not isinstance(system, str):
            raise ProtocolError(f"{self._info.id} is no computer server, or not well", provider=NAME, effect="no")
        if system != "linux":
            raise UnsupportedError(
                f"the cua computer {self._info.id} runs {system}", hint="only Linux is spoken here", provider=NAME
            )
        await survey(self._server)
        self._hands.has_xdotool = await has_xdotool(self._server)
        screen = self._info.screen
        with suppress(UnsupportedError):  # which is remembered: a picture will tell
            screen = screen_of(await self._server.ask("tell the screen's size"))
        specs = replace(self._info.specs, os=system)
        self._info = replace(self._info, status=ComputerStatus.RUNNING, screen=screen, specs=specs)

    async def _until(self, ask: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
        """Ask until there is an answer."""
        ends, attempt = time.monotonic() + _BOOT, 0
        while True:
            try:
                return await ask()
            except DeskhandError as error:
                if not (error.retryable or isinstance(error, ProtocolError)):
                    raise
                if time.monotonic() > ends:
                    raise DeadlineExceededError(
                        f"the cua computer {self._info.id} was not up after {_BOOT:g} s: {error.message}",
                        effect="yes",
                        provider=NAME,
                    ) from error
            await anyio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1
            if attempt % len(_PAUSES) == 0:
                await self._check_failed()

    async def _check_failed(self) -> None:
        """Ask the cloud whether a machine that is waited for may still come to what it is waited for.

        Raises:
            ComputerGoneError: If it is no more.
            ProviderError: If it has failed.
        """
        assert self._machine is not None  # noqa: S101 (only machines are waited for)
        told: ComputerInfo | None = None
        with suppress(OverloadedError, ConnectionLostError, DeadlineExceededError):  # nobody knows: it is waited on
            told = await self._machine.describe()
        if told is not None and told.status is ComputerStatus.DESTROYED:
            raise ComputerGoneError(f"the cua machine {self._info.id} is gone", effect="no", provider=NAME)
        if told is not None and told.raw.get("status") == FAILED:
            raise self._failed()

    def _failed(self) -> ProviderError:
        said, hint = f"the cua machine {self._info.id} has failed", "see it at https://cua.ai"
        return ProviderError(said, hint=hint, retryable=False, provider=NAME)

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
        if stdin and len(stdin) > LONGEST_INPUT:
            self._check(Capability.FILES)
        async with self._files.given(stdin or None, inline=LONGEST_INPUT) as given:
            return await self._commands.run(command, timeout=timeout, cwd=cwd, env=env, stdin=given)

    # Screen and input

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen, draw the pointer, and cut a region out here."""
        form = self._check_picture(region, format)
        if cursor and Capability.CURSOR in self.capabilities:
            data, place = await self._picture_and_place()
            data = await anyio.to_thread.run_sync(with_pointer, data, place, limiter=self._decoders)
        else:
            data = await self._picture()
        return await formed(data, region, form, NAME, self._decoders)

    async def _picture(self) -> bytes:
        return self._seen(picture_of((await self._server.ask("take a screenshot")).get("image_data")))

    async def _picture_and_place(self) -> tuple[bytes, tuple[int, int]]:
        """Ask for a picture and for where the pointer is, at once: the one is no older than the other."""
        data, places = b"", list[tuple[int, int]]()
        failure: DeskhandError | None = None

        async def ask_place() -> None:
            nonlocal failure
            try:
                places.append(await self.cursor_position())
            except DeskhandError as error:
                failure = error
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask_place)
            try:
                data = await self._picture()
            except DeskhandError as error:
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return data, places[0]

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""
        self._check(Capability.CURSOR)
        place = (await self._server.ask("tell where the pointer is")).get("position")
        x, y = (place.get("x"), place.get("y")) if isinstance(place, dict) else (None, None)
        if not isinstance(x, int) or not isinstance(y, int):
            raise ProtocolError("cua does not tell where the pointer is", provider=NAME, effect="no")
        return x, y

    async def perform(self, action: InputAction) -> None:
        """Perform one input action, once: a failure is told, not repeated.

        Raises:
            InvalidInputError: If a point is off the screen.
            UnsupportedError: If it is a key or a button that the server does not know, and there is no xdotool.
        """
        self._check(*sorted(capabilities_for(action)))
        await self._hands.perform(action, self._info.screen)

    # Life

    async def live_view_url(self) -> str:
        """Return the page on which the screen can be watched; whoever has it gets in, so that it is told to nobody."""
        self._check(Capability.LIVE_VIEW)
        assert self._machine is not None  # noqa: S101 (only machines have a view)
        return await self._machine.view()

    async def refresh(self) -> ComputerInfo:
        """Ask what the computer is doing, and return its information; a server that does not answer has an error."""
        if self._info.status is ComputerStatus.DESTROYED:
            return self._info
        try:
            if self._machine is not None:
                told = await self._machine.describe()
                self._info = replace(
                    told, metadata=self._info.metadata, screen=self._info.screen, specs=self._info.specs
                )
            else:
                await self._server.status()
                self._info = replace(self._info, status=ComputerStatus.RUNNING)
        except ComputerGoneError:
            self._notice_gone()
        except ConnectionLostError:
            self._info = replace(self._info, status=ComputerStatus.ERROR)
        return self._info

    async def start(self) -> None:
        """Start a machine of the cloud and wait until it is up."""
        self._check(Capability.PAUSE)
        assert self._machine is not None  # noqa: S101 (only machines can be stopped)
        await self._machine.start()
        self._info = replace(self._info, status=ComputerStatus.CREATING)
        await self.wait_until_up()

    async def stop(self) -> None:
        """Stop a machine of the cloud and wait until it has: the disk is kept, memory is lost."""
        self._check(Capability.PAUSE)
        await self._stop()

    async def _stop(self) -> None:
        assert self._machine is not None  # noqa: S101 (only machines can be stopped)
        await self._machine.stop()
        ends, attempt = time.monotonic() + _BOOT, 0
        while (info := await self.refresh()).status is not ComputerStatus.DESTROYED:
            if info.raw.get("status") == "stopped":
                return
            if info.raw.get("status") == FAILED:
                raise self._failed()
            if time.monotonic() > ends:
                raise DeadlineExceededError(
                    f"the cua computer {info.id} was {info.raw.get('status')} after {_BOOT:g} s", provider=NAME
                )
            await anyio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1

    async def destroy(self) -> None:
        """Stop a machine of the cloud, which is not deleted; let go of a server that was reached by its address."""
        if self._is_ended:
            return
        if self._machine is not None and self._info.status is not ComputerStatus.DESTROYED:
            with suppress(ComputerGoneError):
                await self._stop()
        self._is_ended = True
        self._notice_gone()
