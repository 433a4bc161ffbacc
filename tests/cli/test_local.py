"""The command line on a real local computer."""

from __future__ import annotations

import json
import os
import shlex
import signal
from pathlib import Path

import anyio
import pytest

from deskhand import Event, SqliteLog
from deskhand.cli.exits import Exit
from deskhand.harness.events import ActionStarted
from deskhand.testing.models import FakeTurn, member, tool_use
from tests.cli.program import Program, command_of, family
from tests.cli.test_run import served

pytestmark = pytest.mark.slow

GONE = 10.0
"""Seconds in which everything must be gone after its owner was killed."""


def sleeper(pid: int) -> bool:
    """Whether a command that never ends runs below a process."""
    return any("sleep 1000" in command_of(child) for child in family(pid))


@pytest.mark.needs_x
async def test_sigkill_in_the_middle_of_a_run_leaves_no_process_and_a_readable_log(tmp_path: Path) -> None:
    """Nothing survives its owner; the log ends with the intent of what was in flight, and can be read and written."""
    script = [FakeTurn([member("left_click", coordinate=[640, 360]), tool_use("exec", command="sleep 1000")])]
    async with served(tmp_path, script) as program, program.start("run", "work", "--json") as running:
        async for line in running.lines():
            if json.loads(line)["type"] == "action.started" and "sleep 1000" in line:
                break
        with anyio.fail_after(10):
            while not sleeper(running.process.pid):  # noqa: ASYNC110 (the machine has no event for it)
                await anyio.sleep(0.02)
        started = {pid: command_of(pid) for pid in family(running.process.pid)}
        running.signal(signal.SIGKILL)
        await running.process.wait()
        with anyio.fail_after(GONE):
            while any(command_of(pid) == command for pid, command in started.items() if command):  # noqa: ASYNC110
                await anyio.sleep(0.02)
        assert any("Xvnc" in command or "Xvfb" in command for command in started.values())
        events = await _events(program)
        assert isinstance(events[-1], ActionStarted)
        assert events[-1].summary == "exec command='sleep 1000'"
        listed = await program.run("events", "--json")
        assert [line["finished"] for line in listed.lines] == [False]
        shown = await program.run("events", "last")
        assert shown.out.splitlines()[-1].endswith("exec command='sleep 1000'")


async def _events(program: Program) -> list[Event]:
    async with SqliteLog(program.home / "events.db") as log:
        [run] = await log.runs()
        return await log.read(run.run_id)


def poorer_path(folder: Path, *without: str) -> str:
    """Make a PATH that has every program of this machine but some."""
    target = folder / "bin"
    target.mkdir()
    for source in os.environ["PATH"].split(os.pathsep):
        if Path(source).is_dir():
            for program in Path(source).iterdir():
                if program.name not in without and not (target / program.name).exists():
                    (target / program.name).symlink_to(program)
    return str(target)


async def test_without_an_x_server_there_is_a_shell_and_the_fix(tmp_path: Path) -> None:
    """A local computer without a screen runs commands; a screenshot is refused with the line that brings one."""
    program = Program(tmp_path, {"PATH": poorer_path(tmp_path, "Xvnc", "Xvfb")})
    assert (await program.run("exec", "local", "echo hello")).out == "hello\n"
    ended = await program.run("shot", "local")
    assert ended.code == Exit.CONFIGURATION
    assert "has no screenshot\n  try: apt-get install" in ended.err
    checks = {str(line["name"]): line for line in (await program.run("doctor", "--json")).lines}
    assert (checks["x-server"]["ready"], checks["desktop"]["ready"]) == (False, False)
    assert str(checks["x-server"]["fix"]).startswith("apt-get install")
    required = await program.run("doctor", "--require", "desktop")
    assert required.code == Exit.CONFIGURATION


async def test_without_the_packages_of_the_extras_the_doctor_names_the_extra(tmp_path: Path) -> None:
    """Also as what a desktop lacks, where the X server is there; a simulator says the same."""
    program = Program(tmp_path)
    hidden = Path(program.environment()["PYTHONPATH"].rpartition(":")[2]) / "sitecustomize.py"
    await anyio.Path(hidden).write_text("import sys\nsys.modules |= {'xcffib': None, 'uvicorn': None}\n")
    checks = {str(line["name"]): line for line in (await program.run("doctor", "--json")).lines}
    for name, extra in {"local-extra": "local", "desktop": "local", "simulate-extra": "simulate"}.items():
        assert (checks[name]["ready"], checks[name]["fix"]) == (False, f"pip install 'deskhand[{extra}]'")
    ended = await program.run("run", "go", "--computer", "e2b", "--simulate", "--fake")
    assert ended.code == Exit.CONFIGURATION
    assert "not installed: uvicorn\n  try: pip install 'deskhand[simulate]'" in ended.err


