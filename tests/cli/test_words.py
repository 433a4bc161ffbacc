"""The small words of the command line: what is shown of others' text, sizes, counts, ages, settings."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deskhand.cli.exits import EXIT_CODES, Exit, exit_of_outcome
from deskhand.cli.hold import age
from deskhand.cli.home import home, load_dotenv, private_folder
from deskhand.cli.options import parse_screen
from deskhand.cli.text import indented
from deskhand.cli.view import cost_line, tokens
from deskhand.errors import ConfigError, InvalidInputError
from deskhand.harness.events import Usage
from deskhand.text import one_line, visible

DIRECTIONS = frozenset(["LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"])


@given(st.text())
def test_visible_text_holds_nothing_that_a_terminal_acts_on(text: str) -> None:
    """No control character but newline and tab is left, nor one that changes the direction; the rest is as it was."""
    shown = visible(text)
    assert all(unicodedata.category(char) not in {"Cc", "Cs"} or char in "\n\t" for char in shown)
    assert all(unicodedata.bidirectional(char) not in DIRECTIONS for char in shown)
    if all(char.isprintable() or char in "\n\t" for char in text):
        assert shown == text


@given(st.text(), st.integers(2, 200))
def test_one_line_is_one_line_and_short(text: str, width: int) -> None:
    """Whatever comes in, one line of at most that width comes out."""
    line = one_line(text, width)
    assert len(line) <= width
    assert line.splitlines() in ([line], [])


def test_indented_text_is_behind_its_prefix() -> None:
    """Every line has the prefix, the empty ones too."""
    assert indented("a\n\nb\n", "│ ") == "│ a\n│ \n│ b"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_449, "12.4k"), (999_949, "999.9k"), (2_500_000, "2.5M")],
)
def test_tokens_are_counted_as_people_read_them(count: int, shown: str) -> None:
    """Thousands and millions have a unit."""
    assert tokens(count) == shown


def test_cost_line_tells_turns_tokens_cache_and_price() -> None:
    """The share of the cache is of all that was read; an unknown price is not zero."""
    usage = Usage(input=2_000, cache_read=10_000, cache_write=400, output=300)
    assert cost_line(3, usage, 0.0812) == "3 turns · 12.4k in (80% cached) · $0.08"
    assert cost_line(1, Usage(input=900, output=5), None) == "1 turn · 900 in · price unknown"
    assert cost_line(0, Usage(), 0.0) == "0 turns"


def test_age_is_told_in_its_largest_unit() -> None:
    """Seconds, minutes, hours, days."""
    now = datetime(2026, 1, 9, tzinfo=UTC)
    ages = [age(now - timedelta(seconds=seconds), now) for seconds in (5, 65, 7300, 200_000)]
    assert ages == ["5 s", "1 min", "2 h", "2 d"]
    assert age(None) == "-"


def test_screen_is_two_numbers_within_limits() -> None:
    """``1280x800`` is one; anything else says what would be."""
    assert parse_screen("1280x800") == (1280, 800)
    assert parse_screen(None) is None
    for wrong in ("1280", "x", "1280x", "0x0", "9999x9999", "-1x5", "1280x800x2", "\u0661\u0662x\u0668"):
        with pytest.raises(InvalidInputError):
            parse_screen(wrong)


def test_every_exit_code_is_explained() -> None:
    """The table of the help names them all; a failed run ends with its error's code."""
    assert set(EXIT_CODES) == set(Exit)
    assert exit_of_outcome("completed") == Exit.COMPLETED
    assert exit_of_outcome("failed", "auth") == Exit.CONFIGURATION
    assert exit_of_outcome("failed", "internal") == Exit.FAILED
    assert exit_of_outcome("quarantined") == Exit.FAILED


def test_home_follows_the_environment(tmp_path: Path) -> None:
    """``DESKHAND_HOME`` wins, then the state folder of the platform's standard, where that is absolute."""
    assert home({"DESKHAND_HOME": str(tmp_path)}) == tmp_path
    assert home({"XDG_STATE_HOME": "/state"}) == Path("/state/deskhand")
    assert home({"XDG_STATE_HOME": "relative"}) == Path.home() / ".local" / "state" / "deskhand"


def test_private_folder_lets_nobody_else_in(tmp_path: Path) -> None:
    """The folder and the parents that it needed are its owner's alone; a file in its place is told."""
    made = private_folder(tmp_path / "a" / "b")
    assert [path.stat().st_mode & 0o777 for path in (made, made.parent)] == [0o700, 0o700]
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError):
            private_folder(wrong)


def test_dotenv_with_a_long_line_is_read_in_no_time(tmp_path: Path) -> None:
    """A file that lies in some folder cannot hold the program up: its lines are read once, however they are made."""
    for line in ("A_API_KEY=b" + " " * 200_000 + "c", "A_API_KEY=" + "'" * 200_000, "export " * 50_000 + "A_API_KEY=b"):
        (tmp_path / ".env").write_text(line)
        load_dotenv(tmp_path / ".env", {})


def test_dotenv_gives_keys_and_nothing_else(tmp_path: Path) -> None:
    """The environment wins; an API's address counts only beside its key; other names are left alone."""
    file = tmp_path / ".env"
    file.write_text(
        "# a comment\nexport ANTHROPIC_API_KEY='one' # why\nANTHROPIC_BASE_URL=http://elsewhere\n"
        'DESKHAND_HOME="/some where"\nPATH=/nowhere\nOPENAI_BASE_URL=http://elsewhere\nnonsense\n'
    )
    environment = {"OPENAI_API_KEY": "two"}
    load_dotenv(file, environment)
    assert environment == {
        "OPENAI_API_KEY": "two",
        "ANTHROPIC_API_KEY": "one",
        "ANTHROPIC_BASE_URL": "http://elsewhere",
        "DESKHAND_HOME": "/some where",
    }
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError):
        load_dotenv(file, environment)
    load_dotenv(tmp_path / "absent", environment)
