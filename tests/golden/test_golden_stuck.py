"""What the recorded runs did is not taken for going in circles, and would be by stricter thresholds."""

from __future__ import annotations

from deskhand.harness import Stuck
from tests.golden.recording import RUNS
from tests.golden.stuck import MOST, count

FILES = sorted(RUNS.glob("*.json"))


async def test_recorded_runs_are_not_told_that_they_are_stuck() -> None:
    """All of them got to their goal."""
    counted = await count(FILES, Stuck())
    assert counted.runs == len(FILES) >= 6
    assert counted.calls >= 5 * len(FILES)
    assert len(counted.found) <= MOST, str(counted)


async def test_stricter_thresholds_are_counted_as_false_positives() -> None:
    """Some have calls that fail, some wait for long: the count is no constant."""
    patient = {path.stem for path in FILES if "patient" in path.stem}
    counted = await count(FILES, Stuck(errors=1))
    assert {name for name, _ in counted.found} == {path.stem for path in FILES} - patient
    assert {finding.pattern for _, finding in counted.found} == {"errors"}
    waited = await count(FILES, Stuck(looks=5))
    assert {(name, finding.pattern) for name, finding in waited.found} == {(name, "repeats") for name in patient}
    assert len(patient) == 2
