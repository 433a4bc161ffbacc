"""The example of a provider of one's own passes the conformance suite, by the option that anybody uses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "custom_provider"


async def conformance(*arguments: str) -> tuple[int, str]:
    """Run pytest in the example's folder; return its exit code and what it printed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(FOLDER), "PYTHONPATH": str(FOLDER)}
    with anyio.fail_after(120):
        ended = await anyio.run_process(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rs", *arguments],
            cwd=FOLDER,
            env=environment,
            check=False,
        )
    return ended.returncode, ended.stdout.decode() + ended.stderr.decode()


@pytest.mark.slow
async def test_custom_provider_passes_the_suite_for_what_it_can_do() -> None:
    """What it lacks is skipped by name, nothing fails."""
    code, said = await conformance("--deskhand-provider=folder_provider:FolderProvider")
    assert code == 0, said
    assert "lacks screenshot, and says so" in said
    assert " passed" in said


@pytest.mark.slow
async def test_level_that_a_computer_has_not_fails() -> None:
    """Whoever asks for a whole desktop is told what is lacking."""
    code, said = await conformance(
        "--deskhand-provider=folder_provider:FolderProvider", "--deskhand-level=desktop", "-k", "level"
    )
    assert code == 1
    assert "a computer of the level desktop also has" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder_provider:Nobody", "cannot be loaded"),
        ("no_such_module:Provider", "cannot be loaded"),
        ("folder_provider:feed", "is no ComputeProvider"),
        ("nowhere", "no provider is called 'nowhere'"),
        ("e2b", "there is no key for e2b"),
    ],
)
async def test_provider_that_cannot_be_had_says_why(name: str, reason: str) -> None:
    """The option names what is there and can be used, or the run ends with the reason, told once."""
    code, said = await conformance(f"--deskhand-provider={name}")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert said.count(reason) == 1, said


def test_page_on_providers_shows_the_example() -> None:
    """What is read is what was tested."""
    assert (FOLDER / "folder_provider.py").read_text() in (ROOT / "docs" / "providers.md").read_text()
