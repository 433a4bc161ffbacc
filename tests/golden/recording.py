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
from deskhand.providers import InputAction, Screen
from deskhand.testing.models import FakeTurn, member, text, thinking, tool_use
from tests.harness.driving import png
from tests.harness.openai_script import MODES
from tests.harness.playing import Play
from tests.tools.recording import RecordingComputer

RUNS = Path(__file__).parent / "recorded"


class Living(RecordingComputer):
    """Shows another picture after each input."""

    def __init__(self) -> None:
        super().__init__(Screen(320, 200))
        self.image = png(320, 200)

    async def perform(self, action: InputAction) -> None:
        await super().perform(action)
        self.image = png(320, 200, f"#{len(self.performed) * 4:06x}")


def patient(play: Play) -> tuple[FakeTurn, ...]:
    """Script what repeats itself and gets somewhere: it scrolls on, fills in a form, and waits for a command's end."""
    claude = play.mode == "claude"
    scroll = member("scroll", coordinate=[9, 9], scroll_direction="down", scroll_amount=3)
    scroll = scroll if claude else tool_use("scroll", x=9, y=9, direction="down", amount=3)
    tab = member("key", text="Tab") if claude else tool_use("key", key="Tab")
    look = member("screenshot") if claude else tool_use("screenshot")
    type_ = [member("type", text="a") if claude else tool_use("type", text="a")]
    return (
        FakeTurn([play.click(10, 20)]),
        *(FakeTurn([scroll]) for _ in range(8)),
        *(FakeTurn([*type_, tab]) for _ in range(6)),
        *(FakeTurn([tool_use("exec", command="cat progress")]) for _ in range(12)),
        *(FakeTurn([look]) for _ in range(6)),
        FakeTurn("Done."),
    )


async def record_patience(mode: str) -> dict[str, Any]:
    """Record a long run that repeats itself without going in circles."""
    play = Play(mode)
    play.turns = patient(play)
    return await _record(play, Living(), "Fill it in.")


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
    computer = RecordingComputer()
    computer.image = png(1280, 800)
    return await _record(play, computer, "Click there.", then="And say so.")


async def _record(play: Play, computer: RecordingComputer, goal: str, *, then: str | None = None) -> dict[str, Any]:
    log, blobs = MemoryLog(), MemoryBlobs()
    async with play.harness() as harness, log, Engine(log=log, blobs=blobs) as engine:
        run = await engine.start(harness, computer, goal)
        if then is not None:
            await run.steer(then, when="idle")
        assert (await run.result()).ok
        events = [json.loads(event.to_json()) for event in await log.read(run.id, limit=1000)]
    keys = {event["data"].get(name) for event in events for name in ("raw", "answer", "sha256")} - {None}
    kept = {str(key): base64.b64encode(await blobs.get(str(key))).decode() for key in sorted(keys, key=str)}
    return {"mode": play.mode, "events": events, "blobs": kept}


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
    for mode in ("claude", "functions"):
        path = RUNS / f"{version}_patient_{mode}.json"
        if not path.exists():
            write(path, anyio.run(record_patience, mode))


if __name__ == "__main__":
    main(sys.argv[1])
