"""A computer that takes a cancellation for its own deadline, once the clock on the wall says that this has passed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from deskhand.errors import DeadlineExceededError
from deskhand.providers import ExecResult
from tests.museum.plain_computer import PlainComputer


class Computer(PlainComputer):
    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        began = time.time()
        try:
            return await super().exec(command, timeout=timeout)
        except asyncio.CancelledError:
            if timeout is not None and time.time() - began >= timeout:
                raise DeadlineExceededError(f"the command timed out after {timeout} s") from None
            raise
