"""The loops for OpenAI's models cancelled at every suspension: no answer left open, no reader left behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from deskhand import MiosaModelHarness, OpenAIComputerUseHarness, OpenAIFunctionHarness, open_run
from deskhand.harness import FrameLimits, Patience
from deskhand.testing.models import FakeOpenAI, FakeTurn, action, computer_call, text, tool_use
from tests.cancellation.injector import explore, open_descriptors
from tests.harness.driving import computer_with_screen

pytestmark = pytest.mark.slow

CHECKS = [{"id": "sc_1", "message": "Look."}]


async def approve(request: object) -> bool:
    """Approve of everything."""
    return True


async def in_process() -> None:
    """Drive in the scenario's own task, the fake in process: refused, cut, asked to be approved, answered."""
    batch = computer_call(action("click", x=1, y=1), action("type", text="x"), checks=CHECKS)
    fake = FakeOpenAI([FakeTurn([text("go"), batch, tool_use("exec", command="echo")]), FakeTurn("Done.")])
    fake.fail(503)
    fake.cut(after=900)
    computer = computer_with_screen(64, 48)
    async with fake.client() as client, open_run(computer, goal="Go.", on_approval=approve) as run:
        await OpenAIComputerUseHarness(client=client, patience=Patience(base=0)).drive(run)


async def over_a_socket() -> None:
    """The same for functions over Chat Completions, over the loopback interface."""
    import openai

    calls = [tool_use("left_click", x=1, y=1), tool_use("exec", command="echo")]
    fake = FakeOpenAI([FakeTurn([text("go"), *calls]), FakeTurn("Done.")])
    fake.fail(503)
    fake.cut(after=900)
    async with fake.serve() as address, openai.AsyncOpenAI(api_key=fake.api_key, base_url=address) as client:
        computer = computer_with_screen(64, 48)
        async with open_run(computer, goal="Go.", frame_limits=FrameLimits()) as run:
            await OpenAIFunctionHarness(client=client, api="chat", patience=Patience(base=0)).drive(run)


async def over_its_own_client() -> None:
    """The same at MIOSA's models, with a client that is made for the run."""
    fake = FakeOpenAI([FakeTurn([text("go"), tool_use("left_click", x=1, y=1)]), FakeTurn("Done.")])
    fake.fail(503)
    fake.cut(after=900)
    async with fake.serve() as address:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MIOSA_AI_GATEWAY_URL", address)
            patch.setenv("MIOSA_AI_GATEWAY_KEY", fake.api_key)
            async with open_run(computer_with_screen(64, 48), goal="Go.", frame_limits=FrameLimits()) as run:
                await MiosaModelHarness(patience=Patience(base=0)).drive(run)


def test_loop_passes_on_every_cancellation() -> None:
    """In process, at every suspension, by scope and natively."""
    assert explore(in_process, lambda: None) > 30


@pytest.mark.parametrize("scenario", [over_a_socket, over_its_own_client])
def test_loop_closes_its_connections_when_cancelled(scenario: Callable[[], Awaitable[None]]) -> None:
    """Over sockets, at every third suspension: no descriptor is left open."""
    in_use = len(open_descriptors())

    def check() -> None:
        assert len(open_descriptors()) <= in_use + 1

    assert explore(scenario, check, every=3) > 30
