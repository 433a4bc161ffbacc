"""Defects that loops and clients of model APIs have had: a check flags the loop that has one, and no bundled one."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import openai
import pytest

from deskhand import Harness, OpenAIComputerUseHarness, OpenAIFunctionHarness
from deskhand.testing.models import FakeOpenAI
from tests.museum import (
    follows_the_readme,
    leaves_repetition_to_the_vendors_client,
    lets_raw_exceptions_out_of_the_stream,
    loop_checks,
    reads_arguments_leniently,
    reads_lines_of_any_length,
    runs_calls_whatever_the_stop_reason_is,
    runs_what_came_of_a_cut_answer,
)
from tests.museum.claude_subject import ONCE, altered, claude, sound
from tests.museum.loop_checks import CHECKS, Check, FlaggedError, Subject

pytestmark = pytest.mark.slow


def of_openai(loop: Callable[[Any], Harness[Any]], *, chat: bool = False) -> Subject:
    """Return a bundled loop for OpenAI's models as a subject."""
    return Subject(
        fake=FakeOpenAI,
        client=lambda http: openai.AsyncOpenAI(api_key="sk-fake", http_client=http),
        loop=loop,
        unfinished=("max_tokens", "content_filter"),
        chat=chat,
    )


SOUND = {
    "claude": claude(sound),
    "unaltered": altered(),
    "computer": of_openai(lambda client: OpenAIComputerUseHarness(client=client, patience=ONCE)),
    "responses": of_openai(lambda client: OpenAIFunctionHarness(client=client, api="responses", patience=ONCE)),
    "chat": of_openai(lambda client: OpenAIFunctionHarness(client=client, api="chat", patience=ONCE), chat=True),
}
"""The bundled loops, and what exhibits are made from, without a defect."""

EXHIBITS: list[tuple[ModuleType, Check, str]] = [
    (runs_what_came_of_a_cut_answer, loop_checks.nothing_of_a_cut_answer_runs, "bytes .* ran"),
    (lets_raw_exceptions_out_of_the_stream, loop_checks.what_breaks_an_answer_is_mapped, "out as it was raised"),
    (leaves_repetition_to_the_vendors_client, loop_checks.one_attempt_is_one_request, "asked for 3 times"),
    (leaves_repetition_to_the_vendors_client, loop_checks.absurd_wait_is_told_at_once, "did not end"),
    (reads_lines_of_any_length, loop_checks.endless_line_is_left, "12 MiB of one line"),
    (runs_calls_whatever_the_stop_reason_is, loop_checks.calls_run_only_when_the_model_stopped_for_them, "ran .*unfin"),
    (reads_arguments_leniently, loop_checks.arguments_are_read_strictly, "ran as"),
    *((follows_the_readme, check, ".") for check in CHECKS),
]
"""Each defect, the check that is about it, and what this says; what the readme suggests has every defect."""


IDS = [f"{exhibit.__name__.rsplit('.', 1)[-1]}-{check.__name__}" for exhibit, check, _ in EXHIBITS]


@pytest.mark.parametrize(("exhibit", "check", "says"), EXHIBITS, ids=IDS)
async def test_check_flags_a_loop_with_the_defect(exhibit: ModuleType, check: Check, says: str) -> None:
    """The check that is about a defect finds it."""
    with pytest.raises(FlaggedError, match=says):
        await check(exhibit.SUBJECT)


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("check", CHECKS, ids=[check.__name__ for check in CHECKS])
async def test_check_passes_a_bundled_loop(name: str, check: Check) -> None:
    """No check finds anything in a bundled loop, nor in one that exhibits are made from."""
    await check(SOUND[name])


def test_every_check_has_an_exhibit_of_its_own() -> None:
    """Each check flags a loop that differs from the bundled one in nothing but the defect."""
    assert {check for exhibit, check, _ in EXHIBITS if exhibit is not follows_the_readme} == {*CHECKS}
