"""Commands, streams and kept shells on a local computer."""

# ruff: noqa: ASYNC110 - the ends of foreign processes can only be looked for

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import resource
import uuid

import anyio
import pytest

from deskhand.errors import (
    ComputerGoneError,
    FileMissingError,
    InvalidInputError,
    OverloadedError,
)
from deskhand.providers import ComputerSpec
from deskhand.providers.contract import KEPT_OUTPUT
from deskhand.providers.local import LocalComputer, LocalProvider
from tests.providers.local.machines import a_computer, needs_bwrap, path_without, processes_with, until_no_process_has


@pytest.fixture(scope="module")
def path_without_bwrap(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a search path without bubblewrap."""
    return path_without(tmp_path_factory.mktemp("bin"), "bwrap")


def a_word() -> str:
    """Return a number that no other process has on its command line."""
    return str(1_000_000 + uuid.uuid4().int % 1_000_000_000)


ESCAPES = {
    "child": "sleep {0}",
    "background": "sleep {0} & wait",
    "setsid": "setsid sleep {0} & wait",
    "double-fork": "(setsid sh -c 'setsid sleep {0} & sleep {0}' &) ; sleep {0}",
    "no-environment": "(setsid env -i sh -c 'setsid sleep {0} & exit' &) ; sleep {0}",
    "ignores-signals": "trap '' TERM INT HUP; (trap '' TERM; sleep {0}) & wait",
}


@pytest.mark.parametrize("command", ESCAPES.values(), ids=ESCAPES)
@pytest.mark.parametrize("sandbox", ["sandbox", "no-sandbox"])
async def test_timeout_leaves_no_process(
    command: str, sandbox: str, path_without_bwrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that takes too long is killed with everything that it started, in whatever session that runs."""
    if sandbox == "no-sandbox":
        monkeypatch.setenv("PATH", path_without_bwrap)
    word = a_word()
    async with a_computer() as computer:
        with anyio.fail_after(10):
            result = await computer.exec(command.format(word), timeout=0.5)
        assert (result.exit_code, result.error) == (None, "timed out after 0.5 s")
        assert not result.ok
        assert processes_with(word) == []
        assert (await computer.exec("echo on")).output == "on\n"


@pytest.mark.parametrize("how", ["scope", "native"])
async def test_cancelled_command_leaves_no_process(how: str) -> None:
    """Cancelling the caller, by scope or natively, kills the command and everything that it started."""
    word = a_word()
    async with a_computer() as computer:
        started: list[asyncio.Task[object] | None] = []
        ended = anyio.Event()
        scope = anyio.CancelScope()

        async def call() -> None:
            started.append(asyncio.current_task())
            try:
                with scope:
                    await computer.exec(f"setsid sleep {word} & sleep {word}")
            finally:
                ended.set()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                while len(processes_with(word)) < 3:
                    await anyio.sleep(0.01)
                task = started[0]
                assert task is not None
                task.cancel() if how == "native" else scope.cancel()
                await ended.wait()
        await until_no_process_has(f"sleep {word}")


async def test_background_child_holds_no_command_and_lives_on() -> None:
    """A child that keeps the output open delays nothing, and is still there afterwards."""
    word = a_word()
    async with a_computer() as computer:
        with anyio.fail_after(5):
            result = await computer.exec(f"sleep {word} & echo started")
        assert result.output == "started\n"
        assert result.duration < 3
        assert (await computer.exec(f"pgrep -cf '^sleep {word}'")).stdout == "1\n"
    await until_no_process_has(word)


async def test_output_after_the_end_of_the_command_is_awaited_shortly() -> None:
    """What a process substitution writes as its command ends is not lost."""
    async with a_computer() as computer:
        result = await computer.exec("echo one > >(sed s/one/two/)")
        assert result.output == "two\n"


@pytest.mark.slow
async def test_hundred_megabytes_are_drained_and_counted() -> None:
    """The first and the last of very much output are kept, the rest is counted, and the command never waits."""
    async with a_computer() as computer:
        with anyio.fail_after(30):
            result = await computer.exec("echo first; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo last")
        assert result.exit_code == 0
        assert result.stdout is not None
        assert result.stdout.startswith("first\nxxx")
        assert result.stdout.endswith("xxx\nlast\n")
        assert len(result.stdout) == KEPT_OUTPUT
        assert len(result.stdout) + result.dropped == 100_000_000 + len("first\n\nlast\n")


async def test_cut_through_characters_shows_none_that_was_not_written() -> None:
    """Where the middle of the output is missing, no character at the cut is mangled."""
    async with a_computer() as computer:
        result = await computer.exec("head -c 400001 /dev/zero | tr '\\0' a; printf 'é%.0s' {1..200000}; echo ends")
        assert set(result.output) == set("aéends\n")


async def test_output_that_is_no_text_is_replaced() -> None:
    """Bytes that are not UTF-8 become replacement characters."""
    async with a_computer() as computer:
        result = await computer.exec("printf 'a\\xff\\xc3z\\0end'; printf '\\xfe' >&2")
        assert result.stdout == "a\ufffd\ufffdz\0end"
        assert result.stderr == "\ufffd"


async def test_large_input_arrives_whole_and_ends() -> None:
    """Five megabytes of input arrive byte for byte, even where the command reads only some or none."""
    data = os.urandom(5_000_000)
    async with a_computer() as computer:
        result = await computer.exec("sha256sum", stdin=data)
        assert result.output.split()[0] == hashlib.sha256(data).hexdigest()
        assert (await computer.exec("head -c 3 | wc -c", stdin=data)).output == "3\n"
        assert (await computer.exec("true", stdin=data)).ok
        assert (await computer.exec("cat")).output == ""


async def test_command_that_cannot_be_is_refused_with_what_is_wrong() -> None:
    """NUL, a too long command, a missing or impossible folder, a bad variable and a bad timeout are told apart."""
    async with a_computer() as computer:
        with pytest.raises(InvalidInputError, match="NUL"):
            await computer.exec("echo \0")
        with pytest.raises(InvalidInputError, match="longer than"):
            await computer.exec("x" * 200_000)
        with pytest.raises(FileMissingError, match="there is no directory"):
            await computer.exec("true", cwd="/nowhere")
        with pytest.raises(InvalidInputError, match="working directory"):
            await computer.exec("true", cwd="/etc/hostname")
        for env in ({"A=B": "x"}, {"": "x"}, {"A": "\0"}):
            with pytest.raises(InvalidInputError, match="environment variable"):
                await computer.exec("true", env=env)
        for timeout in (0, -1, float("inf"), float("nan")):
            with pytest.raises(InvalidInputError, match="positive"):
                await computer.exec("true", timeout=timeout)


async def test_long_command_and_large_environment_arrive() -> None:
    """A request that fits in no packet arrives all the same."""
    async with a_computer() as computer:
        result = await computer.exec(
            f"printf %s '{'y' * 100_000}' | wc -c; printf %s \"$BIG\" | wc -c", env={"BIG": "ü" * 50_000}
        )
        assert result.output == "100000\n100000\n"


async def test_environment_holds_nothing_of_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of the owner's environment do not reach commands; what the spec says does."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret-of-the-owner")
    monkeypatch.setenv("SOME_OTHER_TOKEN", "secret-of-the-owner")
    async with LocalProvider() as provider:
        computer = await provider.create(name="x", spec=ComputerSpec(env={"GIVEN": "v a l"}), desktop=False)
        output = (await computer.exec("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null")).output
        assert "secret-of-the-owner" not in output
        assert "GIVEN=v a l" in output
        assert "HOME=" + computer.home in output


async def test_no_zombie_is_left() -> None:
    """Orphans are reaped when they end."""
    async with a_computer() as computer:
        await computer.exec("for i in 1 2 3 4 5; do (setsid true &) ; done")
        with anyio.fail_after(5):
            while "Z" in (await computer.exec("ps -eo stat=,args= | grep spawner -v")).output:
                await anyio.sleep(0.01)


async def test_many_at_once_run_side_by_side() -> None:
    """Thirty commands at once keep their outputs apart."""
    async with a_computer() as computer:
        results: dict[int, str] = {}

        async def one(number: int) -> None:
            results[number] = (await computer.exec(f"sleep 0.2; echo {number}; echo {number} >&2")).output

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for number in range(30):
                    tasks.start_soon(one, number)
        assert results == {number: f"{number}\n{number}\n" for number in range(30)}


@pytest.mark.slow
@pytest.mark.parametrize("mark", [pytest.param(None, marks=needs_bwrap)], ids=["sandbox"])
async def test_fork_bomb_is_killed_and_the_computer_lives(mark: None) -> None:
    """A fork bomb meets the limit of processes, dies whole at its timeout, and never holds up the owner's loop."""
    async with a_computer() as computer:
        longest = 0.0

        async def beat() -> None:
            nonlocal longest
            while True:
                before = anyio.current_time()
                await anyio.sleep(0.02)
                longest = max(longest, anyio.current_time() - before)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(beat)
                result = await computer.exec("bomb() { bomb | bomb & }; bomb; sleep 60", timeout=1)
                tasks.cancel_scope.cancel()
            assert result.error is not None
            assert longest < 3
            assert (await computer.exec("pgrep -c bash")).stdout == "0\n"


async def test_owner_without_descriptors_says_so_and_recovers() -> None:
    """With no descriptor left a command fails with what to do, and works again once there are some."""
    async with a_computer() as computer:
        assert (await computer.exec("true")).ok
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        fillers: list[int] = []
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, before[1]))
            with contextlib.suppress(OSError):
                while True:
                    fillers.append(os.open(os.devnull, os.O_RDONLY))
            for room in range(4):
                with pytest.raises(OverloadedError, match="no more to give"):
                    await computer.exec("true")
                if room < 3:
                    os.close(fillers.pop())
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            for filler in fillers:
                os.close(filler)
        assert (await computer.exec("echo on")).output == "on\n"


