"""The blocking twins as checkers read them; printed by scripts/blocking, never edited."""

import builtins
import os
import types
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Generic, Literal, Self, overload

from openai import AsyncOpenAI
from pydantic import JsonValue, SecretStr
from typing_extensions import TypeVar

import deskhand as asynchronous
from deskhand.harness.approvals import OnApproval
from deskhand.harness.blobs import BlobStore
from deskhand.harness.budget import BudgetLike
from deskhand.harness.events import Event, EventBase, Usage
from deskhand.harness.frames import FrameLimits
from deskhand.harness.history import History
from deskhand.harness.inbox import When
from deskhand.harness.log import Committed, LogEntry, RunSummary
from deskhand.harness.loops.claude import Effort
from deskhand.harness.loops.openai import Effort as OpenaiEffort
from deskhand.harness.models.adapter import ModelAdapter
from deskhand.harness.models.anthropic_door import AnthropicClient
from deskhand.harness.models.openai_door import Api
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.harness.past import Past
from deskhand.harness.policy import OwnPolicy
from deskhand.harness.run import Continued, RunResult
from deskhand.harness.secrets import Secrets
from deskhand.harness.seeing import Seeing
from deskhand.harness.stuck import Stuck
from deskhand.providers.actions import InputAction, MouseButton
from deskhand.providers.contract import (
    Capability,
    ComputerInfo,
    ComputerSpec,
    ExecChunk,
    ExecResult,
    FileInfo,
    Region,
    Screen,
    ShellEndpoint,
)
from deskhand.providers.http import OwnClient
from deskhand.tools.calls import Frame, Observation, ToolCall
from deskhand.tools.registry import Tool, ToolRegistry
from deskhand.tools.seed import TOOL_SCHEMAS, anthropic_tools

__all__ = [
    "TOOL_SCHEMAS",
    "Capability",
    "ClaudeComputerUseHarness",
    "ComputeProvider",
    "ComputerInfo",
    "ComputerSpec",
    "CuaComputer",
    "CuaProvider",
    "E2BComputer",
    "E2BProvider",
    "Engine",
    "EventLog",
    "EventStream",
    "ExecResult",
    "ExecStream",
    "ExternalComputer",
    "Harness",
    "Inbox",
    "LocalComputer",
    "LocalProvider",
    "MemoryLog",
    "MiosaModelHarness",
    "OnComputer",
    "OpenAIComputerUseHarness",
    "OpenAIFunctionHarness",
    "OpenRun",
    "OrgoComputer",
    "OrgoProvider",
    "ProbeHarness",
    "Run",
    "RunContext",
    "Shell",
    "ShellEndpoint",
    "SqliteLog",
    "Takeover",
    "Terminal",
    "TurnContext",
    "anthropic_tools",
    "attach",
    "blocking",
    "dispatch",
    "open_computer",
    "open_run",
    "provider",
]
OutputT = TypeVar("OutputT", default=str)
DepsT = TypeVar("DepsT", default=object)

class LogStream:
    """The durable events of all runs behind a position: an async iterator of entries that ends when it is closed."""

    def __iter__(self) -> Iterator[LogEntry]:
        """Iterate over the entries."""

    def close(self) -> None:
        """End the stream at once."""

    def end(self) -> None:
        """End the stream behind what is in the log by now, instead of waiting for more."""

class EventStream:
    """The events of one run behind a number: an async iterator that ends after ``run.finished``."""

    def __iter__(self) -> Iterator[Event]:
        """Iterate over the events."""

    def batch(self) -> list[Event]:
        """Return the next events, as many as there are and at least one; none once the stream has ended."""

    def close(self) -> None:
        """End the stream."""

class Takeover:
    """A person has the computers: the run's own actions wait until they are handed back."""

    def __enter__(self) -> Self:
        """Return the takeover; leaving the block hands back."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Hand back, if that has not been done."""

    def close(self) -> None:
        """Leave it now, rather than at exit."""

    @property
    def over(self) -> bool:
        """Whether the computers went back."""

    def act(self, call: str | ToolCall, /, **arguments: JsonValue) -> Observation:
        """Do one thing; coordinates are pixels of the newest frame."""

    def look(self, computer_id: str | None = None) -> Frame | None:
        """Take a screenshot and return its frame; ``None`` where there is none to be had."""

    def hand_back(self, summary: str | None = None) -> None:
        """Give the computers back; the agent is told who had them, what was done, and whether the screen changed."""

    def expire(self) -> None:
        """Hand back when the lease has run out; returns when the computers went back, whoever gave them."""

class Run(Generic[OutputT]):
    """A run: live in this process, or one that the log remembers."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def ended(self) -> bool:
        """Whether the run has ended, as far as this process knows."""

    @property
    def paused(self) -> bool:
        """Whether its actions wait for `resume`."""

    def events(self, *, after: int = 0, types: Collection[str | type[EventBase]] | None = None) -> EventStream:
        """Follow the run's events: what the log holds after a number, then what comes, until ``run.finished``."""

    def result(self) -> RunResult[OutputT]:
        """Wait for the end and tell how it ended; does not raise for a run that failed."""

    def pause(self, *, actor: str = "user", reason: str | None = None) -> None:
        """Let no further action start until `resume`; inside a batch too."""

    def resume(self, *, actor: str = "user") -> None:
        """Let actions start again."""

    def step(self, *, actor: str = "user") -> None:
        """Let one action start, then pause."""

    def steer(self, text: str, *, when: When = "next", actor: str = "user", computer_id: str | None = None) -> None:
        """Say something to the agent while it works."""

    def takeover(self, actor: str = "user", *, reason: str | None = None, lease: float = ...) -> Takeover:
        """Take the computers over: the run's own actions wait until they are handed back."""

    def hand_back(self, summary: str | None = None) -> None:
        """Give the computers back that a person has taken over; nothing where nobody has."""

    def stop(self, *, now: bool = False, reason: str = "user") -> None:
        """Let no further action start and end the run; stopping an ended run changes nothing."""

    def approve(
        self,
        call_id: str,
        *,
        arguments: Mapping[str, JsonValue] | None = None,
        always: bool = False,
        actor: str = "user",
        reason: str | None = None,
    ) -> None:
        """Let a call run that waits for an approval; the first answer counts."""

    def deny(self, call_id: str, reason: str | None = None, *, actor: str = "user") -> None:
        """Keep a call from running that waits for an approval; the first answer counts."""

    def frame(self, frame_id: str) -> bytes:
        """Return the encoded image of one of the run's frames."""

    def record(self) -> History:
        """Return the run as its log tells it, so that another can go on from it."""

