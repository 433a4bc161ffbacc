"""A task beside a block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import anyio
from anyio.abc import TaskStatus

__all__ = ["companion"]

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class _Body(Protocol[_T_co]):
    def __call__(self, *, task_status: TaskStatus[_T_co]) -> Coroutine[object, object, None]: ...


@asynccontextmanager
async def companion(body: _Body[_T]) -> AsyncIterator[_T]:
    """Run a task while the block lasts, and cancel it and wait for its end on leaving.

    What it owns is closed by itself, however often the block's task is cancelled meanwhile.

    Args:
        body: Tells by ``task_status`` what the block gets; what it raises before that is raised as it is.
    """
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    try:
        value: _T = await tasks.start(body)
        yield value
    finally:
        tasks.cancel_scope.cancel()
        # Told of the block's own error, the group would wrap it in a group for nothing.
        await tasks.__aexit__(None, None, None)
