"""The simulated MIOSA refuses what the vendor refuses, and what nobody has seen it take, before anything is done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from deskhand.providers import Click, ExternalComputer, Key, Move
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import MiosaDialect, MiosaPlan, MiosaSimulator

READINESS: tuple[Literal["status", "later"], ...] = ("status", "later")


class Client:
    """Asks a simulator over plain HTTP."""

    def __init__(self, simulator: MiosaSimulator, http: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self.http = http

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None, tenant: str = ""
    ) -> tuple[int, Any]:
        """Send a request; return the status and the JSON, or the bytes where it is none."""
        headers = {"authorization": f"Bearer {self.simulator.key if key is None else key}", "x-miosa-tenant": tenant}
        content = None if body is None else json.dumps(body)
        answer = await self.http.request(method, f"{self.simulator.base_url}{path}", content=content, headers=headers)
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status_code, answer.json() if is_json and answer.content else answer.content

    async def box(self, **fields: object) -> str:
        """Create a computer and return its path once it runs."""
        status, made = await self.ask("POST", "/computers", {"name": "box", **fields})
        assert status == 201, made
        path = f"/computers/{made['id']}"
        while (await self.ask("GET", path))[1]["status"] != "running":
            pass
        return path

    @property
    def machine(self) -> FakeComputer:
        """The machine behind the one computer."""
        [box] = self.simulator.computers.values()
        assert isinstance(box.machine, FakeComputer)
        return box.machine


@asynccontextmanager
async def served(dialect: MiosaDialect | None = None, plan: MiosaPlan | None = None) -> AsyncIterator[Client]:
    """Serve a simulator."""
    async with (
        MiosaSimulator(behind=FakeComputer, dialect=dialect, plan=plan) as simulator,
        httpx2.AsyncClient(trust_env=False, timeout=20) as http,
    ):
        yield Client(simulator, http)
        assert [*simulator.errors] == []


async def test_states_are_gone_through_one_by_one() -> None:
    """What is asked of a computer that starts or has stopped is refused with its code; what was ended is not there."""
    async with served() as client:
        status, made = await client.ask("POST", "/computers", {"name": "box"})
        assert (status, made["status"], made["name"]) == (201, "provisioning", "box")
        path = await client.box()
        assert (await client.ask("POST", f"{path}/start"))[1] == {"success": True, "status": "starting"}
        assert (await client.ask("POST", f"{path}/stop"))[1]["status"] == "stopping"
        status, told = await client.ask("POST", f"{path}/desktop/click", {"x": 1, "y": 1})
        assert (status, told["error"]["code"]) == (409, "RESOURCE_STATE")
        assert (await client.ask("DELETE", path))[0] == 200
        for method, route in (("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("POST", "/desktop/click")):
            status, told = await client.ask(method, f"{path}{route}", {} if method == "POST" else None)
            assert (status, told["error"]["code"]) == (404, "COMPUTER_NOT_FOUND"), route


async def test_computer_that_starts_says_when_to_ask_again() -> None:
    """In the header and in the error itself, where its status says already that it runs, too."""
    started = anyio.Event()

    @asynccontextmanager
    async def late() -> AsyncIterator[ExternalComputer]:
        await started.wait()
        async with FakeComputer() as machine:
            yield machine

    for readiness in READINESS:
        async with (
            MiosaSimulator(behind=late, dialect=MiosaDialect(readiness=readiness)) as simulator,
            httpx2.AsyncClient(trust_env=False) as http,
        ):
            _, made = await Client(simulator, http).ask("POST", "/computers", {"name": "box"})
            url = f"{simulator.base_url}/computers/{made['id']}/exec"
            answer = await http.post(
                url, json={"command": "true"}, headers={"authorization": f"Bearer {simulator.key}"}
            )
            told = answer.json()["error"]
            assert (answer.status_code, answer.headers["retry-after"]) == (409, "0.1")
            assert (told["code"], told["retryable"], told["retry_after_ms"]) == ("COMPUTER_STARTING", True, 100)


CREATIONS: list[Mapping[str, object]] = [
    {},
    {"name": ""},
    {"name": "x" * 201},
    {"name": 5},
    {"name": "box", "unknown": 1},
    {"name": "box", "size": "xlarge"},
    {"name": "box", "size": None, "sise": "small"},
    {"name": "box", "env": {"A": 1}},
    {"name": "box", "metadata": []},
    {"name": "box", "no_env": "yes"},
    {"name": "box", "visibility": "everybody"},
    {"name": "box", "compute_placement_request": {"region_id": "x"}},
    {"name": "box", "compute_placement_request": {"provider": "moon"}},
]


WRONG = {(400, "BAD_REQUEST"), (422, "VALIDATION_FAILED")}
"""How the vendor says that a body is wrong."""


async def test_creation_is_strict() -> None:
    """Unknown fields, wrong types, names that are none."""
    async with served() as client:
        for body in CREATIONS:
            status, told = await client.ask("POST", "/computers", body)
            assert (status, told["error"]["code"]) in WRONG, body
        assert not client.simulator.computers


REFUSED: list[tuple[str, Mapping[str, object]]] = [
    ("desktop/click", {}),
    ("desktop/click", {"x": 1}),
    ("desktop/click", {"x": 1, "y": "2"}),
    ("desktop/click", {"x": 1.5, "y": 2}),
    ("desktop/click", {"x": True, "y": 2}),
    ("desktop/click", {"x": 1, "y": 2, "button": "back"}),
    ("desktop/click", {"x": 1, "y": 2, "count": 2}),
    ("desktop/double-click", {"x": 1, "y": 2, "button": "left"}),
    ("desktop/move", {"x": 1, "y": None}),
    ("desktop/drag", {"from_x": 1, "from_y": 2, "to_x": 3}),
    ("desktop/scroll", {"direction": "in"}),
    ("desktop/scroll", {"direction": "up", "clicks": 0}),
    ("desktop/scroll", {"direction": "up", "clicks": 101}),
    ("desktop/scroll", {"direction": "up", "x": 1}),
    ("desktop/type", {"text": 5}),
    ("desktop/type", {"text": "x" * 100_001}),
    ("desktop/key", {"key": "nonsense"}),
    ("desktop/key", {"key": "ctrl+"}),
    ("desktop/key", {}),
    ("desktop/hotkey", {"keys": []}),
    ("desktop/hotkey", {"keys": ["ctrl", 5]}),
    ("desktop/key-down", {"key": "Retrun"}),
    ("desktop/wait", {"seconds": -1}),
    ("desktop/wait", {"seconds": 61}),
    ("desktop/screenshot/region", {"x": 0, "y": 0, "width": 0, "height": 1}),
    ("desktop/screenshot/region", {"x": 0, "y": 0, "width": 99_999, "height": 1}),
    ("exec", {"command": "true", "timeout": "1"}),
    ("exec", {"command": "true", "timeout": 0}),
    ("exec", {"command": "true", "cwd": "/"}),
    ("exec", {}),
    ("exec/python", {"code": 5}),
    ("snapshots", {"comment": 5}),
    ("clone", {"name": ""}),
    ("ports", {"port": 0}),
    ("ports", {"port": 70_000}),
    ("ports", {}),
    ("control/sessions", {}),
    ("control/sessions", {"goal": "x", "max_turns": 0}),
    ("stop", {"force": True}),
    ("files/write", {"path": "/tmp/x", "content_base64": "%%%"}),
]


async def test_actions_are_strict() -> None:
    """Half a point, other buttons, keys and sizes that are none, fields of another vendor: nothing is performed."""
    async with served() as client:
        path = await client.box()
        for route, body in REFUSED:
            status, told = await client.ask("POST", f"{path}/{route}", body)
            error = told["error"]
            assert status in {400, 422}, (route, body, told)
            assert error["message"], (route, body)
            assert error["request_id"], (route, body)
        assert client.machine.performed == []
        assert len(client.simulator.computers) == 1


async def test_what_is_no_json_object_is_refused() -> None:
    """Cut off, an array, a number."""
    async with served() as client:
        path = await client.box()
        headers = {"authorization": f"Bearer {client.simulator.key}"}
        for content in (b'{"x": 1', b"[1]", b"5", b"\xff"):
            url = f"{client.simulator.base_url}{path}/desktop/click"
            answer = await client.http.post(url, content=content, headers=headers)
            assert answer.status_code in {400, 422}, content
        assert client.machine.performed == []


async def test_points_beyond_the_screen_are_moved_to_its_edge() -> None:
    """As X does it: an adapter that does not look does not notice."""
    async with served() as client:
        path = await client.box()
        assert (await client.ask("POST", f"{path}/desktop/click", {"x": 9_000, "y": -5}))[0] == 200
        assert client.machine.performed == [Click(1279, 0)]


async def test_input_is_performed_as_it_is_asked_for() -> None:
    """The names of keys are X's, and the short ones of the modifiers."""
    async with served() as client:
        path = f"{await client.box()}/desktop"
        for route, body in (
            ("move", {"x": 3, "y": 4}),
            ("click", {"x": 3, "y": 4, "button": "right"}),
            ("key", {"key": "ctrl+shift+Page_Up"}),
            ("hotkey", {"keys": ["ctrl", "c"]}),
        ):
            assert (await client.ask("POST", f"{path}/{route}", body))[1] == {"success": True}
        assert client.machine.performed == [Move(3, 4), Click(3, 4, "right"), Key("ctrl+shift+page_up"), Key("ctrl+c")]
        assert (await client.ask("GET", f"{path}/cursor"))[1] == {"x": 3, "y": 4}
        status, picture = await client.ask("GET", f"{path}/screenshot")
        assert (status, picture[:4]) == (200, b"\x89PNG")


