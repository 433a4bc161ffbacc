"""What goes wrong around the program, and what it says then: ``golden/situations.txt`` is to be read as copy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from tests.cli.program import REPOSITORY, Ended, Program
from tests.cli.test_errors import compare, masked
from tests.cli.test_run import clicks_and_reports, served

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden"

WORDS: dict[str, tuple[str, ...]] = {
    "no key": ("run", "greet"),
    "an empty goal": ("run", " "),
    "no goal": ("run",),
    "an unknown provider": ("shot", "locl"),
    "a provider that cannot be loaded": ("shot", "broken"),
    "a computer that is not there": ("shot", "testbed:cupboard"),
    "a name that names no computer": ("rm", "testbed"),
    "a screen of no size": ("shot", "testbed", "--screen", "wide"),
    "a screen for a computer that has one": ("shot", "testbed:box", "--screen", "800x600"),
    "an image that cannot be written": ("shot", "testbed", "nowhere/shot.png"),
    "an image of no known kind": ("shot", "testbed", "shot.gif"),
    "a command that never ends": ("exec", "--timeout", "0.2", "testbed", "sleep 1000"),
    "an unknown run": ("events", "run_01K"),
    "an unknown run to go on with": ("recover", "run_01K"),
    "no run yet": ("events", "last"),
    "a number that is none": ("events", "last", "--after", "first"),
    "an unknown command": ("rnu",),
    "an unknown option": ("run", "greet", "--modle", "claude-opus-5-5"),
    "an unknown format": ("tools", "--format", "xml"),
    "nothing that is checked": ("doctor", "--require", "x-serve"),
}


def transcript(title: str, words: tuple[str, ...], ended: Ended, folder: Path) -> str:
    """Return what a person sees: the command, what it says on standard error, the exit code."""
    command = " ".join(word if word.strip() and " " not in word else repr(word) for word in words)
    said = masked(ended.err, folder).replace(str(REPOSITORY), "/home/me/deskhand")
    return f"# {title} · exit {ended.code}\n$ deskhand {command}\n{said}"


async def test_each_situation_reads_as_the_golden_file_says(tmp_path: Path) -> None:
    """No situation shows a traceback; each says what, why and what to do."""
    found: dict[str, str] = {}

    async def look(title: str, words: tuple[str, ...]) -> None:
        folder = tmp_path / str(len(found))
        found[title] = ""
        await anyio.Path(folder).mkdir()
        found[title] = transcript(title, words, await Program(folder).run(*words), folder)

    for title, words in WORDS.items():
        await look(title, words)
    text = "\n".join(found.values())
    assert "Traceback" not in text
    compare(GOLDEN / "situations.txt", text)


RUN = ("run", "greet", "--computer", "testbed")


async def wrong_key(folder: Path) -> Ended:
    """Bring a key that the API does not know."""
    async with served(folder, clicks_and_reports(), ANTHROPIC_API_KEY="sk-ant-wrong") as program:
        return await program.run(*RUN)


async def unknown_model(folder: Path) -> Ended:
    """Ask for a model that the API does not know."""
    async with served(folder, clicks_and_reports()) as program:
        return await program.run(*RUN, "--model", "claude-nonesuch-9")


async def home_in_the_way(folder: Path) -> Ended:
    """Have a file where the home folder should be."""
    await anyio.Path(folder / "home").write_text("in the way")
    async with served(folder, clicks_and_reports()) as program:
        return await program.run(*RUN)


async def damaged_log(folder: Path) -> Ended:
    """Have something else where the log should be."""
    await anyio.Path(folder / "home").mkdir()
    await anyio.Path(folder / "home" / "events.db").write_bytes(b"a letter to my aunt, " * 200)
    async with served(folder, clicks_and_reports()) as program:
        return await program.run(*RUN)


SITUATIONS: dict[str, Callable[[Path], Awaitable[Ended]]] = {
    "a wrong key": wrong_key,
    "an unknown model": unknown_model,
    "a home that is a file": home_in_the_way,
    "a log that is damaged": damaged_log,
}


async def test_each_run_that_fails_reads_as_the_golden_file_says(tmp_path: Path) -> None:
    """What ends a run is said on standard error, with what to do."""
    parts = []
    for number, (title, bring_about) in enumerate(SITUATIONS.items()):
        folder = tmp_path / str(number)
        await anyio.Path(folder).mkdir()
        parts.append(transcript(title, RUN, await bring_about(folder), folder))
    compare(GOLDEN / "runs.txt", "\n".join(parts))


@pytest.mark.needs_bwrap
async def test_a_full_disk_holds_a_run_before_it_acts(tmp_path: Path) -> None:
    """Without a durable intent nothing is done; the terminal says what the run waits for."""
    home = tmp_path / "home"
    await anyio.Path(home).mkdir()
    sandbox = ["bwrap", "--die-with-parent", "--dev-bind", "/", "/", "--size", "120000", "--tmpfs", str(home)]
    said, done = b"", b""

    async with served(tmp_path, clicks_and_reports()) as program:
        command = [*sandbox, *program.command(*RUN, "--approve", "never")]
        with anyio.fail_after(90):
            async with (
                await anyio.open_process(command, env=program.environment(), cwd=tmp_path) as process,
                anyio.create_task_group() as tasks,
            ):

                async def read_output() -> None:
                    nonlocal done
                    assert process.stdout is not None
                    async for part in process.stdout:
                        done += part

                tasks.start_soon(read_output)
                assert process.stderr is not None
                async for part in process.stderr:
                    said += part
                    if b"waits for space" in said:
                        break
                process.kill()
    assert b"Traceback" not in said
    assert b"free some space" in said
    assert b"left_click" not in done
