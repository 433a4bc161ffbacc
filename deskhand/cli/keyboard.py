"""What a person presses while a run goes: keys that steer it, and answers to questions."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from deskhand.cli.terminal import Terminal

__all__ = ["Bindings", "Keyboard"]

Bindings = Mapping[str, Callable[[], Coroutine[object, object, None]]]
"""What each key does."""

_ERASE: Final = ("\x7f", "\b")
_ESCAPE: Final = "\x1b"


class Keyboard:
    """Reads keys from standard input, where that is a terminal; elsewhere nobody is there.

    Args:
        terminal: Where what is typed is shown.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._asking = anyio.Lock()
        self._take: Callable[[str], None] | None = None
        self._bindings: Bindings = {}
        self.there: bool = sys.stdin.isatty() and not terminal.json

    def __repr__(self) -> str:
        """Whether somebody is there."""
        return f"<Keyboard {'at a terminal' if self.there else 'of nobody'}>"

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Read keys while the block lasts."""
        if not self.there:
            yield
            return
        with _one_key_at_a_time():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, tasks)
                yield
                tasks.cancel_scope.cancel()

    @contextmanager
    def bound(self, bindings: Bindings) -> Iterator[None]:
        """Have keys do things while the block lasts and no question is open."""
        self._bindings = bindings
        try:
            yield
        finally:
            self._bindings = {}

    async def key(self, question: str, keys: str) -> str:
        """Ask a question that one key answers.

        Args:
            question: What is asked.
            keys: Those that answer it; others are ignored.
        """
        async with self._asking:
            self._terminal.aside(question)
            pressed: list[str] = []
            answered = anyio.Event()

            def take(letter: str) -> None:
                if letter.lower() in keys and not pressed:
                    pressed.append(letter.lower())
                    answered.set()

            await self._answer(take, answered)
            return pressed[0]

    async def line(self, question: str) -> str | None:
        """Ask a question that a line answers; ``None`` where it was left with Escape.

        Args:
            question: What is asked.
        """
        async with self._asking:
            self._terminal.aside(question)
            typed: list[str] = []
            left: list[bool] = []
            answered = anyio.Event()

            def take(letter: str) -> None:
                if letter in "\r\n":
                    answered.set()
                elif letter == _ESCAPE:
                    left.append(True)
                    answered.set()
                elif letter in _ERASE:
                    if typed:
                        typed.pop()
                        self._echo("\b \b")
                elif letter.isprintable():
                    typed.append(letter)
                    self._echo(letter)

            await self._answer(take, answered)
            self._echo("\n")
            return None if left else "".join(typed)

    async def _answer(self, take: Callable[[str], None], answered: anyio.Event) -> None:
        self._take = take
        try:
            await answered.wait()
        finally:
            self._take = None

    def _echo(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()

    async def _read(self, tasks: TaskGroup) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            await anyio.wait_readable(sys.stdin)
            data = os.read(sys.stdin.fileno(), 1024)
            if not data:
                return
            for letter in decoder.decode(data):
                if self._take is not None:
                    self._take(letter)
                elif (act := self._bindings.get(letter.lower())) is not None:
                    tasks.start_soon(act)


@contextmanager
def _one_key_at_a_time() -> Iterator[None]:
    """Have the terminal hand over each key at once and unseen; Ctrl-C stays a signal."""
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
