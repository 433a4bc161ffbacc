"""The loop for Claude cancelled at every suspension: no answer left open, no reader left behind, no button held."""

from __future__ import annotations

import pytest

from deskhand import ClaudeComputerUseHarness, open_run
from deskhand.harness import FrameLimits, Patience
from deskhand.testing.models import FakeAnthropic, FakeTurn, member, text, tool_use
from tests.cancellation.injector import explore, open_descriptors
from tests.harness.driving import computer_with_screen

pytestmark = pytest.mark.slow


def play() -> FakeAnthropic:
    """Make a fake that is full, then cuts an answer, then answers."""
    calls = [member("left_click", coordinate=[1, 1]), tool_use("exec", command="echo")]
    fake = FakeAnthropic([FakeTurn([text("go"), *calls]), FakeTurn("Done.")])
    fake.fail(529)
    fake.cut(after=900)
    return fake


async def in_process() -> None:
    """Drive in the scenario's own task, the fake in process."""
    async with play().client() as client, open_run(computer_with_screen(64, 48), goal="Go.") as run:
        await ClaudeComputerUseHarness(client=client, patience=Patience(base=0)).drive(run)


async def over_a_socket() -> None:
    """The same over the loopback interface."""
    import anthropic

    fake = play()
    async with fake.serve() as address, anthropic.AsyncAnthropic(api_key=fake.api_key, base_url=address) as client:
        computer = computer_with_screen(64, 48)
        async with open_run(computer, goal="Go.", frame_limits=FrameLimits()) as run:
            await ClaudeComputerUseHarness(client=client, patience=Patience(base=0)).drive(run)


def test_loop_passes_on_every_cancellation() -> None:
    """In process, at every suspension, by scope and natively."""
    assert explore(in_process, lambda: None) > 30


def test_loop_closes_its_connections_when_cancelled() -> None:
    """Over sockets, at every third suspension: no descriptor is left open."""
    in_use = len(open_descriptors())

    def check() -> None:
        assert len(open_descriptors()) <= in_use + 1

    assert explore(over_a_socket, check, every=3) > 30
