"""Commands, kept shells and terminals.

The command lines keep to what any POSIX shell has, so that they run on every system with one.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import anyio

from deskhand.errors import ConflictError, DeadlineExceededError, FileMissingError, InvalidInputError
from deskhand.providers import Capability, ExecStream, Terminal
from deskhand.providers.contract import KEPT_OUTPUT
from deskhand.testing.conformance import case as kit
from deskhand.testing.conformance.case import Case, Target, expect, expect_equal, refuses

CASES: Final[list[Case]] = []
_case = partial(kit.case, CASES)

_SOON: Final = 20.0
_LATE: Final = "(sleep 1.2; echo late > conformance-late) | cat"
_LATE_AFTER: Final = 1.4
"""A child that leaves a file behind, unless it is killed before; and when to look for the file."""
_SAID: Final = 200
"""Characters that a computer may put in place of what it did not keep."""
_LIKE_FRAMES: Final = (
    '{"type":"exit","code":0}',
    '{"type":"error","message":"gone"}',
    '{"type":"control","status":"exited","exitCode":0}',
    "[1]",
    "123",
)
"""What ends a terminal whose adapter takes output for more than that."""
_TERMINAL_LIMIT: Final = 262_144


@_case(Capability.EXEC)
async def exec_returns_output_and_exit_code(target: Target) -> None:
    """A command's output and exit code come back, success or not."""
    done = await target.computer.exec("echo hello")
    expect_equal("the output of echo", (done.output, done.exit_code, done.error, done.ok), ("hello\n", 0, None, True))
    failed = await target.computer.exec("exit 3")
    expect_equal("the end of exit 3", (failed.output, failed.exit_code, failed.error, failed.ok), ("", 3, None, False))
    expect(done.duration >= 0, "a duration cannot be negative")


@_case(Capability.EXEC)
async def exec_tells_an_unknown_command(target: Target) -> None:
    """A command that is not there ends with 127, as shells have it, and is no error of the computer."""
    result = await target.computer.exec("no-such-command-anywhere")
    expect_equal("the exit code of an unknown command", result.exit_code, 127)
    dashed = await target.computer.exec("--no-such-option")
    expect_equal("the exit code of an unknown command that begins with dashes", dashed.exit_code, 127)


@_case(Capability.EXEC)
async def exec_keeps_stdout_and_stderr_apart(target: Target) -> None:
    """Both streams come back; apart, unless the provider merges them and says so with ``None``."""
    result = await target.computer.exec("echo out; echo err >&2")
    expect("out\n" in result.output and "err\n" in result.output, f"output lacks a stream: {result.output!r}")
    if result.stdout is None or result.stderr is None:
        expect_equal("stdout and stderr of a provider that merges", (result.stdout, result.stderr), (None, None))
    else:
        expect_equal("stdout and stderr", (result.stdout, result.stderr), ("out\n", "err\n"))


@_case(Capability.EXEC)
async def exec_hands_over_stdin_and_its_end(target: Target) -> None:
    """The whole standard input arrives, and without any the command reads its end at once."""
    text = "line one\nüñí\n" * 5_000
    given = await target.computer.exec("wc -c", stdin=text.encode())
    expect_equal("the bytes of stdin that arrived", given.output.strip(), str(len(text.encode())))
    empty = await target.computer.exec("cat; echo end", timeout=_SOON)
    expect_equal("the output of cat without stdin", empty.output, "end\n")


@_case(Capability.EXEC, Capability.FILES)
async def exec_starts_where_it_is_told(target: Target) -> None:
    """``cwd`` is where it starts, the home folder otherwise, and a folder that is not there is an error."""
    await target.computer.write_file("conformance-cwd/inside.txt", "here")
    inside = await target.computer.exec("cat inside.txt", cwd="conformance-cwd")
    expect_equal("a file read in cwd", inside.output, "here")
    home = await target.computer.exec('test "$PWD" = "$HOME" && cat conformance-cwd/inside.txt')
    expect_equal("a file read from the home folder", home.output, "here")
    await target.computer.delete("conformance-cwd", recursive=True)
    with refuses(FileMissingError, "exec in a folder that is not there"):
        await target.computer.exec("true", cwd="conformance-cwd")


@_case(Capability.EXEC)
async def exec_sets_variables_for_one_command(target: Target) -> None:
    """``env`` reaches the command as it is, whatever characters it holds, and not the next one."""
    value = 'a b "c" $HOME \\ ü\nsecond'
    given = await target.computer.exec('printf "%s" "$CONFORMANCE"', env={"CONFORMANCE": value})
    expect_equal("a variable", given.output, value)
    after = await target.computer.exec('printf "%s" "$CONFORMANCE"')
    expect_equal("the variable in the next command", after.output, "")


