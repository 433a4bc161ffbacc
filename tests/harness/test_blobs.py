"""Blob stores under one suite; and a run whose frames cannot be kept."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from deskhand import RunContext
from deskhand.errors import CorruptJournalError, JournalError, NotFoundError
from deskhand.harness import BlobStore, DirectoryBlobs, MemoryBlobs
from deskhand.harness import blobs as blobs_module
from deskhand.harness.events import FrameDropped
from deskhand.providers import Click
from tests.harness.disks import SmallDisk, small_disk
from tests.harness.driving import Driver, computer_with_screen
from tests.harness.logs import attribute

MakeBlobs = Callable[[Path], BlobStore]
STORES: dict[str, MakeBlobs] = {
    "memory": lambda path: MemoryBlobs(),
    "directory": lambda path: DirectoryBlobs(path / "blobs"),
}


@pytest.fixture(params=list(STORES.values()), ids=list(STORES))
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    """Each kind of store in turn."""
    store: BlobStore = request.param(tmp_path)
    return store


@pytest.mark.parametrize(
    "data", [b"", b"x", bytes(range(256)), os.urandom(300_000)], ids=["empty", "one", "all", "big"]
)
async def test_blob_comes_back_as_it_was_put(blobs: BlobStore, data: bytes) -> None:
    """Under the SHA-256 of its content, whatever it is."""
    key = await blobs.put(data)
    assert key == hashlib.sha256(data).hexdigest()
    assert await blobs.get(key) == data


def files_in(folder: Path) -> list[Path]:
    """Find every file below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_same_bytes_are_kept_once(blobs: BlobStore, tmp_path: Path) -> None:
    """Also when they are put at the same time by many."""
    data = b"the same" * 1000
    keys: list[str] = []

    async def put() -> None:
        keys.append(await blobs.put(data))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(put)
    assert len(set(keys)) == 1
    assert await blobs.get(keys[0]) == data
    assert len(files_in(tmp_path)) <= 1


@pytest.mark.parametrize("key", ["0" * 64, "", "../../etc/passwd", "f" * 63, "é" * 64, "/" + "0" * 63, "0" * 63 + "."])
async def test_what_is_not_kept_is_not_found(blobs: BlobStore, key: str) -> None:
    """No key leads out of the store."""
    with pytest.raises(NotFoundError):
        await blobs.get(key)


async def test_memory_is_bounded_and_drops_the_oldest() -> None:
    """The limit is in bytes; the newest blob is always kept."""
    blobs = MemoryBlobs(limit=100)
    keys = [await blobs.put(bytes([n]) * 40) for n in range(4)]
    for gone in keys[:2]:
        with pytest.raises(NotFoundError):
            await blobs.get(gone)
    assert [len(await blobs.get(kept)) for kept in keys[2:]] == [40, 40]
    big = await blobs.put(bytes(500))
    assert len(await blobs.get(big)) == 500


async def test_damaged_blob_is_told(tmp_path: Path) -> None:
    """A file that is no longer what its name says is no frame."""
    blobs = DirectoryBlobs(tmp_path)
    key = await blobs.put(b"content")
    [file] = files_in(tmp_path)
    file.write_bytes(b"contend")
    with pytest.raises(CorruptJournalError, match="is damaged"):
        await blobs.get(key)


async def test_blob_that_lost_its_content_is_kept_anew(tmp_path: Path) -> None:
    """As after a power cut: the same screenshot comes again, and heals it."""
    blobs = DirectoryBlobs(tmp_path / "blobs")
    key = await blobs.put(b"a screenshot")
    [file] = files_in(tmp_path)
    file.write_bytes(b"")
    assert await blobs.put(b"a screenshot") == key
    assert await blobs.get(key) == b"a screenshot"


async def test_blob_of_the_right_length_and_another_content_is_kept_anew(tmp_path: Path) -> None:
    """A power cut may leave a file's length without its content."""
    blobs = DirectoryBlobs(tmp_path / "blobs")
    key = await blobs.put(b"a screenshot")
    [file] = files_in(tmp_path)
    file.write_bytes(bytes(len(b"a screenshot")))
    assert await blobs.put(b"a screenshot") == key
    assert await blobs.get(key) == b"a screenshot"


async def test_sync_waits_for_what_another_is_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs that share a store: what the second put, the first may be about to sync."""
    began, let = threading.Event(), threading.Event()
    really = os.fdatasync

    def sync(descriptor: int) -> None:
        began.set()
        assert let.wait(20)
        really(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)
    blobs, returned = DirectoryBlobs(tmp_path / "blobs"), list[str]()

    async def synced(name: str) -> None:
        await blobs.sync()
        returned.append(name)

    await blobs.put(b"content")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(synced, "first")
            await anyio.to_thread.run_sync(began.wait)
            tasks.start_soon(synced, "second")
            await anyio.wait_all_tasks_blocked()
            assert returned == []
            let.set()
    assert sorted(returned) == ["first", "second"]


async def test_store_that_nobody_syncs_stays_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits to be synced is, once too much waits."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    with attribute(blobs_module, "_UNSYNCED_LIMIT", 10):
        blobs = DirectoryBlobs(tmp_path / "blobs")
        for number in range(25):
            await blobs.put(b"%d" % number)
    assert len(synced) == 20


async def test_blobs_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    """They hold what stood on a screen."""
    await DirectoryBlobs(tmp_path / "blobs").put(b"content")
    for path in [tmp_path / "blobs", *(tmp_path / "blobs").rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


async def test_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With what the system said, and what to do."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError, match="cannot be kept") as caught:
        await DirectoryBlobs(tmp_path / "file" / "blobs").put(b"content")
    assert caught.value.hint


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk to fill."""
    with small_disk(tmp_path) as small:
        yield small


async def test_full_disk_keeps_whole_blobs_or_none(disk: SmallDisk) -> None:
    """Nothing half is left behind, and the same blob can be kept once there is space."""
    blobs = DirectoryBlobs(disk.path / "blobs")
    kept = await blobs.put(b"before")
    data = os.urandom(20_000)
    disk.fill()
    with pytest.raises(JournalError, match="20000 bytes cannot be kept"):
        await blobs.put(data)
    assert await blobs.get(kept) == b"before"
    with pytest.raises(NotFoundError):
        await blobs.get(hashlib.sha256(data).hexdigest())
    disk.free()
    assert await blobs.get(await blobs.put(data)) == data
    assert len(files_in(disk.path / "blobs")) == 2


async def test_run_goes_on_when_frames_cannot_be_kept(disk: SmallDisk) -> None:
    """The frame is told to be dropped; the model still sees it, and clicks on it still work."""

    async def drive(run: RunContext) -> None:
        disk.fill()
        observation = await run.act("screenshot")
        assert observation.ok
        assert observation.image == computer.image
        await run.act("left_click", x=5, y=6)
        disk.free()
        frame = await run.look()
        assert await run.image(frame) == computer.image

    computer = computer_with_screen()
    async with Driver(drive).start(computer, "look", blobs=DirectoryBlobs(disk.path / "blobs")) as run:
        dropped = [event async for event in run.events(types=["frame.*"])]
        (await run.result()).raise_for_outcome()
    assert [event.type for event in dropped] == ["frame.dropped", "frame.captured"]
    assert isinstance(dropped[0], FrameDropped)
    assert "cannot be kept" in dropped[0].data.reason
    assert computer.performed == [Click(5, 6)]
