"""The log in a file under faults: kills, damage, other programs."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from deskhand import SqliteLog
from deskhand.errors import ConfigError, CorruptJournalError, FencedError, JournalError
from deskhand.harness import sqlite_log
from deskhand.harness.events import CustomEvent
from deskhand.harness.stream import subscribe
from tests.harness.logs import attribute, custom, finished, value_of


def digest(path: Path) -> str:
    """Return what tells whether a file was changed."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def write(path: Path, count: int, *, size: int = 1) -> None:
    """Make a log of one run with so many events."""
    async with SqliteLog(path) as log:
        epoch = await log.claim("a")
        for value in range(1, count + 1):
            event = custom("a", value)
            if size > 1:
                event = CustomEvent.model_validate(
                    {**event.model_dump(), "data": {"name": "test.count", "value": "x" * size}}
                )
            log.append("a", epoch, [event])
        await log.barrier("a")


# Kills


def killed_writer(path: Path, *, every: int, after: int) -> int:
    """Run a writer and kill it once it has called so many batches durable; return the last number that it did."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.harness.log_writer", str(path), str(every)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        durable = 0
        for _ in range(after):
            durable = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        for line in writer.stdout:
            durable = int(line) if line.endswith("\n") else durable
    return durable


async def check_after_kill(path: Path, durable: int) -> None:
    """Hold that the file is sound, nothing durable is missing, and writing goes on."""
    async with SqliteLog(path) as log:
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert await log.owner("a") is None
        assert not list(path.parent.glob("*-owner-*"))  # what the dead one left is taken away
        first, last = await log.bounds("a")
        assert last >= durable
        events = await log.read("a", limit=last + 1)
        assert [event.seq for event in events] == list(range(first, last + 1))
        await log.trim("a", last)
        epoch = await log.claim("a")
        [event] = log.append("a", epoch, [custom("a", 1)])
        await log.barrier("a")
        assert event.seq == last + 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_kill_in_the_middle_of_commits_loses_nothing_durable(seed: int, tmp_path: Path) -> None:
    """The database opens, is whole, and holds every event that a barrier vouched for."""
    chance = random.Random(seed)
    path = tmp_path / "log.db"
    durable = await anyio.to_thread.run_sync(
        lambda: killed_writer(path, every=chance.choice([1, 7, 300]), after=chance.randint(1, 12))
    )
    await check_after_kill(path, durable)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_many_kills_in_the_middle_of_commits_lose_nothing_durable(tmp_path: Path) -> None:
    """A hundred, on one file that is written on and on."""
    chance = random.Random(99)
    path = tmp_path / "log.db"
    for _ in range(100):
        durable = await anyio.to_thread.run_sync(
            lambda: killed_writer(path, every=chance.choice([1, 7, 300]), after=chance.randint(1, 12))
        )
        await check_after_kill(path, durable)


# Damage


async def read_all_of(path: Path) -> None:
    """Read a log from end to end."""
    async with SqliteLog(path) as log:
        await log.read("a", limit=10_000)


def overwrite_middle(path: Path) -> None:
    """Write nonsense over a tenth of the file."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * (size // 10 // 4096 * 4096))


def edit(statement: str) -> Callable[[Path], None]:
    """Change the database with a statement."""

    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
            connection.commit()

    return change


@pytest.mark.parametrize(
    "damage",
    [
        overwrite_middle,
        edit("DELETE FROM events WHERE seq = 50"),
        edit("UPDATE events SET payload = substr(payload, 1, 40) WHERE seq = 50"),
        edit('UPDATE events SET payload = \'{"type": "custom"}\' WHERE seq = 50'),
        lambda path: path.write_bytes(b"not a database at all, but long enough to look like one" * 100),
        edit("DROP TABLE meta"),
        edit("DELETE FROM meta"),
    ],
    ids=["pages", "missing-row", "cut-row", "odd-row", "no-database", "no-meta", "no-schema"],
)
async def test_damaged_file_is_told_and_left_as_it_is(damage: Callable[[Path], None], tmp_path: Path) -> None:
    """A typed error with advice; the file is neither repaired nor made anew."""
    path = tmp_path / "log.db"
    await write(path, 100, size=400)
    damage(path)
    before = digest(path)
    with pytest.raises(CorruptJournalError) as caught:
        await read_all_of(path)
    assert caught.value.hint
    assert digest(path) == before


async def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A path mistaken is no log, and stays what it is."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    before = digest(path)
    with pytest.raises(CorruptJournalError, match="no event log"):
        await read_all_of(path)
    assert digest(path) == before


async def test_log_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    """Never downgraded: the error says what to install."""
    path = tmp_path / "log.db"
    await write(path, 3)
    edit("UPDATE meta SET value = '2' WHERE key = 'schema'")(path)
    before = digest(path)
    with pytest.raises(ConfigError, match="schema 2, of a newer deskhand") as caught:
        await read_all_of(path)
    assert caught.value.hint == "pip install --upgrade deskhand"
    assert digest(path) == before


async def test_lost_write_ahead_file_is_told_at_opening(tmp_path: Path) -> None:
    """After a kill the newest events are in it: without it they would be missing silently."""
    path = tmp_path / "log.db"
    await anyio.to_thread.run_sync(lambda: killed_writer(path, every=1, after=3))
    wal = path.with_name("log.db-wal")
    kept = shutil.copy(wal, tmp_path / "kept")
    wal.unlink()
    with pytest.raises(CorruptJournalError, match=r"newest events, in log\.db-wal, are gone"):
        await read_all_of(path)
    shutil.copy(kept, wal)
    await read_all_of(path)


