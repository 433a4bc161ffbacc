"""The machines behind simulated computers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from deskhand.providers import ExternalComputer
from deskhand.providers.local import LocalProvider

Behind = Callable[[], AbstractAsyncContextManager[ExternalComputer]]


@asynccontextmanager
async def shell_only() -> AsyncIterator[ExternalComputer]:
    """Give a real machine without a desktop."""
    async with LocalProvider() as provider:
        yield await provider.create(name="behind", desktop=False)
