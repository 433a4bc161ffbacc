"""Files of a local computer."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import tempfile
from pathlib import Path

import anyio
import pytest

from deskhand.errors import (
    FileMissingError,
    InvalidInputError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProviderError,
)
from deskhand.providers.local import files as files_module
from tests.providers.local.machines import a_computer, needs_bwrap

CONTENTS = {
    "empty": b"",
    "nul": b"\0",
    "heredoc": b"EOF\n'EOF'\n<<EOF\nDESKHAND_EOF\n",
    "crlf": b"a\r\nb\rc\n",
    "not-utf-8": bytes(range(256)),
    "no-newline": "żółć 👩‍👩‍👧".encode(),
    "quotes": b"'\"`$(rm -rf ~)\\\n",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
async def test_file_comes_back_byte_for_byte(content: bytes) -> None:
    """Whatever is written is what commands see and what is read."""
    async with a_computer() as computer:
        await computer.write_file("folder/a file", content)
        seen = await computer.exec("sha256sum < 'folder/a file'")
        assert seen.output.split()[0] == hashlib.sha256(content).hexdigest()
        assert await computer.read_bytes("folder/a file") == content


@pytest.mark.slow
async def test_hundred_megabytes_are_the_limit() -> None:
    """A file of the largest size goes both ways; one byte more is refused, both ways."""
    content = random.Random(1).randbytes(files_module.MAX_FILE)
    async with a_computer() as computer:
        with anyio.fail_after(60):
            await computer.write_file("large", content)
            assert await computer.read_bytes("large") == content
            with pytest.raises(PayloadTooLargeError):
                await computer.write_file("larger", content + b"x")
            await computer.exec("printf x >> large")
            with pytest.raises(PayloadTooLargeError, match=str(files_module.MAX_FILE + 1)):
                await computer.read_bytes("large")


REFUSED = {
    "/dev/zero": "a device",
    "/dev/tty": "a device",
    "/proc/self/status": "kernel makes up",
    "/proc/1/environ": "kernel makes up",
    "/sys/kernel/uevent_seqnum": "kernel makes up",
    "pipe": "a named pipe",
    "link-to-pipe": "a named pipe",
    "socket": "a socket",
    "folder": "a directory",
    "/": "a directory",
}


async def test_what_is_no_regular_file_is_refused_at_once() -> None:
    """Devices, pipes, sockets, directories and what the kernel makes up are neither read nor written."""
    async with a_computer() as computer:
        await computer.exec(
            "mkfifo pipe; ln -s pipe link-to-pipe; mkdir folder; "
            "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"socket\")'"
        )
        with anyio.fail_after(5):
            for path, what in REFUSED.items():
                with pytest.raises(InvalidInputError, match=what):
                    await computer.read_bytes(path)
            for path in ("pipe", "link-to-pipe", "socket", "folder", "/"):
                with pytest.raises(InvalidInputError):
                    await computer.write_file(path, b"x")


async def test_sparse_file_is_refused_by_its_size() -> None:
    """A file that claims a terabyte is refused without being read."""
    async with a_computer() as computer:
        await computer.exec("truncate -s 1T sparse")
        with anyio.fail_after(5), pytest.raises(PayloadTooLargeError):
            await computer.read_bytes("sparse")


async def test_file_that_is_replaced_is_seen_whole() -> None:
    """A reader sees the old content or the new one; mode and link stay."""
    async with a_computer() as computer:
        await computer.write_file("real", b"a" * 1_000_000)
        await computer.exec("chmod 640 real; ln -s real link")
        async with computer.exec_stream("while :; do head -c 1 real; tail -c 1 real; done") as stream:
            for letter in (b"b", b"c") * 3:
                await computer.write_file("link", letter * 1_000_000)
            assert await anext(aiter(stream))
        assert (await computer.stat("link")).kind == "symlink"
        info = await computer.stat("real")
        assert (info.kind, info.size, info.mode) == ("file", 1_000_000, 0o640)
        assert [entry.path for entry in await computer.list_dir()] == ["./link", "./real"]
        assert not [entry for entry in await computer.list_dir() if entry.path.endswith(".part")]


async def test_failed_write_leaves_the_old_file_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the disk full the old content stays, the error says what to do, and no half file is left."""

    def full(descriptor: int, content: bytes) -> None:
        os.write(descriptor, content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with a_computer() as computer:
        await computer.write_file("a", b"old")
        monkeypatch.setattr(files_module, "_write_all", full)
        with pytest.raises(ProviderError, match="no space left") as caught:
            await computer.write_file("a", b"n" * 1000)
        assert caught.value.effect == "no"
        assert await computer.read_bytes("a") == b"old"
        assert (await computer.exec("ls -A | grep part")).output == ""


async def test_paths_are_those_of_the_computer() -> None:
    """Relative paths and ``~`` start at home, links and dots are followed as commands follow them."""
    async with a_computer() as computer:
        await computer.write_file("~/a/b.txt", "x")
        await computer.exec("ln -s a/../a/b.txt l; mkdir deep; ln -s ../a deep/d")
        for path in ("a/b.txt", "./a/../a/b.txt", f"{computer.home}/a/b.txt", "l", "deep/d/b.txt", "deep/d/../a/b.txt"):
            assert await computer.read_file(path) == "x", path
        with pytest.raises(FileMissingError, match="nope"):
            await computer.read_file("nope")
        for path in ("", "a\0b", "a/b.txt/c", "x" * 300):
            with pytest.raises(InvalidInputError):
                await computer.read_file(path)
        await computer.exec("ln -s self self")
        with pytest.raises(InvalidInputError, match="circle"):
            await computer.read_file("self")


@pytest.mark.parametrize("mark", [pytest.param(None, marks=needs_bwrap)], ids=["sandbox"])
async def test_no_path_leads_to_the_owners_files(mark: None) -> None:
    """A link on the computer to a file of the machine leads nowhere, for reading and for writing."""
    with tempfile.NamedTemporaryFile(prefix="secret-") as secret:
        secret.write(b"secret")
        secret.flush()
        async with a_computer() as computer:
            await computer.exec(
                f"ln -s {secret.name} out; ln -s /proc/1/root/etc/shadow shadow; ln -s {Path.home()} home"
            )
            with pytest.raises(FileMissingError):
                await computer.read_bytes("out")
            with pytest.raises((PermissionDeniedError, InvalidInputError)):
                await computer.read_bytes("shadow")
            await computer.write_file("out", b"changed")
            assert await computer.read_bytes("out") == b"changed"
            with pytest.raises(PermissionDeniedError):
                await computer.write_file("/usr/bin/x", b"x")
        secret.seek(0)
        assert secret.read() == b"secret"


async def test_directories_are_listed_and_deleted() -> None:
    """Entries are sorted and told apart; deletion asks for ``recursive`` and spares what is linked to."""
    async with a_computer() as computer:
        await computer.exec(
            "mkdir -p d/sub; echo hello > d/file; ln -s /etc d/link; mkfifo d/pipe; "
            "echo keep > kept; ln -s ~/kept d/sub/l"
        )
        found = {entry.path: entry.kind for entry in await computer.list_dir("d")}
        assert found == {"d/file": "file", "d/link": "symlink", "d/pipe": "other", "d/sub": "directory"}
        assert list(found) == sorted(found)
        with pytest.raises(InvalidInputError, match="recursive"):
            await computer.delete("d")
        await computer.delete("d/link")
        await computer.delete("d", recursive=True)
        with pytest.raises(FileMissingError):
            await computer.stat("d")
        assert await computer.read_file("kept") == "keep\n"
        with pytest.raises(FileMissingError):
            await computer.delete("d")
        for path in ("/", "~", ".", computer.home, "a/.."):
            with pytest.raises(InvalidInputError):
                await computer.delete(path, recursive=True)


async def test_names_that_are_no_utf_8_are_listed_and_read() -> None:
    """A name of arbitrary bytes comes back in a form that can be given again."""
    async with a_computer() as computer:
        await computer.exec("echo x > \"$(printf 'a\\xffb')\"")
        names = [entry.path for entry in await computer.list_dir() if "a\udcffb" in entry.path]
        assert len(names) == 1
        assert await computer.read_file(names[0]) == "x\n"


async def test_cancelled_write_leaves_nothing() -> None:
    """A write that is cancelled half-way leaves neither the file nor a part of it."""
    async with a_computer() as computer:
        for delay in (0, 0.0005, 0.001, 0.005, 0.02):
            with anyio.move_on_after(delay):
                await computer.write_file("big", b"x" * 50_000_000)
            left = (await computer.exec("ls -A")).output.split()
            assert not [name for name in left if name.endswith(".part")]
            assert "big" not in left or (await computer.stat("big")).size == 50_000_000
