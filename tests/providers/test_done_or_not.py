"""Answers of success that say, or show, that nothing is known to be done: none of them is taken for a success."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from deskhand.errors import DeskhandError, OutcomeUnknownError, ProtocolError, ProviderError
from deskhand.providers import ExternalComputer
from tests.providers.daytona.parts import daytona
from tests.providers.miosa.parts import miosa
from tests.providers.orgo.parts import orgo

Use = Callable[[ExternalComputer], Awaitable[object]]
Body = Mapping[str, object]

HOSTS: Mapping[str, Callable[..., AbstractAsyncContextManager[Any]]] = {
    "daytona": daytona,
    "miosa": miosa,
    "orgo": orgo,
}
INPUT: Mapping[str, Use] = {
    "click": lambda computer: computer.left_click(3, 4),
    "scroll": lambda computer: computer.scroll(3, 4, dy=1),
    "key": lambda computer: computer.key("enter"),
    "move": lambda computer: computer.move(3, 4),
}
MOVE = {"orgo": "mouse_move"}
"""What a vendor's route is called where it has another name."""
RUN: Mapping[str, str] = {"daytona": "execute", "miosa": "exec", "orgo": "bash"}
LOGIN: Body = {"message": "please log in"}

FAILED: tuple[Body, ...] = (
    {"success": False},
    {"success": False, "error": "no display"},
    {"error": "no display"},
    {"error": {"message": "no display"}},
    {"ok": False, "message": "no display"},
)
"""What says that it failed, at any vendor."""
FOREIGN: Mapping[str, Mapping[str, tuple[Body, ...]]] = {
    "daytona": {"click": ({}, LOGIN), "scroll": ({}, LOGIN), "key": (LOGIN,), "move": ({}, LOGIN)},
    "orgo": {"click": ({}, LOGIN), "scroll": ({}, LOGIN), "key": ({}, LOGIN), "move": (LOGIN,)},
    "miosa": {},
}
"""What is none of the vendor's answers, each of which holds more; MIOSA's may hold nothing, or a message alone."""
DONE: Mapping[str, Mapping[str, tuple[Body, ...]]] = {
    "daytona": {
        "click": ({"x": 0, "y": 0}, {"success": True, "action": "click", "x": 3, "y": 4}),
        "scroll": ({"success": True},),
        "key": ({}, {"success": True, "key": "enter"}),
        "move": ({"x": 3, "y": 4},),
    },
    "orgo": {
        "click": ({"success": True, "action": "click"},),
        "scroll": ({"success": True},),
        "key": ({"success": True, "error": None},),
        "move": ({}, {"success": True}),
    },
    "miosa": {name: ({}, {"success": True}, {"message": "Clicked."}, {"data": {"success": True}}) for name in INPUT},
}
"""What vendors answer where it was done."""


async def answered(vendor: str, name: str, body: Body) -> DeskhandError | None:
    """Use input whose request is answered like that, and return the error that it ends in."""
    async with HOSTS[vendor]() as hosted:
        computer = await hosted.create()
        route = MOVE.get(vendor, name) if name == "move" else name
        hosted.simulator.respond(json.dumps(body).encode(), route=route, content_type="application/json")
        try:
            await INPUT[name](computer)
        except DeskhandError as error:
            return error
        finally:
            assert hosted.simulator.pending_faults == 0
    return None


@pytest.mark.parametrize("name", INPUT)
@pytest.mark.parametrize("vendor", HOSTS)
async def test_input_that_failed_by_its_answer_is_not_reported_as_done(vendor: str, name: str) -> None:
    """The vendor's reason is told; whether it happened, nobody knows."""
    for body in FAILED:
        error = await answered(vendor, name, body)
        assert (type(error), error and error.effect) == (ProviderError, "unknown"), body
        assert error is not None
        assert (error.retryable, error.hint) == (False, OutcomeUnknownError.hint)
        assert ("no display" in error.message) == ("no display" in str(body)), error


@pytest.mark.parametrize("name", INPUT)
@pytest.mark.parametrize("vendor", HOSTS)
async def test_answer_to_input_that_is_not_the_vendors_is_no_success(vendor: str, name: str) -> None:
    """What the vendor does answer is one."""
    for body in FOREIGN[vendor].get(name, ()):
        error = await answered(vendor, name, body)
        assert (type(error), error and error.effect) == (ProtocolError, "unknown"), body
        assert "again;" not in f"{error}".replace("before it is done again;", "")
    for body in DONE[vendor][name]:
        assert await answered(vendor, name, body) is None, body


@pytest.mark.parametrize("vendor", HOSTS)
async def test_answer_without_a_result_is_no_result_of_a_command(vendor: str) -> None:
    """No exit code is made up; the vendor's reason is told, and that nobody knows whether it ran."""
    bodies: list[tuple[Body, type[DeskhandError]]] = [
        ({}, ProtocolError),
        (LOGIN, ProtocolError),
        ({"error": "no display"}, ProviderError),
    ]
    if vendor != "orgo":  # whose documents have success alone, without a code, for a command that did not run
        bodies.append(({"success": False, "error": "no display"}, ProviderError))
    async with HOSTS[vendor]() as hosted:
        computer = await hosted.create()
        for body, kind in bodies:
            answer = json.dumps(body).encode()
            hosted.simulator.respond(answer, route=RUN[vendor], content_type="application/json")
            with pytest.raises(DeskhandError) as caught:
                await computer.exec("true")
            error = caught.value
            assert (type(error), error.effect, error.retryable) == (kind, "unknown", False), body
            assert str(error.hint).startswith(str(OutcomeUnknownError.hint))
            assert "no display" in error.message or kind is ProtocolError


@pytest.mark.parametrize("vendor", HOSTS)
@pytest.mark.parametrize("status", [500, 503])
async def test_doubt_about_what_is_sent_once_is_never_told_to_be_sent_again(vendor: str, status: int) -> None:
    """Whoever follows the hint looks first; whoever goes by ``retryable`` does not click twice."""
    async with HOSTS[vendor]() as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(status, route="click")
        with pytest.raises(DeskhandError) as caught:
            await computer.left_click(3, 4)
        error = caught.value
        assert (error.effect, error.retryable, error.hint) == ("unknown", False, OutcomeUnknownError.hint)
