"""The simulated MIOSA's models, asked by OpenAI's own package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from deskhand.testing.models import FakeTurn, Script, tool_use
from deskhand.testing.simulators import MiosaSimulator
from deskhand.testing.simulators.miosa.dialect import MiosaDialect

WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
ASKED: list[Any] = [{"role": "user", "content": "Rain in Bonn?"}]


@asynccontextmanager
async def connected(script: Script | None = None, **dialect: Any) -> AsyncIterator[tuple[MiosaSimulator, Any]]:
    """Serve the vendor, and connect the package to its models."""
    async with (
        MiosaSimulator(model=script, dialect=MiosaDialect(**dialect)) as simulator,
        openai.AsyncOpenAI(api_key=simulator.models_key, base_url=simulator.models_url, max_retries=0) as client,
    ):
        yield simulator, client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_package_of_openai_calls_a_function(stream: bool) -> None:
    """The route speaks its protocol: an answer in one piece, or as a stream that ends with its usage."""
    async with connected([FakeTurn([tool_use("weather", city="Bonn")])]) as (simulator, client):
        more: Any = {"stream_options": {"include_usage": True}} if stream else {}
        answer = await client.chat.completions.create(
            model="kimi-k3", messages=ASKED, tools=[WEATHER], stream=stream, **more
        )
        if stream:
            chunks = [chunk async for chunk in answer]
            calls = [call for chunk in chunks if chunk.choices for call in chunk.choices[0].delta.tool_calls or ()]
            arguments = "".join(call.function.arguments or "" for call in calls)
            name, tokens = calls[0].function.name, chunks[-1].usage.total_tokens
        else:
            [call] = answer.choices[0].message.tool_calls
            name, arguments, tokens = call.function.name, call.function.arguments, answer.usage.total_tokens
        assert [*simulator.errors] == []
        listed = [model.id async for model in client.models.list()]
    assert (name, arguments, tokens > 0) == ("weather", '{"city":"Bonn"}', True)
    assert {"kimi-k3", "gpt-6-astra"} <= {*listed}


async def test_without_a_script_a_model_repeats_what_it_is_told() -> None:
    """Which is enough to see that a program reaches it; each answer costs credit."""
    async with connected() as (simulator, client):
        answer = await client.chat.completions.create(model="gpt-6-astra", messages=ASKED)
        assert "Rain in Bonn?" in answer.choices[0].message.content
        simulator.set_balance(0)
        with pytest.raises(openai.APIStatusError) as broke:
            await client.chat.completions.create(model="gpt-6-astra", messages=ASKED)
    assert (broke.value.status_code, broke.value.code) == (402, "INSUFFICIENT_CREDITS")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"model": "no-such"}, 404),
        ({"messages": []}, 400),
        ({"messages": [*ASKED, {"role": "tool", "tool_call_id": "call_1", "content": "rain"}]}, 400),
        ({"messages": [{"role": "nobody", "content": "x"}]}, 400),
        ({"extra_body": {"computer_id": "c"}}, 400),
    ],
    ids=["model", "empty", "unasked result", "role", "unknown field"],
)
async def test_what_breaks_the_protocol_is_refused_in_the_vendors_shape(more: Any, status: int) -> None:
    """The rules are the protocol's, the error is MIOSA's, and nothing is charged for it."""
    async with connected() as (simulator, client):
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(**{"model": "gpt-6-astra", "messages": ASKED, **more})
        body: Any = refused.value.body
        assert (refused.value.status_code, {*body}) == (status, {"code", "message", "request_id"})
        assert simulator.asked("chat")[0].performed is False


async def test_script_that_fails_is_told_to_the_test() -> None:
    """Its client sees a status 500."""

    def broken(view: object) -> FakeTurn:
        raise LookupError("no such turn")

    async with connected(broken) as (simulator, client):
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="gpt-6-astra", messages=ASKED)
        assert [type(error) for error in simulator.errors] == [LookupError]