class OnComputer:
    """The same run, on one of its computers."""

    @property
    def tools(self) -> ToolRegistry:
        """The computer's tools, the user's own included; those of the run's first one where none is named."""

    def look(self) -> Frame:
        """Take a screenshot and return its frame."""

    @overload
    def act(self, call: ToolCall, /, *, check: bool = False) -> Observation: ...
    @overload
    def act(self, call: str, /, *, check: bool = False, **arguments: JsonValue) -> Observation: ...

class Inbox:
    """The messages of one run that its harness has not taken yet."""

    @property
    def urgent(self) -> bool:
        """Whether a message waits for which what is under way must be broken off."""

    def branch(self, name: str) -> Iterator[Inbox]:
        """Let a loop have an inbox of its own for the time of a block: what is put here, each of them gets."""

    def put(self, text: str, when: When = "next", *, to: str | None = None) -> None:
        """Add a message."""

    def take(self, *, idle: bool = False) -> list[str]:
        """Take the messages that count now, oldest first."""

    def wait(self) -> list[str]:
        """Wait for a message, and take all that there are."""

    def on_urgent(self, interrupt: Callable[[], None]) -> Callable[[], None]:
        """Have something called for each urgent message; returns what ends that."""

class TurnContext:
    """One model turn of a driver: its deltas, its answer, what it used."""

    def delta(self, text: str, *, kind: Literal["text", "thinking", "arguments"] = "text") -> None:
        """Pass on a piece of the answer as it comes."""

    def record(
        self,
        text: str = "",
        calls: Iterable[ToolCall] = ...,
        usage: Usage | None = None,
        *,
        thinking: str | None = None,
        raw: bytes | None = None,
        answer: bytes | None = None,
        stop_reason: str | None = None,
    ) -> list[ToolCall]:
        """Record the whole answer."""

    def again(self, usage: Usage | None = None) -> None:
        """Say that the answer so far came to nothing and is asked for anew."""

class RunContext(OnComputer, Generic[DepsT]):
    """What `Harness.drive` gets: everything inside a run goes through it."""

    @property
    def run_id(self) -> str:
        """The run's id."""

    @property
    def goal(self) -> str:
        """What the run is to reach."""

    @property
    def computers(self) -> Mapping[str, ComputerInfo]:
        """What is known of the run's computers, by id, the first being the default."""

    @property
    def deps(self) -> DepsT:
        """What ``start(deps=...)`` was given."""

    @property
    def history(self) -> History | None:
        """The recorded run that this one continues, where it was started with ``history=``."""

    @property
    def last_frame(self) -> Frame | None:
        """The newest frame of the run; of its one computer, in a part of a run."""

    def on(self, computer_id: str) -> OnComputer:
        """Look and act on one of the run's computers."""

    def part(
        self, computer_id: str, harness: Harness[OutputT, DepsT], *, goal: str | None = None
    ) -> Iterator[RunContext[DepsT]]:
        """Let one of the run's computers have a loop of its own for the time of a block."""

    def act_batch(self, calls: Sequence[ToolCall]) -> list[Observation]:
        """Do several things: in order on one computer, in parallel across computers."""

    def image(self, frame: Frame) -> bytes:
        """Return a frame's encoded image."""

    def check(self) -> None:
        """Raise if the run was stopped; a driver that only thinks asks now and then."""

    def afford_time(self, seconds: float) -> None:
        """Raise if the run's budgets do not have so many seconds left; a driver that is about to wait asks."""

    def emit(self, name: str, value: JsonValue = None) -> None:
        """Emit an event of one's own; the name is namespaced (``myapp.progress``)."""

    def checkpoint(self, value: JsonValue) -> None:
        """Keep how far a driver is; once this returns, `restored` has it in whatever process takes the run up again."""

    @property
    def restored(self) -> JsonValue:
        """The last `checkpoint` of a run that was recovered; ``None`` where there is none, as in a fresh run."""

    @property
    def past(self) -> Past | None:
        """What the log knows of a run that was recovered, for loops that are driven again; ``None`` of a fresh one."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that calls may use as ``{{secret:name}}``."""

    @property
    def inbox(self) -> Inbox:
        """What people say to the run while it goes; a driver takes it when it suits it."""

    def rewind(self) -> None:
        """Number turns and calls from the start again, to be driven through what the log of a recovered run knows."""

    def numbered(self, calls: Iterable[ToolCall]) -> list[ToolCall]:
        """Give the calls of an answer from `past_turn` the ids that they had."""

    def hear_again(self) -> None:
        """Put into the inbox what people had said before the turn that comes next, as a recovered run's log tells."""

    def past_turn(self) -> tuple[bytes, bytes] | None:
        """Return the next turn's answer where the log of a recovered run has it: the vendor's items, and the rest."""

    def turn(self, *, model: str | None = None, reserve: Usage | None = None) -> AbstractContextManager[TurnContext]:
        """Frame one of a driver's own model calls: turn events, usage and budgets as for the bundled loops."""

