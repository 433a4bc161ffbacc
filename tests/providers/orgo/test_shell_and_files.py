"""Commands, Python and files over the vendor's two routes for code, with a real machine behind."""

from __future__ import annotations

import hashlib
import json
import os
from random import Random

import anyio
import pytest

from deskhand.errors import (
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    PayloadTooLargeError,
    ProtocolError,
    QuotaError,
)
from deskhand.testing.simulators import OrgoSimulator
from tests.providers.behind import shell_only
from tests.providers.orgo.parts import orgo

CONTENTS = {
    "a heredoc's end": b"cat <<EOF\n$HOME `id`\nEOF\n_EOF_\n'EOF'\n",
    "nothing": b"",
    "NUL and CRLF": b"\0\r\n\0\r",
    "no UTF-8": bytes(range(256)) * 3,
    "as long as one request takes": b"x" * 60_000,
    "one byte more": b"y" * 60_001,
    "eight megabytes": Random(8).randbytes(8 << 20),
}


def told(simulator: OrgoSimulator, route: str, **fields: object) -> None:
    """Let the next request to a route be answered with these fields."""
    simulator.respond(json.dumps(fields).encode(), route=route, content_type="application/json")


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=[pytest.mark.slow] if len(CONTENTS[what]) > 1 << 20 else []) for what in CONTENTS]
)
async def test_files_come_back_byte_for_byte(what: str) -> None:
    """Also by the digest that a command on the computer takes; no part of one is left in its folder."""
    content = CONTENTS[what]
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("folder/file", content)
        assert await computer.read_bytes("folder/file") == content
        digest = (await computer.exec("sha256sum < folder/file; ls -A folder")).output
        assert digest.split() == [hashlib.sha256(content).hexdigest(), "-", "file"]
        assert "<<" not in "".join(str(request.body) for request in hosted.simulator.asked("bash"))


async def test_large_file_whose_writing_fails_leaves_the_old_one_and_no_part() -> None:
    """A part is refused in the middle: what stood there stands, and nothing lies beside it."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("folder/file", b"old")
        hosted.simulator.let_pass(route="bash", times=3)
        hosted.simulator.fail(402, route="bash")
        with pytest.raises(QuotaError):
            await computer.write_file("folder/file", b"n" * 600_000)
        assert await computer.read_bytes("folder/file") == b"old"
        assert (await computer.exec("ls -A folder")).output == "file\n"
        hosted.simulator.drop(route="bash", after_effect=True)
        hosted.simulator.fail(503, route="bash")
        await computer.write_file("folder/file", b"n" * 600_000)
        assert await computer.read_bytes("folder/file") == b"n" * 600_000


async def test_files_that_are_no_files_are_refused() -> None:
    """Devices, pipes, folders, what is not there, what is too large: none of them hangs or comes in halves."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.exec("mkfifo pipe; mkdir folder; truncate -s 101M sparse; ln -s nowhere broken")
        with anyio.fail_after(30):
            for path in ("/dev/zero", "pipe", "folder"):
                with pytest.raises(InvalidInputError):
                    await computer.read_bytes(path)
            with pytest.raises(PayloadTooLargeError):
                await computer.read_bytes("sparse")
            for path in ("broken", "nowhere", "sparse/below", "~/nowhere"):
                with pytest.raises(FileMissingError):
                    await computer.read_bytes(path)
            for path in ("", "a\0b"):
                with pytest.raises(InvalidInputError):
                    await computer.read_bytes(path)
        with pytest.raises(PayloadTooLargeError):
            await computer.write_file("huge", bytes(100 * 1024 * 1024 + 1))
        for path in ("/", "~", "."):
            with pytest.raises(InvalidInputError, match="root or home"):
                await computer.delete(path, recursive=True)


