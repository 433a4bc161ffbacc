"""What a row found, and how it is printed: what is lost first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

Better = Literal["less", "more"]


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal and whether it was reached."""

    text: str
    met: bool

    @classmethod
    def at_most(cls, what: str, value: float, limit: float, unit: str = "") -> Self:
        """Let a value be no more than a limit."""
        return cls(f"{what} ≤ {limit:g}{unit}", value <= limit)

    @classmethod
    def at_least(cls, what: str, value: float, limit: float, unit: str = "") -> Self:
        """Let a value be no less than a limit."""
        return cls(f"{what} ≥ {limit:g}{unit}", value >= limit)


@dataclass(frozen=True, slots=True)
class Line:
    """One measure of a row.

    Attributes:
        row: The row's number.
        metric: What was measured.
        unit: Of the values (``ms``, ``MB``, ...).
        ours: What deskhand took.
        floor: What the least that does the same work took, by its name.
        peers: What others took, by name.
        better: Whether less or more of it is better.
        goals: What was to be reached.
        note: What else a reader must know.
    """

    row: int
    metric: str
    unit: str
    ours: float
    floor: tuple[str, float] | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    better: Better = "less"
    goals: Sequence[Goal] = ()
    note: str = ""

    def worse(self, other: float) -> float:
        """Return how many times as good as ``other`` deskhand is."""
        over, under = (other, self.ours) if self.better == "less" else (self.ours, other)
        return over / under if under else float("inf") if over else 1.0

    @property
    def beaten_by(self) -> list[str]:
        """The peers that are better."""
        return [name for name, value in self.peers.items() if self.worse(value) < 1]

    @property
    def lost(self) -> bool:
        """Whether a peer is better, or a goal was missed."""
        return bool(self.beaten_by) or not all(goal.met for goal in self.goals)

    def as_json(self) -> dict[str, object]:
        """Return the line as JSON."""
        return {
            "row": self.row,
            "metric": self.metric,
            "unit": self.unit,
            "ours": self.ours,
            "floor": None if self.floor is None else {"name": self.floor[0], "value": self.floor[1]},
            "over_floor": None if self.floor is None else 1 / self.worse(self.floor[1]),
            "peers": {name: {"value": value, "ratio": self.worse(value)} for name, value in self.peers.items()},
            "goals": [{"goal": goal.text, "met": goal.met} for goal in self.goals],
            "lost": self.lost,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Missing:
    """A row, or a peer of it, that could not be measured, and why."""

    row: int
    what: str
    why: str


_HEAD = "| row | what | deskhand | against its floor | peers against deskhand | goal |\n|--|--|--|--|--|--|"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{_number(value)}x"


def _cells(line: Line) -> list[str]:
    floor = "-"
    if line.floor is not None:
        floor = f"{_ratio(1 / line.worse(line.floor[1]))} {line.floor[0]}"
    peers = "; ".join(f"{name} {_ratio(line.worse(value))}" for name, value in line.peers.items())
    goals = "; ".join(f"{goal.text}: {'yes' if goal.met else '**no**'}" for goal in line.goals)
    what = f"{line.metric} ({line.note})" if line.note else line.metric
    return [str(line.row), what, f"{_number(line.ours)} {line.unit}".strip(), floor, peers or "-", goals or "-"]


def markdown(lines: Sequence[Line], missing: Sequence[Missing]) -> str:
    """Print a table, the lines that are lost on top, and below it what could not be measured."""
    ordered = [line for line in lines if line.lost] + [line for line in lines if not line.lost]
    rows = [_printed(line) for line in ordered]
    notes = [_note(gone) for gone in missing]
    return "\n".join([_HEAD, *rows, *([""] if notes else []), *notes])


def _printed(line: Line) -> str:
    return f"| {' | '.join(_cells(line))} |"


def _note(gone: Missing) -> str:
    return f"- row {gone.row}, {gone.what}: not measured: {gone.why}"


BEGIN, END = "<!-- benchmarks/run --write: begin -->", "<!-- benchmarks/run --write: end -->"
_LINE = re.compile(r"\| (\d+) \|.*")
_NOTE = re.compile(r"- row (\d+), .*")
_RUN = re.compile(r"- rows ([\d, ]+): (.*)")
_BETTER = re.compile(r" 0(?:\.\d+)?x(?:;|$)")
_EARLIER = "measured before this page told when"


def rewritten(page: str, lines: Sequence[Line], missing: Sequence[Missing], run: str) -> str:
    """Return a page with what a run found in the place that is kept for it, and what it did not measure as it was.

    Args:
        page: The page.
        lines: What was found.
        missing: What could not be measured.
        run: When and on what it was.

    Raises:
        ValueError: If the page has no such place.
    """
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place between {BEGIN} and {END}")
    measured = {line.row for line in lines} | {gone.row for gone in missing}
    table = [*_others(old, _LINE, measured), *((line.row, _printed(line)) for line in lines)]
    notes = [*_others(old, _NOTE, measured), *((gone.row, _note(gone)) for gone in missing)]
    runs = {number: said for rows, said in _runs(old) for number in rows} | dict.fromkeys(measured, run)
    ordered = sorted(table, key=lambda row: (not _is_lost(row[1]), row[0]))
    told = _told({number: runs.get(number, _EARLIER) for number, _ in (*table, *notes)})
    text = "\n".join([_HEAD, *(line for _, line in ordered), "", *(note for _, note in sorted(notes)), *told])
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _others(old: str, kind: re.Pattern[str], measured: set[int]) -> list[tuple[int, str]]:
    """Return what stands there of rows that were not measured now."""
    found = [(int(match[1]), line) for line in old.splitlines() if (match := kind.fullmatch(line))]
    return [(number, line) for number, line in found if number not in measured]


def _runs(old: str) -> list[tuple[list[int], str]]:
    """Return which rows are said to come of which run."""
    found = [match for line in old.splitlines() if (match := _RUN.fullmatch(line))]
    return [([int(number) for number in match[1].split(", ")], match[2]) for match in found]


def _is_lost(line: str) -> bool:
    """Whether a goal was missed, or a peer is better."""
    return "**no**" in line or _BETTER.search(f" {line.split(' | ')[4]}") is not None


def _told(runs: Mapping[int, str]) -> list[str]:
    """Say of which run each row is."""
    by_run: dict[str, list[int]] = {}
    for number, run in sorted(runs.items()):
        by_run.setdefault(run, []).append(number)
    return [f"- rows {', '.join(map(str, numbers))}: {run}" for run, numbers in by_run.items()]