class EventLog:
    """Where the events of runs are kept; an async context manager."""

    def __enter__(self) -> Self:
        """Open the log."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is waiting, and close."""

    def close(self) -> None:
        """Leave it now, rather than at exit."""

    def claim(self, run_id: str, listener: Committed | None = None) -> int:
        """Become the run's writer: raise its epoch and return it; older writers are fenced."""

    def release(self, run_id: str, epoch: int) -> None:
        """Be no longer the run's writer: its listener is told nothing more, and nothing of it is kept in memory."""

    def owner(self, run_id: str) -> int | None:
        """Return the id of the living process that claimed a run last; ``None`` where there is none any more."""

    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        """Number events and hand them over to be written."""

    def check(self) -> None:
        """Refuse what would add to a log that is full."""

    def barrier(self, run_id: str) -> None:
        """Wait until everything appended so far is on stable storage."""

    def read(
        self, run_id: str, after: int = 0, *, limit: int = 1000, types: Collection[str] | None = None
    ) -> list[Event]:
        """Read committed events of a run with numbers above ``after``, oldest first; ``types`` are globs."""

    def bounds(self, run_id: str) -> tuple[int, int]:
        """Return the run's first and last kept numbers; ``(1, 0)`` where there are none."""

    def wait(self, run_id: str, after: int) -> None:
        """Wait until a number above ``after`` is committed."""

    def wait_all(self, after: int) -> None:
        """Wait until an event of any run with a position above ``after`` is committed."""

    def trim(self, run_id: str, before: int) -> None:
        """Forget the run's events with numbers below ``before``; readers are told of the gap."""

    def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """List the log's runs, newest first."""

    def read_all(self, after: int = 0, *, limit: int = 1000) -> list[LogEntry]:
        """Read committed events of all runs with positions above ``after``, in the order of their commit."""

class ExecStream:
    """A running command: an async iterator of its output chunks."""

    @property
    def exit_code(self) -> int | None:
        """The exit code once it has ended, else ``None``."""

    def __iter__(self) -> Iterator[ExecChunk]:
        """Iterate over the output until the command has ended."""

    def kill(self) -> None:
        """End the command and everything it started."""

class Shell:
    """A kept shell: directory and environment stay from one command to the next."""

    def run(self, command: str, *, timeout: float | None = None) -> ExecResult:
        """Run a command; a timed-out shell is restarted, which the result's ``error`` says."""

class Terminal:
    """A pseudo-terminal: an async iterator of the bytes that it shows."""

    @property
    def exit_code(self) -> int | None:
        """The shell's exit code once it has ended, else ``None``."""

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the output until the shell has ended."""

    def send(self, data: bytes) -> None:
        """Send input, as typed."""

    def resize(self, columns: int, rows: int) -> None:
        """Change the size in characters."""

    def kill(self) -> None:
        """End the shell and everything it started."""

class ExternalComputer:
    """A computer that an agent may use."""

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; by default, what its class overrides."""

    def require(self, *capabilities: Capability) -> None:
        """Check that this computer can do all of these."""

    def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a shell command (``bash -c`` semantics) to its end; a timeout kills it and everything it started."""

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractContextManager[ExecStream]:
        """Run a command and follow its output; leaving the block kills it."""

    def python(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Run Python code in a fresh interpreter on the computer."""

    def shell(self) -> AbstractContextManager[Shell]:
        """Open a kept shell."""

    def shell_endpoint(self) -> ShellEndpoint:
        """Tell where an interactive shell can be had."""

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractContextManager[Terminal]:
        """Open a pseudo-terminal with a shell in it; leaving the block ends it."""

    def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen."""

    def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""

    def perform(self, action: InputAction) -> None:
        """Perform one input action: the one input method that an adapter writes."""

    def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        """Wait until the screen has been quiet for ``quiet`` seconds, at most ``limit``; return the seconds waited."""

    @property
    def settles_itself(self) -> bool:
        """Whether it can tell that its screen is at rest, without a picture of it."""

    def changed(self, region: Region, *, within: float) -> bool | None:
        """Tell whether anything but carets was drawn in a part of the screen."""

    def click(
        self,
        x: int | None = None,
        y: int | None = None,
        *,
        button: MouseButton = "left",
        count: int = 1,
        modifiers: Sequence[str] = ...,
    ) -> None:
        """Click ``count`` times at a point, or where the pointer is."""

    def left_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ...) -> None:
        """Click the left button."""

    def right_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ...) -> None:
        """Click the right button."""

    def middle_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ...) -> None:
        """Click the middle button."""

    def double_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ...) -> None:
        """Click the left button twice."""

    def triple_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ...) -> None:
        """Click the left button three times."""

    def move(self, x: int, y: int) -> None:
        """Move the pointer."""

    def mouse_down(self, button: MouseButton = "left") -> None:
        """Press a button and keep it pressed."""

    def mouse_up(self, button: MouseButton = "left") -> None:
        """Release a button."""

    def drag(self, *path: tuple[int, int], button: MouseButton = "left", modifiers: Sequence[str] = ...) -> None:
        """Drag from the first point through the others to the last."""

    def scroll(
        self, x: int | None = None, y: int | None = None, *, dx: int = 0, dy: int = 0, modifiers: Sequence[str] = ...
    ) -> None:
        """Turn the wheel: notches, positive is right and down."""

    def key(self, chord: str, *, repeat: int = 1) -> None:
        """Press and release a chord such as ``ctrl+s``."""

    def hold_key(self, chord: str, duration: float) -> None:
        """Hold a chord for some seconds."""

    def type(self, text: str) -> None:
        """Type text exactly."""

    def wait(self, duration: float = 1.0) -> None:
        """Do nothing for some seconds."""

    def read_bytes(self, path: str) -> bytes:
        """Read a regular file (at most 100 MiB); relative paths start at the home folder."""

    def read_file(self, path: str) -> str:
        """Read a text file."""

    def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file byte for byte, making its folders; a reader sees the old content or the new, never half."""

    def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a directory, sorted by name."""

    def stat(self, path: str) -> FileInfo:
        """Tell what a path is."""

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, or a directory and all in it."""

    def preview_url(self, port: int, path: str = "/") -> str:
        """Return a URL at which a port of the computer can be reached."""

    def live_view_url(self) -> str:
        """Return a URL at which a person can watch the screen."""

    def resize(self, width: int, height: int) -> None:
        """Change the screen's size in pixels."""

    def refresh(self) -> ComputerInfo:
        """Ask what the computer is doing, and return its information; what needs no asking is told as it is."""

    def start(self) -> None:
        """Start a stopped computer."""

    def stop(self) -> None:
        """Stop the computer so that `start` brings it back."""

    def extend(self, ttl: float) -> None:
        """Say how many seconds the computer is kept from now on, in place of what was said before."""

    def destroy(self) -> None:
        """End the computer for good; destroying it twice is no error."""

    def clone(self, name: str) -> ExternalComputer:
        """Make a copy of this computer."""

    def snapshot(self, name: str) -> str:
        """Save the computer's state; return the snapshot's id."""

    def restore(self, snapshot_id: str) -> None:
        """Bring back a saved state."""

    def prompt(self, text: str) -> str:
        """Give a goal to the vendor's own agent; return its answer."""

    def lease(self, owner: str) -> AbstractContextManager[None]:
        """Have this computer for one owner while the block lasts; runs lease the computers they use."""

    def keep(self) -> None:
        """Give up ownership: the provider that created it will not destroy it."""

    @property
    def kept(self) -> bool:
        """Whether `keep` was called."""

