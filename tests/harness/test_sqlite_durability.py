"""The log in a file as a journal: a barrier that really syncs, full disks, and what a model may send."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from deskhand import DirectoryBlobs, RunContext, SqliteLog, ToolCall
from deskhand.errors import JournalError
from deskhand.harness import Run, sqlite_log, state
from deskhand.harness.events import ActionFinished, ActionStarted, ModelMessage
from deskhand.providers import Click, MouseDown, MouseUp
from tests.harness.disks import SmallDisk, small_disk
from tests.harness.driving import Driver, computer_with_screen
from tests.harness.logs import attribute, custom, value_of
from tests.tools.recording import RecordingComputer


class Disk:
    """Stands between the log and the disk: sees each sync, holds it up, or fails it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, computer: RecordingComputer | None = None) -> None:
        self.syncs: list[int] = []
        self.let = threading.Event()
        self.let.set()
        self.reached = threading.Event()
        self.error: OSError | None = None
        self._computer = computer
        self._really = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.sync)

    def sync(self, descriptor: int) -> None:
        """Sync for the log."""
        assert os.readlink(f"/proc/self/fd/{descriptor}").endswith("log.db-wal")
        self.reached.set()
        assert self.let.wait(20)
        if self.error is not None:
            raise self.error
        self._really(descriptor)
        self.syncs.append(len(self._computer.performed) if self._computer else 0)


async def test_effect_is_sent_only_after_its_intent_was_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk is still at it, nothing is done; the intent is in the file that is synced."""
    computer = computer_with_screen()
    disk = Disk(monkeypatch, computer)

    async def drive(run: RunContext) -> None:
        await run.look()
        await run.act("left_click", x=1, y=1)
        await run.act("left_click", x=2, y=2)

    async with SqliteLog(tmp_path / "log.db") as log, SqliteLog(tmp_path / "log.db") as other:
        with anyio.fail_after(20):
            disk.let.clear()
            async with Driver(drive).start(computer, "click", log=log) as run:
                await anyio.to_thread.run_sync(disk.reached.wait)
                await anyio.wait_all_tasks_blocked()
                assert computer.performed == []
                intents = await other.read(run.id, types=["action.started"])
                assert [event.data.name for event in intents if isinstance(event, ActionStarted)] == [
                    "screenshot",
                    "left_click",
                ]
                disk.let.set()
                (await run.result()).raise_for_outcome()
    assert computer.performed == [Click(1, 1), Click(2, 2)]
    assert disk.syncs[:2] == [0, 1]  # one before each click
    assert len(disk.syncs) == 3  # and one for the run's end


async def test_failed_sync_stops_all_effects_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After it the kernel may call lost pages clean, so that a later success proves nothing: the log is opened anew."""
    computer = computer_with_screen()
    disk = Disk(monkeypatch)
    disk.error = OSError(errno.EIO, "Input/output error")

    async def drive(run: RunContext) -> None:
        await run.act("left_click", x=1, y=1)

    async with SqliteLog(tmp_path / "log.db") as log:
        for _ in range(2):
            result = await Driver(drive).run(computer, "click", log=log)
            assert (result.outcome, result.reason) == ("failed", "journal")
            assert result.error is not None
            assert "cannot be synced: Input/output error" in result.error.message
            disk.error = None
    assert computer.performed == []
    async with SqliteLog(tmp_path / "log.db") as log:
        (await Driver(drive).run(computer, "click", log=log)).raise_for_outcome()


