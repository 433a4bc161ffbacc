"""A computer that talks to its vendor as the first page of an HTTP library's manual shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import httpx2

from deskhand.errors import ConnectionLostError, ProtocolError, ProviderError
from deskhand.providers.http import Operation
from tests.museum.plain_computer import PlainComputer


class CarelessComputer(PlainComputer):
    """Its errors are mapped and it repeats nothing; it unpacks whatever comes, and reads all of it."""

    follows_redirects: ClassVar[bool] = False

    async def ask(
        self, operation: Operation, path: str, body: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> dict[str, Any]:
        try:
            async with httpx2.AsyncClient(follow_redirects=self.follows_redirects, timeout=deadline or 30) as client:
                headers = {"authorization": f"Bearer {self._key}"}
                answer = await client.request(operation.method, self.base_url + path, json=body, headers=headers)
        except httpx2.HTTPError as error:
            raise ConnectionLostError(str(error), provider=self.provider) from error
        if not answer.is_success:
            raise ProviderError(f"status {answer.status_code}", provider=self.provider, effect="unknown")
        return self.read(answer)

    def read(self, answer: httpx2.Response) -> dict[str, Any]:
        """Read an answer."""
        try:
            value: dict[str, Any] = answer.json()
        except ValueError as error:
            raise ProtocolError("no JSON", provider=self.provider, effect="unknown") from error
        return value