class Harness(Generic[OutputT, DepsT]):
    """Decides the next tool call."""

    @property
    def driven_again(self) -> bool:
        """Whether `drive`, in a run that is recovered, goes through all that the log knows once more from its start."""

    @property
    def name(self) -> str:
        """What events call it."""

    @property
    def model(self) -> str | None:
        """The model it asks, where there is one."""

    @property
    def frame_limits(self) -> FrameLimits:
        """How large the frames may be that it gets; without limits unless its model has them."""

    @property
    def own_tools(self) -> ToolRegistry | Sequence[Tool] | None:
        """Tools that it brings besides the computer's own."""

    @property
    def settings(self) -> Mapping[str, JsonValue]:
        """What ``run.started`` keeps of its settings, so that a run can be taken up with the same; never a secret."""

    @property
    def stuck(self) -> Stuck:
        """When its runs count as stuck; never, unless it heeds what the inbox tells it."""

    def drive(self, run: RunContext[DepsT]) -> OutputT | None:
        """Pursue the run's goal; returning ends the run as completed, an exception as failed."""

    def start(
        self,
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer],
        goal: str,
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: DepsT | None = None,
        log: EventLog | None = None,
        blobs: BlobStore | None = None,
        on_approval: OnApproval | None = None,
        user: str | None = None,
        workspace: str | None = None,
        metadata: Mapping[str, str] | None = None,
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
        history: Continued = None,
        seeing: Seeing | None = None,
        stuck: Stuck | None = None,
    ) -> AbstractContextManager[Run[OutputT]]:
        """Start a run; leaving the block before it has ended stops it."""

    def run(
        self,
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer],
        goal: str,
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: DepsT | None = None,
        log: EventLog | None = None,
        blobs: BlobStore | None = None,
        on_approval: OnApproval | None = None,
        user: str | None = None,
        workspace: str | None = None,
        metadata: Mapping[str, str] | None = None,
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
        history: Continued = None,
        seeing: Seeing | None = None,
        stuck: Stuck | None = None,
    ) -> RunResult[OutputT]:
        """Start a run, wait for its end and tell how it ended; takes what `start` takes."""

class OpenRun(RunContext[DepsT], Run[object]):
    """A run whose loop is the caller's own code: everything of `RunContext` and of `Run`."""

    def finish(self, output: object = None) -> None:
        """Set the output that the run's result will hold when the block is left."""

class Engine:
    """Keeps runs in this process; an async context manager that stops on leaving whatever still runs."""

    def __enter__(self) -> Self:
        """Open the task group that owns the runs."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop what still runs, gracefully within 10 s, then by cancellation, and wait for its end."""

    def close(self) -> None:
        """Leave it now, rather than at exit."""

    def __init__(
        self,
        *,
        log: EventLog | None = None,
        blobs: BlobStore | None = None,
        on_approval: OnApproval | None = None,
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
        seeing: Seeing | None = None,
        stuck: Stuck | None = None,
    ) -> None: ...
    @property
    def log(self) -> EventLog:
        """The log that its runs write."""

    def start(
        self,
        harness: Harness[OutputT, DepsT],
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer] | ComputerSpec,
        goal: str,
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: DepsT | None = None,
        user: str | None = None,
        workspace: str | None = None,
        metadata: Mapping[str, str] | None = None,
        provider: str | Sequence[str] = "local",
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
        history: Continued = None,
    ) -> Run[OutputT]:
        """Start a run; it lives until it ends, is stopped, or the engine is left."""

    def recover(
        self,
        run_id: str,
        *,
        harness: Harness[OutputT, DepsT],
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer] | ComputerSpec,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: DepsT | None = None,
        provider: str | Sequence[str] = "local",
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
    ) -> Run[OutputT]:
        """Take a run up again whose process has died, from its log; live objects are not in there, so they are given."""

    def open(
        self,
        computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer] | ComputerSpec,
        goal: str,
        *,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        deps: object = None,
        frame_limits: FrameLimits | None = None,
        user: str | None = None,
        workspace: str | None = None,
        metadata: Mapping[str, str] | None = None,
        provider: str | Sequence[str] = "local",
        policy: OwnPolicy | None = None,
        budget: BudgetLike = None,
        secrets: Secrets | None = None,
    ) -> AbstractContextManager[OpenRun]:
        """Open a run whose loop is the block; takes what `start` takes, and the size limits of its frames."""

    def get(self, run_id: str) -> Run[object]:
        """Return a run: a live one of this engine, or one that the log remembers."""

    def events(
        self,
        *,
        after: int = 0,
        types: Collection[str | type[EventBase]] | None = None,
        workspace: str | None = None,
        user: str | None = None,
    ) -> LogStream:
        """Follow the durable events of all runs in the log: what it holds behind a position, then what comes."""

    def list(self) -> list[Run[object]]:
        """List the runs that live in this engine, oldest first."""

