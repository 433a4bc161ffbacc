"""Recorded runs as files: the events of one run with the blobs that they name.

``python -m tests.golden.recording VERSION`` records one for each way in which a model is asked. What is there is never
recorded anew: each version's runs must be read by all later ones.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import anyio

from deskhand import Engine, EventLog, MemoryBlobs, MemoryLog
from deskhand.harness.events import parse_event
from deskhand.testing.models import FakeTurn, text, thinking, tool_use
from tests.harness.driving import png
from tests.harness.openai_script import MODES
from tests.harness.playing import Play
from tests.tools.recording import RecordingComputer

RUNS = Path(__file__).parent / "recorded"


async def record(mode: str) -> dict[str, Any]:
    """Record a run: calls that are done, one that is refused, one that nothing offers, and what a person says."""
    play = Play(mode)
    play.turns = (
        FakeTurn([thinking("hm"), text("I click."), play.click(10, 20), tool_use("exec", command="echo hi")]),
        FakeTurn([play.click(5000, 20), tool_use("no_such_tool", a=1)]),
        FakeTurn([tool_use("write_file", path="a.txt", content="grüße")]),
        FakeTurn("Done."),
        FakeTurn("All done."),
    )
    log, blobs = MemoryLog(), MemoryBlobs()
    computer = RecordingComputer()
    computer.image = png(1280, 800)
    async with play.harness() as harness, log, Engine(log=log, blobs=blobs) as engine:
        run = await engine.start(harness, computer, "Click there.")
        await run.steer("And say so.", when="idle")
        assert (await run.result()).ok
        events = [json.loads(event.to_json()) for event in await log.read(run.id, limit=1000)]
    keys = {event["data"].get(name) for event in events for name in ("raw", "answer", "sha256")} - {None}
    kept = {str(key): base64.b64encode(await blobs.get(str(key))).decode() for key in sorted(keys, key=str)}
    return {"mode": mode, "events": events, "blobs": kept}


def read(path: Path) -> Any:
    """Read a recorded run's file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, whole: Any) -> None:
    """Write a recorded run's file."""
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


async def load(path: Path, log: EventLog) -> tuple[str, str, MemoryBlobs]:
    """Put a recorded run into a log; return how its model was asked, its id, and its blobs."""
    whole = read(path)
    blobs = MemoryBlobs()
    for data in whole["blobs"].values():
        await blobs.put(base64.b64decode(data))
    events = [parse_event(json.dumps(event)) for event in whole["events"]]
    run_id = events[0].run_id
    log.append(run_id, await log.claim(run_id), events)
    return str(whole["mode"]), run_id, blobs


def main(version: str) -> None:
    """Record what is not there yet."""
    RUNS.mkdir(exist_ok=True)
    for mode in ("claude", *MODES):
        path = RUNS / f"{version}_{mode}.json"
        if not path.exists():
            write(path, anyio.run(record, mode))


if __name__ == "__main__":
    main(sys.argv[1])
