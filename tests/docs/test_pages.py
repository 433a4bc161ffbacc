"""README and docs do what they say: their programs run, their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from deskhand.cli.simulating import KEYLESS, SIMULATED, simulator
from deskhand.demo.script import DemoModel
from deskhand.demo.vocabulary import in_actions
from deskhand.testing import FakeAnthropic, FakeOpenAI

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKERS = {"needs_x": pytest.mark.needs_x, "needs_bwrap": pytest.mark.needs_bwrap, "slow": pytest.mark.slow}
_RUN = """
import ast, asyncio, inspect, sys
source = open(sys.argv[1], encoding="utf-8").read()
compiled = compile(source, sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
result = eval(compiled, {"__name__": "__main__"})
if inspect.iscoroutine(result):
    asyncio.run(result)
"""
_BLOCK = re.compile(r"(?:<!-- test: (?P<test>[^\n]*?) -->\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_VENDOR = re.compile(r"\bFake(Anthropic|OpenAI)\b")
_LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Program:
    """A Python block of a page."""

    page: Path
    line: int
    code: str
    marks: tuple[str, ...]
    computers: tuple[str, ...] = ()


def programs(page: Path) -> list[Program]:
    """Find the Python blocks of a page; the comment in front of one names what it needs.

    One that loads a vendor's client takes seconds by that alone. One with ``on: local orgo`` is run on each of these
    computers, with scripted models and simulated vendors where its environment leads it.
    """
    text = page.read_text(encoding="utf-8")
    found: list[Program] = []
    for match in _BLOCK.finditer(text):
        needs, _, computers = (match["test"] or "").partition("on:")
        marks = (*needs.replace(",", " ").split(), *(["slow"] if _VENDOR.search(match["code"]) else []))
        found.append(
            Program(page, text.count("\n", 0, match.start("code")), match["code"], marks, (*computers.split(),))
        )
    return found


def cases(*, on: bool) -> list[object]:
    """The programs as parameters of a test: those that are run as they are, or those that are run on computers."""
    return [
        pytest.param(
            *((program, computer) if computer else (program,)),
            id=f"{program.page.name}:{program.line}{':' * bool(computer)}{computer}",
            marks=[MARKERS[mark] for mark in program.marks],
        )
        for page in PAGES
        for program in programs(page)
        if bool(program.computers) == on
        for computer in program.computers or ("",)
    ]


@pytest.mark.parametrize("program", cases(on=False))
def test_program_of_a_page_runs(program: Program, tmp_path: Path) -> None:
    """A reader who pastes a program into a file, or into a notebook where it awaits, gets what the page says."""
    script = tmp_path / "program.py"
    script.write_text(program.code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _RUN, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{program.page.name}:{program.line}\n{done.stderr}"


@pytest.mark.parametrize(("program", "computer"), cases(on=True))
async def test_program_of_a_page_runs_on_each_computer(program: Program, computer: str, tmp_path: Path) -> None:
    """One word is another; keys lead to the scripted models and to the simulated vendor, at their usual variables."""
    assert program.code.count('"local"') == 1
    script = tmp_path / "program.py"
    script.write_text(program.code.replace('"local"', f'"{computer}"'), encoding="utf-8")
    claude, openai = FakeAnthropic(DemoModel()), FakeOpenAI(in_actions(DemoModel()))
    vendor = simulator(computer) if computer in SIMULATED else None
    async with claude.serve() as claude_url, openai.serve() as openai_url, vendor or nullcontext():
        keys = {
            "ANTHROPIC_API_KEY": claude.api_key,
            "ANTHROPIC_BASE_URL": claude_url,
            "OPENAI_API_KEY": openai.api_key,
            "OPENAI_BASE_URL": openai_url,
            **(vendor.environment if vendor is not None else {}),
        }
        with anyio.fail_after(90):
            done = await anyio.run_process(
                [sys.executable, "-c", _RUN, script], cwd=tmp_path, env=os.environ | keys, check=False
            )
        assert vendor is None or not vendor.computers
    said = done.stdout.decode()
    assert done.returncode == 0, f"{program.page.name}:{program.line}\n{done.stderr.decode()}"
    assert "hello" in said or "a command read them back exactly" in said, said


def test_loops_of_the_readme_take_six_lines_at_most() -> None:
    """Claude, a model of OpenAI, a driver of one's own: each on both computers."""
    loops = [program for program in programs(ROOT / "README.md") if program.computers == ("local", "orgo")]
    assert len(loops) == 3
    assert all(len([line for line in loop.code.splitlines() if line.strip()]) <= 6 for loop in loops)


def test_tasks_of_the_first_page_are_short() -> None:
    """Each of the four tasks that the docs open with takes fewer than 40 lines."""
    tasks = programs(ROOT / "docs" / "index.md")
    assert len(tasks) == 4
    assert all(task.code.count("\n") < 40 for task in tasks)


def test_readme_opens_with_two_commands_and_a_six_line_program() -> None:
    """The first program of the README has six lines, runs everywhere, and both commands stand before it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    first = programs(ROOT / "README.md")[0]
    assert len(first.code.strip().splitlines()) == 6
    assert {*first.computers} == {*KEYLESS, *SIMULATED}
    above = text[: text.index(first.code)]
    assert "scripts/demo" in above
    assert "scripts/test" in above


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    """No link between pages is broken."""
    broken = [
        target for target in _LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_public_name_has_a_reference_entry() -> None:
    """The reference is what the docstrings say, and a public name without one fails."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "reference", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