class ComputeProvider:
    """Creates, gets and lists computers; an async context manager that destroys on leaving what it still owns."""

    def __enter__(self) -> Self:
        """Open connections and whatever else the provider owns."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        """Destroy what was created here and neither destroyed nor kept, and close."""

    def close(self) -> None:
        """Leave it now, rather than at exit."""
    name: ClassVar[str]

    def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> ExternalComputer:
        """Create a computer, owned by this provider."""

    def get(self, computer_id: str) -> ExternalComputer:
        """Return an existing computer, borrowed."""

    def list(self) -> list[ComputerInfo]:
        """List the computers that can be seen with this key."""

class ModelHarness(Harness[OutputT]):
    """Lets a model use a computer: asks, acts, and shows what came of it, until the model is done."""

    def __init__(
        self,
        model: str,
        *,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        max_tokens: int | None = None,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None: ...
    @property
    def driven_again(self) -> bool:
        """Whether it goes through all that the log of a recovered run knows: it does."""

    @property
    def settings(self) -> Mapping[str, JsonValue]:
        """What ``run.started`` keeps of its settings."""

    @property
    def model(self) -> str:
        """The model it asks."""

    @property
    def instructions(self) -> str:
        """The system prompt."""

    @property
    def own_tools(self) -> ToolRegistry | Sequence[Tool] | None:
        """The function tools that it was given."""

    @property
    def stuck(self) -> Stuck:
        """When its runs count as stuck: the model is told, a person asked, and in the end the run has failed."""

    def adapter(self, run: RunContext) -> AbstractContextManager[ModelAdapter]:
        """Connect to the vendor for one run."""

    def drive(self, run: RunContext) -> OutputT | None:
        """Ask, act, and show what came of it, until the model is done."""

class ClaudeComputerUseHarness(ModelHarness[OutputT]):
    """Lets Claude use a computer through its native computer tool, with function tools beside it."""

    def __init__(
        self,
        model: str = "claude-sonnet-5-5",
        client: AnthropicClient | None = None,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        *,
        max_tokens: int = 32000,
        effort: Effort | None = None,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None: ...
    @property
    def frame_limits(self) -> FrameLimits:
        """How large an image the model reads, in every request of a long run."""

    def adapter(self, run: RunContext) -> AbstractContextManager[ModelAdapter]:
        """Connect to Anthropic's API for one run."""

class HostedComputer(ExternalComputer):
    """A computer that is its vendor's: derive from it in place of `ExternalComputer`."""

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer, as of the last time that its vendor told."""

    @property
    def is_ended(self) -> bool:
        """Whether it was ended for certain, which a computer that its vendor did not find once may not be."""

    def read_bytes(self, path: str) -> bytes:
        """Read a regular file, at most 100 MiB."""

    def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file byte for byte and put it in its place at once; a link is written through."""

    def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a directory, sorted by name; links are told as such."""

    def stat(self, path: str) -> FileInfo:
        """Tell what a path is; a link is told as such."""

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, an empty directory, or with ``recursive`` a directory and all in it."""

class CuaComputer(HostedComputer):
    """A desktop that is driven through a cua-computer-server on it."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; a command that turns out to be missing takes its capabilities with it."""

    def wait_until_up(self) -> None:
        """Wait until a machine of the cloud is up, and find out what the computer can do."""

    def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command; a timeout or cancellation ends it on the computer too, by a second request."""

    def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen, draw the pointer, and cut a region out here."""

    def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""

    def perform(self, action: InputAction) -> None:
        """Perform one input action, once: a failure is told, not repeated."""

    def live_view_url(self) -> str:
        """Return the page on which the screen can be watched; whoever has it gets in, so that it is told to nobody."""

    def refresh(self) -> ComputerInfo:
        """Ask what the computer is doing, and return its information; a server that does not answer has an error."""

    def start(self) -> None:
        """Start a machine of the cloud and wait until it is up."""

    def stop(self) -> None:
        """Stop a machine of the cloud and wait until it has: the disk is kept, memory is lost."""

    def destroy(self) -> None:
        """Stop a machine of the cloud, which is not deleted; let go of a server that was reached by its address."""

class HostedProvider(ComputeProvider):
    """A provider whose computers are elsewhere: what it creates is destroyed when it is left."""

    def __enter__(self) -> Self:
        """Open the connections."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Destroy what was created here and neither destroyed nor kept, and close the connections."""

    def close(self) -> None:
        """Leave it now, rather than at exit."""

    def __init__(self) -> None: ...
    @property
    def is_open(self) -> bool:
        """Whether it can be used."""

class CuaProvider(HostedProvider):
    """Linux desktops behind a cua-computer-server: one that runs, by its address, or machines of Cua's cloud."""

    name: ClassVar[str]

    def __init__(
        self,
        *,
        base_url: str | None = None,
        api_key: str | SecretStr | None = None,
        container_name: str | None = None,
        cloud_url: str | None = None,
        timeout: float | None = None,
        http_client: OwnClient | None = None,
    ) -> None: ...
    def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> CuaComputer:
        """Start a machine of the account that is stopped, wait until it is up, and find out what it can do."""

    def get(self, computer_id: str) -> CuaComputer:
        """Return an existing computer, borrowed: a machine of the account, or a server by ``HOST:PORT`` or its URL."""

    def list(self) -> builtins.list[ComputerInfo]:
        """List the account's machines, or the server whose address is configured."""

class RestoringComputer(HostedComputer):
    """Derive from it where a snapshot is no way back for the same machine, but the beginning of another one."""

    def restore(self, snapshot_id: str) -> None:
        """Become the machine that the vendor makes of a snapshot, with another ``info.id``; wait until it is up."""

    def destroy(self) -> None:
        """End it for good, and what it was before a snapshot was restored; that it is gone already is no error."""

