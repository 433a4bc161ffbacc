"""What every error says on the command line, word for word: ``golden/errors.txt`` is to be read as copy."""

from __future__ import annotations

import os
import re
from pathlib import Path

from deskhand import errors
from deskhand.cli.exits import exit_of_outcome
from deskhand.cli.terminal import error_lines
from tests.cli.errors_seen import CASES, seen

GOLDEN = Path(__file__).parent / "golden" / "errors.txt"


def masked(text: str, folder: Path) -> str:
    """Take out what differs from one time to the next."""
    text = text.replace(str(folder), "/home/me")
    text = re.sub(r"run_[0-9A-HJKMNP-TV-Z]{26}", "run_01KXAMPLE", text)
    text = re.sub(r"cmp_[0-9A-HJKMNP-TV-Z]{26}", "cmp_01KXAMPLE", text)
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "01234567-89ab-cdef-0123-456789abcdef", text)


def compare(golden: Path, text: str) -> None:
    """Compare with a file; with ``UPDATE_GOLDEN=1`` write it."""
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8"), f"UPDATE_GOLDEN=1 pytest writes {golden.name} anew; then read it"


async def test_every_error_reads_as_the_golden_file_says(tmp_path: Path) -> None:
    """Each situation's text is what was reviewed; every class of error is among them."""
    parts: list[str] = []
    for number, title in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        error = await seen(title, folder)
        assert error.hint or title == "a tool that raises", f"{title}: nothing says what to do"
        code = exit_of_outcome("failed", error.code)
        shown = error_lines(error.message, error.hint, error.request_id)
        parts.append(f"# {title} · {error.code} · exit {int(code)}\n{masked(shown, folder)}\n")
    compare(GOLDEN, "\n".join(parts))
    codes = {getattr(errors, name).code for name in errors.__all__ if name.endswith("Error")}
    shown_codes = set(re.findall(r"^# .* · (\w+) · exit", GOLDEN.read_text(encoding="utf-8"), re.MULTILINE))
    assert codes - shown_codes - {"error"} == set()
