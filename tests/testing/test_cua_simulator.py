"""The simulated computer server is as strict and as careless as the vendor's, by both of its ways in."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from deskhand.providers import Click
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import CUA_COMMANDS, CuaSimulator


class Client:
    """Asks one server."""

    def __init__(self, simulator: CuaSimulator, url: str, http: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self.url = url
        self.http = http

    async def give(self, command: str, **params: object) -> dict[str, Any]:
        """Give a command and return what came of it."""
        answer = await self.http.post(f"{self.url}/cmd", json={"command": command, "params": params})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text.startswith("data: ")
        assert answer.text.endswith("\n\n")
        told: dict[str, Any] = json.loads(answer.text.removeprefix("data: "))
        return told

    @property
    def machine(self) -> FakeComputer:
        """The machine behind."""
        machine = self.simulator.machines["box-1"].hardware.machine
        assert isinstance(machine, FakeComputer)
        return machine

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[ClientConnection]:
        """Open the server's WebSocket."""
        async with connect(f"ws{self.url.removeprefix('http')}/ws", max_size=10 * 2**20) as socket:
            yield socket


@asynccontextmanager
async def served(*, is_open: bool = True) -> AsyncIterator[Client]:
    """Serve one machine that runs, and yield a client of it."""
    async with (
        CuaSimulator(behind=FakeComputer, machines=1, is_open=is_open) as simulator,
        httpx2.AsyncClient(timeout=20, trust_env=False) as http,
    ):
        yield Client(simulator, await simulator.start_machine("box-1"), http)
        assert not simulator.errors


async def tell(socket: ClientConnection, text: str) -> dict[str, Any]:
    """Send a frame and return the answer."""
    await socket.send(text)
    told: dict[str, Any] = json.loads(await socket.recv())
    return told


async def test_all_commands_of_the_vendor_are_there() -> None:
    """None of the 37 is unknown, and none answers with anything but success or an error."""
    assert len(CUA_COMMANDS) == len(set(CUA_COMMANDS)) == 37
    async with served() as client:
        for command in CUA_COMMANDS:
            told = await client.give(command)
            assert told["success"] is True or "error" in told or "message" in told, command


async def test_requests_that_are_none_are_refused() -> None:
    """What is no JSON, names no command or an unknown one has a status and a detail."""
    async with served() as client:
        for body, detail in {
            "nonsense": "Invalid JSON body",
            "{}": "Command is required",
            '{"command": "nope"}': "Unknown command: nope",
        }.items():
            answer = await client.http.post(f"{client.url}/cmd", content=body)
            assert (answer.status_code, detail in answer.json()["detail"]) == (400, True)
        assert (await client.http.post(f"{client.url}/responses", json={})).status_code == 501
        assert (await client.http.get(f"{client.url}/status")).json()["os_type"] == "linux"


async def test_failures_are_told_in_an_answer_of_success() -> None:
    """What is missing is an error in Python's words, a file that is not there in the system's."""
    async with served() as client:
        told = await client.give("move_cursor", x=1)
        assert told == {"success": False, "error": "move_cursor() missing 1 required positional argument: 'y'"}
        told = await client.give("drag")
        assert "missing 4 required positional arguments: 'start_x', 'start_y', 'end_x', and 'end_y'" in told["error"]
        assert "No such file or directory: 'nowhere'" in (await client.give("read_bytes", path="nowhere"))["error"]
        assert "locate the image" in (await client.give("left_click", x="a", y="b"))["error"]


async def test_what_is_wrong_and_not_told() -> None:
    """Unknown parameters and keys are ignored, points off the screen moved to its edge, as by the vendor's server."""
    async with served() as client:
        assert (await client.give("left_click", x=5, y=6, speed=3))["success"] is True
        assert (await client.give("press_key", key="Page_Up"))["success"] is True
        assert (await client.give("press_key", key="super"))["success"] is True
        assert [*client.machine.performed] == [Click(5, 6)]
        await client.give("move_cursor", x=5000, y=9000)
        assert (await client.give("get_cursor_position"))["position"] == {"x": 1279, "y": 719}
        await client.give("left_click", x=5)  # half a point is none
        assert client.machine.performed[-1] == Click()