class ShellDesktop(ExternalComputer):
    """A computer whose screen is seen and used through its shell: derive from it in place of `ExternalComputer`."""

    @property
    def screen(self) -> Screen | None:
        """The screen's size as last seen; ``None`` where no desktop was found."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the class overrides, and of the desktop what was found."""

    def find_desktop(self, display: str | None = None) -> Screen | None:
        """Look for a display and for the programs, and remember what was found."""

    def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen, and cut a region out here; ``auto`` is PNG."""

    def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""

    def perform(self, action: InputAction) -> None:
        """Perform one input action, once: a failure is told, not repeated, and says in ``effect`` what is certain."""

class E2BComputer(RestoringComputer, ShellDesktop):
    """A sandbox in E2B's cloud."""

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer, as of the last time that E2B told."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; a route that turns out to be missing takes its capability with it."""

    def wait_until_up(self) -> None:
        """Wait until it takes commands, and find its desktop; of a new one, start that."""

    def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command; a timeout or cancellation ends it in the sandbox too, with all that it started."""

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractContextManager[ExecStream]:
        """Run a command and follow its output; leaving the block ends it."""

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractContextManager[Terminal]:
        """Open a terminal; leaving the block ends it."""

    def preview_url(self, port: int, path: str = "/") -> str:
        """Return the address at which anybody can reach a port of the sandbox."""

    def live_view_url(self) -> str:
        """Start a viewer and return the page on which a person can watch the screen, its password in the address."""

    def extend(self, ttl: float) -> None:
        """Say how many seconds it is kept, from now on."""

    def stop(self) -> None:
        """Pause it, its memory kept; that it is paused already is no error. Its time does not go on meanwhile."""

    def start(self, *, from_disk: bool = False) -> None:
        """Let it go on where it was paused, for as long as it was given at first."""

    def refresh(self) -> ComputerInfo:
        """Ask E2B what the computer is doing, and return its information: that it is gone too."""

    def clone(self, name: str) -> E2BComputer:
        """Make a copy that goes on from here, owned by the provider; ``name`` is kept as metadata."""

    def snapshot(self, name: str) -> str:
        """Save disk and memory; it pauses meanwhile. The snapshot stays when the computer ends, until it is deleted."""

    @property
    def made_with(self) -> Mapping[str, object]:
        """The request that it was created with; empty of one that was created elsewhere."""

    @property
    def ttl(self) -> float:
        """Seconds that it is kept when it is created, resumed or copied."""

class E2BProvider(HostedProvider):
    """Sandboxes of E2B, over its HTTP API."""

    name: ClassVar[str]

    def __init__(
        self,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        domain: str | None = None,
        sandbox_url: str | None = None,
        timeout: float | None = None,
        http_client: OwnClient | None = None,
    ) -> None: ...
    def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> E2BComputer:
        """Create a sandbox, start its desktop where its template has one, and find out what it can do."""

    def get(self, computer_id: str) -> E2BComputer:
        """Return an existing sandbox, borrowed; one that runs is waited for until it takes commands."""

    def list(self) -> builtins.list[ComputerInfo]:
        """List the sandboxes that the key may see, running and paused, the oldest first."""

class LocalComputer(ExternalComputer):
    """A computer that lives in this process's care and ends with it."""

    @property
    def info(self) -> ComputerInfo:
        """What is known of this computer, as of now."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do, as its machine allows."""

    @property
    def home(self) -> str:
        """The home folder, as seen on the computer."""

    @property
    def x_access(self) -> tuple[str, Path] | None:
        """What ``DISPLAY`` and ``XAUTHORITY`` must be for this machine's own programs to reach the screen."""

    @property
    def vnc_socket(self) -> Path | None:
        """A private unix socket of the machine that speaks VNC, where the X server does."""

    def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command in a fresh ``bash -c``; what it leaves in the background lives on, but a timeout kills all."""

    def exec_stream(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> AbstractContextManager[ExecStream]:
        """Run a command and follow its output; a reader that lags makes it wait."""

    def shell(self) -> AbstractContextManager[Shell]:
        """Open a kept shell; a command that reads its input gets end of file."""

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractContextManager[Terminal]:
        """Open a pseudo-terminal with a shell in it."""

    def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen as it is now; `settle` waits for it to come to rest."""

    def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""

    def perform(self, action: InputAction) -> None:
        """Perform one input action; what it presses is released on every way out."""

    def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        """Wait until nothing but carets changed for ``quiet`` seconds, at most ``limit``."""

    def changed(self, region: Region, *, within: float) -> bool | None:
        """Tell whether anything but carets was drawn in a region in the last ``within`` seconds."""

    def resize(self, width: int, height: int) -> None:
        """Change the screen's size in pixels."""

    def read_bytes(self, path: str) -> bytes:
        """Read a regular file as the computer sees it, at most 100 MiB."""

    def write_file(self, path: str, content: str | bytes) -> None:
        """Write a file byte for byte and put it in its place at once; a link is written through."""

    def list_dir(self, path: str = ".") -> list[FileInfo]:
        """List a directory, sorted by name; links are told as such."""

    def stat(self, path: str) -> FileInfo:
        """Tell what a path is; a link is told as such."""

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, an empty directory, or with ``recursive`` a directory and all in it."""

    def preview_url(self, port: int, path: str = "/") -> str:
        """Return the loopback URL of a port: the computer shares the machine's network."""

    def keep(self) -> None:
        """Refuse: a local computer lives no longer than its owner."""

    def describe(self, *, name: str, metadata: Mapping[str, str]) -> None:
        """Give the computer its name and what its creator wants to remember of it."""

    def on_destroy(self, destroy: Callable[[], Awaitable[None]]) -> None:
        """Tell how whoever holds the computer ends it."""

    def destroy(self) -> None:
        """End the computer and everything on it; destroying it twice is no error."""

class LocalProvider(ComputeProvider):
    """Computers on this machine: each has a screen, a home folder and a sandbox of its own, as the machine allows."""

    def __enter__(self) -> Self:
        """Clean up after computers whose owners were killed, and begin to fill the pool."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End all computers that were created here, and wait until nothing of them is left."""

    def close(self) -> None:
        """Leave it now, rather than at exit."""
    name: ClassVar[str]

    def __init__(self, *, pool: int = 0, screen: Screen | tuple[int, int] = ...) -> None: ...
    def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> LocalComputer:
        """Create a computer, which ends with this provider at the latest."""

    def get(self, computer_id: str) -> ExternalComputer:
        """Return a computer, borrowed: one that was created here, or that another process of this user holds."""

    def list(self) -> builtins.list[ComputerInfo]:
        """List this user's local computers, whichever process holds them, the oldest first."""