async def test_key_and_tenant_open_their_own_alone() -> None:
    """A key that is wrong, expired or none, a tenant of somebody else's, a computer of another tenant."""
    async with served() as client:
        path = await client.box()
        simulator = client.simulator
        simulator.add_tenant("other")
        assert (await client.ask("GET", path, key="msk_no"))[0] == 401
        assert (await client.ask("GET", path, key="-"))[0] == 401
        assert (await client.ask("GET", path, tenant="nobody"))[0] == 403
        assert (await client.ask("GET", path, tenant="other"))[0] == 404
        assert (await client.ask("GET", "/computers", tenant="other"))[1]["computers"] == []
        simulator.expire_key()
        assert (await client.ask("GET", path))[1]["error"]["code"] == "UNAUTHORIZED"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws{simulator.base_url.removeprefix('http')}{path}/exec/stream?command=true")
        assert refused.value.response.status_code == 401
        simulator.expire_key(expired=False)
        assert (await client.ask("DELETE", path))[0] == 200


@pytest.mark.parametrize(("accept", "status"), [("text/event-stream", 406), ("text/html, application/json", 401)])
async def test_whoever_takes_no_json_is_refused_before_the_key_is_looked_at(accept: str, status: int) -> None:
    """Whoever asks for events alone too."""
    async with served() as client:
        url = f"{client.simulator.base_url}/sandboxes/any/exec/stream"
        assert (await client.http.post(url, headers={"accept": accept})).status_code == status