@pytest.mark.parametrize("name", ["log.db", "log.db-wal"])
async def test_file_removed_under_the_open_log_stops_all_effects(name: str, tmp_path: Path) -> None:
    """What goes to a removed file is durable nowhere, so no barrier vouches for it."""
    async with SqliteLog(tmp_path / "log.db") as log:
        epoch = await log.claim("a")
        log.append("a", epoch, [custom("a", 1)])
        await log.barrier("a")
        (tmp_path / name).unlink()
        log.append("a", epoch, [custom("a", 2)])
        with pytest.raises(JournalError, match="was removed while it was open"):
            await log.barrier("a")
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(JournalError):
            await log.barrier("a")


# Other programs, rights


async def test_locked_log_is_told_with_advice(tmp_path: Path) -> None:
    """At opening, and at a barrier, which succeeds once the other program lets go."""
    path = tmp_path / "log.db"
    await write(path, 2)
    with attribute(sqlite_log, "_BUSY", 0.05):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="locked") as caught:
                await read_all_of(path)
            assert caught.value.hint == "another program holds it; end that one, or use another file"
        async with SqliteLog(path) as log:
            epoch = await log.claim("a")
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                log.append("a", epoch, [custom("a", 3)])
                with pytest.raises(JournalError, match="locked"):
                    await log.barrier("a")
            await log.barrier("a")
            assert [value_of(event) for event in await log.read("a")] == [1, 2, 3]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be without root's rights, which know no read-only files."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only_log() -> Iterator[Path]:
    """A log in a folder, both of which nobody may write."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.db")
        anyio.run(write, path, 1)
        path.chmod(0o444)
        path.parent.chmod(0o555)
        yield path
        path.parent.chmod(0o755)


@pytest.mark.parametrize("name", ["log.db", "new.db"])
async def test_read_only_log_is_told_with_advice(read_only_log: Path, name: str) -> None:
    """A file or folder that may not be written is refused at opening and left as it is."""
    before = digest(read_only_log)
    with as_nobody(), pytest.raises(JournalError, match="Permission denied") as caught:
        await read_all_of(read_only_log.with_name(name))
    assert caught.value.hint == "make the folder, and make it writable"
    assert digest(read_only_log) == before
    assert os.listdir(read_only_log.parent) == ["log.db"]


async def test_log_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    """Events hold what stood on a screen."""
    path = tmp_path / "new" / "log.db"
    async with SqliteLog(path) as log:
        await log.claim("a")
        for file in path.parent.iterdir():
            assert file.stat().st_mode & 0o077 == 0, file
        assert path.parent.stat().st_mode & 0o077 == 0


async def test_of_two_processes_only_the_newer_writes(tmp_path: Path) -> None:
    """The older one hears of it from its next barrier, and none of its later events is in the log."""
    path = tmp_path / "log.db"
    async with SqliteLog(path) as old, SqliteLog(path) as new:
        epoch = await old.claim("a")
        old.append("a", epoch, [custom("a", 1)])
        await old.barrier("a")
        newer = await new.claim("a")
        old.append("a", epoch, [custom("a", 98)])
        with pytest.raises(FencedError):
            await old.barrier("a")
        with pytest.raises(FencedError):
            old.append("a", epoch, [custom("a", 99)])
        with pytest.raises(FencedError):
            await old.barrier("a")
        new.append("a", newer, [custom("a", 2)])
        await new.barrier("a")
        assert [value_of(event) for event in await old.read("a")] == [1, 2]


async def test_barrier_refuses_what_was_written_before_another_took_over(tmp_path: Path) -> None:
    """A process that stood still between its intent and the barrier must not act: the new owner has decided on it."""
    path = tmp_path / "log.db"
    async with SqliteLog(path) as old, SqliteLog(path) as new:
        epoch = await old.claim("a")
        old.append("a", epoch, [custom("a", 1)])
        await old.wait("a", 0)  # committed, and no barrier has waited for it
        await new.claim("a")
        with pytest.raises(FencedError):
            await old.barrier("a")


async def test_run_of_another_process_can_be_followed(tmp_path: Path) -> None:
    """Through the file alone."""
    path = tmp_path / "log.db"
    with attribute(sqlite_log, "_POLL", 0.01):
        async with SqliteLog(path) as ours, SqliteLog(path) as theirs:
            epoch = await theirs.claim("a")
            theirs.append("a", epoch, [custom("a", 1)])
            await theirs.barrier("a")
            seen: list[object] = []

            async def follow() -> None:
                async for event in subscribe(ours, "a"):
                    seen.append(value_of(event))  # noqa: PERF401 (what was seen so far counts)

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow)
                    for event in (custom("a", 2), custom("a", 3), finished("a")):
                        theirs.append("a", epoch, [event])
                        await theirs.barrier("a")
            assert seen == [1, 2, 3, "run.finished"]


async def test_closed_log_refuses_instead_of_waiting(tmp_path: Path) -> None:
    """Whoever comes too late is told so at once."""
    log = SqliteLog(tmp_path / "log.db")
    async with log:
        epoch = await log.claim("a")
        log.append("a", epoch, [custom("a", 1)])
    with anyio.fail_after(10):
        with pytest.raises(JournalError, match="is closed"):
            log.append("a", epoch, [custom("a", 2)])
        for late in (log.barrier("a"), log.read("a"), log.bounds("a"), log.claim("a"), log.wait("a", 5), log.runs()):
            with pytest.raises(JournalError, match="is closed"):
                await late
    async with SqliteLog(tmp_path / "log.db") as again:
        assert [value_of(event) for event in await again.read("a")] == [1]
