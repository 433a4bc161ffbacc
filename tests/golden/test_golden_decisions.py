"""What the models of recorded runs answered leads to the same decisions in every later version.

The files in ``recorded`` are never edited: a change that fails here would go on from somebody's runs otherwise than
they went.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand import Engine, MemoryLog, RunContext
from deskhand.harness import History
from deskhand.harness.loops.retelling import differences
from deskhand.testing.models import FakeTurn
from tests.golden.recording import RUNS, load, read, write
from tests.harness.driving import Driver, computer_with_screen
from tests.harness.openai_script import MODES
from tests.harness.playing import Play

FILES = sorted(RUNS.glob("*.json"))
EVERY = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


async def decided_otherwise(path: Path) -> list[str]:
    """Decide about a recorded run's answers anew."""
    async with MemoryLog() as log:
        mode, run_id, blobs = await load(path, log)
        history = await History.read(log, blobs, run_id)
    found: list[str] = []
    async with Play(mode).harness() as harness, Engine() as engine:

        async def drive(run: RunContext) -> None:
            async with harness.adapter(run) as codec:
                found.extend(await differences(history, codec))

        run = await engine.start(Driver(drive), computer_with_screen(), "check", tools=harness.own_tools)
        (await run.result()).raise_for_outcome()
    return found


def test_every_way_of_asking_is_recorded() -> None:
    """One run each, of the first version that kept them."""
    assert {path.stem for path in FILES} >= {f"v1_{mode}" for mode in ("claude", *MODES)}


@EVERY
async def test_recorded_answers_lead_to_the_recorded_decisions(path: Path) -> None:
    """The same calls, run or not run as they were, with the same arguments."""
    assert await decided_otherwise(path) == []


@EVERY
async def test_other_arguments_and_other_endings_are_noticed(path: Path, tmp_path: Path) -> None:
    """A record that was changed is not what the answers lead to."""
    whole = read(path)
    for event in whole["events"]:
        if event["type"] == "action.started" and event["data"]["name"] == "left_click":
            event["data"]["arguments"]["x"] += 1
    changed = tmp_path / "arguments.json"
    write(changed, whole)
    assert any("would be run" in line for line in await decided_otherwise(changed))
    whole = read(path)
    stops = [event for event in whole["events"] if event["type"] == "turn.finished"]
    stops[0]["data"]["stop_reason"] = {"claude": "max_tokens", "chat": "length"}.get(whole["mode"], "max_output_tokens")
    write(changed, whole)
    assert await decided_otherwise(changed) != []


@EVERY
async def test_recorded_run_is_gone_on_from(path: Path) -> None:
    """Its conversation, rebuilt by this version, is legal to the vendor's strict fake."""
    async with MemoryLog() as log:
        mode, run_id, blobs = await load(path, log)
        play = Play(mode, FakeTurn("Gone on."))
        async with play.harness() as harness:
            more = {"log": log, "blobs": blobs, "history": run_id}
            result = await harness.run(computer_with_screen(), "Next.", **more)
    assert result.output == "Gone on.", result.error
