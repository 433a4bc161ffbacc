"""The simulated sandboxes of MIOSA refuse what the vendor refuses, and what nobody has seen it take."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from deskhand.testing import FakeComputer
from deskhand.testing.simulators import MiosaDialect, MiosaPlan, MiosaSimulator


class Client:
    """Asks a simulator over plain HTTP."""

    def __init__(self, simulator: MiosaSimulator, http: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self.http = http

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Send a request below ``/sandboxes``; return the status and the JSON, or the bytes where it is none."""
        sent = {"authorization": f"Bearer {self.simulator.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body)
        url = f"{self.simulator.base_url}/sandboxes{path}"
        answer = await self.http.request(method, url, content=content, headers=sent)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status_code, answer.json() if is_json and answer.content else answer.content

    async def refused(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        """Send a request that is refused; return the status and the error's code."""
        status, told = await self.ask(method, path, body, **headers)
        return status, told["error"]["code"]

    async def box(self, **fields: object) -> str:
        """Create a sandbox and return its path once it takes commands."""
        status, made = await self.ask("POST", "", {"name": "box", **fields})
        assert status == 201, made
        await self.simulator.sandboxes[made["data"]["id"]].came_up.wait()
        return f"/{made['data']['id']}"


@asynccontextmanager
async def served(dialect: MiosaDialect | None = None, plan: MiosaPlan | None = None) -> AsyncIterator[Client]:
    """Serve a simulator."""
    async with (
        MiosaSimulator(behind=FakeComputer, dialect=dialect, plan=plan) as simulator,
        httpx2.AsyncClient(trust_env=False, timeout=20) as http,
    ):
        yield Client(simulator, http)
        assert [*simulator.errors] == []


REFUSED: list[Mapping[str, object]] = [
    {"nam": "box"},
    {"name": ""},
    {"name": "x" * 201},
    {"size": "huge"},
    {"cpu_count": 2},
    {"cpu_count": 3, "memory_mb": 4096},
    {"cpu_count": 2, "memory_mb": 4096, "size": "xl"},
    {"timeout_sec": 0},
    {"timeout_sec": "60"},
    {"env": {"A": 1}},
    {"persistent": "yes"},
    {"compute_placement_request": {}},
    {"compute_placement_request": {"provider": "opencomputers"}},
]


async def test_creation_that_cannot_be_honoured_makes_nothing() -> None:
    """Unknown fields, wrong types, and shapes that there are not."""
    async with served(plan=MiosaPlan(sandboxes=1)) as client:
        for fields in REFUSED:
            status, _ = await client.ask("POST", "", {"name": "box", **fields})
            assert status in {400, 422, 503}, fields
        assert (await client.ask("POST", "?wait=1&when=now", {}))[0] == 422
        assert not client.simulator.sandboxes
        await client.box(cpu_count=3, memory_mb=5000, disk_size_mb=7000)
        assert await client.refused("POST", "", {}) == (403, "QUOTA_EXCEEDED")
        client.simulator.set_balance(0)
        assert (await client.ask("POST", "", {}))[0] == 402


async def test_key_makes_one_of_several_requests() -> None:
    """The same key is the same sandbox, of one tenant; none and another one are another."""
    async with served() as client:
        client.simulator.add_tenant("other")
        made = [
            (await client.ask("POST", "", {"name": "box"}, **headers))[1]["data"]["id"]
            for headers in (
                {"idempotency_key": "k"},
                {"idempotency_key": "k"},
                {"idempotency_key": "l"},
                {},
                {},
                {"idempotency_key": "k", "x_miosa_tenant": "other"},
            )
        ]
        assert made[0] == made[1]
        assert len({*made}) == 5
        box = await client.box()
        forks = [
            (await client.ask("POST", f"{box}/fork", {"name": "twin"}, idempotency_key="k"))[1]["data"]["id"]
            for _ in range(2)
        ]
        assert forks[0] == forks[1] not in made


async def test_sandbox_is_its_tenants_and_its_keys() -> None:
    """For anybody else there is none, and for a computer's routes neither."""
    async with served() as client:
        client.simulator.add_tenant("other")
        box = await client.box()
        assert await client.refused("GET", box, authorization="Bearer no") == (401, "UNAUTHORIZED")
        assert await client.refused("GET", box, x_miosa_tenant="other") == (404, "SANDBOX_NOT_FOUND")
        assert await client.refused("GET", box, x_miosa_tenant="nobody") == (403, "TENANT_FORBIDDEN")
        assert (await client.ask("GET", "", x_miosa_tenant="other"))[1] == {"data": []}
        url = f"{client.simulator.base_url}/computers{box}"
        answer = await client.http.get(url, headers={"authorization": f"Bearer {client.simulator.key}"})
        assert answer.status_code == 404


async def test_states_are_gone_through_one_by_one() -> None:
    """What a state does not allow is refused with its code, and what was ended is not there."""
    async with served(MiosaDialect(checkpoint=0.2)) as client:
        status, made = await client.ask("POST", "", {"name": "box"})
        assert (status, made["data"]["state"], made["data"]["ready"]) == (201, "creating", False)
        box = await client.box()
        assert await client.refused("POST", f"{box}/resume", {}) == (409, "RESOURCE_STATE")
        assert (await client.ask("POST", f"{box}/pause", {}))[1]["data"]["checkpoint_pending"] is True
        assert await client.refused("POST", f"{box}/resume", {}) == (503, "RESTORE_TRANSIENT")
        for route, body in (("exec", {"command": "true"}), ("expose", {}), ("snapshots", {}), ("fork", {})):
            assert await client.refused("POST", f"{box}/{route}", body) == (409, "TARGET_NOT_RUNNING"), route
        assert await client.refused("POST", f"{box}/pause", {}) == (409, "RESOURCE_STATE")
        with anyio.fail_after(10):
            while (await client.ask("GET", box))[1]["data"]["checkpoint_pending"]:
                pass
        assert (await client.ask("POST", f"{box}/resume", {}))[1]["data"]["state"] == "resuming"
        assert (await client.ask("DELETE", box))[1]["data"]["state"] == "destroyed"
        for method, route in (("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("GET", "/readiness")):
            assert await client.refused(method, f"{box}{route}") == (404, "SANDBOX_NOT_FOUND"), route


async def test_sandbox_that_is_not_ready_says_when_to_ask_again() -> None:
    """Its state says already that it runs."""
    async with served(MiosaDialect(readiness="later")) as client:
        box = await client.box()
        client.simulator.sandboxes[box[1:]].is_ready = False
        assert (await client.ask("GET", box))[1]["data"]["state"] == "running"
        assert (await client.ask("GET", f"{box}/readiness"))[1]["data"]["components"]["filesystem"] == "pending"
        status, told = await client.ask("POST", f"{box}/exec", {"command": "true"})
        assert (status, told["error"]["retryable"]) == (409, True)
        assert (told["error"]["code"], told["error"]["retry_after_ms"]) == ("SANDBOX_NOT_COMMAND_READY", 100)


async def test_bodies_paths_and_parameters_are_checked() -> None:
    """Before anything is done."""
    async with served() as client:
        box = await client.box()
        for route, body in (
            ("exec", {}),
            ("exec", {"command": "true", "timeout_sec": 5}),
            ("exec", {"command": "true", "env": {"A": 1}}),
            ("exec/stream", {"command": "true", "timeout": 0}),
            ("fs/write", {"path": "/a"}),
            ("fs/write", {"path": "/a", "content": "a", "content_base64": "YQ=="}),
            ("fs/write", {"path": "/a", "content_base64": "no base64"}),
            ("fs/write", {"path": "a", "content": "a"}),
            ("fs/stat", {"path": "a/b"}),
            ("expose", {"port": 0}),
            ("expose", {"port": 80, "visibility": "public"}),
            ("extend", {"timeout_sec": -1}),
            ("snapshots", {"name": "mine"}),
            ("pause", {"memory": True}),
            ("resume", {"env": {"A": 1}}),
        ):
            assert (await client.ask("POST", f"{box}/{route}", body))[0] in {400, 422}, (route, body)
        assert await client.refused("POST", f"{box}/exec", {"command": "true", "timeout": 3601}) == (
            422,
            "TIMEOUT_TOO_LONG",
        )
        for route in ("files?path=/&depth=0", "files?path=/&depth=x", "files?path=rel", "fs/download?path=rel"):
            assert (await client.ask("GET", f"{box}/{route}"))[0] in {400, 422}, route
        assert await client.refused("GET", f"{box}/fs/download?path=/no") == (404, "FILE_NOT_FOUND")
        assert (await client.ask("GET", "?colour=red"))[0] == 422
        assert await client.refused("POST", f"{box}/restore/none", {}) == (404, "SNAPSHOT_NOT_FOUND")
        assert await client.refused("DELETE", f"{box}/snapshots/none") == (404, "SNAPSHOT_NOT_FOUND")
        for route in ("click", "desktop/screenshot", "embed"):
            assert (await client.ask("GET", f"{box}/{route}"))[0] == 404, route


async def test_snapshot_that_is_not_ready_or_anothers_is_not_restored() -> None:
    """Neither by `restore` nor by a copy of it."""
    async with served() as client:
        box, other = await client.box(), await client.box(name="other")
        snapshot = (await client.ask("POST", f"{box}/snapshot", {}))[1]["data"]["snapshot_id"]
        assert await client.refused("POST", f"{other}/restore/{snapshot}", {}) == (404, "SNAPSHOT_NOT_FOUND")
        client.simulator.sandbox_snapshots[snapshot].status = "creating"
        for route, body in ((f"restore/{snapshot}", {}), ("fork", {"snapshot_id": snapshot})):
            assert await client.refused("POST", f"{box}/{route}", body) == (409, "SNAPSHOT_NOT_READY")
        assert (await client.ask("DELETE", f"{box}/snapshots/{snapshot}"))[0] == 200
        assert (await client.ask("GET", f"{box}/snapshots"))[1] == {"data": []}


async def test_terminal_refuses_strangers_and_what_is_no_message() -> None:
    """With the status of the handshake, or by closing."""
    async with served() as client:
        box = await client.box()
        uri = f"ws{client.simulator.base_url.removeprefix('http')}/sandboxes{box}/terminal/stream"
        ours = {"authorization": f"Bearer {client.simulator.key}"}
        for address, headers, status in (
            (uri, {}, 401),
            (f"{uri}?rows=3", ours, 422),
            (uri.replace(box, "/none"), ours, 404),
        ):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(address, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == status
        for said in ("plain", '{"type": "stdin", "data": "x"}', '{"type": "resize", "cols": 0, "rows": 1}'):
            async with connect(uri, additional_headers=ours, subprotocols=["miosa-pty-v1"]) as socket:  # type: ignore[list-item]
                assert socket.subprotocol == "miosa-pty-v1"
                await socket.send(said)
                with anyio.fail_after(10):
                    await socket.wait_closed()
                assert socket.close_code == 1003, said
