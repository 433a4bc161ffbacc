"""The command line as a person or a script runs it: a real process, pipes or a terminal, signals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.abc
from anyio.streams.text import TextReceiveStream
from pydantic import JsonValue

REPOSITORY = Path(__file__).parents[2]
LIMIT = 45.0
"""Seconds after which a program under test counts as hung."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program that has ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, JsonValue]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Program:
    """The ``deskhand`` of one test: its own home, the testbed provider, no keys.

    Args:
        folder: A fresh folder, the working directory too.
        variables: Environment variables besides.
    """

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where the program keeps its log."""
        return self.folder / "home"

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the program."""
        plugin = self.folder / "plugin" / "deskhand_testbed-1.0.dist-info"
        plugin.mkdir(parents=True, exist_ok=True)
        (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: deskhand-testbed\nVersion: 1.0\n")
        (plugin / "entry_points.txt").write_text(
            "[deskhand.providers]\ntestbed = tests.cli.testbed:TestbedProvider\nbroken = no_such_module:Provider\n"
        )
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "DESKHAND_HOME": str(self.home),
            "PYTHONPATH": f"{REPOSITORY}:{plugin.parent}",
            **self.variables,
        }

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs the program."""
        return [sys.executable, "-W", "error", "-m", "deskhand.cli", *words]

    async def run(self, *words: str, stdin: bytes = b"") -> Ended:
        """Run it to its end; as nobody is at a terminal, ``run`` asks nobody unless the words say otherwise."""
        with anyio.fail_after(LIMIT):
            ended = await anyio.run_process(
                self.command(*_unasked(words)), input=stdin, env=self.environment(), cwd=self.folder, check=False
            )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    @asynccontextmanager
    async def start(self, *words: str) -> AsyncIterator[Running]:
        """Start it with pipes; what is still there on leaving is killed."""
        async with await anyio.open_process(
            self.command(*_unasked(words)), env=self.environment(), cwd=self.folder, start_new_session=True
        ) as process:
            running = Running(process)
            try:
                yield running
            finally:
                with suppress(ProcessLookupError):
                    if process.returncode is None:
                        os.killpg(process.pid, signal.SIGKILL)

    async def on_terminal(
        self, *words: str, columns: int = 100, keys: tuple[tuple[str, bytes | signal.Signals], ...] = ()
    ) -> tuple[int, str]:
        """Run it on a terminal of its own; return its exit code and everything that the terminal got.

        Args:
            *words: The command.
            columns: The terminal's width.
            keys: What to press once some text was shown, in order; or the signal that it gets then.
        """
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(sys.executable, self.command(*words), self.environment())
        try:
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
            with anyio.fail_after(LIMIT):
                shown = await anyio.to_thread.run_sync(_watch, pid, terminal, keys, abandon_on_cancel=True)
                _, status = await anyio.to_thread.run_sync(os.waitpid, pid, 0, abandon_on_cancel=True)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.close(terminal)
        return os.waitstatus_to_exitcode(status), shown.decode(errors="surrogateescape")


def _unasked(words: Sequence[str]) -> Sequence[str]:
    return [*words, "--approve", "never"] if words[:1] == ("run",) and "--approve" not in words else words


def _watch(pid: int, terminal: int, keys: Sequence[tuple[str, bytes | signal.Signals]]) -> bytes:
    """Read until the last process has closed the terminal, and press keys on the way."""
    shown = b""
    waiting = list(keys)
    since = 0
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            return shown
        if not piece:
            return shown
        shown += piece
        if waiting and waiting[0][0].encode() in shown[since:]:
            since = len(shown)
            what = waiting.pop(0)[1]
            if isinstance(what, signal.Signals):
                os.kill(pid, what)
            else:
                os.write(terminal, what)


@dataclass(eq=False)
class Running:
    """A program that runs."""

    process: anyio.abc.Process
    seen: list[str] = field(default_factory=list)

    async def lines(self) -> AsyncIterator[str]:
        """Iterate over the lines of standard output as they come."""
        assert self.process.stdout is not None
        rest = ""
        async for piece in TextReceiveStream(self.process.stdout):
            *whole, rest = (rest + piece).split("\n")
            for line in whole:
                self.seen.append(line)
                yield line

    async def says(self, words: str) -> None:
        """Read standard error until it says this."""
        assert self.process.stderr is not None
        said = ""
        with anyio.fail_after(LIMIT):
            while words not in said:
                said += (await self.process.stderr.receive()).decode(errors="replace")

    async def end(self) -> Ended:
        """Wait for the end; return what was not yet read."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        texts = ["", ""]

        async def drain(index: int, stream: anyio.abc.ByteReceiveStream) -> None:
            async for piece in TextReceiveStream(stream):
                texts[index] += piece

        with anyio.fail_after(LIMIT):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(drain, 0, self.process.stdout)
                tasks.start_soon(drain, 1, self.process.stderr)
            code = await self.process.wait()
        return Ended(code, *texts)

    def signal(self, number: signal.Signals) -> None:
        """Send the program, not its children, a signal."""
        self.process.send_signal(number)

    def members(self) -> list[int]:
        """Return the living processes of the program's session, itself included."""
        return session_members(self.process.pid)


def session_members(session: int) -> list[int]:
    """Return the living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                after = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(after[3]) == session and after[0] not in "ZX":
                found.append(int(entry.name))
    return found


def family(pid: int) -> list[int]:
    """Return the living processes that a process started, and those that they started."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def command_of(pid: int) -> str:
    """Return a process's command line; nothing where it is gone or a zombie."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def types_of(lines: Sequence[Mapping[str, JsonValue]]) -> list[JsonValue]:
    """Return the lines' types."""
    return [line["type"] for line in lines]
