"""The contract that every provider fulfils: computers, what is known of them, and what they can do."""

from __future__ import annotations

import abc
import enum
import types
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import JsonValue, SecretStr

from deskhand.errors import ConflictError, DeskhandError, InvalidInputError, UnsupportedError
from deskhand.providers.actions import (
    Click,
    Drag,
    HoldKey,
    InputAction,
    Key,
    MouseButton,
    MouseDown,
    MouseUp,
    Move,
    Scroll,
    Type,
    Wait,
)
from deskhand.providers.rest import picture_at_rest

__all__ = [
    "Capability",
    "ComputeProvider",
    "ComputerInfo",
    "ComputerSpec",
    "ComputerStatus",
    "ExecChunk",
    "ExecResult",
    "ExecStream",
    "ExternalComputer",
    "FileInfo",
    "Region",
    "Screen",
    "Shell",
    "ShellEndpoint",
    "Source",
    "Specs",
    "Terminal",
]

DEFAULT_TIMEOUT = 120.0
"""Seconds that an operation on a computer may take where the caller gives no timeout."""

KEPT_OUTPUT = 65_536
"""Bytes kept of each of stdout and stderr: the first and the last half; the rest is drained and counted."""

Source = Literal["miosa-cloud", "miosa-sandbox", "opencomputers", "external", "local"]
"""The kind of place a computer runs in."""


class ComputerStatus(enum.StrEnum):
    """What a computer is doing."""

    CREATING = "creating"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    ERROR = "error"
    DESTROYED = "destroyed"


class Capability(enum.StrEnum):
    """One thing that a computer can do, asked at run time.

    Input has six: ``POINTER`` is to click at a point with the left button, up to three times, or once with the right;
    ``MOVE``, ``DRAG`` (left button, from one point to another) and ``SCROLL`` (up or down at a point) stand beside it;
    ``KEYBOARD`` is to type and to strike chords. ``FULL_INPUT`` is all of that and the rest of the vocabulary:
    buttons and keys that are held, modifiers with the pointer, other buttons, drags with corners, the wheel sideways,
    and input where the pointer is. `capabilities_for` tells what an action needs.
    """

    EXEC = "exec"
    EXEC_STREAM = "exec_stream"
    SHELL = "shell"
    TERMINAL = "terminal"
    FILES = "files"
    SCREENSHOT = "screenshot"
    REGION = "region"
    CURSOR = "cursor"
    POINTER = "pointer"
    MOVE = "move"
    DRAG = "drag"
    SCROLL = "scroll"
    KEYBOARD = "keyboard"
    FULL_INPUT = "full_input"
    PORTS = "ports"
    LIVE_VIEW = "live_view"
    RESIZE = "resize"
    EXTEND = "extend"
    PAUSE = "pause"
    SNAPSHOT = "snapshot"
    CLONE = "clone"
    PROMPT = "prompt"
    ISOLATION = "isolation"


class Screen(NamedTuple):
    """A screen's size in pixels."""

    width: int
    height: int


class Region(NamedTuple):
    """A rectangle of the screen in pixels, ``right`` and ``bottom`` exclusive."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Specs:
    """What a provider reports of a machine: cores, memory and disk in bytes, operating system."""

    cpus: float | None = None
    memory: int | None = None
    disk: int | None = None
    os: str | None = None


@dataclass(frozen=True, slots=True)
class ComputerInfo:
    """What is known of a computer."""

    id: str
    name: str
    provider: str
    source: Source
    status: ComputerStatus
    public_url: str | None = None
    screen: Screen | None = None
    specs: Specs = Specs()
    created_at: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ComputerSpec:
    """The portable part of creation; ``memory`` and ``disk`` in bytes, ``ttl`` in seconds."""

    cpus: float | None = None
    memory: int | None = None
    disk: int | None = None
    screen: Screen | tuple[int, int] | None = None
    image: str | None = None
    ttl: float | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExecResult:
    """The outcome of a command.

    Attributes:
        output: stdout and stderr as the provider merges them.
        stdout: stdout alone, or ``None`` where the provider merges.
        stderr: stderr alone, or ``None`` where the provider merges.
        exit_code: The exit code; ``None`` where it never exited by itself (killed by a timeout).
        error: Why there is no plain result (``"timed out after 5 s"``), or ``None``.
        duration: Seconds that it took.
        dropped: Bytes of output that were not kept.
    """

    output: str
    stdout: str | None
    stderr: str | None
    exit_code: int | None
    error: str | None = None
    duration: float = 0.0
    dropped: int = 0

    @property
    def ok(self) -> bool:
        """Whether it exited by itself with code 0."""
        return self.exit_code == 0 and self.error is None


@dataclass(frozen=True, slots=True)
class ExecChunk:
    """A piece of a running command's output; where the vendor sends text, bytes that are no UTF-8 come replaced."""

    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True, slots=True)