async def test_barriers_that_wait_together_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Group commit: fifty runs that wait at once are served by one more sync."""
    disk = Disk(monkeypatch)
    async with SqliteLog(tmp_path / "log.db") as log:
        epochs = {f"r{n}": await log.claim(f"r{n}") for n in range(51)}
        disk.let.clear()
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for run_id, epoch in epochs.items():
                    log.append(run_id, epoch, [custom(run_id, 1)])
                    tasks.start_soon(log.barrier, run_id)
                    if run_id == "r0":
                        await anyio.to_thread.run_sync(disk.reached.wait)
                await anyio.wait_all_tasks_blocked()
                disk.let.set()
    assert len(disk.syncs) == 2


async def test_barrier_with_nothing_new_costs_no_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is synced is synced; what was written since without a barrier is not."""
    disk = Disk(monkeypatch)
    async with SqliteLog(tmp_path / "log.db") as log:
        epoch = await log.claim("a")
        log.append("a", epoch, [custom("a", 1)])
        await log.barrier("a")
        await log.barrier("a")
        assert len(disk.syncs) == 1
        log.append("a", epoch, [custom("a", 2)])
        await log.wait("a", 1)  # committed, but not synced
        assert len(disk.syncs) == 1
        await log.barrier("a")
        assert len(disk.syncs) == 2


# Blobs that events name


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are synced, in order."""
    names: list[str] = []
    really = os.fdatasync

    def sync(descriptor: int) -> None:
        really(descriptor)
        names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    monkeypatch.setattr(os, "fdatasync", sync)
    return names


async def look_and_click(run: RunContext) -> None:
    """Have a frame kept, and do something twice."""
    await run.look()
    await run.act("left_click", x=1, y=1)
    await run.act("left_click", x=2, y=2)


async def test_frames_are_synced_with_the_next_intent(tmp_path: Path, synced: list[str]) -> None:
    """Before the log that names them; what is synced is not synced again."""
    computer = computer_with_screen()
    async with SqliteLog(tmp_path / "log.db") as log:
        blobs = DirectoryBlobs(tmp_path / "blobs")
        result = await Driver(look_and_click).run(computer, "click", log=log, blobs=blobs)
    result.raise_for_outcome()
    assert result.last_frame is not None
    assert synced == [result.last_frame.sha256, "log.db-wal", "log.db-wal", "log.db-wal"]


async def test_answer_is_synced_before_the_event_that_names_it(tmp_path: Path, synced: list[str]) -> None:
    """So that a log that outlives a power cut can always be taken up."""

    async def drive(run: RunContext) -> None:
        async with run.turn() as turn:
            await turn.record("hello", raw=b"the items", answer=b"the rest")
            at_once.extend(synced)

    at_once: list[str] = []
    async with SqliteLog(tmp_path / "log.db") as log:
        blobs = DirectoryBlobs(tmp_path / "blobs")
        (await Driver(drive).run(computer_with_screen(), "say", log=log, blobs=blobs)).raise_for_outcome()
    assert sorted(at_once) == sorted(sha256(part).hexdigest() for part in (b"the items", b"the rest"))


async def test_blobs_of_a_run_that_no_power_cut_outlives_are_not_synced(tmp_path: Path, synced: list[str]) -> None:
    """A log in memory is gone with them."""
    blobs = DirectoryBlobs(tmp_path / "blobs")
    (await Driver(look_and_click).run(computer_with_screen(), "click", blobs=blobs)).raise_for_outcome()
    assert synced == []


async def test_blobs_that_cannot_be_synced_stop_all_effects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For good, as with the log: a later success would prove nothing."""

    def fail(descriptor: int) -> None:
        if not os.readlink(f"/proc/self/fd/{descriptor}").endswith("-wal"):
            raise OSError(errno.EIO, "Input/output error")

    computer = computer_with_screen()
    async with SqliteLog(tmp_path / "log.db") as log:
        blobs = DirectoryBlobs(tmp_path / "blobs")
        for patched in (True, False):
            with monkeypatch.context() as patch:
                if patched:
                    patch.setattr(os, "fdatasync", fail)
                result = await Driver(look_and_click).run(computer, "click", log=log, blobs=blobs)
            assert (result.outcome, result.reason) == ("failed", "journal")
            assert result.error is not None
            assert "cannot be synced: Input/output error" in result.error.message
    assert computer.performed == []


