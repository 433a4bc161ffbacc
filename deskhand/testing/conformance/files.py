"""Files: byte for byte, whole or not at all, and errors that say what is wrong."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Final

import anyio

from deskhand.errors import FileMissingError, InvalidInputError
from deskhand.providers import Capability
from deskhand.testing.conformance import case as kit
from deskhand.testing.conformance.case import Case, Target, expect, expect_equal, refuses

CASES: Final[list[Case]] = []
_case = partial(kit.case, CASES)

_FOLDER: Final = "conformance-files"
_CONTENTS: Final[dict[str, bytes]] = {
    "empty": b"",
    "text": b"one\ntwo\n",
    "crlf": b"one\r\ntwo\r\n\n\r",
    "nul": b"\x00a\x00\x00b\x00",
    "no-utf-8": bytes(range(256)),
    "bom": b"\xef\xbb\xbfbom",
    "no-newline": b"end",
    "marker": b"EOF\n__EOF__\nEND\n' \" `id` $(id) $HOME\n",
    "two-megabytes": b"".join(hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(65_536)),
}
_NAMES: Final = (
    "with space",
    "grüße-漢字-👍.txt",
    "quote'and\"double",
    "$HOME;`id`&&|>",
    "-starts-with-dash",
    "-rf",
    "--",
    "$(touch owned)",
    "two\nlines; touch owned",
    "<<EOF",
    "*",
    "a=b",
    "%s%n",
    "back\\slash",
    ".hidden",
)


@_case(Capability.FILES)
async def files_come_back_byte_for_byte(target: Target) -> None:
    """Whatever bytes are written are the bytes that are read: empty, NUL, CRLF, no UTF-8, two megabytes."""
    for name, content in _CONTENTS.items():
        path = f"{_FOLDER}/{name}"
        await target.computer.write_file(path, content)
        expect_equal(f"the content of {name}", await target.computer.read_bytes(path), content)
        expect_equal(f"the size of {name}", (await target.computer.stat(path)).size, len(content))
    await target.computer.delete(_FOLDER, recursive=True)


@_case(Capability.FILES)
async def files_hold_text_as_utf_8(target: Target) -> None:
    """Text is written and read as UTF-8, and a file that is none is refused as text."""
    text = "grüße\r\n漢字\t👩‍👩‍👧\n"
    await target.computer.write_file(f"{_FOLDER}/text", text)
    expect_equal("the text", await target.computer.read_file(f"{_FOLDER}/text"), text)
    expect_equal("its bytes", await target.computer.read_bytes(f"{_FOLDER}/text"), text.encode())
    await target.computer.write_file(f"{_FOLDER}/binary", b"\xff\xfe")
    with refuses(InvalidInputError, "read_file of what is no text"):
        await target.computer.read_file(f"{_FOLDER}/binary")
    await target.computer.delete(_FOLDER, recursive=True)


@_case(Capability.FILES)
async def files_have_any_name(target: Target) -> None:
    """Spaces, quotes, Unicode and what a shell would take for commands are just characters of a name."""
    for name in _NAMES:
        await target.computer.write_file(f"{_FOLDER}/{name}", name)
        expect_equal(f"the content of {name!r}", await target.computer.read_file(f"{_FOLDER}/{name}"), name)
    listed = [entry.path.rsplit("/", 1)[-1] for entry in await target.computer.list_dir(_FOLDER)]
    expect_equal("the names listed", listed, sorted(_NAMES))
    for place in ("owned", f"{_FOLDER}/owned"):
        with refuses(FileMissingError, "a file that a name would have made"):
            await target.computer.stat(place)
    await target.computer.delete(_FOLDER, recursive=True)


@_case(Capability.FILES, Capability.EXEC)
async def files_are_those_that_commands_see(target: Target) -> None:
    """Files and commands share one file system and one home folder."""
    await target.computer.write_file(f"{_FOLDER}/deep/er/one", b"1\x002")
    counted = await target.computer.exec(f"wc -c < {_FOLDER}/deep/er/one")
    expect_equal("the bytes that a command counts", counted.output.strip(), "3")
    await target.computer.exec(f"printf two > {_FOLDER}/two")
    expect_equal("what a command wrote", await target.computer.read_file(f"{_FOLDER}/two"), "two")
    home = (await target.computer.exec('printf "%s" "$HOME"')).output
    expect_equal("the same by absolute path", await target.computer.read_file(f"{home}/{_FOLDER}/two"), "two")
    await target.computer.delete(_FOLDER, recursive=True)


@_case(Capability.FILES)
async def files_are_replaced_as_a_whole(target: Target) -> None:
    """A reader sees the old content or the new one, never half of it."""
    old, new = b"o" * 300_000, b"n" * 200_000
    await target.computer.write_file(f"{_FOLDER}/file", old)
    seen: list[bytes] = []

    async def read() -> None:
        seen.extend([await target.computer.read_bytes(f"{_FOLDER}/file") for _ in range(20)])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        for content in (new, old) * 5:
            await target.computer.write_file(f"{_FOLDER}/file", content)
    expect(all(content in (old, new) for content in seen), "a reader saw a file that was half written")
    await target.computer.delete(_FOLDER, recursive=True)


@_case(Capability.FILES)
async def files_are_listed_and_described(target: Target) -> None:
    """A folder's entries come sorted by name, each with its kind and size."""
    await target.computer.write_file(f"{_FOLDER}/b", b"12345")
    await target.computer.write_file(f"{_FOLDER}/a", b"")
    await target.computer.write_file(f"{_FOLDER}/c/inside", b"1")
    entries = await target.computer.list_dir(_FOLDER)
    found = [(entry.path.rsplit("/", 1)[-1], entry.kind) for entry in entries]
    expect_equal("the entries", found, [("a", "file"), ("b", "file"), ("c", "directory")])
    expect_equal("the size", entries[1].size, 5)
    described = await target.computer.stat(f"{_FOLDER}/b")
    expect_equal("what stat says", (described.kind, described.size), ("file", 5))
    expect_equal("the kind of a folder", (await target.computer.stat(_FOLDER)).kind, "directory")
    home = {entry.path.rsplit("/", 1)[-1] for entry in await target.computer.list_dir()}
    expect(_FOLDER in home, f"the home folder lists {sorted(home)}")
    await target.computer.delete(_FOLDER, recursive=True)


