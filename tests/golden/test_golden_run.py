"""What version 1 wrote is read by every version: events change only by addition, and so does the log's file.

The two files beside this test are never edited: a change that fails here would lose somebody's runs.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deskhand import SqliteLog
from deskhand.harness import Engine
from deskhand.harness.events import CustomEvent, ErrorData, RunFinished, UnknownEvent, Usage, event_types, parse_event

FOLDER = Path(__file__).parent
LINES = (FOLDER / "run_v1.jsonl").read_text().splitlines()
RUN = "run_01JZ8Q4T7N3V5W9X2Y6A8B0C1D"


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{json.loads(line)['type']}-{json.loads(line).get('seq')}")
def test_event_of_version_1_is_read_and_written_back_whole(line: str) -> None:
    """To its own class, with every field that it had, those included that this version does not know."""
    event = parse_event(line)
    assert type(event) is event_types().get(event.type, UnknownEvent)
    assert json.loads(event.to_json()) == json.loads(line)
    assert event.summary


def test_every_type_of_version_1_is_there() -> None:
    """Types are added, never taken away or renamed."""
    written = {json.loads(line)["type"] for line in LINES} - {"run.dreamt"}
    assert len(written) == 17
    assert written <= set(event_types())


def test_fields_mean_what_they_meant() -> None:
    """A few of them by name, as a program of that time would use them."""
    events = [parse_event(line) for line in LINES]
    assert [event.seq for event in events if event.seq is not None] == list(range(1, 23))
    [unknown] = [event for event in events if isinstance(event, UnknownEvent)]
    assert unknown.data == {"of": ["sheep", {"electric": True}], "depth": 2.5}
    later = [event for event in events if isinstance(event, CustomEvent)][1]
    assert later.model_extra == {"shard": 7}
    assert later.data.model_extra == {"colour": "blue"}
    [end] = [event for event in events if isinstance(event, RunFinished)]
    assert end.data.outcome == "failed"
    assert end.data.error == ErrorData(
        code="shop", message="the shop is closed", hint="come back", retryable=True, effect="no", request_id="req_1"
    )
    assert end.data.usage == Usage(input=1200, output=80, cache_read=400, cache_write=10, reasoning=20)
    assert (end.data.turns, end.data.actions) == (1, 4)
    assert end.time.microsecond == 250025


async def test_file_of_version_1_opens_and_its_run_is_remembered(tmp_path: Path) -> None:
    """The log's file as SQLite dumped it: the run's result and events are there, and it can be written on."""
    path = tmp_path / "log.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / "log_v1.sql").read_text())
        connection.execute("PRAGMA journal_mode = WAL")
    async with SqliteLog(path) as log, Engine(log=log) as engine:
        run = await engine.get(RUN)
        result = await run.result()
        assert (result.outcome, result.turns, result.actions) == ("failed", 1, 4)
        assert result.error is not None
        assert result.error.hint == "come back"
        durable = [line for line in LINES if "seq" in json.loads(line)]
        assert [json.loads(event.to_json()) async for event in run.events()] == [json.loads(line) for line in durable]
        assert await log.claim(RUN) == 2
