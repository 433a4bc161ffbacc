"""What all tests share: deterministic examples, and no key of whoever runs them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from deskhand.providers.local.xserver import available_server

settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

_FOREIGN = ("ANTHROPIC_", "OPENAI_", "ORGO_", "MIOSA_", "E2B_", "DAYTONA_", "DESKHAND_")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs an X server where none is installed."""
    if available_server() is not None:
        return
    for item in items:
        if item.get_closest_marker("needs_x") is not None:
            item.add_marker(pytest.mark.skip(reason="neither Xvnc nor Xvfb is installed"))


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take keys and settings out of the environment: what a test needs, it sets."""
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _runtime_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give each test a folder of its own for the sockets of its computers, by a path that is short enough for them."""
    with tempfile.TemporaryDirectory(prefix="dh-") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield Path(name)