@_case(Capability.EXEC)
async def exec_refuses_what_cannot_be(target: Target) -> None:
    """A command with a NUL in it and a timeout that is not positive are refused."""
    with refuses(InvalidInputError, "a command that holds NUL"):
        await target.computer.exec("echo a\0b")
    for timeout in (0, -1.0, float("nan")):
        with refuses(InvalidInputError, f"a timeout of {timeout}"):
            await target.computer.exec("true", timeout=timeout)


@_case(Capability.EXEC)
async def exec_starts_afresh(target: Target) -> None:
    """Nothing of directory and variables stays from one command to the next."""
    await target.computer.exec("cd /; CONFORMANCE=1; export CONFORMANCE")
    result = await target.computer.exec('test "$PWD" = "$HOME" && printf "%s" "[$CONFORMANCE]"')
    expect_equal("what is left of the command before", result.output, "[]")


@_case(Capability.EXEC, Capability.FILES)
async def exec_timeout_kills_the_whole_tree(target: Target) -> None:
    """A command that takes too long ends, with everything it started, and its output so far is kept."""
    line = f"echo begun; {_LATE}"
    result = await target.computer.exec(line, timeout=0.4)
    expect_equal("the exit code after a timeout", result.exit_code, None)
    expect(result.error is not None and "timed out" in result.error, f"the error must say so: {result.error!r}")
    expect(not result.ok, "a command that timed out is not ok")
    expect_equal("the output before the timeout", result.output, "begun\n")
    await anyio.sleep(_LATE_AFTER)
    late = await target.computer.exec("test -e conformance-late")
    expect_equal("whether a child outlived the timeout", late.exit_code, 1)


@_case(Capability.EXEC, Capability.FILES)
async def exec_cancelled_ends_the_command(target: Target) -> None:
    """Whoever stops waiting for a command ends it."""
    with anyio.move_on_after(0.5) as scope:
        await target.computer.exec(_LATE)
    expect(scope.cancelled_caught, "exec must let cancellation pass")
    await anyio.sleep(_LATE_AFTER)
    late = await target.computer.exec("test -e conformance-late")
    expect_equal("whether a child outlived the cancellation", late.exit_code, 1)


@_case(Capability.EXEC)
async def exec_bounds_what_it_keeps(target: Target) -> None:
    """Of very much output the beginning and the end are kept, and the bytes between are counted."""
    result = await target.computer.exec("seq 1 400000")
    total = sum(len(str(n)) + 1 for n in range(1, 400_001))
    expect_equal("the exit code", result.exit_code, 0)
    kept = result.output if result.stdout is None else result.stdout
    for name, text in {"output": result.output, "stdout": kept}.items():
        bound = 2 * KEPT_OUTPUT + _SAID if name == "output" else KEPT_OUTPUT + _SAID
        expect(len(text) <= bound, f"{len(text)} characters of {name} were kept")
        expect(text.startswith("1\n2\n3\n"), f"the beginning of {name} is not kept")
        expect(text.endswith("399999\n400000\n"), f"the end of {name} is not kept")
    more = len(kept) + result.dropped - total
    expect(0 <= more <= _SAID, f"of {total} bytes {len(kept)} were kept and {result.dropped} said to be dropped")


@_case(Capability.EXEC)
async def exec_survives_output_that_is_no_text(target: Target) -> None:
    """Bytes that are no UTF-8 come back replaced, not as an error."""
    result = await target.computer.exec("cat", stdin=b"a\xff\xfe\x00z")
    expect_equal("the exit code", result.exit_code, 0)
    expect(result.output.startswith("a") and result.output.endswith("z"), f"the output is {result.output!r}")


@_case(Capability.EXEC)
async def exec_runs_several_at_once(target: Target) -> None:
    """Commands do not wait for each other."""
    results: dict[int, str] = {}

    async def one(number: int) -> None:
        results[number] = (await target.computer.exec(f"sleep 0.6; echo {number}")).output

    began = anyio.current_time()
    with anyio.move_on_after(_SOON) as scope:
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(one, number)
    expect(not scope.cancelled_caught, f"four commands of 0.6 s did not end within {_SOON:g} s")
    expect_equal("the outputs", results, {n: f"{n}\n" for n in range(4)})
    expect(anyio.current_time() - began < 2.2, "four commands of 0.6 s ran one after the other")


