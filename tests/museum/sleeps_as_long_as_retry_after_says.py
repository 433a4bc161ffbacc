"""A computer that waits as long as a header asks it to, be it until the year 2100."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import anyio

from deskhand.errors import RateLimitedError
from deskhand.providers.http import Operation
from tests.museum.plain_computer import PlainComputer


class Computer(PlainComputer):
    async def ask(
        self, operation: Operation, path: str, body: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> dict[str, Any]:
        while True:
            try:
                return await super().ask(operation, path, body, deadline)
            except RateLimitedError as error:
                await anyio.sleep((error.retry_at or time.time()) - time.time())
