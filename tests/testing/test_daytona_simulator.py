"""The simulated Daytona is strict: it refuses what the vendor refuses, with its errors, and keeps state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from deskhand.testing import FakeComputer
from deskhand.testing.simulators import DaytonaDialect, DaytonaSimulator


class Client:
    """Speaks to a simulator as any HTTP client does."""

    def __init__(self, simulator: DaytonaSimulator, http: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self._http = http

    async def ask(self, method: str, path: str, body: object = None, *, key: str | None = None) -> tuple[int, Any]:
        """Return status and JSON of an answer."""
        headers = {"authorization": f"Bearer {self.simulator.key if key is None else key}"}
        got = await self._http.request(method, self.simulator.origin + path, json=body, headers=headers)
        return got.status_code, got.json() if got.content else None

    async def until_started(self, name: str) -> None:
        """Wait until a sandbox has started."""
        with anyio.fail_after(10):
            while (await self.ask("GET", f"/api/sandbox/{name}"))[1]["state"] != "started":
                pass

    async def box(self) -> str:
        """Create a sandbox with a desktop, and return the path of its toolbox."""
        _, made = await self.ask("POST", "/api/sandbox", {"name": "box"})
        await self.until_started("box")
        tools = f"/toolbox/{made['id']}"
        assert (await self.ask("POST", f"{tools}/computeruse/start"))[0] == 200
        return tools


@asynccontextmanager
async def served(dialect: DaytonaDialect | None = None) -> AsyncIterator[Client]:
    """Serve a simulator."""
    async with (
        DaytonaSimulator(behind=FakeComputer, dialect=dialect) as simulator,
        httpx2.AsyncClient(trust_env=False) as http,
    ):
        yield Client(simulator, http)
        assert [*simulator.errors] == []


async def test_states_are_gone_through_one_by_one() -> None:
    """Somebody who asks sees at least two states before the last; a wrong one is refused."""
    async with served() as client:
        status, made = await client.ask("POST", "/api/sandbox", {"name": "box"})
        assert (status, made["state"], made["toolboxProxyUrl"]) == (
            200,
            "creating",
            f"{client.simulator.origin}/toolbox",
        )
        assert (await client.ask("GET", "/api/sandbox/box"))[1]["state"] == "starting"
        await client.until_started("box")
        assert (await client.ask("POST", "/api/sandbox/box/start"))[0] == 400
        assert (await client.ask("POST", "/api/sandbox/box/archive"))[0] == 400
        assert (await client.ask("POST", "/api/sandbox/box/stop"))[1]["state"] == "stopping"
        status, told = await client.ask("POST", f"/toolbox/{made['id']}/process/execute", {"command": "true"})
        assert (status, "Is the Sandbox started" in told["message"], told["source"]) == (400, True, "DAYTONA_PROXY")
        assert (await client.ask("POST", "/api/sandbox", {"name": "box"}))[0] == 409
        assert (await client.ask("DELETE", "/api/sandbox/box"))[1]["state"] == "destroyed"
        assert (await client.ask("GET", "/api/sandbox/box"))[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        {"unknown": 1},
        {"cpu": 2},
        {"autoStopInterval": True},
        {"autoStopInterval": 1.5},
        {"env": {"A": 1}},
        {"labels": []},
        {"buildInfo": {}},
        {"ttlMinutes": -1},
    ],
)
async def test_creation_is_strict(body: dict[str, object]) -> None:
    """Unknown fields, wrong types, sizes without an image."""
    async with served() as client:
        assert (await client.ask("POST", "/api/sandbox", body))[0] == 400
        assert not client.simulator.computers


REFUSED: list[tuple[str, str, object]] = [
    ("POST", "computeruse/mouse/click", {"x": 1}),
    ("POST", "computeruse/mouse/click", {"x": 1, "y": "2"}),
    ("POST", "computeruse/mouse/click", {"x": 1, "y": 2, "button": "back"}),
    ("POST", "computeruse/mouse/click", {"x": 1, "y": 2, "clicks": 0}),
    ("POST", "computeruse/mouse/click", {"x": 1, "y": 2, "modifiers": ["altgr"]}),
    ("POST", "computeruse/mouse/click", {"x": 1, "y": 2, "modifiers": ["ctrl", "control"]}),
    ("POST", "computeruse/mouse/down", {"x": 1}),
    ("POST", "computeruse/mouse/scroll", {"x": 1, "y": 2, "direction": "in", "amount": 1}),
    ("POST", "computeruse/keyboard/key", {"key": "nonsense"}),
    ("POST", "computeruse/keyboard/key", {"key": "+"}),
    ("POST", "computeruse/keyboard/key", {"key": "ctrl", "modifiers": ["ctrl"]}),
    ("POST", "computeruse/keyboard/down", {}),
    ("POST", "computeruse/keyboard/type", {"text": "a\tb"}),
    ("GET", "computeruse/screenshot/region?x=0&y=0&width=x&height=1", None),
    ("GET", "computeruse/screenshot/region?x=0&y=0&width=99999&height=1", None),
    ("POST", "process/execute", {"command": " "}),
    ("POST", "process/execute", {"command": "true", "timeout": "1"}),
    ("POST", "process/execute", {"command": "true", "stdin": "x"}),
    ("POST", "files/bulk-download", {"paths": [1]}),
]


async def test_toolbox_is_strict() -> None:
    """Half a point, unknown keys and buttons, wrong types: status 400, and nothing was performed."""
    async with served() as client:
        tools = await client.box()
        for method, route, body in REFUSED:
            status, told = await client.ask(method, f"{tools}/{route}", body)
            assert (status, bool(told["message"]), told["statusCode"]) == (400, True, 400), (route, body)
        [box] = client.simulator.computers.values()
        assert isinstance(box.machine, FakeComputer)
        assert box.machine.performed == []


async def test_errors_have_the_vendors_codes() -> None:
    """A file that is missing, a session that is there, a key that is wrong on either plane."""
    async with served() as client:
        tools = await client.box()
        status, told = await client.ask("GET", f"{tools}/files/info?path=nowhere")
        assert (status, told["code"], told["source"]) == (404, "FILE_NOT_FOUND", "DAYTONA_DAEMON")
        assert (await client.ask("POST", f"{tools}/process/session", {"sessionId": "s"}))[0] == 201
        assert (await client.ask("POST", f"{tools}/process/session", {"sessionId": "s"}))[0] == 409
        assert (await client.ask("DELETE", f"{tools}/process/session/none"))[0] == 404
        for path in ("/api/sandbox", f"{tools}/computeruse/mouse/position"):
            assert (await client.ask("GET", path, key="dtn_no"))[0] == 401


async def test_desktop_shows_nothing_before_it_is_started() -> None:
    """No display, no picture; without computer use in the snapshot it cannot be started."""
    async with served(DaytonaDialect(computer_use=False)) as client:
        _, made = await client.ask("POST", "/api/sandbox", {})
        await client.until_started(made["id"])
        assert (await client.ask("POST", f"/toolbox/{made['id']}/computeruse/start"))[0] == 503
    async with served() as client:
        tools = await client.box()
        await client.ask("POST", f"{tools}/computeruse/stop")
        assert (await client.ask("GET", f"{tools}/computeruse/display/info"))[1] == {"displays": []}
        assert (await client.ask("GET", f"{tools}/computeruse/screenshot"))[0] == 400


LIFE: list[tuple[str, str, object, int, str]] = [
    ("POST", "stop?force=false", None, 200, ""),
    ("POST", "stop", None, 400, "not started"),
    ("POST", "pause", None, 400, "not started"),
    ("POST", "ttl/-1", None, 400, "negative"),
    ("POST", "ttl/soon", None, 400, "integer"),
    ("POST", "autostop/-1", None, 400, "negative"),
    ("PUT", "labels", {"labels": []}, 400, "labels"),
    ("POST", "fork", {"count": 2}, 400, "count"),
    ("GET", "ports/0/preview-url", None, 400, "port"),
    ("GET", "ports/80/signed-preview-url?expiresInSeconds=0", None, 400, "expiresInSeconds"),
    ("GET", "ports/80/signed-preview-url?expiresInSeconds=86401", None, 400, "expiresInSeconds"),
    ("DELETE", "", None, 200, ""),
    ("DELETE", "", None, 404, "not found"),
    ("GET", "", None, 404, "not found"),
]


async def test_life_refuses_what_the_vendor_refuses() -> None:
    """A state that does not allow it, numbers that are none, fields that nobody knows; in the vendor's envelope."""
    async with served() as client:
        await client.box()
        for method, route, body, status, said in LIFE:
            got, told = await client.ask(method, f"/api/sandbox/box{'/' if route else ''}{route}", body)
            assert got == status, (method, route)
            if status >= 400:
                assert (told["statusCode"], said in told["message"]) == (status, True), (route, told)