@_case(Capability.EXEC)
async def python_runs_code(target: Target) -> None:
    """Python code runs where the machine has Python; where it has none, the exit code is 127."""
    result = await target.computer.python("import sys\nprint(6 * 7)\nsys.exit(5)")
    if (await target.computer.exec("command -v python3")).exit_code == 0:
        expect_equal("output and exit code of Python", (result.output, result.exit_code), ("42\n", 5))
    else:
        expect_equal("the exit code where there is no Python", result.exit_code, 127)


async def _read(stream: ExecStream) -> dict[str, bytes]:
    found = {"stdout": b"", "stderr": b""}
    async for chunk in stream:
        found[chunk.stream] += chunk.data
    return found


@_case(Capability.EXEC_STREAM)
async def exec_stream_follows_the_output(target: Target) -> None:
    """Output comes while the command runs, every byte of it, by stream, and then the exit code."""
    async with target.computer.exec_stream("echo one; sleep 1; echo two >&2; exit 4") as stream:
        output = aiter(stream)
        began = anyio.current_time()
        first = await anext(output)
        expect_equal("the first chunk", (first.stream, first.data), ("stdout", b"one\n"))
        expect(anyio.current_time() - began < 0.9, "the first output came only when the command had ended")
        expect_equal("the exit code while it runs", stream.exit_code, None)
        rest = [chunk async for chunk in output]
        expect_equal("the rest", [(chunk.stream, chunk.data) for chunk in rest], [("stderr", b"two\n")])
        expect_equal("the exit code", stream.exit_code, 4)
    async with target.computer.exec_stream("seq 1 100000") as stream:
        whole = (await _read(stream))["stdout"]
    expect_equal("all of a long output", whole, b"".join(b"%d\n" % n for n in range(1, 100_001)))


@_case(Capability.EXEC_STREAM)
async def exec_stream_takes_what_exec_takes(target: Target) -> None:
    """Standard input and variables reach a streamed command too; what is no text may come back replaced."""
    command = 'cat; printf "%s" "$CONFORMANCE"'
    async with target.computer.exec_stream(command, stdin=b"\x00\xff in ", env={"CONFORMANCE": "var"}) as stream:
        output = (await _read(stream))["stdout"]
    as_text = b"\x00\xff in var".decode(errors="replace").encode()
    expect(output in (b"\x00\xff in var", as_text), f"the output is {output!r}")


@_case(Capability.EXEC_STREAM, Capability.EXEC, Capability.FILES)
async def exec_stream_ends_with_its_block(target: Target) -> None:
    """Leaving the block ends the command and everything it started."""
    async with target.computer.exec_stream(f"echo begun; {_LATE}") as stream:
        await anext(aiter(stream))
    await anyio.sleep(_LATE_AFTER)
    late = await target.computer.exec("test -e conformance-late")
    expect_equal("whether a child outlived the block", late.exit_code, 1)


@_case(Capability.EXEC_STREAM)
async def exec_stream_can_be_killed_and_times_out(target: Target) -> None:
    """Killing ends the iteration, a timeout ends it with an error; neither is a success."""
    async with target.computer.exec_stream("echo begun; sleep 60") as stream:
        output = aiter(stream)
        await anext(output)
        await stream.kill()
        with anyio.fail_after(_SOON):
            expect_equal("output after the end", [chunk async for chunk in output], [])
        expect(stream.exit_code != 0, "a killed command did not succeed")
    async with target.computer.exec_stream("sleep 60", timeout=0.5) as stream:
        with refuses(DeadlineExceededError, "following a command that takes too long"):
            await _read(stream)
        expect(stream.exit_code != 0, "a command that timed out did not succeed")


@_case(Capability.SHELL)
async def shell_keeps_directory_and_variables(target: Target) -> None:
    """A kept shell goes on where the last command left it, and tells each command's own exit code."""
    async with target.computer.shell() as shell:
        await shell.run("cd /; CONFORMANCE='kept value'")
        kept = await shell.run('pwd; echo "$CONFORMANCE"')
        expect_equal("what was kept", kept.output, "/\nkept value\n")
        expect_equal("the exit code of false", (await shell.run("false")).exit_code, 1)
        expect_equal("the exit code of true", (await shell.run("true")).exit_code, 0)
        half = await shell.run("printf 'no newline'")
        expect_equal("output without a newline", half.output, "no newline")
        reading = await shell.run("cat; echo end", timeout=_SOON)
        expect_equal("the output of a command that reads", reading.output, "end\n")


