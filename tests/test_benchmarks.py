"""The benchmark's command: what it prints has the shape that its readers rely on; no time is judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cells import Cell, side_by_side
from benchmarks.environments import UnavailableError
from benchmarks.report import BEGIN, END, Goal, Line, Missing, markdown, rewritten

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable}
    return subprocess.run(
        [str(ROOT / "benchmarks" / "run"), *arguments], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.slow
def test_benchmark_prints_values_ratios_and_goals_as_json() -> None:
    """The rows that need no peer's environment: what was counted and published, with goals that were judged."""
    done = run("--quick", "--json", "counters", "publish")
    assert done.returncode == 0, done.stderr
    printed: Any = json.loads(done.stdout)
    assert set(printed) == {"machine", "peers", "lines", "missing"}
    assert printed["machine"]["quick"] is True
    assert printed["missing"] == []
    assert {line["row"] for line in printed["lines"]} == {4, 12}
    for line in printed["lines"]:
        assert set(line) == {"row", "metric", "unit", "ours", "floor", "over_floor", "peers", "goals", "lost", "note"}
        assert line["ours"] > 0
        assert all(set(goal) == {"goal", "met"} for goal in line["goals"])
    assert all(line["ours"] == 1 and not line["lost"] for line in printed["lines"] if line["row"] == 4)


def test_benchmark_refuses_rows_that_it_does_not_know() -> None:
    """A name that is none is answered with those that are."""
    done = run("nonsense")
    assert done.returncode == 2
    assert "counters" in done.stderr


def test_table_begins_with_what_is_lost() -> None:
    """Lines come first in which a peer is better or a goal is missed; what was not measured is said below."""
    lines = [
        Line(1, "won", "ms", 1.0, ("floor", 0.5), {"peer": 3.0}, goals=[Goal.at_most("p50", 1.0, 2.0, " ms")]),
        Line(2, "missed", "ms", 3.0, goals=[Goal.at_most("p50", 3.0, 2.0, " ms")]),
        Line(3, "beaten", "events/s", 100.0, peers={"peer": 200.0}, better="more"),
    ]
    printed = markdown(lines, [Missing(4, "a peer", "it is not installed")]).splitlines()
    assert [line.split("|")[1].strip() for line in printed[2:5]] == ["2", "3", "1"]
    assert "**no**" in printed[2]
    assert "peer 0.5x" in printed[3]
    assert "2x floor" in printed[4]
    assert "peer 3x" in printed[4]
    assert printed[-1] == "- row 4, a peer: not measured: it is not installed"


@pytest.mark.parametrize(("better", "value", "ratio"), [("less", 4.0, 2.0), ("more", 1.0, 2.0)])
def test_ratio_says_how_many_times_as_good_deskhand_is(better: Any, value: float, ratio: float) -> None:
    """Above 1 deskhand is better, whether less or more is wanted."""
    assert Line(1, "x", "", 2.0, better=better).worse(value) == ratio


def test_page_gets_what_was_found_in_the_place_kept_for_it() -> None:
    """What stands around it stays, and a page without such a place is refused."""
    page = rewritten(f"above\n{BEGIN}\nold\n{END}\nbelow\n", [Line(1, "first", "ms", 1.0)], [], "2030-01-01, a machine")
    assert page.startswith(f"above\n{BEGIN}\n\n| row |")
    assert page.endswith(f"| 1 | first | 1 ms | - | - | - |\n\n- rows 1: 2030-01-01, a machine\n\n{END}\nbelow\n")
    with pytest.raises(ValueError, match="no place"):
        rewritten("above\nbelow\n", [], [], "")


def test_rows_that_were_not_measured_stay_on_the_page() -> None:
    """With the run that they are of; those that are lost come first, whenever they were measured."""
    page = rewritten(
        f"{BEGIN}\n| 9 | before | 1 ms | - | - | - |\n{END}",
        [Line(2, "won", "ms", 1.0, peers={"peer": 3.0}), Line(1, "beaten", "ms", 2.0, peers={"peer": 1.0})],
        [Missing(3, "a peer", "it is not there")],
        "2030-01-01, old",
    )
    page = rewritten(page, [Line(2, "anew", "ms", 9.0, goals=[Goal.at_most("p50", 9.0, 8.0)])], [], "2030-02-02, new")
    lines = page.splitlines()
    assert [line.split(" | ")[:2] for line in lines if line.startswith("| ") and line[2].isdigit()] == [
        ["| 1", "beaten"],
        ["| 2", "anew"],
        ["| 9", "before"],
    ]
    assert [line for line in lines if line.startswith("- ")] == [
        "- row 3, a peer: not measured: it is not there",
        "- rows 1, 3: 2030-01-01, old",
        "- rows 2: 2030-02-02, new",
        "- rows 9: measured before this page told when",
    ]


def test_page_of_performance_keeps_a_place_for_the_table() -> None:
    """The command that measures finds where to write, and what is written once more is the same."""
    page = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    told = rewritten(page, [], [], "")
    assert rewritten(told, [], [], "") == told


def test_page_is_written_from_a_thorough_run_alone() -> None:
    """A quick look is no run to be shown."""
    done = run("--write", "--quick", "counters")
    assert done.returncode == 2
    assert "--write measures thoroughly" in done.stderr


def test_peer_that_fails_is_told_and_the_others_are_measured() -> None:
    """A peer's failure costs its own figure; a failure of deskhand's or the floor's own costs the row."""
    cells = {"ours": Cell("importing", {"statement": "pass"}), "peer": Cell("no_such_program", is_peer=True)}
    found, gone = side_by_side(cells, 1)
    assert set(found) == {"ours"}
    assert "no_such_program ended with code 2" in gone["peer"]
    with pytest.raises(UnavailableError, match="no_such_program"):
        side_by_side({"ours": Cell("no_such_program")}, 1)
