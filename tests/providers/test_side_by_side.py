"""What the docs say of all providers side by side is what their computers say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.needs_x
def test_table_of_capabilities_is_what_computers_say() -> None:
    """One computer of each provider is asked; hosted ones stand behind a simulator, with a real desktop."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "providers", "--check"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