# Full disks


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk to fill."""
    with small_disk(tmp_path) as small:
        yield small


async def test_full_disk_is_told_and_nothing_is_lost_when_space_returns(disk: SmallDisk) -> None:
    """The barrier refuses as long as it is full; then everything is written, in order and once."""
    async with SqliteLog(disk.path / "log.db") as log:
        epoch = await log.claim("a")
        log.append("a", epoch, [custom("a", 1)])
        await log.barrier("a")
        disk.fill()
        for value in (2, 3):
            log.append("a", epoch, [custom("a", value)])
            with pytest.raises(JournalError) as caught:
                await log.barrier("a")
            assert caught.value.hint
        disk.free()
        log.append("a", epoch, [custom("a", 4)])
        await log.barrier("a")
        assert [value_of(event) for event in await log.read("a")] == [1, 2, 3, 4]


@pytest.fixture
def short_of_space(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    """A disk to fill, for runs that look often whether there is space."""
    if not disk.is_real:
        pytest.skip("only root may mount a disk that can be full; a limit on files is another error")
    monkeypatch.setattr(state, "SPACE_POLL", 0.01)
    return disk


class Heard(logging.Handler):
    """Hears what is logged of runs: ``waits`` is set once one waits for space."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = anyio.Event()
        self.goes_on = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        (self.waits if "waits for space" in record.getMessage() else self.goes_on).set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Hear."""
    handler, logger = Heard(), logging.getLogger(state.__name__)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_run_waits_while_the_disk_is_full(short_of_space: SmallDisk, heard: Heard) -> None:
    """No click without a kept intent; once there is space it is sent, once, and the log says that the run waited."""

    async def drive(run: RunContext) -> None:
        short_of_space.fill()
        await run.act("left_click", x=1, y=1)
        await run.act("left_click", x=2, y=2)

    computer = computer_with_screen()
    async with SqliteLog(short_of_space.path / "log.db") as log:
        with anyio.fail_after(20):
            async with Driver(drive).start(computer, "click", log=log) as run:
                await heard.waits.wait()
                assert computer.performed == []
                short_of_space.free()
                (await run.result()).raise_for_outcome()
        assert computer.performed == [Click(1, 1), Click(2, 2)]
        [waited] = await log.read(run.id, types=["custom"])
        events = await log.read(run.id)
    value = value_of(waited)
    assert isinstance(value, dict)
    assert list(value) == ["seconds"]
    assert [event.type for event in events].count("run.finished") == 1
    assert heard.goes_on.is_set()


async def test_answer_waits_while_the_disk_is_full(short_of_space: SmallDisk, heard: Heard) -> None:
    """It is paid for: it is kept once there is space."""

    async def drive(run: RunContext) -> None:
        async with run.turn() as turn:
            short_of_space.fill()
            await turn.record("hello", raw=bytes(range(256)) * 100, answer=b"the rest")

    blobs = DirectoryBlobs(short_of_space.path / "blobs")
    async with SqliteLog(short_of_space.path / "log.db") as log:
        with anyio.fail_after(20):
            async with Driver(drive).start(computer_with_screen(), "say", log=log, blobs=blobs) as run:
                await heard.waits.wait()
                short_of_space.free()
                (await run.result()).raise_for_outcome()
        [message] = await log.read(run.id, types=["model.message"])
    assert isinstance(message, ModelMessage)
    assert message.data.raw is not None
    assert await blobs.get(message.data.raw) == bytes(range(256)) * 100


async def test_run_that_waits_for_space_can_be_stopped(short_of_space: SmallDisk, heard: Heard) -> None:
    """Its action was not sent, and the end is written when there is space."""

    async def drive(run: RunContext) -> None:
        short_of_space.fill()
        await run.act("left_click", x=1, y=1)

    computer = computer_with_screen()
    async with SqliteLog(short_of_space.path / "log.db") as log:
        with anyio.fail_after(20):
            async with Driver(drive).start(computer, "click", log=log) as run:
                await heard.waits.wait()
                await run.stop()
                result = await run.result()
                assert (result.outcome, result.reason) == ("stopped", "user")
            short_of_space.free()
            await log.barrier(run.id)
        [finished] = await log.read(run.id, types=["action.finished"])
    assert isinstance(finished, ActionFinished)
    assert (finished.data.outcome, finished.data.effect) == ("cancelled", "no")
    assert computer.performed == []


async def read_to_the_end(run: Run[str]) -> None:
    """Follow a run."""
    async for event in run.events():
        assert event.type != "run.finished"


async def test_disk_that_stays_full_ends_the_run_before_the_effect(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No click without a kept intent, a held button is let go, and the next run on the same log works."""
    monkeypatch.setattr(state, "SPACE_LIMIT", 0.0)

    async def drive(run: RunContext) -> None:
        await run.act("left_mouse_down")
        disk.fill()
        await run.act("left_click", x=1, y=1)

    async def after(run: RunContext) -> None:
        await run.act("left_click", x=2, y=2)

    monkeypatch.setattr(state, "SPACE_POLL", 0.01)
    computer = computer_with_screen()
    async with SqliteLog(disk.path / "log.db") as log:
        with anyio.fail_after(20):
            async with Driver(drive).start(computer, "click", log=log) as run:
                result = await run.result()
                assert (result.outcome, result.reason) == ("failed", "journal")
                with pytest.raises(JournalError):
                    await read_to_the_end(run)
            assert computer.performed == [MouseDown("left"), MouseUp("left")]
            disk.free()
            (await Driver(after).run(computer, "click", log=log)).raise_for_outcome()
            assert computer.performed[2:] == [Click(2, 2)]
            kinds = [event.type for event in await log.read(run.id)]
    assert kinds.count("run.finished") == 1  # kept in memory while the disk was full
    assert kinds[-1] == "run.finished"


