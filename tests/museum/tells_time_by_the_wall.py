"""A computer that measures deadlines by the clock on the wall, which people and time servers set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from deskhand.errors import DeadlineExceededError
from deskhand.providers import ExecResult
from tests.museum.plain_computer import TIMEOUT, PlainComputer


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
        result = await super().exec(command, timeout=timeout)
        took = time.time() - began
        if took > (timeout or TIMEOUT):
            raise DeadlineExceededError(f"the command took {took:.0f} s")
        return replace(result, duration=took)