async def test_sessions_and_terminals_have_one_name_each() -> None:
    """A name that is taken is a conflict, one that nobody has is not found, on a socket too, and so is the key."""
    async with served() as client:
        tools = await client.box()
        session = f"{tools}/process/session"
        assert (await client.ask("POST", session, {}))[0] == 400
        assert (await client.ask("POST", session, {"sessionId": "s"}))[0] == 201
        for method, route, body, status in (
            ("POST", "/s/exec", {"command": " "}, 400),
            ("POST", "/none/exec", {"command": "true"}, 404),
            ("GET", "/s/command/none", None, 404),
            ("GET", "/s/command/none/logs", None, 404),
            ("DELETE", "/s", None, 204),
            ("DELETE", "/s", None, 404),
        ):
            assert (await client.ask(method, session + route, body))[0] == status, (method, route)
        assert (await client.ask("POST", f"{tools}/process/pty/none/resize", {"cols": 80, "rows": 24}))[0] == 404
        where = f"{client.simulator.origin}{tools}/process/pty/create-connect?id=p&cols=80&rows=24"
        for headers, status in (({}, 401), ({"authorization": "Bearer dtn_no"}, 401)):
            with pytest.raises(InvalidStatus) as caught:
                await connect(where.replace("http", "ws", 1), additional_headers=headers)
            assert caught.value.response.status_code == status
