"""A plugin of pytest that counts which runs of the tests would be told that they are stuck: see scripts/stuck."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from weakref import WeakKeyDictionary

import pytest

from deskhand.harness import Stuck, executor
from deskhand.harness.stages.action import Action
from deskhand.harness.stages.progress import step_of
from deskhand.harness.state import ComputerState
from deskhand.harness.stuck import Watch
from deskhand.tools import Observation

MEANT = "tests/harness/test_stuck.py"
"""Whose runs go in circles on purpose."""

_watches: WeakKeyDictionary[ComputerState, Watch] = WeakKeyDictionary()
_found: list[tuple[str, str]] = []
_counts: Counter[str] = Counter()


def pytest_configure(config: pytest.Config) -> None:
    """Watch every run with the default thresholds, whatever thresholds it has itself."""
    del config
    really: Callable[[Observation, Action], None] = vars(executor)["watch"]

    def watch(observation: Observation, action: Action) -> None:
        really(observation, action)
        step = step_of(observation, action.tool)
        if step is None or action.target is None:
            return
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0]
        if test.startswith(MEANT):
            return
        if action.target not in _watches:
            _watches[action.target] = Watch(Stuck())
            _counts["runs"] += 1
        _counts["calls"] += 1
        finding = _watches[action.target].take(step)
        if finding is not None:
            _counts[finding.pattern] += 1
            _found.append((test, finding.text))

    vars(executor)["watch"] = watch


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was found."""
    terminalreporter.section("stuck")
    for test, text in _found:
        terminalreporter.line(f"{test}: {text}")
    tests = len({test for test, _ in _found})
    patterns = ", ".join(f"{name} {_counts[name]}" for name in ("repeats", "ping_pong", "no_effect", "errors"))
    terminalreporter.line(
        f"{_counts['runs']} runs, {_counts['calls']} calls: told {len(_found)} times in {tests} tests ({patterns})"
    )
