"""What the local computer's tests share: computers without a screen, machines that lack something, what is left."""

# ruff: noqa: ASYNC110 - the ends of foreign processes can only be looked for

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from deskhand.providers.local import LocalComputer, LocalProvider
from deskhand.providers.local.isolation import find_isolation

isolation = anyio.run(find_isolation)
needs_bwrap = [
    pytest.mark.needs_bwrap,
    pytest.mark.skipif(not isolation.isolated, reason=str(isolation.reason)),
]


@asynccontextmanager
async def a_computer(*, network: bool = True) -> AsyncIterator[LocalComputer]:
    """Create a computer without a screen."""
    async with LocalProvider() as provider:
        yield await provider.create(name="test", desktop=False, network=network)


def path_without(folder: Path, *programs: str) -> str:
    """Return a search path that finds everything but some programs."""
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for entry in place.iterdir() if place.is_dir() else ():
            link = folder / entry.name
            if entry.name not in programs and not link.is_symlink():
                link.symlink_to(entry)
    for program in programs:
        assert shutil.which(program, path=str(folder)) is None
    return str(folder)


@pytest.fixture
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep computers in a folder of this test, so that those of others are not counted."""
    tmp_path_factory.getbasetemp()  # chosen before the place of temporary files is changed
    with tempfile.TemporaryDirectory(prefix="computers-") as folder:
        Path(folder).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setenv("TMPDIR", folder)
        yield


def folders() -> set[str]:
    """Return the names of the computers that have a folder."""
    root = Path(tempfile.gettempdir(), f"deskhand-computers-{os.geteuid()}")
    return {path.name for path in root.iterdir() if path.name.startswith("cmp_")} if root.is_dir() else set()


def processes_with(word: str) -> list[str]:
    """Return the command lines of this machine's processes that hold a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if word in line:
                found.append(line)
    return found


async def until_no_process_has(word: str) -> None:
    """Wait until no process's command line holds a word."""
    with anyio.fail_after(10):
        while processes_with(word):
            await anyio.sleep(0.02)
