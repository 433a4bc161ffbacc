"""The vendors' own clients, connected to the demonstration's model, which is a server on the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["scripted_claude"]


@asynccontextmanager
async def scripted_claude() -> AsyncIterator[AsyncAnthropic]:
    """Serve the script as Anthropic's API."""
    from anthropic import AsyncAnthropic

    from deskhand.demo.script import DemoModel
    from deskhand.testing.models import FakeAnthropic

    server = FakeAnthropic(DemoModel())
    async with server.serve() as base_url, AsyncAnthropic(api_key=server.api_key, base_url=base_url) as client:
        yield client
