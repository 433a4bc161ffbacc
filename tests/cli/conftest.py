"""The program under test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Return the command line with a home of its own."""
    return Program(tmp_path)
