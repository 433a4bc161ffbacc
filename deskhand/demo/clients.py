"""The vendors' own clients, connected to the demonstration's model, which is a server on the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from openai import AsyncOpenAI

    from deskhand.testing.models import FakeOpenAI

__all__ = ["scripted_claude", "scripted_openai", "scripted_openai_functions"]


@asynccontextmanager
async def scripted_claude() -> AsyncIterator[AsyncAnthropic]:
    """Serve the script as Anthropic's API."""
    from anthropic import AsyncAnthropic

    from deskhand.demo.script import DemoModel
    from deskhand.testing.models import FakeAnthropic

    server = FakeAnthropic(DemoModel())
    async with server.serve() as base_url, AsyncAnthropic(api_key=server.api_key, base_url=base_url) as client:
        yield client


@asynccontextmanager
async def scripted_openai() -> AsyncIterator[AsyncOpenAI]:
    """Serve the script as OpenAI's Responses API, in batches of its computer tool."""
    from deskhand.demo.script import DemoModel
    from deskhand.demo.vocabulary import in_actions
    from deskhand.testing.models import FakeOpenAI

    async with _connected(FakeOpenAI(in_actions(DemoModel()))) as client:
        yield client


@asynccontextmanager
async def scripted_openai_functions() -> AsyncIterator[AsyncOpenAI]:
    """Serve the script as OpenAI's Responses and Chat Completions APIs, in calls of the functions it is offered."""
    from deskhand.demo.script import DemoModel
    from deskhand.demo.vocabulary import in_functions
    from deskhand.testing.models import FakeOpenAI

    async with _connected(FakeOpenAI(in_functions(DemoModel()))) as client:
        yield client


@asynccontextmanager
async def _connected(server: FakeOpenAI) -> AsyncIterator[AsyncOpenAI]:
    from openai import AsyncOpenAI

    async with server.serve() as base_url, AsyncOpenAI(api_key=server.api_key, base_url=base_url) as client:
        yield client
