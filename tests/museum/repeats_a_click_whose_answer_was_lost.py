"""A computer that sends a request again whose connection was closed without an answer: "it was never processed"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deskhand.errors import OutcomeUnknownError
from deskhand.providers.http import Operation
from tests.museum.plain_computer import PlainComputer

ATTEMPTS = 3


class Computer(PlainComputer):
    async def ask(
        self, operation: Operation, path: str, body: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> dict[str, Any]:
        for _ in range(ATTEMPTS - 1):
            try:
                return await super().ask(operation, path, body, deadline)
            except OutcomeUnknownError:
                continue
        return await super().ask(operation, path, body, deadline)
