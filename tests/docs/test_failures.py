"""Each row of the page on failures, and each guarantee of the README, names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_TEST_LINK = re.compile(r"\[`?(?P<name>test_\w+)`?\]\((?P<file>[^)#\s]+\.py)\)")


def named_tests(page: Path) -> list[tuple[str, Path]]:
    """Tests that a page links to: the name, and the file it must be in."""
    text = page.read_text(encoding="utf-8")
    return [(match["name"], (page.parent / match["file"]).resolve()) for match in _TEST_LINK.finditer(text)]


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "failures.md"], ids=lambda page: page.name)
def test_tests_that_a_page_names_exist(page: Path) -> None:
    for name, file in named_tests(page):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in defined, f"{page.name} names {name}, which is not in {file.relative_to(ROOT)}"


def test_every_row_of_the_failures_names_a_test() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "failures.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| fault |", "| defect |"))
    ]
    assert all(_TEST_LINK.search(row) for row in rows), [row for row in rows if not _TEST_LINK.search(row)]
