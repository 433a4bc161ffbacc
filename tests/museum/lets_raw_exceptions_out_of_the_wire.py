"""A computer that maps two kinds of its HTTP library's errors, and lets the others out as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from deskhand.errors import ConnectionLostError, DeskhandError
from deskhand.providers.http import Operation
from tests.museum.careless_http import CarelessComputer


class Computer(CarelessComputer):
    async def ask(
        self, operation: Operation, path: str, body: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> dict[str, Any]:
        try:
            return await super().ask(operation, path, body, deadline)
        except DeskhandError as error:
            if isinstance(error.__cause__, httpx2.TimeoutException | httpx2.ConnectError):
                raise
            if isinstance(error, ConnectionLostError) and error.__cause__ is not None:
                raise error.__cause__ from None
            raise
