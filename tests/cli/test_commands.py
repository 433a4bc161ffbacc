"""Every command that needs no model, as a process."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from deskhand import TOOL_SCHEMAS, computer_tools
from deskhand.cli.exits import Exit
from deskhand.cli.simulating import SIMULATED
from deskhand.providers import Capability
from tests.cli.program import Program, types_of


async def test_help_imports_nothing_heavy(program: Program) -> None:
    """What the help does not need is not loaded for it."""
    heavy = "anthropic", "openai", "pydantic", "anyio", "rich", "PIL", "numpy", "sqlite3", "xcffib"
    code = (
        "import sys; from deskhand.cli.main import main; main(['--help']); "
        f"print('loaded:', [name for name in {heavy!r} if name in sys.modules])"
    )
    command = [program.command()[0], "-c", code]
    ended = await anyio.run_process(command, env=program.environment(), cwd=program.folder)
    assert b"loaded: []" in ended.stdout
    assert b"Exit codes:" in ended.stdout


async def test_version_names_the_program(program: Program) -> None:
    """``--version`` prints one line."""
    ended = await program.run("--version")
    assert (ended.code, ended.out.split()[0]) == (0, "deskhand")


async def test_usage_errors_say_what_to_do(program: Program) -> None:
    """A wrong option is an error like any other, also as JSON, with exit code 2."""
    ended = await program.run("events", "--sideways")
    assert ended.code == Exit.USAGE
    assert ended.err == "error: no such option: --sideways\n  try: deskhand events --help\n"
    ended = await program.run("shot", "--json")
    assert ended.code == Exit.USAGE
    assert ended.lines[0]["code"] == "invalid_input"
    assert ended.lines[0]["exit_code"] == Exit.USAGE


async def test_tools_print_what_the_library_gives(program: Program) -> None:
    """Each format is the registry's own, as one list or one tool a line."""
    registry = computer_tools(frozenset(Capability))
    chat = json.loads((await program.run("tools", "--format", "openai")).out)
    assert chat == registry.openai_tools("chat")
    assert all(schema in chat for schema in TOOL_SCHEMAS)
    assert json.loads((await program.run("tools", "--format", "anthropic")).out) == registry.anthropic_tools()
    assert (await program.run("tools", "--format", "json", "--json")).lines == registry.json_schemas()
    assert (await program.run("tools", "--format", "xml")).code == Exit.USAGE


async def test_exec_ends_with_the_commands_code(program: Program) -> None:
    """Output goes where the command sent it, byte for byte, and the exit code is the command's."""
    ended = await program.run("exec", "testbed", "echo out; echo err >&2; exit 7")
    assert (ended.code, ended.out, ended.err) == (7, "out\n", "err\n")
    ended = await program.run("exec", "testbed:box", "--", "echo", "-n", "a b", "--")
    assert (ended.code, ended.out) == (0, "a b --")
    ended = await program.run("exec", "testbed:box", "printf", "%s|", "a b", "$HOME", "-n")
    assert (ended.code, ended.out) == (0, "a b|$HOME|-n|")
    ended = await program.run("exec", "--stdin", "testbed", "cat", stdin=b"gr\xc3\xbc\xc3\x9fe\n")
    assert (ended.code, ended.out) == (0, "grüße\n")


async def test_exec_as_json_tells_everything(program: Program) -> None:
    """``--json`` gives one line with both streams and the code."""
    ended = await program.run("exec", "--json", "testbed", "echo out; echo err >&2; exit 7")
    [line] = ended.lines
    assert ended.code == 7
    assert (line["type"], line["stdout"], line["stderr"], line["exit_code"]) == ("exec", "out\n", "err\n", 7)


async def test_exec_that_fails_itself_ends_with_125(program: Program) -> None:
    """What is not the command's own failure has a code of its own."""
    ended = await program.run("exec", "--timeout", "0.2", "testbed", "sleep 60")
    assert ended.code == Exit.EXEC
    assert ended.err == "error: timed out after 0.2 s\n  try: give it longer: --timeout SECONDS\n"
    ended = await program.run("exec", "testbad", "true")
    assert ended.code == Exit.EXEC
    assert "did you mean 'testbed'?" in ended.err


async def test_exec_shows_hostile_output_on_a_terminal_without_acting_on_it(program: Program) -> None:
    """On a terminal escape sequences and direction marks are written out; in a pipe bytes stay as they are."""
    hostile = r"printf 'a\033]0;owned\007b\342\200\256c\n'"
    code, shown = await program.on_terminal("exec", "testbed", hostile)
    assert code == 0
    assert r"a\x1b]0;owned\x07b\u202ec" in shown
    assert "\x1b]0;owned" not in shown
    assert (await program.run("exec", "testbed", hostile)).out == "a\x1b]0;owned\x07b\u202ec\n"


async def test_shot_writes_an_image(program: Program) -> None:
    """The file's name gives the format; ``-`` is standard output; the default is the computer's id."""
    ended = await program.run("shot", "testbed", "screen.jpg", "--screen", "640x480", "--json")
    assert ended.code == 0
    assert ended.lines == [
        {"type": "shot", "file": "screen.jpg", "bytes": ended.lines[0]["bytes"], "width": 640, "height": 480}
    ]
    assert await anyio.Path(program.folder / "screen.jpg").read_bytes() >= b"\xff\xd8"
    await program.run("shot", "testbed:box")
    assert (await anyio.Path(program.folder / "box.png").read_bytes()).startswith(b"\x89PNG")


