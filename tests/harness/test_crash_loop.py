"""Runs that are killed again and again against a world that counts: nothing twice, nothing lost, nothing invented.

Some are killed alone, which loses nothing that was written; with others the power goes, and what was not synced.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.harness.crash_loop_worker import TURNS
from tests.harness.lossy_disk import LossyDisk

pytestmark = pytest.mark.slow

KILLS_OF_A_RUN = 9
"""After more than ten a run is quarantined."""


class Loop:
    """One log, one ledger, and what kills the workers between them.

    Args:
        folder: Where the ledger's file is.
        disk: Where the log is; cut off with each kill, where it can be.
        seed: Decides when they die.
        orders: To the process that forks the workers.
        answers: From it.
    """

    def __init__(self, folder: Path, disk: Path | LossyDisk, seed: int, orders: IO[str], answers: IO[str]) -> None:
        self.kills = 0
        self.unknown = 0
        self.effects = 0
        self._ledger = folder / "ledger"
        self._copy = folder / "copy"
        self._disk = disk if isinstance(disk, LossyDisk) else None
        self._log = home_on(disk) / "log.db"
        self._chance = random.Random(seed)
        self._orders = orders
        self._answers = answers
        self._seen: dict[str, dict[int, bytes]] = {}

    def one_run(self) -> None:
        """Have a run killed up to nine times; then let it come to its end, and hold the log against the ledger."""
        known = set(self._seen)
        run_id = "-"
        lost: set[str] = set()
        for _ in range(KILLS_OF_A_RUN):
            at, delay = self._chance.choice([(self._chance.randint(1, 60), 0.0), (0, self._chance.uniform(0.02, 0.15))])
            code = self._work(run_id, at, delay)
            assert code in {0, -9}
            self.kills += code == -9
            self._look()
            run_id = next(iter(set(self._seen) - known), "-")
            if run_id != "-" and code == -9:
                lost |= self._under_way(run_id)
            if run_id != "-" and self._events(run_id)[-1]["type"] == "run.finished":
                break
        else:
            assert self._work(run_id, 0, 0.0) == 0
            self._look()
            run_id = next(iter(set(self._seen) - known))
        self._judge(run_id, lost)

    def _work(self, run_id: str, at: int, delay: float) -> int:
        self._orders.write(f"{run_id} {at} {delay}\n")
        self._orders.flush()
        code = int(self._answers.readline())
        if self._disk is not None:
            if code == 0:
                self._disk.check()
            else:
                self._disk.cut()
        return code

    def _look(self) -> None:
        """Read a copy of the log: what was in it is in it still, and the same."""
        if not self._log.exists():
            return
        shutil.rmtree(self._copy, ignore_errors=True)
        self._copy.mkdir()
        for file in self._log.parent.glob("log.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, self._copy)
        with closing(sqlite3.connect(self._copy / "log.db")) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
                return
            rows = connection.execute("SELECT run_id, seq, payload FROM events ORDER BY run_id, seq").fetchall()
        found: dict[str, dict[int, bytes]] = {}
        for run_id, seq, payload in rows:
            found.setdefault(run_id, {})[seq] = payload
        for run_id, before in self._seen.items():
            assert {seq: found[run_id][seq] for seq in before} == before
        for numbered in found.values():
            assert list(numbered) == list(range(1, len(numbered) + 1))
        self._seen = found

    def _events(self, run_id: str) -> list[Any]:
        return [json.loads(payload) for payload in self._seen[run_id].values()]

    def _under_way(self, run_id: str) -> set[str]:
        """Return the presses whose intent is in the log and whose outcome is not: of these nobody can know."""
        started = {event["call_id"] for event in self._events(run_id) if _is(event, "action.started", "press")}
        return started - {event["call_id"] for event in self._events(run_id) if event["type"] == "action.finished"}

    def _judge(self, run_id: str, lost: set[str]) -> None:
        events = self._events(run_id)
        done = [line.split("/", 1) for line in self._ledger.read_text().splitlines()]
        effects = [call_id for _, call_id in done if call_id.startswith(run_id)]
        acted = [event for event in events if _is(event, "action.started", "press", "order")]
        intents = list(dict.fromkeys(event["call_id"] for event in acted))
        ended = {event["call_id"]: event["data"] for event in events if event["type"] == "action.finished"}
        outcomes = {call_id: data["outcome"] for call_id, data in ended.items()}
        assert len(effects) == len(set(effects)), "duplicated"
        assert effects == [call_id for call_id in intents if call_id in set(effects)], "out of order, or without intent"
        assert [call_id for call_id in intents if outcomes[call_id] == "ok" and call_id not in effects] == [], "lost"
        assert {call_id for call_id in intents if outcomes[call_id] == "unknown"} == lost, "unknown"
        assert {outcomes[call_id] for call_id in intents if ended[call_id]["name"] == "order"} == {"ok"}
        assert len(intents) == 3 * TURNS
        assert [event["type"] for event in events].count("run.finished") == 1
        assert events[-1]["data"]["outcome"] == "completed"
        self.unknown += len(lost)
        self.effects += len(effects)
        assert len(done) == self.effects, "done for a run of which the log knows nothing"


def _is(event: Any, kind: str, *names: str) -> bool:
    return event["type"] == kind and event["data"]["name"] in names


def home_on(disk: Path | LossyDisk) -> Path:
    """Return the folder of the log and the blobs, which the first worker makes."""
    return (disk.folder if isinstance(disk, LossyDisk) else disk) / "home"


@contextmanager
def crash_loop(folder: Path, disk: Path | LossyDisk, seed: int) -> Iterator[Loop]:
    """Start the ledger and the process that forks the workers."""
    socket = str(folder / "world")
    home = home_on(disk)
    environment = {**os.environ, **(disk.environment if isinstance(disk, LossyDisk) else {})}
    module = [sys.executable, "-m"]
    with subprocess.Popen(
        [*module, "tests.harness.crash_ledger", socket, str(folder / "ledger")], stdout=subprocess.PIPE
    ) as ledger:
        try:
            assert ledger.stdout is not None
            assert ledger.stdout.read(1) == b"."
            command = [*module, "tests.harness.crash_loop_worker", str(home / "log.db"), str(home / "blobs"), socket]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            ) as forks:
                assert forks.stdin is not None
                assert forks.stdout is not None
                yield Loop(folder, disk, seed, forks.stdin, forks.stdout)
                forks.stdin.close()
        finally:
            ledger.kill()


def repeat(tmp_path: Path, disk: Path | LossyDisk, seed: int, kills: int) -> None:
    """Kill so many times, and print what came of it."""
    with crash_loop(tmp_path, disk, seed) as loop:
        runs = 0
        while loop.kills < kills:
            loop.one_run()
            runs += 1
    said = f"{loop.kills} kills, {runs} runs, {loop.effects} effects: 0 twice, 0 lost, {loop.unknown} unknown"
    print(said)  # noqa: T201 (the tally)
    assert loop.unknown > 0


def cut_off(tmp_path: Path, seed: int, kills: int) -> None:
    """Cut the power so many times; something must have been lost by it."""
    disk = LossyDisk(tmp_path / "disk", seed)
    repeat(tmp_path, disk, seed, kills)
    assert disk.lost > kills


def test_sixty_kills_repeat_nothing_and_lose_nothing(tmp_path: Path) -> None:
    """At seeded checkpoints and at random moments."""
    repeat(tmp_path, tmp_path, 1, 60)


def test_thirty_power_cuts_repeat_nothing_and_lose_nothing(tmp_path: Path) -> None:
    """An outcome that was not synced becomes unknown; no effect is repeated, none is without its intent."""
    cut_off(tmp_path, 3, 30)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_thousand_kills_repeat_nothing_and_lose_nothing(tmp_path: Path) -> None:
    """The same, for long."""
    repeat(tmp_path, tmp_path, 2, 1000)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_thousand_power_cuts_repeat_nothing_and_lose_nothing(tmp_path: Path) -> None:
    """The same, for long."""
    cut_off(tmp_path, 4, 1000)
