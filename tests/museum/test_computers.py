"""Defects that clients of computers have had: the public suite flags an adapter that has one, and no sound one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from deskhand.providers.orgo import OrgoProvider
from deskhand.testing.conformance import WIRE_CASES, Case, ConformanceError, Target, Verdict, Wire
from tests.museum import (
    claims_success_on_http_500,
    follows_redirects_with_what_it_sends,
    lets_raw_exceptions_out_of_the_wire,
    opens_a_picture_of_any_size,
    repeats_a_click_whose_answer_was_lost,
    sleeps_as_long_as_retry_after_says,
    takes_a_page_for_an_answer,
    turns_a_cancellation_into_a_timeout,
    unpacks_what_it_did_not_ask_for,
)
from tests.museum.plain_computer import PlainComputer
from tests.providers.orgo.parts import simulated

BY_NAME = {case.name: case for case in WIRE_CASES}
EXHIBITS: list[tuple[type[PlainComputer], str]] = [
    (claims_success_on_http_500.Computer, "wire_server_error_is_told"),
    (repeats_a_click_whose_answer_was_lost.Computer, "wire_lost_answer_is_unknown_and_not_repeated"),
    (lets_raw_exceptions_out_of_the_wire.Computer, "wire_lost_answer_is_unknown_and_not_repeated"),
    (sleeps_as_long_as_retry_after_says.Computer, "wire_absurd_wait_is_not_waited"),
    (takes_a_page_for_an_answer.Computer, "wire_page_is_no_answer"),
    (follows_redirects_with_what_it_sends.Computer, "wire_redirect_is_not_followed"),
    (unpacks_what_it_did_not_ask_for.Computer, "wire_packed_answer_is_bounded"),
    (opens_a_picture_of_any_size.Computer, "wire_picture_beyond_any_screen_is_refused"),
    (turns_a_cancellation_into_a_timeout.Computer, "wire_cancelled_wait_is_no_timeout"),
]
"""Each defect, and the case that is about it."""


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


@pytest.mark.parametrize(("kind", "name"), EXHIBITS, ids=[kind.__module__.split(".")[-1] for kind, _ in EXHIBITS])
async def test_suite_flags_a_computer_with_the_defect(kind: type[PlainComputer], name: str) -> None:
    """The case that is about a defect fails where it is, with an error of the suite's own."""
    async with a_target(kind) as target:
        with pytest.raises(ConformanceError):
            await BY_NAME[name].run(target)


@pytest.mark.parametrize("case", WIRE_CASES, ids=str)
async def test_suite_passes_a_computer_without_them(case: Case) -> None:
    """The same adapter without a defect keeps every promise."""
    async with a_target(PlainComputer) as target:
        assert await case.run(target) is Verdict.VERIFIED
        assert (await target.computer.exec("echo hello")).output == "hello\n"


def test_every_case_has_an_exhibit() -> None:
    """No case about the wire is without an adapter that fails it."""
    assert {name for _, name in EXHIBITS} == {*BY_NAME}