class ShellEndpoint:
    """Where an interactive shell can be had: ``exec-only`` means through ``exec`` and ``terminal`` alone."""

    kind: Literal["websocket", "ssh", "exec-only"]
    uri: str | None = None
    token: SecretStr | None = None
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A directory entry; ``size`` in bytes, ``modified_at`` in UTC."""

    path: str
    kind: Literal["file", "directory", "symlink", "other"]
    size: int
    modified_at: datetime | None = None
    mode: int | None = None


class ExecStream(abc.ABC):
    """A running command: an async iterator of its output chunks."""

    @property
    @abc.abstractmethod
    def exit_code(self) -> int | None:
        """The exit code once it has ended, else ``None``."""

    @abc.abstractmethod
    def __aiter__(self) -> AsyncIterator[ExecChunk]:
        """Iterate over the output until the command has ended."""

    @abc.abstractmethod
    async def kill(self) -> None:
        """End the command and everything it started."""


class Terminal(abc.ABC):
    """A pseudo-terminal: an async iterator of the bytes that it shows."""

    @property
    @abc.abstractmethod
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended, else ``None``."""

    @abc.abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]:
        """Iterate over the output until the shell has ended."""

    @abc.abstractmethod
    async def send(self, data: bytes) -> None:
        """Send input, as typed.

        Raises:
            ConflictError: If the shell has ended.
        """

    @abc.abstractmethod
    async def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters."""

    @abc.abstractmethod
    async def kill(self) -> None:
        """End the shell and everything it started."""


class Shell(abc.ABC):
    """A kept shell: directory and environment stay from one command to the next."""

    @abc.abstractmethod
    async def run(self, command: str, *, timeout: float | None = None) -> ExecResult:
        """Run a command; a timed-out shell is restarted, which the result's ``error`` says."""


