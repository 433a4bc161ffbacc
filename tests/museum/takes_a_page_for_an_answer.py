"""A computer that hands on whatever came with status 200: as text, where it was no JSON."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.museum.careless_http import CarelessComputer


class Computer(CarelessComputer):
    def read(self, answer: httpx2.Response) -> dict[str, Any]:
        try:
            return super().read(answer)
        except Exception:
            return {"output": answer.text, "exit_code": 0, "image": ""}