async def test_without_permission_for_a_sandbox_the_doctor_says_what_to_do(tmp_path: Path) -> None:
    """A bubblewrap that may make no namespaces is not ready, with the line that allows them."""
    path = poorer_path(tmp_path, "bwrap")
    refusing = Path(path) / "bwrap"
    await anyio.Path(refusing).write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
    )
    await anyio.Path(refusing).chmod(0o755)
    program = Program(tmp_path, {"PATH": path})
    checks = {str(line["name"]): line for line in (await program.run("doctor", "--json")).lines}
    assert checks["sandbox"]["ready"] is False
    assert "No permissions to create new namespace" in str(checks["sandbox"]["detail"])
    assert "unprivileged_userns_clone" in str(checks["sandbox"]["fix"])


@pytest.mark.needs_x
async def test_ctrl_c_twice_leaves_nothing_of_a_local_computer(tmp_path: Path) -> None:
    """A command that never ends is ended, the computer with it, before the program exits."""
    script = [FakeTurn([member("left_click", coordinate=[640, 360]), tool_use("exec", command="sleep 1000")])]
    async with served(tmp_path, script) as program, program.start("run", "work", "--json") as running:
        async for line in running.lines():
            if json.loads(line)["type"] == "action.started" and "sleep 1000" in line:
                break
        started = {pid: command_of(pid) for pid in family(running.process.pid)}
        running.signal(signal.SIGINT)
        await running.says("stops now")
        running.signal(signal.SIGINT)
        ended = await running.end()
        left = [command for pid, command in started.items() if command and command_of(pid) == command]
    assert (ended.code, left) == (Exit.INTERRUPTED, [])
    assert (await _events(program))[-1].summary == "run stopped (signal)"


async def test_the_demo_without_an_x_server_says_that_it_is_make_believe(tmp_path: Path) -> None:
    """The same script, loop and wire, on a desktop drawn in memory; said before it begins."""
    program = Program(tmp_path, {"PATH": poorer_path(tmp_path, "Xvnc", "Xvfb")})
    ended = await program.run("demo")
    assert ended.code == 0, ended.err
    assert "make-believe" in ended.out.partition("\nrun run_")[0]
    assert "verified on the machine:" in ended.out
    assert "the model of this demo is scripted" in ended.out
    assert "nothing is billed" in ended.out


async def test_characters_are_whole_however_the_output_is_cut(tmp_path: Path) -> None:
    """Output comes in pieces that end anywhere; what is half a character at the very end is shown as such."""
    program = Program(tmp_path, {"PATH": poorer_path(tmp_path, "Xvnc", "Xvfb")})
    command = "yes '\u20ac' | head -n 200000 | tr -d '\\n'; printf '\\303'"
    _, shown = await program.on_terminal("exec", "local", command)
    assert (shown.count("\u20ac"), shown.count("\ufffd")) == (200_000, 1)


async def test_exec_passes_on_whatever_a_command_writes(tmp_path: Path) -> None:
    """A hundred megabytes of bytes that are no text arrive as they are; a command that a signal ended has its code."""
    program = Program(tmp_path, {"PATH": poorer_path(tmp_path, "Xvnc", "Xvfb")})
    command = shlex.join(program.command("exec", "local", "head -c 104857600 /dev/zero | tr '\\0' '\\377'"))
    counted = await anyio.run_process(
        ["bash", "-c", f"{command} | cksum"], env=program.environment(), cwd=program.folder, check=True
    )
    assert counted.stdout == b"10677597 104857600\n"
    assert (await program.run("exec", "local", "kill -9 $$")).code == 128 + signal.SIGKILL
    ended = await program.run("exec", "--timeout", "0.5", "local", "echo begun; sleep 1000")
    assert (ended.code, ended.out) == (Exit.EXEC, "begun\n")
    assert ended.err.startswith("error: timed out after 0.5 s\n")