async def test_shot_refuses_what_cannot_be_written(program: Program) -> None:
    """A wrong name is wrong usage; a folder that is not there is told with what to do."""
    assert (await program.run("shot", "testbed", "screen.gif")).code == Exit.USAGE
    ended = await program.run("shot", "testbed", "nowhere/screen.png")
    assert ended.code == Exit.CONFIGURATION
    assert "nowhere/screen.png cannot be written: No such file or directory" in ended.err
    ended = await program.run("shot", "testbed", "--screen", "huge")
    assert ended.code == Exit.USAGE


async def test_ls_shows_computers_and_names_what_cannot_be_asked(program: Program) -> None:
    """Every provider's computers are listed with their age; a broken provider hides no other."""
    ended = await program.run("ls", "testbed")
    assert ended.out.splitlines() == [
        "COMPUTER     NAME   STATUS   SCREEN    AGE",
        "testbed:box  a box  running  1280x800  5 min",
    ]
    ended = await program.run("ls", "--json")
    assert "testbed:box" in [line["computer"] for line in ended.lines]
    assert "broken" in ended.err
    assert ended.code == Exit.CONFIGURATION  # some computers may not be seen
    assert (await program.run("ls", "broken")).code == Exit.CONFIGURATION


async def test_rm_destroys_what_it_names(program: Program) -> None:
    """A computer is destroyed by its name; one that is not there, or no name, is wrong input."""
    ended = await program.run("rm", "testbed:box", "--json")
    assert (ended.code, ended.lines) == (0, [{"type": "destroyed", "computer": "testbed:box"}])
    assert (await program.run("rm", "testbed:cupboard")).code == Exit.USAGE
    assert (await program.run("rm", "testbed")).code == Exit.USAGE


async def test_events_without_a_log_says_how_to_get_one(program: Program) -> None:
    """Nothing has run: that is no error, but a run asked for by name is."""
    ended = await program.run("events")
    assert (ended.code, ended.out) == (0, 'no runs yet; deskhand demo or deskhand run "GOAL" makes one\n')
    ended = await program.run("events", "run_x")
    assert ended.code == Exit.USAGE
    assert ended.err == "error: no run is called 'run_x'\n  try: see the list: deskhand events\n"
    assert not program.home.exists()


@pytest.mark.slow
async def test_doctor_tells_what_is_ready(tmp_path: Path) -> None:
    """Every check is a line; a broken plug-in is named with what to do; a key is never printed."""
    program = Program(tmp_path, {"ANTHROPIC_API_KEY": "sk-ant-do-not-print-me", "MIOSA_ACCESS_TOKEN": "msk_nor-me"})
    ended = await program.run("doctor", "--json")
    checks = {line["name"]: line for line in ended.lines}
    assert ended.code == 0
    assert set(types_of(ended.lines)) == {"check"}
    assert checks["provider:testbed"]["ready"] is True
    assert checks["provider:broken"]["ready"] is False
    assert checks["provider:broken"]["fix"] == "pip install --upgrade deskhand-testbed"
    assert checks["ANTHROPIC_API_KEY"]["detail"] == checks["MIOSA_API_KEY"]["detail"] == "set"
    for vendor in set(SIMULATED) - {"miosa", "opencomputers"}:
        key = checks[f"{vendor.upper()}_API_KEY"]
        assert (key["ready"], key["fix"]) == (False, f"export {vendor.upper()}_API_KEY=...")
    assert "do-not-print-me" not in ended.out + ended.err
    assert "nor-me" not in ended.out + ended.err


@pytest.mark.slow
async def test_doctor_fails_for_what_is_required(program: Program) -> None:
    """``--require`` makes a check count; a name that is none is refused with the nearest."""
    assert (await program.run("doctor", "--require", "python", "--require", "home")).code == 0
    ended = await program.run("doctor", "--require", "ANTHROPIC_API_KEY")
    assert ended.code == Exit.CONFIGURATION
    assert "not ready, but required: ANTHROPIC_API_KEY" in ended.err
    ended = await program.run("doctor", "--require", "pyton")
    assert ended.code == Exit.USAGE
    assert "did you mean 'python'?" in ended.err


async def test_a_reader_that_leaves_ends_the_program_quietly(program: Program) -> None:
    """A closed pipe is no traceback."""
    command = " ".join(program.command("tools")) + " | head -c 1"
    ended = await anyio.run_process(["bash", "-c", command], env=program.environment(), cwd=program.folder)
    assert ended.stderr == b""


async def test_completion_knows_the_commands(tmp_path: Path) -> None:
    """The shell is told how to complete, and gets the commands that fit."""
    variables = {"_DESKHAND_COMPLETE": "complete_bash", "COMP_WORDS": "deskhand e", "COMP_CWORD": "1"}
    ended = await Program(tmp_path, variables).run()
    assert ended.out.split() == ["exec", "events"]


async def test_an_unforeseen_error_is_no_traceback(tmp_path: Path) -> None:
    """A bug says that it is one and how to report it; ``--debug`` shows where it is."""
    program = Program(tmp_path, {"TESTBED": "bug"})
    ended = await program.run("shot", "testbed")
    assert ended.code == Exit.FAILED
    assert ended.err == (
        "error: something unforeseen: ZeroDivisionError: division by zero\n"
        "  try: run it again with --debug, and report what that prints as a bug of deskhand\n"
    )
    assert "Traceback (most recent call last)" in (await program.run("shot", "testbed", "--debug")).err