class MemoryLog(EventLog):
    """Keeps events in memory; bounded, and never trims by itself."""

    def __enter__(self) -> Self:
        """Open the log; nothing needs opening."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the log; what it holds can still be read."""

    def close(self) -> None:
        """Leave it now, rather than at exit."""

    def __init__(self, limit: int = ...) -> None: ...
    def claim(self, run_id: str, listener: Committed | None = None) -> int:
        """Become the run's writer; see `EventLog.claim`."""

    def owner(self, run_id: str) -> int | None:
        """Return this process where it has claimed the run; see `EventLog.owner`."""

    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        """Number and keep events; see `EventLog.append`."""

    def release(self, run_id: str, epoch: int) -> None:
        """Forget the run's writer; see `EventLog.release`."""

    def barrier(self, run_id: str) -> None:
        """Refuse when the log is full; memory has no other barrier."""

    def check(self) -> None:
        """Refuse further actions when the log is full; see `EventLog.check`."""

    def read(
        self, run_id: str, after: int = 0, *, limit: int = 1000, types: Collection[str] | None = None
    ) -> list[Event]:
        """Read a run's events; see `EventLog.read`."""

    def bounds(self, run_id: str) -> tuple[int, int]:
        """Return the first and last kept numbers; see `EventLog.bounds`."""

    def wait(self, run_id: str, after: int) -> None:
        """Wait for a number above ``after``; see `EventLog.wait`."""

    def wait_all(self, after: int) -> None:
        """Wait for a position above ``after``; see `EventLog.wait_all`."""

    def trim(self, run_id: str, before: int) -> None:
        """Forget old events; see `EventLog.trim`."""

    def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """List runs, newest first; see `EventLog.runs`."""

    def read_all(self, after: int = 0, *, limit: int = 1000) -> list[LogEntry]:
        """Read the events of all runs; see `EventLog.read_all`."""

class _OpenAIHarness(ModelHarness[OutputT]):
    """What both loops have in common: the client, and how the API is asked."""

    def __init__(
        self,
        model: str,
        client: AsyncOpenAI | None,
        instructions: str | None,
        tools: ToolRegistry | Sequence[Tool] | None,
        max_turns: int,
        output_type: type[OutputT] | None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None,
        *,
        api: Api,
        base_url: str | None,
        max_tokens: int | None,
        effort: OpenaiEffort | None,
        keep_on_server: bool,
        patience: Patience | None,
        deadlines: Deadlines | None,
    ) -> None: ...
    @property
    def frame_limits(self) -> FrameLimits:
        """How large an image the model reads unscaled."""

