"""docs/cli.md says what the program says."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import typer

from deskhand.cli.app import app
from deskhand.cli.exits import EXIT_CODES
from tests.cli.program import REPOSITORY, Program

PAGE = REPOSITORY / "docs" / "cli.md"
_BLOCK = re.compile(r"(?<=<!-- help: )(?P<words>[a-z ]*) -->\n```text\n(?P<text>.*?)```\n", re.DOTALL)
_TABLE = re.compile(r"(?<=<!-- exit codes -->\n).*?(?=\n\n|\Z)", re.DOTALL)


def commands() -> list[str]:
    """Name every command."""
    return [str(command.name) for command in app.registered_commands]


def exit_codes() -> str:
    """Return the table of exit codes."""
    rows = [f"| {code.value} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["| code | meaning |", "| --- | --- |", *rows])


def replaced(page: str, words: str, text: str) -> str:
    """Return the page with one block's text set anew."""
    block = f"<!-- help: {words} -->\n```text\n"
    head, _, rest = page.partition(block)
    tail = rest.partition("```\n")[2]
    return f"{head}{block}{text}```\n{tail}"


def settle(page: str, text: str) -> None:
    """Compare the page with what it should be; with ``UPDATE_GOLDEN=1`` write it."""
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(text, encoding="utf-8")
        return
    assert page == text, "docs/cli.md is out of date: UPDATE_GOLDEN=1 pytest tests/cli/test_docs.py writes it anew"


def test_the_page_shows_every_command_and_no_other() -> None:
    """One block of help a command, in the program's order, after the program's own."""
    page = PAGE.read_text(encoding="utf-8")
    assert [match["words"] for match in _BLOCK.finditer(page)] == ["deskhand", *(f"deskhand {c}" for c in commands())]


@pytest.mark.parametrize("words", ["deskhand", *(f"deskhand {command}" for command in commands())])
async def test_the_page_shows_the_real_help(tmp_path: Path, words: str) -> None:
    """Each block is what the program prints."""
    program = Program(tmp_path, {"COLUMNS": "100"})
    ended = await program.run(*words.split()[1:], "--help")
    assert (ended.code, ended.err) == (0, "")
    page = PAGE.read_text(encoding="utf-8")
    settle(page, replaced(page, words, ended.out))


def test_the_page_shows_the_exit_codes() -> None:
    """The table is made of the one in the code."""
    page = PAGE.read_text(encoding="utf-8")
    settle(page, _TABLE.sub(lambda _: exit_codes(), page))


def test_every_command_takes_json_and_debug() -> None:
    """The two options that scripts and bug reports need stand everywhere."""
    group = typer.main.get_command(app)
    for name in commands():
        command = group.get_command(group.make_context("deskhand", [], resilient_parsing=True), name)  # type: ignore[attr-defined]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--debug"} <= options, name