async def test_commands_leave_no_descriptor_open() -> None:
    """A hundred commands of all kinds leave as many descriptors open as there were."""
    async with a_computer() as computer:

        async def some() -> None:
            await computer.exec("echo x", stdin=b"y")
            await computer.exec("sleep 5", timeout=0.01)
            with pytest.raises(FileMissingError):
                await computer.exec("true", cwd="/nowhere")
            async with computer.exec_stream("echo a; sleep 60") as stream:
                await anext(aiter(stream))
            async with computer.shell() as shell:
                await shell.run("exit")
            async with computer.terminal() as terminal:
                await terminal.send(b"x")

        await some()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            await some()
        assert len(os.listdir("/proc/self/fd")) == before


async def test_stream_makes_the_command_wait_for_its_reader() -> None:
    """Of a flood that nobody reads little is held, and all of it arrives once it is read."""
    async with a_computer() as computer, computer.exec_stream("head -c 30000000 /dev/zero; echo done >&2") as stream:
        await anyio.sleep(0.3)
        assert stream.exit_code is None
        total = 0
        async for chunk in stream:
            total += len(chunk.data) if chunk.stream == "stdout" else 0
        assert total == 30_000_000


async def test_stream_ends_with_its_command_though_a_child_holds_the_pipe() -> None:
    """A background child does not keep the iteration going."""
    async with a_computer() as computer, computer.exec_stream("sleep 1000 & echo x") as stream:
        with anyio.fail_after(5):
            assert [chunk.data async for chunk in stream] == [b"x\n"]
        assert stream.exit_code == 0