class OpenAIFunctionHarness(_OpenAIHarness[OutputT]):
    """Lets any model that can call functions use a computer: over the Responses API or over Chat Completions."""

    def __init__(
        self,
        model: str = "gpt-5.5",
        client: AsyncOpenAI | None = None,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        *,
        api: Api = "responses",
        base_url: str | None = None,
        max_tokens: int | None = None,
        effort: OpenaiEffort | None = None,
        keep_on_server: bool = False,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None: ...
    def adapter(self, run: RunContext) -> AbstractContextManager[ModelAdapter]:
        """Connect to the API for one run."""

class MiosaModelHarness(OpenAIFunctionHarness[OutputT]):
    """Lets a model that MIOSA serves use a computer: functions over Chat Completions, at MIOSA's address."""

    def __init__(
        self,
        model: str = "gpt-6-astra",
        client: AsyncOpenAI | None = None,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        *,
        api_key: str | SecretStr | None = None,
        access_token: str | SecretStr | None = None,
        base_url: str | None = None,
        tenant: str | None = None,
        max_tokens: int | None = None,
        effort: OpenaiEffort | None = None,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None: ...

class OpenAIComputerUseHarness(_OpenAIHarness[OutputT]):
    """Lets a model of OpenAI use a computer through the Responses API's computer tool, with function tools beside it."""

    def __init__(
        self,
        model: str = "gpt-5.5",
        client: AsyncOpenAI | None = None,
        instructions: str | None = None,
        tools: ToolRegistry | Sequence[Tool] | None = None,
        max_turns: int = 100,
        output_type: type[OutputT] | None = None,
        on_request: Callable[[Mapping[str, JsonValue]], None] | None = None,
        *,
        base_url: str | None = None,
        max_tokens: int | None = None,
        effort: OpenaiEffort | None = None,
        keep_on_server: bool = False,
        patience: Patience | None = None,
        deadlines: Deadlines | None = None,
    ) -> None: ...
    @property
    def own_tools(self) -> ToolRegistry:
        """The function tools that it was given, and what the computer tool asks for besides the usual ones."""

    def adapter(self, run: RunContext) -> AbstractContextManager[ModelAdapter]:
        """Connect to OpenAI's API for one run."""

class OrgoComputer(HostedComputer):
    """A desktop in Orgo's cloud."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this computer can do; a route that turns out to be missing takes its capability with it."""

    def wait_until_up(self) -> None:
        """Wait until the desktop is up, and find out meanwhile what it can do; of one that is off, what its vendor can."""

    def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command; a timeout or cancellation ends it on the computer too, by a second request."""

    def python(self, code: str, *, timeout: float | None = None) -> ExecResult:
        """Run Python code, in whole seconds up to 300; longer, or where the route is missing, as a command."""

    def shell_endpoint(self) -> ShellEndpoint:
        """Tell where the terminal's socket is, and the token that it takes as the query parameter ``token``."""

    def terminal(self, *, columns: int = 120, rows: int = 32) -> AbstractContextManager[Terminal]:
        """Open a terminal; leaving the block ends it."""

    def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen, and cut a region out here; ``auto`` is what Orgo sends."""

    def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""

    def perform(self, action: InputAction) -> None:
        """Perform one input action, once: a failure is told, not repeated."""

    def live_view_url(self) -> str:
        """Return the page on which whoever is logged in at Orgo can watch the screen."""

    def start(self) -> None:
        """Start it and wait until it is up; its terminal has another token afterwards."""

    def stop(self) -> None:
        """Stop it and wait until it has: the disk is kept, memory is lost."""

    def extend(self, ttl: float) -> None:
        """Say after how much time, in which nobody uses it, Orgo stops it; rounded up to whole minutes."""

    def restart(self) -> None:
        """Restart it and wait until it is up; old hosts know no restart and are stopped and started."""

    def refresh(self) -> ComputerInfo:
        """Ask Orgo what the computer is doing, and return its information: that it is gone too."""

    def destroy(self) -> None:
        """End it for good; that it is gone already is no error."""

    def clone(self, name: str) -> OrgoComputer:
        """Make a copy, owned by the provider; Orgo names it after the original, and ``name`` is kept as metadata."""

    def prompt(self, text: str) -> str:
        """Give a goal to Orgo's own agent, which may act for up to half an hour; return its last words."""

class OrgoProvider(HostedProvider):
    """Hosted Linux desktops of Orgo, over its HTTP API."""

    name: ClassVar[str]

    def __init__(
        self,
        *,
        api_key: str | SecretStr | None = None,
        workspace_id: str | None = None,
        base_url: str | None = None,
        timeout: float | None = None,
        http_client: OwnClient | None = None,
        agent_model: str = ...,
    ) -> None: ...
    def create(self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object) -> OrgoComputer:
        """Create a computer, wait until its desktop is up, and find out what it can do."""

    def get(self, computer_id: str) -> OrgoComputer:
        """Return an existing computer, borrowed; one that runs is waited for until its desktop is up."""

    def list(self) -> builtins.list[ComputerInfo]:
        """List the computers of all workspaces that the key may see, the oldest first."""

class ProbeHarness(Harness[str]):
    """Tries out whatever a computer can do: the quickest way to see that one works."""

    def drive(self, run: RunContext) -> str:
        """Use each of the basic tools that there are, and return what the shell said."""

class SqliteLog(EventLog):
    """Keeps events in one SQLite file, mode 0600; several processes may share it."""

    def __enter__(self) -> Self:
        """Open the file and start the writer."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is waiting, and close."""

    def close(self) -> None:
        """Leave it now, rather than at exit."""

    def __init__(self, path: str | os.PathLike[str]) -> None: ...
    def claim(self, run_id: str, listener: Committed | None = None) -> int:
        """Become the run's writer; see `EventLog.claim`."""

    def owner(self, run_id: str) -> int | None:
        """Return the living process that claimed the run last; see `EventLog.owner`."""

    def release(self, run_id: str, epoch: int) -> None:
        """Forget the run's writer; see `EventLog.release`."""

    def append(self, run_id: str, epoch: int, events: Sequence[EventBase]) -> list[EventBase]:
        """Number events and hand them to the writer; see `EventLog.append`."""

    def check(self) -> None:
        """Refuse further actions while too much waits to be written; see `EventLog.check`."""

    def barrier(self, run_id: str) -> None:
        """Wait until everything appended so far is synced; see `EventLog.barrier`."""

    def read(
        self, run_id: str, after: int = 0, *, limit: int = 1000, types: Collection[str] | None = None
    ) -> list[Event]:
        """Read a run's events; see `EventLog.read`."""

    def bounds(self, run_id: str) -> tuple[int, int]:
        """Return the first and last kept numbers; see `EventLog.bounds`."""

    def wait(self, run_id: str, after: int) -> None:
        """Wait for a number above ``after``, of this process or another; see `EventLog.wait`."""

    def wait_all(self, after: int) -> None:
        """Wait for a position above ``after``, of this process or another; see `EventLog.wait_all`."""

    def trim(self, run_id: str, before: int) -> None:
        """Forget old events; see `EventLog.trim`."""

    def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """List runs, newest first; see `EventLog.runs`."""

    def read_all(self, after: int = 0, *, limit: int = 1000) -> list[LogEntry]:
        """Read the events of all runs; see `EventLog.read_all`."""

def attach(name: str) -> AbstractContextManager[ExternalComputer]:
    """Borrow an existing computer, ``PROVIDER:ID``, and leave it alone on leaving."""

def dispatch(computer: ExternalComputer, name: str, arguments: Mapping[str, JsonValue] | str) -> dict[str, JsonValue]:
    """Do one of the seven tools' calls on a computer."""

def open_computer(
    name: str | Sequence[str] = "local",
    *,
    label: str = "deskhand",
    spec: ComputerSpec | None = None,
    **vendor_options: object,
) -> AbstractContextManager[ExternalComputer]:
    """Create a computer and destroy it on leaving."""

def open_run(
    computer: ExternalComputer | Sequence[ExternalComputer] | Mapping[str, ExternalComputer],
    goal: str,
    *,
    tools: ToolRegistry | Sequence[Tool] | None = None,
    deps: object = None,
    log: EventLog | None = None,
    blobs: BlobStore | None = None,
    on_approval: OnApproval | None = None,
    frame_limits: FrameLimits | None = None,
    user: str | None = None,
    workspace: str | None = None,
    metadata: Mapping[str, str] | None = None,
    policy: OwnPolicy | None = None,
    budget: BudgetLike = None,
    secrets: Secrets | None = None,
    seeing: Seeing | None = None,
    stuck: Stuck | None = None,
) -> AbstractContextManager[OpenRun]:
    """Open a run whose loop is the caller's own code: the same executor, events and control as a bundled loop."""

def provider(name: str, **options: object) -> ComputeProvider:
    """Return the provider with that name, to be entered with ``async with``."""

@overload
def blocking(value: asynchronous.ExternalComputer) -> ExternalComputer:
    """Return the blocking twin of what was made with deskhand's own names."""

@overload
def blocking(value: asynchronous.ComputeProvider) -> ComputeProvider: ...
@overload
def blocking(value: asynchronous.Harness[OutputT, DepsT]) -> Harness[OutputT, DepsT]: ...
@overload
def blocking(value: asynchronous.EventLog) -> EventLog: ...