class ExternalComputer(abc.ABC):
    """A computer that an agent may use.

    An adapter writes ``info``, ``exec``, ``destroy`` and what else its machine can do; whatever it does not override
    raises `UnsupportedError` and is absent from `capabilities`.
    """

    _BACKING: ClassVar[Mapping[Capability, str]] = types.MappingProxyType(
        {
            Capability.EXEC: "exec",
            Capability.EXEC_STREAM: "exec_stream",
            Capability.SHELL: "shell",
            Capability.TERMINAL: "terminal",
            Capability.FILES: "read_bytes",
            Capability.SCREENSHOT: "screenshot",
            Capability.REGION: "screenshot",
            Capability.CURSOR: "cursor_position",
            Capability.POINTER: "perform",
            Capability.MOVE: "perform",
            Capability.DRAG: "perform",
            Capability.SCROLL: "perform",
            Capability.KEYBOARD: "perform",
            Capability.FULL_INPUT: "perform",
            Capability.PORTS: "preview_url",
            Capability.LIVE_VIEW: "live_view_url",
            Capability.RESIZE: "resize",
            Capability.EXTEND: "extend",
            Capability.PAUSE: "stop",
            Capability.SNAPSHOT: "snapshot",
            Capability.CLONE: "clone",
            Capability.PROMPT: "prompt",
        }
    )

    instead_of: tuple[DeskhandError, ...] = ()
    """Why providers that `open_computer` asked before had none."""

    _kept = False
    _leased_to: str | None = None

    @property
    @abc.abstractmethod
    def info(self) -> ComputerInfo:
        """What is known of this computer."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; by default, what its class overrides."""
        cls = type(self)
        return frozenset(
            capability
            for capability, method in self._BACKING.items()
            if getattr(cls, method) is not getattr(ExternalComputer, method)
        )

    def require(self, *capabilities: Capability) -> None:
        """Check that this computer can do all of these.

        Raises:
            UnsupportedError: Naming the first that it cannot.
        """
        for capability in capabilities:
            if capability not in self.capabilities:
                raise self._unsupported(capability)

    def _unsupported(self, capability: Capability) -> UnsupportedError:
        info = self.info
        return UnsupportedError(
            f"the {info.provider} computer {info.id} has no {capability}",
            hint=self._unsupported_hint(capability),
            provider=info.provider,
        )

    def _unsupported_hint(self, capability: Capability) -> str | None:
        """What would give this computer the capability; adapters that know override this."""
        del capability
        return None

    # Shell

    @abc.abstractmethod
    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a shell command (``bash -c`` semantics) to its end; a timeout kills it and everything it started.

        Args:
            command: The command line.
            timeout: Seconds; ``None`` means 120.
            cwd: Working directory; the home folder where not given.
            env: Environment variables besides the computer's own.
            stdin: Its whole standard input; empty where not given.
        """

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command and follow its output; leaving the block kills it.

        One that takes longer than ``timeout`` seconds is killed: iterating then raises `DeadlineExceededError`.
        """
        raise self._unsupported(Capability.EXEC_STREAM)

    async def python(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Run Python code in a fresh interpreter on the computer."""
        return await self.exec("exec python3 -", stdin=code.encode(), timeout=timeout)

    def shell(self) -> AbstractAsyncContextManager[Shell]:
        """Open a kept shell."""
        raise self._unsupported(Capability.SHELL)

    async def shell_endpoint(self) -> ShellEndpoint:
        """Tell where an interactive shell can be had."""
        return ShellEndpoint(kind="exec-only")

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractAsyncContextManager[Terminal]:
        """Open a pseudo-terminal with a shell in it; leaving the block ends it."""
        raise self._unsupported(Capability.TERMINAL)

    # Screen and input

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen.

        Args:
            region: The part to capture, in screen pixels; all of it where not given.
            cursor: Whether the pointer is drawn; a computer that cannot leave it out refuses to.
            format: ``png``, ``jpeg`` or ``auto`` (PNG, but JPEG where a photo-like PNG would be very large).

        Returns:
            The image, encoded.

        Raises:
            UnsupportedError: If it cannot be seen, or not without the pointer.
        """
        raise self._unsupported(Capability.SCREENSHOT)

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""
        raise self._unsupported(Capability.CURSOR)

    async def perform(self, action: InputAction) -> None:
        """Perform one input action: the one input method that an adapter writes."""
        from deskhand.providers.needs import capabilities_for

        raise self._unsupported(min(capabilities_for(action) - self.capabilities, default=Capability.POINTER))

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        """Wait until the screen has been quiet for ``quiet`` seconds, at most ``limit``; return the seconds waited.

        A computer that does not override this cannot tell, and is looked at: at most three pictures, ``quiet`` seconds
        apart, until two are the same.
        """
        if limit <= 0 or Capability.SCREENSHOT not in self.capabilities:
            return 0.0
        return (await picture_at_rest(self, quiet=quiet, limit=limit)).waited

    @property
    def settles_itself(self) -> bool:
        """Whether it can tell that its screen is at rest, without a picture of it."""
        return type(self).settle is not ExternalComputer.settle

    async def changed(self, region: Region, *, within: float) -> bool | None:
        """Tell whether anything but carets was drawn in a part of the screen.

        Args:
            region: The part, in pixels.
            within: How long ago at most, in seconds.

        Returns:
            ``None`` where this computer cannot tell without a picture: the default.
        """
        del region, within
        return None

    async def click(
        self,
        x: int | None = None,
        y: int | None = None,
        *,
        button: MouseButton = "left",
        count: int = 1,
        modifiers: Sequence[str] = (),
    ) -> None:
        """Click ``count`` times at a point, or where the pointer is."""
        await self.perform(Click(x, y, button, count, tuple(modifiers)))

    async def left_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click the left button."""
        await self.click(x, y, modifiers=modifiers)

    async def right_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click the right button."""
        await self.click(x, y, button="right", modifiers=modifiers)

    async def middle_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click the middle button."""
        await self.click(x, y, button="middle", modifiers=modifiers)

    async def double_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click the left button twice."""
        await self.click(x, y, count=2, modifiers=modifiers)

    async def triple_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click the left button three times."""
        await self.click(x, y, count=3, modifiers=modifiers)

    async def move(self, x: int, y: int) -> None:
        """Move the pointer."""
        await self.perform(Move(x, y))

    async def mouse_down(self, button: MouseButton = "left") -> None:
        """Press a button and keep it pressed."""
        await self.perform(MouseDown(button))

    async def mouse_up(self, button: MouseButton = "left") -> None:
        """Release a button."""
        await self.perform(MouseUp(button))

    async def drag(self, *path: tuple[int, int], button: MouseButton = "left", modifiers: Sequence[str] = ()) -> None:
        """Drag from the first point through the others to the last."""
        await self.perform(Drag(path, button, tuple(modifiers)))

    async def scroll(
        self, x: int | None = None, y: int | None = None, *, dx: int = 0, dy: int = 0, modifiers: Sequence[str] = ()
    ) -> None:
        """Turn the wheel: notches, positive is right and down."""
        await self.perform(Scroll(x, y, dx, dy, tuple(modifiers)))

    async def key(self, chord: str, *, repeat: int = 1) -> None:
        """Press and release a chord such as ``ctrl+s``."""
        await self.perform(Key(chord, repeat))

    async def hold_key(self, chord: str, duration: float) -> None:
        """Hold a chord for some seconds."""
        await self.perform(HoldKey(chord, duration))

    async def type(self, text: str) -> None:
        """Type text exactly."""
        await self.perform(Type(text))

    async def wait(self, duration: float = 1.0) -> None:
        """Do nothing for some seconds."""
        await self.perform(Wait(duration))

    # Files

    async def read_bytes(self, path: str) -> bytes:
        """Read a regular file (at most 100 MiB); relative paths start at the home folder.

        Raises:
            FileMissingError: If it is not there.
            InvalidInputError: If it is not a regular file.
            PayloadTooLargeError: If it is larger.
        """
        del path
        raise self._unsupported(Capability.FILES)

    async def read_file(self, path: str) -> str:
        """Read a text file.

        Raises:
            InvalidInputError: If it is not UTF-8 (use `read_bytes`).
        """
        data = await self.read_bytes(path)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"{path} is not UTF-8 text", hint="read it with read_bytes") from error

    async def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file byte for byte, making its folders; a reader sees the old content or the new, never half."""
        del path, content
        raise self._unsupported(Capability.FILES)

    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a directory, sorted by name."""
        del path
        raise self._unsupported(Capability.FILES)

    async def stat(self, path: str) -> FileInfo:
        """Tell what a path is."""
        del path
        raise self._unsupported(Capability.FILES)

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, or a directory and all in it."""
        del path, recursive
        raise self._unsupported(Capability.FILES)

    # Ports, life

    async def preview_url(self, port: int, path: str = "/") -> str:
        """Return a URL at which a port of the computer can be reached."""
        del port, path
        raise self._unsupported(Capability.PORTS)

    async def live_view_url(self) -> str:
        """Return a URL at which a person can watch the screen."""
        raise self._unsupported(Capability.LIVE_VIEW)

    async def resize(self, width: int, height: int) -> None:
        """Change the screen's size in pixels."""
        del width, height
        raise self._unsupported(Capability.RESIZE)

    async def refresh(self) -> ComputerInfo:
        """Ask what the computer is doing, and return its information; what needs no asking is told as it is."""
        return self.info

    async def start(self) -> None:
        """Start a stopped computer."""
        raise self._unsupported(Capability.PAUSE)

    async def stop(self) -> None:
        """Stop the computer so that `start` brings it back."""
        raise self._unsupported(Capability.PAUSE)

    async def extend(self, ttl: float) -> None:
        """Say how many seconds the computer is kept from now on, in place of what was said before.

        After them its vendor ends it, or stops it; some vendors count only the time that nobody uses it.
        """
        del ttl
        raise self._unsupported(Capability.EXTEND)

    @abc.abstractmethod
    async def destroy(self) -> None:
        """End the computer for good; destroying it twice is no error."""

    async def clone(self, name: str) -> ExternalComputer:
        """Make a copy of this computer."""
        del name
        raise self._unsupported(Capability.CLONE)

    async def snapshot(self, name: str) -> str:
        """Save the computer's state; return the snapshot's id."""
        del name
        raise self._unsupported(Capability.SNAPSHOT)

    async def restore(self, snapshot_id: str) -> None:
        """Bring back a saved state."""
        del snapshot_id
        raise self._unsupported(Capability.SNAPSHOT)

    async def prompt(self, text: str) -> str:
        """Give a goal to the vendor's own agent; return its answer."""
        del text
        raise self._unsupported(Capability.PROMPT)

    @asynccontextmanager
    async def lease(self, owner: str) -> AsyncIterator[None]:
        """Have this computer for one owner while the block lasts; runs lease the computers they use.

        Asynchronous because who else uses a computer may be known elsewhere: to the process that holds it.

        Raises:
            ConflictError: If another owner has it.
        """
        if self._leased_to is not None:
            raise ConflictError(
                f"the computer {self.info.id} is in use by {self._leased_to}", hint="wait for its end, or open another"
            )
        self._leased_to = owner
        try:
            yield
        finally:
            self._leased_to = None

    def keep(self) -> None:
        """Give up ownership: the provider that created it will not destroy it."""
        self._kept = True

    @property
    def kept(self) -> bool:
        """Whether `keep` was called."""
        return self._kept

    def __repr__(self) -> str:
        """The state at a glance."""
        info = self.info
        return f"<{type(self).__name__} {info.provider}:{info.id} {info.status}>"


class ComputeProvider(abc.ABC):
    """Creates, gets and lists computers; an async context manager that destroys on leaving what it still owns."""

    name: ClassVar[str]

    @abc.abstractmethod
    async def __aenter__(self) -> Self:
        """Open connections and whatever else the provider owns."""

    @abc.abstractmethod
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Destroy what was created here and neither destroyed nor kept, and close."""

    @abc.abstractmethod
    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object
    ) -> ExternalComputer:
        """Create a computer, owned by this provider."""

    @abc.abstractmethod
    async def get(self, computer_id: str) -> ExternalComputer:
        """Return an existing computer, borrowed.

        Raises:
            NotFoundError: If there is none with that id.
        """

    @abc.abstractmethod
    async def list(self) -> list[ComputerInfo]:
        """List the computers that can be seen with this key."""
