"""What the tests of the simulated Orgo share: a simulator with a fake computer behind, and a plain client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx2
from pydantic import JsonValue

from deskhand.providers import ExternalComputer
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OrgoDialect, OrgoPlan, OrgoSimulator
from deskhand.testing.simulators.latency import LatencyName


class Client:
    """Asks a simulator over HTTP, with a key that may be changed."""

    def __init__(self, simulator: OrgoSimulator, http: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self.key: str | None = simulator.key
        self._http = http

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Send a request; the path is relative to the base URL, or absolute."""
        headers = {"authorization": f"Bearer {self.key}"} if self.key is not None else {}
        url = path if path.startswith("http") else f"{self.simulator.base_url}/{path}"
        if body is not None:
            content = json.dumps(body).encode()
        return await self._http.request(method, url, content=content, headers=headers, params=query)

    async def get(self, path: str, **query: str) -> httpx2.Response:
        """GET a path."""
        return await self.ask("GET", path, query=query)

    async def post(self, path: str, body: object = None) -> httpx2.Response:
        """POST to a path."""
        return await self.ask("POST", path, body)

    async def upload(self, name: str, content: bytes, **fields: str) -> httpx2.Response:
        """Upload a file with the fields of a form."""
        url = f"{self.simulator.base_url}/files/upload"
        headers = {"authorization": f"Bearer {self.key}"}
        return await self._http.post(url, files={"file": (name, content)}, data=fields, headers=headers)

    async def create(self, name: str = "box", **fields: JsonValue) -> str:
        """Create a computer in the first workspace, which is made where there is none; return its id."""
        if not self.simulator.workspaces:
            self.simulator.add_workspace("first")
        workspace = next(iter(self.simulator.workspaces))
        answer = await self.post("computers", {"workspace_id": workspace, "name": name, **fields})
        assert answer.status_code in {200, 201}, answer.text
        return str(answer.json()["id"])


@asynccontextmanager
async def simulated(
    *,
    dialect: OrgoDialect | None = None,
    plan: OrgoPlan | None = None,
    latency: LatencyName = "none",
    computer: FakeComputer | None = None,
) -> AsyncIterator[Client]:
    """Serve a simulator with fake computers behind, or one that is given, and yield a client of it."""

    def behind() -> AbstractAsyncContextManager[ExternalComputer]:
        return computer if computer is not None else FakeComputer()

    async with (
        OrgoSimulator(dialect=dialect, plan=plan, latency=latency, behind=behind) as simulator,
        httpx2.AsyncClient(timeout=20, trust_env=False) as http,
    ):
        yield Client(simulator, http)
        assert not simulator.errors
