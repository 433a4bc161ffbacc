"""A computer whose errors become sentences of success: "Action click completed", whatever the vendor answered."""

from __future__ import annotations

from deskhand.providers import InputAction
from tests.museum.plain_computer import PlainComputer


class Computer(PlainComputer):
    async def perform(self, action: InputAction) -> None:
        try:
            await super().perform(action)
        except Exception:
            return