@_case(Capability.FILES)
async def files_that_are_not_there_are_missing(target: Target) -> None:
    """Reading, describing, listing and deleting what is not there raise `FileMissingError`."""
    computer, missing = target.computer, f"{_FOLDER}/not/there"
    with refuses(FileMissingError, "read_bytes of a missing file"):
        await computer.read_bytes(missing)
    with refuses(FileMissingError, "read_file of a missing file"):
        await computer.read_file(missing)
    with refuses(FileMissingError, "stat of a missing file"):
        await computer.stat(missing)
    with refuses(FileMissingError, "list_dir of a missing folder"):
        await computer.list_dir(missing)
    with refuses(FileMissingError, "delete of a missing file"):
        await computer.delete(missing)


@_case(Capability.FILES)
async def files_and_folders_are_told_apart(target: Target) -> None:
    """A folder is not read, written or listed as if it were a file, nor the other way round."""
    computer = target.computer
    await computer.write_file(f"{_FOLDER}/folder/file", "content")
    with refuses(InvalidInputError, "read_bytes of a folder"):
        await computer.read_bytes(f"{_FOLDER}/folder")
    with refuses(InvalidInputError, "write_file over a folder"):
        await computer.write_file(f"{_FOLDER}/folder", "content")
    with refuses(InvalidInputError, "write_file below a file"):
        await computer.write_file(f"{_FOLDER}/folder/file/below", "content")
    with refuses(InvalidInputError, "list_dir of a file"):
        await computer.list_dir(f"{_FOLDER}/folder/file")
    expect_equal("the file after all that", await computer.read_file(f"{_FOLDER}/folder/file"), "content")
    await computer.delete(_FOLDER, recursive=True)


@_case(Capability.FILES)
async def files_are_deleted(target: Target) -> None:
    """A file goes; a folder with something in it goes only as a whole and on purpose."""
    computer = target.computer
    await computer.write_file(f"{_FOLDER}/file", "content")
    await computer.write_file(f"{_FOLDER}/folder/file", "content")
    await computer.delete(f"{_FOLDER}/file")
    with refuses(FileMissingError, "read_bytes of a deleted file"):
        await computer.read_bytes(f"{_FOLDER}/file")
    with refuses(InvalidInputError, "delete of a folder that is not empty"):
        await computer.delete(f"{_FOLDER}/folder")
    expect_equal("what is in the folder", await computer.read_file(f"{_FOLDER}/folder/file"), "content")
    await computer.delete(_FOLDER, recursive=True)
    with refuses(FileMissingError, "list_dir of a deleted folder"):
        await computer.list_dir(_FOLDER)