@_case(Capability.SHELL)
async def shell_is_restarted_after_a_timeout(target: Target) -> None:
    """A command that takes too long costs the shell, which the result says, and the next one works."""
    async with target.computer.shell() as shell:
        await shell.run("cd /")
        slow = await shell.run("sleep 60", timeout=0.5)
        expect_equal("the exit code after a timeout", slow.exit_code, None)
        expect(slow.error is not None and "restart" in slow.error, f"the error must say so: {slow.error!r}")
        after = await shell.run('test "$PWD" = "$HOME" && echo fresh', timeout=_SOON)
        expect_equal("the output of the next command", after.output, "fresh\n")


@_case(Capability.SHELL)
async def shells_are_apart(target: Target) -> None:
    """Two kept shells share neither directory nor variables."""
    async with target.computer.shell() as one, target.computer.shell() as other:
        await one.run("CONFORMANCE=one; cd /")
        result = await other.run('test "$PWD" = "$HOME" && echo "[$CONFORMANCE]"')
        expect_equal("what the other shell sees", result.output, "[]\n")


async def _until(terminal: Terminal, wanted: bytes) -> bytes:
    """Read what a terminal shows until something stands there."""
    seen = b""
    with anyio.fail_after(_SOON):
        async for data in terminal:
            seen += data
            if wanted in seen or len(seen) > _TERMINAL_LIMIT:
                break
    expect(wanted in seen, f"the terminal never showed {wanted!r}; it showed {kit.shortened(seen)}")
    return seen


@_case(Capability.TERMINAL)
async def terminal_runs_what_is_typed(target: Target) -> None:
    """A line that is typed runs, and its output is shown."""
    async with target.computer.terminal() as terminal:
        await terminal.send(b"echo con''formance\r")
        await _until(terminal, b"conformance\r\n")
        expect_equal("the exit code while the shell runs", terminal.exit_code, None)


@_case(Capability.TERMINAL)
async def terminal_shows_what_looks_like_its_own_words(target: Target) -> None:
    """What a program prints is output, also where it looks like a frame of the protocol that brings it."""
    async with target.computer.terminal() as terminal:
        for line in _LIKE_FRAMES:
            await terminal.send(f"echo con''formance; echo '{line}'\r".encode())
            await _until(terminal, b"conformance\r\n" + line.encode() + b"\r\n")
            expect_equal(f"the exit code after a program printed {line}", terminal.exit_code, None)


@_case(Capability.TERMINAL)
async def terminal_has_the_size_it_is_given(target: Target) -> None:
    """Programs see the size in characters, also after it has changed."""
    async with target.computer.terminal(columns=91, rows=37) as terminal:
        await terminal.send(b"stty size\r")
        await _until(terminal, b"37 91\r\n")
        await terminal.resize(143, 29)
        await terminal.send(b"stty size\r")
        await _until(terminal, b"29 143\r\n")


@_case(Capability.TERMINAL)
async def terminal_interrupts_and_ends(target: Target) -> None:
    """ctrl+c ends the command that runs; a terminal whose shell has ended has its exit code and takes no input."""
    async with target.computer.terminal() as terminal:
        await terminal.send(b"(echo begun''; sleep 60)\r")
        await _until(terminal, b"begun\r\n")
        await terminal.send(b"\x03")
        seen = b""
        with anyio.fail_after(_SOON):
            while b"after\r\n" not in seen:  # what is typed while a shell handles an interrupt, it may throw away
                await terminal.send(b"echo aft''er\r")
                with anyio.move_on_after(0.5):
                    async for data in terminal:
                        seen += data
                        if b"after\r\n" in seen:
                            break
            await terminal.send(b"exit 7\r")
            async for data in terminal:
                seen += data
        expect_equal(f"the exit code, having shown {kit.shortened(seen)},", terminal.exit_code, 7)
        with refuses(ConflictError, "typing into a terminal whose shell has ended"):
            await terminal.send(b"echo nobody\r")


@_case(Capability.TERMINAL)
async def terminal_can_be_killed(target: Target) -> None:
    """Killing the terminal ends its output."""
    async with target.computer.terminal() as terminal:
        await terminal.send(b"echo begun''\r")
        await _until(terminal, b"begun\r\n")
        await terminal.kill()
        with anyio.fail_after(_SOON):
            async for _ in terminal:
                pass