async def test_too_many_events_that_wait_let_no_further_action_start(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded on a full disk, for a run that only looks too."""

    async def drive(run: RunContext) -> None:
        disk.fill()
        while True:
            await run.look()

    monkeypatch.setattr(state, "SPACE_LIMIT", 0.0)
    monkeypatch.setattr(state, "SPACE_POLL", 0.01)
    with attribute(sqlite_log, "PENDING_LIMIT", 50):
        async with SqliteLog(disk.path / "log.db") as log:
            with anyio.fail_after(20):
                result = await Driver(drive).run(computer_with_screen(), "look for ever", log=log)
            assert (result.outcome, result.reason) == ("failed", "journal")
            disk.free()


async def test_run_survives_that_nothing_can_be_logged(disk: SmallDisk) -> None:
    """A program's log file on a full disk is no reason to stop."""

    async def drive(run: RunContext) -> None:
        disk.fill()
        for _ in range(100):
            logging.getLogger("deskhand").warning("x" * 100)
        await run.act("left_click", x=1, y=1)

    handler = logging.FileHandler(disk.path / "program.log")
    logging.getLogger("deskhand").addHandler(handler)
    computer = computer_with_screen()
    try:
        (await Driver(drive).run(computer, "click")).raise_for_outcome()
    finally:
        logging.getLogger("deskhand").removeHandler(handler)
        disk.free()
        handler.close()
    assert computer.performed == [Click(1, 1)]


# What a model may send


async def test_half_a_character_is_kept_as_a_replacement(tmp_path: Path) -> None:
    """JSON can name half a surrogate pair, UTF-8 cannot: the log goes on."""

    async def drive(run: RunContext) -> str:
        await run.act(ToolCall("exec", '{"command": "echo \\ud83d"}'))
        run.emit("test.odd", {"\udc00": ["\ud800x"]})
        await run.act("left_click", x=1, y=1)
        return "half \ud83d"

    async with SqliteLog(tmp_path / "log.db") as log:
        with anyio.fail_after(20):
            result = await Driver(drive).run(computer_with_screen(), "write \ud83d", log=log)
        result.raise_for_outcome()
        [odd] = await log.read(result.run_id, types=["custom"])
        assert value_of(odd) == {"\ufffd": ["\ufffdx"]}
        events = await log.read(result.run_id)
    assert events[-1].type == "run.finished"
    assert "\ufffd" in events[0].to_json().decode()
