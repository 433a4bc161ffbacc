"""However much comes out of a command, a model or a driver: what the log holds of it is bounded."""

from __future__ import annotations

import pytest

from deskhand import MemoryLog, RunContext, ToolCall
from deskhand.errors import InvalidInputError
from deskhand.harness.events import ActionFinished, ModelMessage
from deskhand.providers import ExecResult
from tests.harness.driving import Driver, computer_with_screen

LIMIT = 256 * 1024


async def test_flood_of_output_is_cut_for_the_event_and_told_to_the_model() -> None:
    """A hundred megabytes: the model reads head, tail and how much is missing; the event holds a beginning."""
    kept = "h" * 32_768 + "\n" + "t" * 32_768
    computer = computer_with_screen()
    computer.commands["flood"] = ExecResult(kept, kept, "", 0, dropped=100_000_000 - 65_536)

    async def drive(run: RunContext) -> str:
        observation = await run.act("exec", command="flood")
        assert observation.ok
        return observation.text

    async with MemoryLog() as log:
        result = await Driver(drive).run(computer, "flood", log=log)
        result.raise_for_outcome()
        [end] = await log.read(result.run_id, types=["action.finished"])
    assert result.output == f"{kept}\n[99934464 bytes of output in the middle were not kept]"
    assert isinstance(end, ActionFinished)
    assert len(end.data.text) == 16_385
    assert end.data.text.endswith("h…")


async def test_no_event_of_a_run_outgrows_the_limit() -> None:
    """Long answers, long values, long arguments: refused, or cut where the whole is kept elsewhere."""
    raw = b'[{"type":"text","text":"' + b"w" * 2_000_000 + b'"}]'

    async def drive(run: RunContext) -> None:
        too_long = await run.act(ToolCall("write_file", {"path": "x", "content": "y" * 300_000}))
        assert too_long.error is not None
        assert too_long.error.code == "invalid_input"
        with pytest.raises(InvalidInputError, match="allowed are 262144"):
            run.emit("test.long", "z" * 300_000)
        with pytest.raises(InvalidInputError, match="no JSON"):
            run.emit("test.odd", object())  # type: ignore[arg-type]
        run.emit("test.fine", "z" * 200_000)
        async with run.turn(model="m") as turn:
            await turn.record("w" * 2_000_000, thinking="t" * 2_000_000, raw=raw)

    async with MemoryLog() as log:
        result = await Driver(drive).run(computer_with_screen(), "write", log=log)
        result.raise_for_outcome()
        events = await log.read(result.run_id)
    assert all(len(event.to_json()) <= LIMIT for event in events)
    [message] = [event for event in events if isinstance(event, ModelMessage)]
    assert message.data.raw is not None
    assert message.data.text == "w" * 65_536 + "…"
