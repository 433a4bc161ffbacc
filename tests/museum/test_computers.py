"""Defects that clients of computers have had: the public suite flags an adapter that has one, and no sound one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import pytest

from deskhand.errors import DeadlineExceededError
from deskhand.providers.orgo import OrgoProvider
from deskhand.testing import FakeComputer
from deskhand.testing.conformance import CASES, WIRE_CASES, Case, ConformanceError, Target, Verdict, Wire
from deskhand.testing.conformance.wire import Answer, Forward, Request
from tests.museum import (
    claims_success_on_http_500,
    follows_redirects_with_what_it_sends,
    lets_raw_exceptions_out_of_the_wire,
    opens_a_picture_of_any_size,
    repeats_a_click_whose_answer_was_lost,
    sleeps_as_long_as_retry_after_says,
    takes_a_page_for_an_answer,
    takes_output_for_control,
    tells_time_by_the_wall,
    turns_a_cancellation_into_a_timeout,
    unpacks_what_it_did_not_ask_for,
    writes_files_as_a_part_of_a_command,
)
from tests.museum.folder_computer import FolderComputer
from tests.museum.plain_computer import PlainComputer
from tests.providers.behind import shell_only
from tests.providers.orgo.parts import simulated

pytestmark = pytest.mark.slow

BY_NAME = {case.name: case for case in (*CASES, *WIRE_CASES)}
EXHIBITS: list[tuple[ModuleType, str, str]] = [
    (claims_success_on_http_500, "wire_server_error_is_told", "with 500 must raise .* returned None"),
    (repeats_a_click_whose_answer_was_lost, "wire_lost_answer_is_unknown_and_not_repeated", "sent again .*click', 3"),
    (lets_raw_exceptions_out_of_the_wire, "wire_lost_answer_is_unknown_and_not_repeated", "raised RemoteProtocol"),
    (sleeps_as_long_as_retry_after_says, "wire_absurd_wait_is_not_waited", "did not end within"),
    (takes_a_page_for_an_answer, "wire_page_is_no_answer", "with a page must raise .* returned"),
    (follows_redirects_with_what_it_sends, "wire_redirect_is_not_followed", "redirected must raise .* returned"),
    (unpacks_what_it_did_not_ask_for, "wire_packed_answer_is_bounded", "64 MiB must raise .* returned"),
    (opens_a_picture_of_any_size, "wire_picture_beyond_any_screen_is_refused", "9000x9000 .* returned"),
    (turns_a_cancellation_into_a_timeout, "wire_cancelled_wait_is_no_timeout", "made DeadlineExceeded"),
]
"""Each defect, the case that is about it, and what this says."""


@asynccontextmanager
async def a_target(kind: type[PlainComputer]) -> AsyncIterator[Target]:
    """Make a computer at a simulated vendor, and open it by an adapter whose wire can be broken."""
    async with (
        simulated() as simulator,
        OrgoProvider(api_key=simulator.key, base_url=simulator.base_url) as provider,
        Wire(simulator.base_url) as wire,
    ):
        made = await provider.create(name="box")
        async with kind.opened(wire.base_url, simulator.key, made.info.id) as computer:
            yield Target(computer, wire=wire)


@pytest.mark.parametrize(
    ("exhibit", "name", "says"), EXHIBITS, ids=[exhibit.__name__.rsplit(".", 1)[-1] for exhibit, _, _ in EXHIBITS]
)
async def test_suite_flags_a_computer_with_the_defect(exhibit: ModuleType, name: str, says: str) -> None:
    """The case that is about a defect fails where it is, with an error of the suite's own."""
    async with a_target(exhibit.Computer) as target:
        with pytest.raises(ConformanceError, match=says):
            await BY_NAME[name].run(target)


@pytest.mark.parametrize("case", WIRE_CASES, ids=str)
async def test_suite_passes_a_computer_without_them(case: Case) -> None:
    """The same adapter without a defect keeps every promise."""
    async with a_target(PlainComputer) as target:
        assert await case.run(target) is Verdict.VERIFIED
        assert (await target.computer.exec("echo hello")).output == "hello\n"


def test_every_case_about_the_wire_has_an_exhibit() -> None:
    """No case about the wire is without an adapter that fails it."""
    assert {name for _, name, _ in EXHIBITS} == {case.name for case in WIRE_CASES}


async def use_while_the_clock_is_set(target: Target) -> None:
    """Run a command while the clock on the wall jumps, a day forward and a day back; it takes as long as it takes."""
    for jump in (86_400, -86_400):
        with pytest.MonkeyPatch.context() as patch:

            async def jumps(
                request: Request, forward: Forward, patch: pytest.MonkeyPatch = patch, jump: int = jump
            ) -> Answer:
                told = time.time
                patch.setattr(time, "time", lambda: told() + jump)
                return await forward(request)

            with target.broken(jumps):
                result = await target.computer.exec("echo hello", timeout=60)
        if result.output != "hello\n" or not 0 <= result.duration < 60:
            raise ConformanceError(f"a clock that was set made {result} of a command")


async def test_clock_on_the_wall_ends_no_command() -> None:
    """Deadlines and durations do not depend on it; a computer whose own do is flagged."""
    async with a_target(tells_time_by_the_wall.Computer) as target:
        with pytest.raises((ConformanceError, DeadlineExceededError)):
            await use_while_the_clock_is_set(target)
    async with a_target(PlainComputer) as target:
        await use_while_the_clock_is_set(target)
    async with (
        simulated(shell_only) as simulator,
        Wire(simulator.base_url) as wire,
        OrgoProvider(api_key=simulator.key, base_url=wire.base_url) as provider,
    ):
        await use_while_the_clock_is_set(Target(await provider.create(name="box"), wire=wire))


async def test_suite_flags_files_that_are_a_part_of_a_command(tmp_path: Path) -> None:
    """What is written by a here-document does not come back; what goes by standard input does."""
    case = BY_NAME["files_come_back_byte_for_byte"]
    with pytest.raises(ConformanceError, match="content of"):
        await case.run(Target(writes_files_as_a_part_of_a_command.Computer(tmp_path)))
    assert await case.run(Target(FolderComputer(tmp_path))) is Verdict.VERIFIED


async def test_suite_flags_output_that_is_taken_for_control() -> None:
    """A program that prints what looks like a frame ends no terminal."""
    case = BY_NAME["terminal_shows_what_looks_like_its_own_words"]
    async with takes_output_for_control.Computer() as computer:
        with pytest.raises(ConformanceError, match="exit code"):
            await case.run(Target(computer))
    async with FakeComputer() as computer:
        assert await case.run(Target(computer)) is Verdict.VERIFIED