async def test_keys_are_held_until_they_go_up() -> None:
    """A modifier that is down counts for what comes next, and not after it went up."""
    async with served() as client:
        await client.give("key_down", key="ctrl")
        await client.give("left_click", x=5, y=6)
        await client.give("key_up", key="ctrl")
        await client.give("left_click", x=7, y=8)
        assert [*client.machine.performed] == [Click(5, 6, modifiers=("ctrl",)), Click(7, 8)]


async def test_files_are_read_and_written_in_parts() -> None:
    """Offsets, lengths and appending are as the vendor has them."""
    async with served() as client:
        for part in (b"\x00first", b"\xffsecond"):
            packed = base64.b64encode(part).decode()
            assert (await client.give("write_bytes", path="data", content_b64=packed, append=True))["success"] is True
        told = await client.give("read_bytes", path="data", offset=6, length=3)
        assert base64.b64decode(told["content_b64"]) == b"\xffse"
        assert (await client.give("get_file_size", path="data"))["size"] == 13
        assert (await client.give("delete_dir", path="data"))["success"] is False


async def test_credentials_are_asked_for() -> None:
    """A server of the cloud wants its own name and the account's key; its status it tells to anybody."""
    async with served(is_open=False) as client:
        body = {"command": "version"}
        name, key = {"X-Container-Name": "box-1"}, {"X-API-Key": client.simulator.key}
        for headers, detail in (
            ({}, "Container name required"),
            (name, "API key required"),
            ({**name, "X-API-Key": "no"}, "Authentication failed"),
            ({**key, "X-Container-Name": "box-2"}, "Authentication failed"),
        ):
            answer = await client.http.post(f"{client.url}/cmd", json=body, headers=headers)
            assert (answer.status_code, answer.json()) == (401, {"detail": detail})
        assert (await client.http.post(f"{client.url}/cmd", json=body, headers={**name, **key})).status_code == 200
        assert (await client.http.get(f"{client.url}/status")).status_code == 200
        assert (await client.http.get(f"{client.simulator.origin}/v1/vms")).status_code == 401


async def test_socket_answers_in_turn_and_survives_nonsense() -> None:
    """Each frame has one answer; what is no JSON, or an unknown command, leaves it open."""
    async with served() as client, client.socket() as socket:
        assert (await tell(socket, '{"command": "version"}'))["protocol"] == 1
        assert (await tell(socket, "nonsense"))["success"] is False
        assert await tell(socket, '{"command": "nope"}') == {"success": False, "error": "Unknown command: nope"}
        assert (await tell(socket, '{"command": "get_screen_size", "params": {}}'))["size"]["width"] == 1280


@pytest.mark.parametrize("key", ["right", "wrong"])
async def test_socket_wants_to_know_who_it_is(key: str) -> None:
    """The first frame says who calls; a wrong key ends it."""
    async with served(is_open=False) as client, client.socket() as socket:
        params = {"api_key": client.simulator.key if key == "right" else "no", "container_name": "box-1"}
        told = await tell(socket, json.dumps({"command": "authenticate", "params": params}))
        assert told["success"] is (key == "right")
        if key == "right":
            assert (await tell(socket, '{"command": "version"}'))["success"] is True
            return
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_machine_that_is_off_has_no_server() -> None:
    """What stands before a machine answers for one that is off; one that is not there is not found."""
    async with served() as client:
        await client.simulator.stop_machine("box-1")
        assert (await client.http.get(f"{client.url}/status")).status_code == 502
        missing = client.simulator.server_url("box-9")
        assert (await client.http.get(f"{missing}/status")).status_code == 404
