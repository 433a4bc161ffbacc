"""The shell of a fake computer: runs a parsed command line over the fake's files. It starts no process.

A pipeline runs one command after the other; every command is one of `deskhand.testing._programs`, or one that the
fake's user gave. Anything else is not found: exit code 127, as on any machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import anyio.lowlevel

from deskhand.errors import DeskhandError
from deskhand.testing._files import HOME, FakeFiles
from deskhand.testing._shell_syntax import (
    CommandList,
    Group,
    Pipeline,
    Redirection,
    ShellSyntaxError,
    Simple,
    Word,
    parse,
)

MAX_PIPE: Final = 64 * 1024 * 1024
ENVIRONMENT: Final[Mapping[str, str]] = {
    "HOME": HOME,
    "USER": "agent",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin:/bin",
}

StreamName: TypeAlias = Literal["stdout", "stderr"]
Write: TypeAlias = Callable[[StreamName, bytes], Awaitable[None]]
Sink: TypeAlias = Callable[[bytes], Awaitable[None]]


class ShellExit(Exception):  # noqa: N818 - how `exit` leaves, no error
    """Unwinds to the shell that is to end."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Call:
    """One program being run: what it gets, and where its output goes."""

    arguments: tuple[str, ...]
    stdin: bytes
    shell: Shell
    out: Sink
    err: Sink

    async def say(self, text: str) -> int:
        """Write a text to stdout and succeed."""
        await self.out(text.encode(errors="surrogateescape"))
        return 0

    async def fail(self, text: str, code: int = 1) -> int:
        """Write a line to stderr and fail."""
        await self.err(f"{self.arguments[0]}: {text}\n".encode(errors="surrogateescape"))
        return code


Program: TypeAlias = Callable[[Call], Awaitable[int]]


