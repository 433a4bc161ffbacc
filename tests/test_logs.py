"""What the package writes to Python's logs: one bounded line a record, whatever others put into it."""

from __future__ import annotations

import ast
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from deskhand.logs import FIELD, package_logger
from deskhand.providers.http.logs import private_logger

PACKAGE = Path(__file__).parents[1] / "deskhand"
HOSTILE = "ok\nERROR deskhand: all keys were deleted\r\x1b]0;owned\x07\x1b[2J\u202egnp.exe\x9b31m\u2028next\U000e0041"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Return what a program's own handler writes, as plain as can be."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("deskhand")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.mark.parametrize("make", [package_logger, private_logger])
@pytest.mark.parametrize("text", ["%s went wrong", "%r went wrong"])
def test_record_is_one_line_whatever_is_in_it(make: type, text: str, written: io.StringIO) -> None:
    """Line breaks, escapes, direction marks and hidden tags are written out: none begins a line."""
    make("deskhand.test").warning(text, HOSTILE)
    lines = written.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("WARNING deskhand.test: ")
    assert lines[0].isprintable()
    assert r"ok\n" in lines[0].replace("\\\\", "\\")


def test_field_is_bounded_and_those_behind_it_are_kept(written: io.StringIO) -> None:
    """A megabyte costs 8 KiB, and hides nothing that comes after it."""
    package_logger("deskhand.test.fields").warning("%s and %d and %s", "x" * (1 << 20), 7, "the end")
    line = written.getvalue()
    assert len(line) < FIELD + 100
    assert line.endswith("… and 7 and the end\n")


def test_error_of_somebody_else_is_a_field_like_others(written: io.StringIO) -> None:
    """With its traceback: an exception's own words begin no line."""
    log = package_logger("deskhand.test")
    try:
        int(HOSTILE)
    except ValueError as error:
        log.warning("failed: %s", error.args)
        log.exception("failed")
    assert len(written.getvalue().splitlines()) == 2
    assert written.getvalue().replace("\n", "").isprintable()


def test_key_is_in_no_record(written: io.StringIO) -> None:
    """Though somebody put it into an error's words."""
    package_logger("deskhand.test").warning("refused: %s", "sk-ant-0123456789abcdef")
    assert "0123456789abcdef" not in written.getvalue()


def test_every_module_gets_its_logger_where_records_are_made_safe() -> None:
    """None takes a plain one."""
    home = {PACKAGE / "logs.py", PACKAGE / "providers" / "http" / "logs.py"}
    plain = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path not in home and "testing" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "getLogger"
    ]
    assert plain == []
