"""A computer made up for tests: scripted screens, scripted commands, files in memory; any OS, no X, no process."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import anyio
import anyio.lowlevel
import anyio.to_thread

from deskhand.errors import ComputerGoneError, DeadlineExceededError, DeskhandError, InvalidInputError
from deskhand.providers import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    ExecStream,
    ExternalComputer,
    FileInfo,
    HoldKey,
    InputAction,
    Region,
    Screen,
    Shell,
    Terminal,
    Wait,
    capabilities_for,
)
from deskhand.providers.addresses import check_port
from deskhand.providers.contract import DEFAULT_TIMEOUT
from deskhand.testing._commands import Commands, CommandScript, FakeCommand
from deskhand.testing._desktop import RECEIVED_LIMIT, FakeDesktop
from deskhand.testing._drawing import Picture, draw
from deskhand.testing._files import FakeFiles
from deskhand.testing._sessions import FakeExecStream, FakeShell, FakeTerminal, in_background
from deskhand.testing._shell import Write
from deskhand.testing.received import GroundTruth, Received, typed_text
from deskhand.testing.screens import FakeScreen, Reaction

__all__ = ["CommandScript", "FakeCommand", "FakeComputer", "FakeFiles"]

_CAN: Final = frozenset(
    {
        Capability.EXEC,
        Capability.EXEC_STREAM,
        Capability.SHELL,
        Capability.TERMINAL,
        Capability.FILES,
        Capability.SCREENSHOT,
        Capability.REGION,
        Capability.CURSOR,
        Capability.POINTER,
        Capability.MOVE,
        Capability.DRAG,
        Capability.SCROLL,
        Capability.KEYBOARD,
        Capability.FULL_INPUT,
        Capability.PORTS,
        Capability.RESIZE,
    }
)
_FORMATS: Final = ("png", "jpeg", "auto")
_LARGEST: Final = Screen(7680, 4320)
_DRAWING_THREADS: Final = 2


class FakeComputer(ExternalComputer):
    """A computer made up for tests.

    Its screens are drawn with Pillow and answer to the pointer and the keyboard; every input event is written down in
    `received`. Its shell runs no process: it has variables, quotes, pipes, redirections, ``&&``, ``||``, ``;`` and
    parentheses, the everyday part of ``cat cd echo env exit export false grep head ls mkdir printf pwd rm seq sleep
    tail test touch true uname wc`` and a few more, and what ``commands`` adds; other commands are not found (127). The
    same input always gives the same screen and the same output. ::

        async with FakeComputer(FakeScreen((Button("ok", (100, 100, 200, 140), "OK", on_click="done"),))) as computer:
            await computer.left_click(150, 120)

    Args:
        screens: One screen, or several by name, the first of which is shown first.
        size: The screen's size in pixels.
        commands: Answers to commands; a key is a whole command line, or a program's name.
        files: What is there at first; relative paths start at ``/home/agent``.
        capabilities: What it can do, to try out a poorer machine; all that a fake can where not given.
        name: Its name.
        computer_id: Its id; a random one where not given.
    """

    def __init__(
        self,
        screens: FakeScreen | Mapping[str, FakeScreen] | None = None,
        *,
        size: Screen | tuple[int, int] = (1280, 800),
        commands: Mapping[str, CommandScript] | None = None,
        files: Mapping[str, str | bytes] | None = None,
        capabilities: Iterable[Capability] | None = None,
        name: str = "fake",
        computer_id: str | None = None,
    ) -> None:
        self._capabilities = _CAN if capabilities is None else frozenset(capabilities)
        if more := self._capabilities - _CAN:
            raise InvalidInputError(f"a fake computer has no {min(more)}", hint=f"it can do {', '.join(sorted(_CAN))}")
        self._began = time.monotonic()
        known = {"desktop": screens or FakeScreen(title=name)} if not isinstance(screens, Mapping) else screens
        if not known:
            raise InvalidInputError("a fake computer needs at least one screen")
        self._desktop = FakeDesktop(known, _checked_size(*size), lambda: time.monotonic() - self._began)
        self._desktop.react = self._react
        self._files = FakeFiles()
        self._commands = Commands(commands or {}, self._files, self, self._until_gone)
        for path, content in (files or {}).items():
            self._files[path] = content.encode() if isinstance(content, str) else content
        self._id = computer_id or f"cmp_{uuid.uuid4().hex}"
        self._name = name
        self._created_at = datetime.now(UTC)
        self._status = ComputerStatus.RUNNING
        self._performed: deque[InputAction] = deque(maxlen=RECEIVED_LIMIT)
        self._failures: deque[DeskhandError] = deque()
        self._working: set[anyio.CancelScope] = set()
        self._input_lock = anyio.Lock()
        self._drawers = anyio.CapacityLimiter(_DRAWING_THREADS)
        self._drawn: tuple[tuple[Picture, Region | None, bool, str], bytes] | None = None

    async def __aenter__(self) -> Self:
        """Return the computer, which is there from the start."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Destroy it."""
        await self.destroy()

    # For the test

    @property
    def received(self) -> list[Received]:
        """Every input event that arrived, the last 100,000 of them."""
        return list(self._desktop.received)

    @property
    def performed(self) -> list[InputAction]:
        """Every input action that was performed, the last 100,000 of them."""
        return list(self._performed)

    @property
    def typed(self) -> str:
        """Everything that was typed, wherever the focus was."""
        return typed_text(self.received)

    @property
    def ground_truth(self) -> GroundTruth:
        """What `deskhand.testing.conformance` measures input by."""
        return _DesktopTruth(self._desktop)

    @property
    def files(self) -> FakeFiles:
        """The files as a mapping from path to bytes."""
        return self._files

    @property
    def texts(self) -> dict[str, str]:
        """The text fields' texts by name."""
        return self._desktop.texts

    @property
    def clicked(self) -> list[str]:
        """The names of the widgets that were clicked, in order."""
        return self._desktop.clicked

    @property
    def selected(self) -> dict[str, str]:
        """The selected rows by the list's name."""
        return self._desktop.selected

    @property
    def scrolled(self) -> dict[str, int]:
        """The first rows shown by the list's name."""
        return self._desktop.scrolled

    @property
    def focus(self) -> str | None:
        """The text field that has the keyboard."""
        return self._desktop.focus

    @property
    def shown(self) -> str:
        """The name of the screen that is shown."""
        return self._desktop.shown

    @property
    def screens(self) -> dict[str, FakeScreen]:
        """The screens by name; what is put there can be shown."""
        return self._desktop.screens

    def show(self, name: str) -> None:
        """Show another screen.

        Raises:
            InvalidInputError: If there is none of that name.
        """
        self._desktop.show(name)

    def fail(self, *errors: DeskhandError) -> None:
        """Let the next operations fail, one error each, before they do anything."""
        self._failures.extend(errors)

    # The contract

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer."""
        has_screen = self._capabilities & {Capability.SCREENSHOT, Capability.POINTER}
        return ComputerInfo(
            self._id,
            self._name,
            "fake",
            "local",
            self._status,
            screen=self._desktop.size if has_screen else None,
            created_at=self._created_at,
        )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do."""
        return self._capabilities

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command line in a fresh shell."""
        self._check(Capability.EXEC)
        _refuse_nul(command)
        return await self._commands.collect(command, self._commands.shell(cwd, env), stdin or b"", _seconds(timeout))

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command line in a fresh shell and follow its output."""
        self._check(Capability.EXEC_STREAM)
        _refuse_nul(command)
        limit = _seconds(timeout)
        shell = self._commands.shell(cwd, env)

        async def run(write: Write) -> int | None:
            with anyio.move_on_after(limit), self._until_gone():
                return (await self._commands.run(command, shell, stdin or b"", write))[0]
            raise DeadlineExceededError(f"the command timed out after {limit:g} s", provider="fake", effect="yes")

        return _streaming(run)

    async def python(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Run ``python3 -`` with the code on stdin; not found (127) unless ``commands`` has ``python3``."""
        return await self.exec("python3 -", stdin=code.encode(), timeout=timeout)

    def shell(self) -> AbstractAsyncContextManager[Shell]:
        """Open a kept shell."""
        self._check(Capability.SHELL)
        return self._kept_shell()

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a terminal with a shell in it."""
        self._check(Capability.TERMINAL)
        if columns < 1 or rows < 1:
            raise InvalidInputError(f"a terminal of {columns}x{rows} characters cannot be")
        shell = self._commands.shell()
        shell.columns, shell.rows = columns, rows
        return self._open_terminal(FakeTerminal(shell))

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Draw the screen."""
        self._check(Capability.SCREENSHOT, *([Capability.REGION] if region is not None else []))
        if format not in _FORMATS:
            raise InvalidInputError(f"there is no image format {format!r}", hint=f"one of {', '.join(_FORMATS)}")
        width, height = self._desktop.size
        if region is not None:
            left, top, right, bottom = region
            if not (0 <= left < right <= width and 0 <= top < bottom <= height):
                raise InvalidInputError(
                    f"the region {left},{top} to {right},{bottom} is empty or not within the screen of {width}x{height}"
                )
        wanted = (self._desktop.picture(), region, cursor, format)
        if self._drawn is not None and self._drawn[0] == wanted:
            await anyio.lowlevel.checkpoint()
            return self._drawn[1]
        picture, *_ = wanted
        data = await anyio.to_thread.run_sync(
            lambda: draw(picture, region, cursor=cursor, form=format), limiter=self._drawers
        )
        self._drawn = (wanted, data)
        return data

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        """Return at once: what an input sets off is there before it returns."""
        del quiet, limit
        return 0.0

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position."""
        self._check(Capability.CURSOR)
        await anyio.lowlevel.checkpoint()
        return self._desktop.pointer

    async def perform(self, action: InputAction) -> None:
        """Perform an input action: it arrives, as events, at what is shown."""
        self._check(*sorted(capabilities_for(action)))
        self._desktop.check(action)
        with self._until_gone():
            if isinstance(action, Wait):
                await anyio.sleep(action.duration)
                return
            async with self._input_lock:
                self._performed.append(action)
                if isinstance(action, HoldKey):
                    with self._desktop.holding(action.keys):
                        await anyio.sleep(action.duration)
                else:
                    self._desktop.perform(action)

    async def read_bytes(self, path: str) -> bytes:
        """Read a file."""
        self._check(Capability.FILES)
        await anyio.lowlevel.checkpoint()
        return self._files.read(path)

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file, making its folders."""
        self._check(Capability.FILES)
        await anyio.lowlevel.checkpoint()
        self._files[path] = content.encode() if isinstance(content, str) else content

    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a folder, sorted by name."""
        self._check(Capability.FILES)
        await anyio.lowlevel.checkpoint()
        return self._files.list_folder(path)

    async def stat(self, path: str) -> FileInfo:
        """Tell what a path is."""
        self._check(Capability.FILES)
        await anyio.lowlevel.checkpoint()
        return self._files.stat(path)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, or a folder and all in it."""
        self._check(Capability.FILES)
        await anyio.lowlevel.checkpoint()
        self._files.delete(path, recursive=recursive)

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Return a URL on the loopback interface; nothing answers there unless the test listens."""
        self._check(Capability.PORTS)
        check_port(port)
        if not path.startswith("/"):
            raise InvalidInputError(f"{path!r} is no path of a URL", hint="it starts with /")
        await anyio.lowlevel.checkpoint()
        return f"http://127.0.0.1:{port}{path}"

    async def resize(self, width: int, height: int) -> None:
        """Change the screen's size."""
        self._check(Capability.RESIZE)
        await anyio.lowlevel.checkpoint()
        self._desktop.resize(_checked_size(width, height))

    async def destroy(self) -> None:
        """End the computer; what still runs on it fails with `ComputerGoneError`."""
        self._status = ComputerStatus.DESTROYED
        for scope in tuple(self._working):
            scope.cancel()
        await anyio.lowlevel.checkpoint()

    # How

    def _check(self, *capabilities: Capability) -> None:
        """Refuse what cannot be done, and fail where the test wants it."""
        if self._status is ComputerStatus.DESTROYED:
            raise ComputerGoneError(f"the computer {self._id} was destroyed", effect="no", provider="fake")
        self.require(*capabilities)
        if self._failures:
            raise self._failures.popleft()

    @contextmanager
    def _until_gone(self) -> Iterator[None]:
        """End the block when the computer is destroyed."""
        scope = anyio.CancelScope()
        self._working.add(scope)
        try:
            with scope:
                yield
        finally:
            self._working.discard(scope)
        if scope.cancelled_caught:
            raise ComputerGoneError(f"the computer {self._id} was destroyed meanwhile", provider="fake")

    def _react(self, reaction: Reaction) -> None:
        if isinstance(reaction, str):
            self._desktop.show(reaction)
        else:
            reaction(self)

    @asynccontextmanager
    async def _kept_shell(self) -> AsyncIterator[Shell]:
        state = self._commands.shell()

        async def run(command: str, timeout: float | None) -> ExecResult:
            nonlocal state
            self._check(Capability.SHELL)
            result = await self._commands.collect(command, state, b"", _seconds(timeout))
            if result.exit_code is not None or result.error is None:
                return result
            state = self._commands.shell()
            return replace(result, error=f"{result.error}; the shell was restarted")

        shell = FakeShell(run)
        try:
            yield shell
        finally:
            shell.is_open = False

    @asynccontextmanager
    async def _open_terminal(self, terminal: FakeTerminal) -> AsyncIterator[Terminal]:
        async def serve() -> None:
            try:
                with self._until_gone():
                    await terminal.serve()
            except ComputerGoneError:
                terminal.close()

        try:
            async with in_background(serve):
                yield terminal
        finally:
            terminal.close()


class _DesktopTruth:
    """The fake's own record as a `GroundTruth`."""

    def __init__(self, desktop: FakeDesktop) -> None:
        self._desktop = desktop

    async def clear(self) -> None:
        """Forget what was received so far."""
        await anyio.lowlevel.checkpoint()
        self._desktop.received.clear()

    async def events(self) -> Sequence[Received]:
        """Return everything received since the last `clear`."""
        await anyio.lowlevel.checkpoint()
        return list(self._desktop.received)


@asynccontextmanager
async def _streaming(run: Callable[[Write], Awaitable[int | None]]) -> AsyncIterator[ExecStream]:
    stream = FakeExecStream()
    try:
        async with in_background(lambda: stream.serve(run)):
            yield stream
    finally:
        stream.close()


def _refuse_nul(command: str) -> None:
    if "\0" in command:
        raise InvalidInputError("the command holds a NUL character, which no program can be given")


def _seconds(timeout: float | None) -> float:
    """Check a timeout; ``None`` is the default one."""
    if timeout is None:
        return DEFAULT_TIMEOUT
    if not timeout > 0:
        raise InvalidInputError(f"timeout is {timeout}; it must be more than 0 s")
    return timeout


def _checked_size(width: int, height: int) -> Screen:
    if not (1 <= width <= _LARGEST.width and 1 <= height <= _LARGEST.height):
        raise InvalidInputError(
            f"a screen of {width}x{height} is out of bounds: 1x1 to {_LARGEST.width}x{_LARGEST.height}"
        )
    return Screen(width, height)