@pytest.mark.parametrize("path", ["/computers?workspace=ours", "/computers/any/embed?view-only=1", "/computers/any?x="])
async def test_parameter_that_no_route_has_is_refused(path: str) -> None:
    """A name that is written wrong is not passed over."""
    async with served() as client:
        status, told = await client.ask("GET", path)
        assert (status, told["error"]["code"]) == (400, "BAD_REQUEST")


async def test_plan_and_balance_limit_what_costs_money() -> None:
    """Creating, copying, restoring, starting and the vendor's agent."""
    async with served(plan=MiosaPlan(computers=1)) as client:
        path = await client.box()
        for route in ("", f"{path.removeprefix('/computers')}/clone"):
            status, told = await client.ask("POST", f"/computers{route}", {"name": "more"})
            assert (status, told["error"]["code"]) == (403, "QUOTA_EXCEEDED")
        client.simulator.set_balance(0)
        for route, body in (
            (f"{path}/clone", {}),
            ("/computers", {"name": "x"}),
            (f"{path}/control/sessions", {"goal": "x"}),
        ):
            assert (await client.ask("POST", route, body))[1]["error"]["code"] == "INSUFFICIENT_CREDITS", route
        assert (await client.ask("GET", "/credits/balance"))[1]["balance_credits"] == 0


async def test_snapshots_are_restored_when_they_are_ready() -> None:
    """One that was deleted is not; one of another computer is not there."""
    async with served() as client:
        path = await client.box()
        other = await client.box()
        _, taken = await client.ask("POST", f"{path}/snapshots", {})
        snapshot = taken["data"]["id"]
        assert (await client.ask("POST", f"{other}/restore/{snapshot}"))[1]["error"]["code"] == "SNAPSHOT_NOT_FOUND"
        assert (await client.ask("DELETE", f"{path}/snapshots/{snapshot}"))[1]["data"]["status"] == "deleted"
        assert (await client.ask("POST", f"{path}/restore/{snapshot}"))[1]["error"]["code"] == "SNAPSHOT_NOT_READY"
        assert (await client.ask("GET", f"{path}/snapshots"))[1]["data"] == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "command=",
        "command=vim&rows=20&cols=20",
        "command=bash&rows=0&cols=20",
        "command=bash&rows=20",
        "command=bash&rows=x&cols=20",
        "command=bash&shell=true",
        "command=bash&env=nope",
        "command=bash&env=[]",
    ],
)
async def test_socket_is_strict(query: str) -> None:
    """It is refused in the handshake."""
    async with served() as client:
        path = await client.box()
        uri = f"ws{client.simulator.base_url.removeprefix('http')}{path}/exec/stream?{query}"
        with pytest.raises(InvalidStatus) as refused:
            await connect(uri, additional_headers={"authorization": f"Bearer {client.simulator.key}"})
        assert refused.value.response.status_code == 422


async def test_removed_route_is_not_there() -> None:
    """It is answered with 404 like a path that never was, which is not the code of a computer that is not there."""
    async with served() as client:
        path = await client.box()
        for where in ("desktop/click", "desktop/nowhere"):
            client.simulator.remove("click")
            status, told = await client.ask("POST", f"{path}/{where}", {"x": 1, "y": 2})
            assert (status, told["error"]["code"]) == (404, "NOT_FOUND")
        client.simulator.restore("click")
        assert (await client.ask("POST", f"{path}/desktop/click", {"x": 1, "y": 2}))[0] == 200
        assert (await client.ask("GET", f"{path}/desktop/click"))[0] == 405
