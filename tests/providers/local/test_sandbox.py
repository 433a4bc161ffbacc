"""What a local computer's processes see of their machine, and what becomes of them."""

# ruff: noqa: ASYNC240 - small looks at the machine

from __future__ import annotations

import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from deskhand.errors import ComputerGoneError, ConfigError
from deskhand.providers import Capability, ComputerSpec, ComputerStatus
from deskhand.providers.local import LocalProvider
from deskhand.providers.local import computer as computer_module
from deskhand.providers.local import isolation as isolation_module
from deskhand.providers.local.isolation import HOME, Isolation, find_isolation
from tests.providers.local.machines import a_computer, needs_bwrap, path_without, processes_with, until_no_process_has


def sandboxed(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Mark a test that needs bubblewrap."""
    for mark in needs_bwrap:
        function = mark(function)
    return function


def processes_of(computer_id: str) -> list[int]:
    """Return the processes on this machine whose command lines name a computer."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if computer_id.encode() in line:
                found.append(int(entry.name))
    return sorted(found)


@sandboxed
async def test_sandbox_hides_the_owners_files_and_processes() -> None:
    """Home folders, temporary files, sockets and processes of the machine are not to be seen."""
    with tempfile.NamedTemporaryFile(prefix="secret-of-the-owner-") as secret:
        async with a_computer() as computer:
            assert Capability.ISOLATION in computer.capabilities
            assert computer.home == HOME
            assert (await computer.exec("ls -A /root; ls -A /home")).output == "agent\n"
            assert not (await computer.exec(f"ls {secret.name} {Path.home()}/.ssh /run/dbus")).ok
            assert (await computer.exec("id -u; id -un; hostname")).output == "1000\nagent\ndeskhand\n"
            listed = (await computer.exec("ps -eo pid=,args=")).output
            assert str(os.getpid()) not in [line.split()[0] for line in listed.splitlines()]
            assert len(listed.splitlines()) <= 4
            assert not (await computer.exec("cat /etc/shadow")).ok


@sandboxed
async def test_settings_file_of_the_owner_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``.env`` in the owner's working directory is empty on the computer, wherever that is."""
    place = Path("/opt") if os.access("/opt", os.W_OK) else Path.cwd()
    with tempfile.TemporaryDirectory(dir=place) as folder:
        Path(folder).chmod(0o755)
        Path(folder, ".env").write_text("ANTHROPIC_API_KEY=secret-of-the-owner")
        Path(folder, "other").write_text("seen")
        monkeypatch.chdir(folder)
        async with a_computer() as computer:
            assert "secret" not in (await computer.exec(f"cat {folder}/.env")).output


@sandboxed
async def test_sandbox_can_write_its_own_places_alone() -> None:
    """Home and ``/tmp`` are writable, the system is not."""
    async with a_computer() as computer:
        assert (
            await computer.exec("echo x > ~/a && echo x > /tmp/a && echo x > /dev/shm/a && cat ~/a")
        ).output == "x\n"
        for place in ("/usr/x", "/etc/x", "/run/deskhand/x", "/etc/passwd", "/sys/kernel/x"):
            assert not (await computer.exec(f"echo x >> {place}")).ok, place


@sandboxed
async def test_sandbox_without_network_reaches_nothing() -> None:
    """With ``network=False`` there is the loopback device alone, and no preview of ports."""
    async with a_computer(network=False) as computer:
        assert (await computer.exec("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '")).output == "lo\n"
        assert Capability.PORTS not in computer.capabilities


@sandboxed
async def test_secret_variables_are_on_no_command_line() -> None:
    """What a spec puts into the environment cannot be read from the machine's list of processes."""
    word = uuid.uuid4().hex
    async with LocalProvider() as provider:
        computer = await provider.create(name="x", spec=ComputerSpec(env={"TOKEN": word}), desktop=False)
        assert (await computer.exec("echo $TOKEN")).output == f"{word}\n"
        assert processes_with(word) == []


@sandboxed
async def test_killed_sandbox_makes_every_call_say_that_the_computer_is_gone() -> None:
    """When the sandbox is killed from outside, what waits is told, later calls fail at once, and the status says it."""
    async with a_computer() as computer:

        async def wait() -> None:
            with pytest.raises(ComputerGoneError):
                await computer.exec("sleep 1000")

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await anyio.sleep(0.1)
                for pid in processes_of(computer.info.id):
                    os.kill(pid, signal.SIGKILL)
            for call in (computer.exec("true"), computer.read_bytes("x"), computer.preview_url(80)):
                with pytest.raises(ComputerGoneError):
                    await call
        assert computer.info.status is ComputerStatus.ERROR


async def test_without_bubblewrap_capabilities_say_so_and_commands_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no bubblewrap the computer works, with a home folder of its own, and promises no isolation."""
    monkeypatch.setenv("PATH", path_without(tmp_path, "bwrap"))
    word = str(10**9 + uuid.uuid4().int % 10**9)
    async with a_computer() as computer:
        assert Capability.ISOLATION not in computer.capabilities
        assert "bubblewrap" in str((await find_isolation()).reason)
        assert (await computer.exec("pwd; cd; pwd; echo $TMPDIR")).output.split() == [
            computer.home,
            computer.home,
            str(Path(computer.home).with_name("tmp")),
        ]
        assert (await computer.python("import sys; print(sys.version_info >= (3, 9))")).output == "True\n"
        await computer.write_file("a/b.txt", "x")
        assert await computer.read_file("a/b.txt") == "x"
        await computer.exec(f"(setsid env -i sh -c 'setsid sleep {word} & exit' &)")
        assert processes_with(word)
        async with computer.terminal() as terminal:
            await terminal.send(b"tty; exit\n")
            assert b"/dev/pts/" in b"".join([data async for data in terminal])
    await until_no_process_has(word)


async def test_isolation_that_fails_is_told_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bubblewrap that may not make namespaces counts as none, and what it said is kept."""
    path = path_without(tmp_path, "bwrap")
    Path(path, "bwrap").write_text("#!/bin/sh\necho 'no permissions to create new namespace' >&2\nexit 1\n")
    Path(path, "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", path)
    async with a_computer() as computer:
        assert Capability.ISOLATION not in computer.capabilities
    assert "no permissions to create new namespace" in str((await find_isolation()).reason)


async def test_sandbox_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the spawner cannot run, creation fails with what was said."""

    async def broken() -> Isolation:
        return Isolation("/bin/false", reason="none")

    monkeypatch.setattr(computer_module, "find_isolation", broken)
    with anyio.fail_after(10), pytest.raises(ConfigError, match="did not start"):
        async with a_computer():
            pass


@sandboxed
async def test_python_is_there_though_the_search_path_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no ``python3`` the owner's own is put into the sandbox."""
    monkeypatch.setattr(
        isolation_module, "_pythons", lambda: [os.path.realpath(Path(sys.base_prefix, "bin", "python3"))]
    )
    monkeypatch.setattr(isolation_module, "_found", {})
    async with a_computer() as computer:
        if Capability.ISOLATION not in computer.capabilities:
            pytest.skip("this interpreter cannot be put into a sandbox")
        assert (await computer.exec("readlink -f /proc/1/exe")).output.strip() == os.path.realpath(sys.executable)
        assert (await computer.python("print(1)")).output == "1\n"
