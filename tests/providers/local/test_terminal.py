"""Pseudo-terminals on a local computer."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import anyio
import pytest

from deskhand.errors import ConflictError, InvalidInputError
from deskhand.providers import Terminal
from tests.providers.local.machines import a_computer, processes_with


async def until(output: AsyncIterator[bytes], what: bytes) -> bytes:
    """Read on until something was shown."""
    seen = b""
    with anyio.fail_after(10):
        while what not in seen:
            seen += await anext(output)
    return seen


async def test_terminal_is_the_controlling_one_of_its_shell() -> None:
    """There is a terminal with a name, job control works, and ctrl-c reaches what runs in front."""
    async with a_computer() as computer, computer.terminal() as terminal:
        output = aiter(terminal)
        await terminal.send(b"tty; test -t 0 && echo is-a-$((6*7))-tty\n")
        assert b"/dev/pts/" in await until(output, b"is-a-42-tty")
        await terminal.send(b"bash -c \"echo in-fr''ont; exec sleep 1000\"\n")
        await until(output, b"in-front")
        await terminal.send(b"\x03")
        await terminal.send(b"echo code-$?-$((1+1))\n")
        assert b"code-130-2" in await until(output, b"code-130-2")


async def test_terminal_tells_programs_of_a_new_size() -> None:
    """The size is as given, and a program in front is told when it changes."""
    async with a_computer() as computer, computer.terminal(columns=90, rows=20) as terminal:
        output = aiter(terminal)
        # A program of its own: at its prompt, a shell heeds a trap only with the next line.
        program = b"""bash -c "trap 'stty size' WINCH; echo rea''dy; while :; do sleep 0.05; done"\n"""
        await terminal.send(b"stty size; " + program)
        assert b"20 90" in await until(output, b"ready")
        await terminal.resize(101, 33)
        await until(output, b"33 101")
        for columns, rows in ((0, 1), (1, 0), (100_000, 1)):
            with pytest.raises(InvalidInputError, match="out of bounds"):
                await terminal.resize(columns, rows)


async def test_terminal_ends_with_its_shell() -> None:
    """After ``exit`` the output ends, the code is told, and nothing can be sent any more."""
    async with a_computer() as computer, computer.terminal() as terminal:
        await terminal.send(b"echo last-$((1+2)); exit 5\n")
        with anyio.fail_after(10):
            shown = b"".join([data async for data in terminal])
        assert b"last-3" in shown
        assert terminal.exit_code == 5
        with pytest.raises(ConflictError, match="shell has ended"):
            await terminal.send(b"x")


async def test_terminal_left_kills_what_runs_on_it() -> None:
    """Leaving the block ends the shell and all that it started, in whatever session."""
    word = str(10**9 + uuid.uuid4().int % 10**9)
    async with a_computer() as computer:
        async with computer.terminal() as terminal:
            await terminal.send(f"trap '' HUP; setsid sleep {word} & sleep {word} & echo go$((1+1))\n".encode())
            await until(aiter(terminal), b"go2")
        assert processes_with(f"sleep {word}") == []


async def test_terminal_killed_ends_the_iteration() -> None:
    """Killing tells the exit code as of a signal and ends the output."""
    async with a_computer() as computer, computer.terminal() as terminal:
        await terminal.send(b"sleep 1000\n")
        with anyio.fail_after(10):
            await terminal.kill()
            async for _ in terminal:
                pass
        assert terminal.exit_code == -9


async def test_flood_that_nobody_reads_waits() -> None:
    """Of a flood little is held until it is read, and then all of it comes."""
    async with a_computer() as computer, computer.terminal() as terminal:
        await terminal.send(b"head -c 20000000 /dev/zero | tr '\\0' x; echo over$((1+1))\n")
        await anyio.sleep(0.3)
        total = 0
        with anyio.fail_after(20):
            async for data in terminal:
                total += data.count(b"x")
                if b"over2" in data:
                    break
        assert total >= 20_000_000


async def test_much_input_is_taken_as_fast_as_it_is_read() -> None:
    """A large paste waits for the program that reads it and arrives whole."""
    text = b"0123456789abcde\n" * 20_000

    async def paste(terminal: Terminal) -> None:
        await terminal.send(text)
        await terminal.send(b"\x04")

    async with a_computer() as computer, computer.terminal() as terminal:
        output = aiter(terminal)
        await terminal.send(b"stty -echo; echo rea''dy; cat | wc -c\n")
        await until(output, b"ready")
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(paste, terminal)
                await until(output, str(len(text)).encode())