async def test_file_that_does_not_arrive_whole_is_an_error() -> None:
    """What is no base64, or another content than was told, is not given as the file."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        for output in ("inline\nn$t b@se64", "what", ""):
            told(hosted.simulator, "bash", success=True, output=output, exit_code=0)
            with pytest.raises(ProtocolError, match="arrive whole"):
                await computer.read_bytes("file")


async def test_large_file_is_read_where_the_server_cuts_long_outputs() -> None:
    """It is fetched again in smaller parts; a part that is cut all the same is an error."""
    content = Random(3).randbytes(300_000)
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("file", content)
        hosted.simulator.let_pass(route="bash")
        told(hosted.simulator, "bash", success=True, output="cut", exit_code=0)
        assert await computer.read_bytes("file") == content
        hosted.simulator.let_pass(route="bash")
        for _ in range(6):
            told(hosted.simulator, "bash", success=True, output="Y3V0", exit_code=0)
        with pytest.raises(ProtocolError, match="arrive whole"):
            await computer.read_bytes("file")
        hosted.simulator.clear_faults()
        assert (await computer.exec("ls -A /tmp | grep deskhand")).output == ""


@pytest.mark.long
async def test_largest_file_comes_back_byte_for_byte() -> None:
    """A hundred mebibytes."""
    content = Random(100).randbytes(100 << 20)
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("file", content)
        assert await computer.read_bytes("file") == content


async def test_commands_are_quoted_whatever_they_hold() -> None:
    """Folder, variables, input and command reach the shell as they are."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.exec('mkdir "it\'s; \\$HOME"')
        result = await computer.exec(
            'pwd; echo "$A"; cat; echo "it\'s" \'"\' \\\n  two # no comment for the rest\necho "$0" >/dev/null',
            cwd="it's; $HOME",
            env={"A": "'; rm -rf ~; '"},
            stdin=b"in\n",
        )
        assert result.output.endswith("/it's; $HOME\n'; rm -rf ~; '\nin\nit's \" two\n")
        assert (result.exit_code, result.stdout, result.stderr) == (0, None, None)
        for env in ({"1A": "x"}, {"A B": "x"}, {"A": "\0"}):
            with pytest.raises(InvalidInputError):
                await computer.exec("true", env=env)
        with pytest.raises(InvalidInputError, match="longer"):
            await computer.exec("#" + "x" * 131_000, env={"A": "y" * 1_000})


async def test_syntax_error_is_the_commands_own() -> None:
    """An open quote ends nothing but the command."""
    async with orgo(shell_only) as hosted:
        result = await (await hosted.create()).exec("echo 'open")
        assert result.exit_code not in {0, None}
        assert "unexpected" in result.output


@pytest.mark.parametrize(
    ("fields", "code", "error"),
    [
        ({"success": True, "output": "o", "exit_code": 3}, 3, None),
        ({"success": True, "output": "o"}, 0, None),
        ({"success": False, "output": "o"}, 1, "the command could not be run"),
        ({"success": False, "output": "o", "error": "broken"}, 1, "broken"),
        ({"success": False, "output": "o", "exit_code": 5, "error": "exit 5"}, 5, None),
    ],
)
async def test_exit_code_is_read_in_every_shape(fields: dict[str, object], code: int, error: str | None) -> None:
    """Servers name a code or none; ``success`` is no code where there is one."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        told(hosted.simulator, "bash", **fields)
        result = await computer.exec("true")
        assert (result.output, result.exit_code, result.error) == ("o", code, error)
        told(hosted.simulator, "bash", success=True)
        assert (await computer.exec("true")).output == ""
        told(hosted.simulator, "bash", success=True, output=7)
        with pytest.raises(ProtocolError):
            await computer.exec("true")


async def test_python_is_an_interpreter_of_its_own() -> None:
    """Exit codes, output before an exception, imports and names as in a program; whole seconds."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        fine = await computer.python("import sys\nprint(__name__)\nsys.stdout.write('no newline')")
        assert (fine.output, fine.exit_code, fine.error) == ("__main__\nno newline", 0, None)
        raised = await computer.python("print('before')\nraise ValueError('ü')")
        assert raised.exit_code == 1
        assert raised.output.startswith("before\nTraceback")
        assert raised.output.endswith("ValueError: ü\n")
        for code, ended in (("raise SystemExit(4)", 4), ("raise SystemExit", 0), ("raise SystemExit('why')", 1)):
            assert (await computer.python(code)).exit_code == ended
        wrong = await computer.python("def (")
        assert wrong.exit_code == 1
        assert "SyntaxError" in wrong.output
        late = await computer.python("import time; time.sleep(60)", timeout=0.5)
        assert (late.exit_code, late.error) == (None, "timed out after 1 s")
        assert len(hosted.simulator.asked("exec")) == 7
        long = await computer.python("print(1)", timeout=301)
        assert (long.output, len(hosted.simulator.asked("exec"))) == ("1\n", 7)


async def test_long_input_leaves_no_file() -> None:
    """What does not fit into a request is put down on the computer, and taken away again."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        data = os.urandom(500_000)
        result = await computer.exec("sha256sum", stdin=data)
        assert result.output.split()[0] == hashlib.sha256(data).hexdigest()
        assert (await computer.exec("ls -A /tmp | grep deskhand")).output == ""


async def test_server_that_answers_with_an_error_when_a_command_is_ended_tells_a_timeout() -> None:
    """That the command was killed for its time is known here."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(500, route="bash", after_effect=True, message="killed")
        result = await computer.exec("sleep 60", timeout=0.5)
        assert (result.exit_code, result.error) == (None, "timed out after 0.5 s")
        hosted.simulator.fail(500, route="bash", message="out of memory")
        with pytest.raises(DeskhandError, match="out of memory"):
            await computer.exec("sleep 60", timeout=30)