async def test_stream_left_early_kills_the_command() -> None:
    """Leaving the block ends the command with everything that it started."""
    word = a_word()
    async with a_computer() as computer:
        async with computer.exec_stream(f"setsid sleep {word} & echo x; sleep {word}") as stream:
            await anext(aiter(stream))
        assert processes_with(word) == []


async def test_shell_survives_what_a_command_does_to_it() -> None:
    """Syntax errors, an exit, a redirection and a command that reads leave a shell that works."""
    async with a_computer() as computer, computer.shell() as shell:
        assert (await shell.run("if")).exit_code not in {0, None}
        assert (await shell.run("cat; read x; echo got")).output == "got\n"
        ended = await shell.run("echo bye; exit 7")
        assert (ended.output, ended.exit_code) == ("bye\n", 7)
        assert ended.error is not None
        assert (await shell.run("echo 'it'\"'\"'s' back")).output == "it's back\n"
        assert (await shell.run("f() { echo $1; }\nfor i in 1 2\ndo f $i\ndone")).output == "1\n2\n"
        assert len((await shell.run(f"printf %s '{'z' * 60_000}'")).output) == 60_000
        assert (await shell.run("sleep 1000 & echo $!")).exit_code == 0


async def test_shell_cancelled_is_replaced() -> None:
    """A cancelled command costs the shell, and the next one runs in a fresh one."""
    word = a_word()
    async with a_computer() as computer, computer.shell() as shell:
        await shell.run("X=1")
        with anyio.move_on_after(0.2):
            await shell.run(f"sleep {word}")
        await until_no_process_has(word)
        assert (await shell.run('echo "<$X>"')).output == "<>\n"


async def test_shell_keeps_what_it_drops_apart_from_its_status() -> None:
    """A command that prints very much, also without a newline at the end, has its own exit code told."""
    async with a_computer() as computer, computer.shell() as shell:
        result = await shell.run("head -c 3000000 /dev/zero | tr '\\0' q; (exit 9)")
        assert (result.exit_code, len(result.output) + result.dropped) == (9, 3_000_000)


@pytest.mark.parametrize("call", ["exec", "stream", "shell", "terminal"])
async def test_ended_computer_says_so(call: str) -> None:
    """Whatever is asked of a computer that was destroyed raises at once, and what was waiting is told."""

    async def use(computer: LocalComputer) -> None:
        match call:
            case "exec":
                await computer.exec("sleep 1000")
            case "stream":
                async with computer.exec_stream("sleep 1000"):
                    pass
            case "shell":
                async with computer.shell() as shell:
                    await shell.run("sleep 1000")
            case _:
                async with computer.terminal():
                    pass

    async with a_computer() as computer:
        with anyio.fail_after(10):
            if call in {"exec", "shell"}:
                async with anyio.create_task_group() as tasks:

                    async def expect_end() -> None:
                        with pytest.raises(ComputerGoneError):
                            await use(computer)

                    tasks.start_soon(expect_end)
                    await anyio.sleep(0.1)
                    await computer.destroy()
            await computer.destroy()
            with pytest.raises(ComputerGoneError):
                await use(computer)


async def test_program_left_in_the_background_may_go_on_writing() -> None:
    """What a command starts with `&` is not killed by an output pipe that its command no longer needs."""
    async with a_computer() as computer:
        await computer.exec("(until [ -e go ]; do sleep 0.01; done; echo late && echo later >&2 && touch done) &")
        with anyio.fail_after(20):
            ended = await computer.exec("touch go; until [ -e done ]; do sleep 0.01; done", timeout=10)
        assert ended.ok, ended.error
