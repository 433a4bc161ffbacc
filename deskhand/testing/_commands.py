"""The command lines of a fake computer: what a test scripted, and its shell for the rest."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import anyio

from deskhand.errors import FileMissingError
from deskhand.providers import ExecResult
from deskhand.providers.contract import KEPT_OUTPUT
from deskhand.testing._files import FakeFiles
from deskhand.testing._programs import PROGRAMS
from deskhand.testing._shell import Call, Program, Shell, ShellExit, StreamName, Write

if TYPE_CHECKING:
    from deskhand.testing.computer import FakeComputer

__all__ = ["CommandScript", "Commands", "FakeCommand"]


@dataclass(frozen=True, slots=True)
class FakeCommand:
    """A command that a test answers.

    Attributes:
        arguments: The program's name and its arguments; the whole line alone where the line was scripted as a whole.
        stdin: Its standard input.
        cwd: Its working directory.
        env: Its variables.
        computer: The computer it runs on.
    """

    arguments: tuple[str, ...]
    stdin: bytes
    cwd: str
    env: Mapping[str, str]
    computer: FakeComputer


Answer: TypeAlias = str | ExecResult
CommandScript: TypeAlias = Answer | Callable[[FakeCommand], Answer | Awaitable[Answer]]
"""What a scripted command prints (and exits with 0), its whole result, or a function, async or not, that says so."""


class Commands:
    """Runs the command lines of a fake computer.

    Args:
        scripts: Answers to commands; a key is a whole command line, or a program's name.
        files: What the shell's programs read and write.
        computer: Whose they are.
        until_gone: Ends a block when the computer is destroyed.
    """

    def __init__(
        self,
        scripts: Mapping[str, CommandScript],
        files: FakeFiles,
        computer: FakeComputer,
        until_gone: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._scripts = dict(scripts)
        self._files = files
        self._computer = computer
        self._until_gone = until_gone
        self._programs: dict[str, Program] = {
            **PROGRAMS,
            **{key: self._as_program(key) for key in self._scripts if key and not key.split()[1:]},
        }

    def shell(self, cwd: str | None = None, env: Mapping[str, str] | None = None) -> Shell:
        """Return a fresh shell.

        Raises:
            FileMissingError: If it cannot start where it is to.
        """
        shell = Shell(self._files, self._programs)
        shell.env.update(env or {})
        if cwd is not None:
            shell.cwd = self._files.absolute(cwd)
            if not self._files.is_folder(shell.cwd):
                raise FileMissingError(f"there is no directory {cwd} to run in")
        return shell

    async def collect(self, command: str, shell: Shell, stdin: bytes, limit: float) -> ExecResult:
        """Run a command line for so many seconds at most, and keep what it prints, within bounds."""
        began = time.monotonic()
        kept: dict[str, _Kept] = {"stdout": _Kept(), "stderr": _Kept(), "both": _Kept(2 * KEPT_OUTPUT)}

        async def write(stream: StreamName, data: bytes) -> None:
            kept[stream].add(data)
            kept["both"].add(data)

        exit_code: int | None = None
        error: str | None = f"timed out after {limit:g} s"
        with anyio.move_on_after(limit), self._until_gone():
            exit_code, error = await self.run(command, shell, stdin, write)
        return ExecResult(
            output=kept["both"].text(),
            stdout=kept["stdout"].text(),
            stderr=kept["stderr"].text(),
            exit_code=exit_code,
            error=error,
            duration=time.monotonic() - began,
            dropped=kept["stdout"].dropped + kept["stderr"].dropped,
        )

    async def run(self, command: str, shell: Shell, stdin: bytes, write: Write) -> tuple[int | None, str | None]:
        """Run a command line; return its exit code, or why there is none."""
        scripted = self._scripts.get(command.strip())
        if scripted is not None:
            asked = FakeCommand((command.strip(),), stdin, shell.cwd, dict(shell.env), self._computer)
            result = await _answer(scripted, asked)
            await _print(result, write)
            return result.exit_code, result.error
        try:
            return await shell.run(command, stdin, write), None
        except ShellExit as left:
            return left.code, None

    def _as_program(self, name: str) -> Program:
        """Make a program of the shell of what the test scripted."""

        async def run(call: Call) -> int:
            asked = FakeCommand(call.arguments, call.stdin, call.shell.cwd, dict(call.shell.env), self._computer)
            result = await _answer(self._scripts[name], asked)

            async def write(stream: StreamName, data: bytes) -> None:
                await (call.out if stream == "stdout" else call.err)(data)

            await _print(result, write)
            return 1 if result.exit_code is None else result.exit_code

        return run


class _Kept:
    """Output within bounds: the first and the last half of what may be kept."""

    def __init__(self, limit: int = KEPT_OUTPUT) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self.dropped = 0

    def add(self, data: bytes) -> None:
        """Take more output."""
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[max(0, room) :]
        if (excess := len(self._tail) - self._half) > 0:
            del self._tail[:excess]
            self.dropped += excess

    def text(self) -> str:
        """Return what was kept."""
        return bytes(self._head + self._tail).decode(errors="replace")


async def _answer(script: CommandScript, command: FakeCommand) -> ExecResult:
    given = script(command) if callable(script) else script
    answer = await given if inspect.isawaitable(given) else given
    return ExecResult(answer, answer, "", 0) if isinstance(answer, str) else answer


async def _print(result: ExecResult, write: Write) -> None:
    out = result.output if result.stdout is None else result.stdout
    if out:
        await write("stdout", out.encode())
    if result.stdout is not None and result.stderr:
        await write("stderr", result.stderr.encode())