@dataclass(eq=False)
class Shell:
    """Directory, variables and programs; kept from one line to the next where the object is kept.

    Attributes:
        columns: The terminal's width in characters; 0 without a terminal.
        rows: The terminal's height in characters; 0 without a terminal.
    """

    files: FakeFiles
    programs: Mapping[str, Program]
    env: dict[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))
    cwd: str = HOME
    status: int = 0
    columns: int = 0
    rows: int = 0

    async def run(self, line: str, stdin: bytes, write: Write) -> int:
        """Run a command line to its end and return its exit code.

        Raises:
            ShellExit: If it says ``exit``.
        """

        async def out(data: bytes) -> None:
            await write("stdout", data)

        async def err(data: bytes) -> None:
            await write("stderr", data)

        await anyio.lowlevel.checkpoint()
        try:
            body = parse(line)
        except ShellSyntaxError as error:
            await err(f"sh: {error}\n".encode())
            self.status = 2
            return 2
        return await self._list(body, stdin, out, err)

    async def _list(self, body: CommandList, stdin: bytes, out: Sink, err: Sink) -> int:
        for before, pipeline in body.steps:
            if (before == "&&" and self.status != 0) or (before == "||" and self.status == 0):
                continue
            self.status = await self._pipeline(pipeline, stdin, out, err)
        return self.status

    async def _pipeline(self, pipeline: Pipeline, stdin: bytes, out: Sink, err: Sink) -> int:
        status = 0
        *before, last = pipeline.commands
        for command in before:
            pipe = _Buffer()
            await self._apart()._isolated(command, stdin, pipe.write, err)
            stdin = bytes(pipe.data)
        if before:
            status = await self._apart()._isolated(last, stdin, out, err)
        else:
            status = await self._command(last, stdin, out, err)
        return int(status == 0) if pipeline.is_negated else status

    def _apart(self) -> Shell:
        """Return a copy whose changes stay its own."""
        return replace(self, env=dict(self.env))

    async def _isolated(self, command: Simple | Group, stdin: bytes, out: Sink, err: Sink) -> int:
        try:
            return await self._command(command, stdin, out, err)
        except ShellExit as left:
            return left.code

    async def _command(self, command: Simple | Group, stdin: bytes, out: Sink, err: Sink) -> int:
        await anyio.lowlevel.checkpoint()
        plumbing = _Plumbing(self, stdin, out, err)
        try:
            plumbing.connect(command.redirections)
            if isinstance(command, Group):
                inner = self._apart()
                try:
                    status = await inner._list(command.body, plumbing.stdin, plumbing.out, plumbing.err)
                except ShellExit as left:
                    status = left.code
            else:
                status = await self._simple(command, plumbing)
            plumbing.finish()
        except DeskhandError as error:
            await err(f"sh: {error.message}\n".encode())
            return 1
        return status

    async def _simple(self, command: Simple, plumbing: _Plumbing) -> int:
        values = {name: "".join(self._expand(word, split=False)) for name, word in command.assignments}
        arguments = tuple(text for word in command.words for text in self._expand(word))
        if not arguments:
            self.env.update(values)
            return 0
        program = self.programs.get(arguments[0])
        if program is None:
            await plumbing.err(f"sh: {arguments[0]}: command not found\n".encode())
            return 127
        before = {name: self.env.get(name) for name in values}
        self.env.update(values)
        try:
            return await program(Call(arguments, plumbing.stdin, self, plumbing.out, plumbing.err))
        finally:
            for name, value in before.items():
                if value is None:
                    self.env.pop(name, None)
                else:
                    self.env[name] = value

    def _expand(self, word: Word, *, split: bool = True) -> list[str]:
        """Put values for variables; an unquoted one may give several words, or none."""
        words: list[str] = []
        current: str | None = None
        for index, part in enumerate(word):
            text = self._value(part.text) if part.is_variable else part.text
            if index == 0 and not part.is_quoted and not part.is_variable and text == "~":
                following = word[1].text if len(word) > 1 else "/"
                text = self.env.get("HOME", HOME) if following == "/" else text
            if not (part.is_variable and not part.is_quoted and split):
                current = (current or "") + text
                continue
            pieces = text.split()
            if current is not None and (text[:1].isspace() or not pieces):
                words.append(current)
                current = None
            for number, piece in enumerate(pieces):
                if number:
                    words.append(current or "")
                    current = None
                current = (current or "") + piece
        return words if current is None else [*words, current]

    def _value(self, name: str) -> str:
        special = {"?": str(self.status), "PWD": self.cwd}
        return special.get(name) or self.env.get(name, "")

    def target(self, word: Word) -> str:
        """Return the path that a redirection names."""
        return self.files.absolute("".join(self._expand(word, split=False)), self.cwd)


class _Buffer:
    """What one command of a pipeline hands to the next, or to a file."""

    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > MAX_PIPE:
            raise DeskhandError(f"more than {MAX_PIPE} bytes in a pipe")
        self.data += data


class _Plumbing:
    """The streams of one command after its redirections."""

    def __init__(self, shell: Shell, stdin: bytes, out: Sink, err: Sink) -> None:
        self.stdin = stdin
        self.out = out
        self.err = err
        self._shell = shell
        self._files: list[tuple[str, bytes, _Buffer]] = []

    def connect(self, redirections: tuple[Redirection, ...]) -> None:
        """Open what is redirected, from left to right."""
        for redirection in redirections:
            match redirection.direction:
                case "2>&1":
                    self.err = self.out
                case ">&2":
                    self.out = self.err
                case "<":
                    self.stdin = self._read(self._shell.target(redirection.target))
                case ">" | ">>":
                    self.out = self._open(redirection).write
                case "2>" | "2>>":
                    self.err = self._open(redirection).write

    def _read(self, path: str) -> bytes:
        return b"" if path == "/dev/null" else self._shell.files.read(path)

    def _open(self, redirection: Redirection) -> _Buffer:
        path = self._shell.target(redirection.target)
        buffer = _Buffer()
        if path != "/dev/null":
            files = self._shell.files
            before = files.read(path) if ">>" in redirection.direction and path in files else b""
            files[path] = before
            self._files.append((path, before, buffer))
        return buffer

    def finish(self) -> None:
        """Write the files."""
        for path, before, buffer in self._files:
            self._shell.files[path] = before + bytes(buffer.data)
