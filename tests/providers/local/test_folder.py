"""The folders of local computers, made and removed by many at once."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from deskhand.providers.local.folder import folders_root, open_folder, remove_stale_folders


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from the computers of the machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


async def test_folders_come_and_go_while_others_sweep() -> None:
    """Owners that leave while stale folders are swept leave nothing, lose nothing, and the root stays passable."""

    async def own(number: int) -> None:
        for turn in range(20):
            async with open_folder(f"cmp_{number}_{turn}") as folder:
                (folder.home / "file").write_text("there")
                await anyio.lowlevel.checkpoint()
                assert folder.home.joinpath("file").exists()

    async def sweep() -> None:
        for _ in range(80):
            assert await anyio.to_thread.run_sync(remove_stale_folders) == []

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(own, number)
            tasks.start_soon(sweep)
            tasks.start_soon(sweep)
    root = folders_root()
    assert [entry.name for entry in root.iterdir()] == [".lock"]
    assert stat.S_IMODE(root.stat().st_mode) == 0o711


def test_root_that_others_cannot_pass_is_opened_again() -> None:
    """A root whose mode was changed is put right, for a computer has a user of its own who must pass it."""
    folders_root().chmod(0o700)
    assert stat.S_IMODE(folders_root().stat().st_mode) == 0o711
