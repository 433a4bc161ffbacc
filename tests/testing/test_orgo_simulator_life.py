"""A simulated computer's life: stopped, started, restarted, resized, idle, moved, gone; and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.abc
import pytest

from deskhand.errors import ConfigError
from deskhand.providers import ExternalComputer
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OrgoSimulator
from tests.testing.orgo_parts import Client, simulated


async def until(client: Client, computer_id: str, status: str) -> None:
    """Ask until a computer has a status."""
    with anyio.fail_after(10):
        while (await client.get(f"computers/{computer_id}")).json()["status"] != status:
            pass


async def test_a_stopped_computer_keeps_its_disk_and_takes_no_action() -> None:
    """Stopping is answered before it is done; then actions get 400, and starting brings the files back."""
    async with simulated() as client:
        computer_id = await client.create()
        path = f"computers/{computer_id}"
        await client.post(f"{path}/bash", {"command": "mkdir -p a; echo kept > a/note"})
        assert (await client.post(f"{path}/stop")).json() == {"success": True, "status": "stopping"}
        await until(client, computer_id, "stopped")
        refused = await client.post(f"{path}/click", {"x": 1, "y": 1})
        assert (refused.status_code, refused.json()["error"]) == (400, "Desktop instance not available")
        assert (await client.post(f"{path}/stop")).status_code == 200
        assert (await client.post(f"{path}/restart")).status_code == 409
        assert (await client.post(f"{path}/start")).json() == {"success": True, "status": "starting"}
        await until(client, computer_id, "running")
        assert (await client.post(f"{path}/bash", {"command": "cat a/note"})).json()["output"] == "kept\n"


async def test_the_usual_computer_comes_from_the_pool() -> None:
    """Its automatic stop changes nothing of that; another screen is not in the pool."""
    async with simulated() as client:
        workspace = client.simulator.add_workspace("mine").id
        cases: list[tuple[str, dict[str, object], bool]] = [
            ("a", {}, True),
            ("b", {"auto_stop_minutes": 60}, True),
            ("c", {"resolution": "1024x768x24"}, False),
        ]
        for name, fields, pooled in cases:
            made = await client.post("computers", {"workspace_id": workspace, "name": name, **fields})
            assert made.json()["fromPool"] is pooled


async def test_a_restart_gives_another_password() -> None:
    """Who connects with the old one is turned away."""
    async with simulated() as client:
        computer_id = await client.create()
        before = (await client.get(f"computers/{computer_id}/vnc-password")).json()["password"]
        await client.post(f"computers/{computer_id}/restart")
        await until(client, computer_id, "running")
        assert (await client.get(f"computers/{computer_id}/vnc-password")).json()["password"] != before


async def test_a_sleeping_computer_is_woken() -> None:
    """``ensure-running`` answers when it runs."""
    async with simulated() as client:
        computer_id = await client.create()
        await client.post(f"computers/{computer_id}/stop")
        await until(client, computer_id, "stopped")
        woken = (await client.post(f"computers/{computer_id}/ensure-running")).json()
        assert (woken["status"], "resolution" in woken["instance_details"]) == ("running", True)


async def test_an_idle_computer_stops_by_itself() -> None:
    """After its minutes, and not before; an action puts it off."""
    async with simulated() as client:
        computer_id = await client.create(auto_stop_minutes=10)
        await client.simulator.pass_time(6)
        await client.post(f"computers/{computer_id}/bash", {"command": "true"})
        await client.simulator.pass_time(6)
        assert client.simulator.computers[computer_id].status == "running"
        await client.simulator.pass_time(6)
        assert client.simulator.computers[computer_id].status == "stopped"
        changed = await client.ask("PATCH", f"computers/{computer_id}/auto-stop", {"auto_stop_minutes": 0})
        assert changed.json() == {"auto_stop_minutes": 0, "auto_suspend_after": "0s"}
        assert (await client.get(f"computers/{computer_id}/auto-stop")).json()["auto_stop_minutes"] == 0


async def test_a_resize_answers_for_each_dimension() -> None:
    """All, some or none of them: 200, 207, 422. What creation calls the sizes is taken and ignored."""
    async with simulated() as client:
        path = f"computers/{await client.create()}/resize"
        assert (await client.ask("PATCH", path, {"vcpus": 2, "mem_gb": 8})).status_code == 200
        some = await client.ask("PATCH", path, {"vcpus": 4, "disk_size_gb": 4})
        assert (some.status_code, some.json()["partial"]) == (207, True)
        assert some.json()["results"]["disk_size_gb"]["ok"] is False
        none = await client.ask("PATCH", path, {"mem_gb": 64})
        assert (none.status_code, none.json()["mem_gb"]) == (422, 8)
        assert (await client.ask("PATCH", path, {"cpu": 8, "ram": 8})).status_code == 400


async def test_python_is_answered_for_even_where_it_raised() -> None:
    """The machine behind runs it; what it cannot run is told in an answer with status 200."""
    async with FakeComputer(commands={"python3": "2\n"}) as machine, simulated(computer=machine) as client:
        answer = await client.post(f"computers/{await client.create()}/exec", {"code": "print(2)"})
        assert answer.status_code == 200
        assert answer.json()["output"] == "2\n"


async def test_files_are_stored_and_put_on_the_desktop() -> None:
    """An upload is listed, lands on the computer that is named, and can be had again by a signed address."""
    async with FakeComputer() as machine, simulated(computer=machine) as client:
        computer_id = await client.create()
        workspace = next(iter(client.simulator.workspaces))
        sent = await client.upload("note.bin", b"\x00\r\n--\xff", projectId=workspace, desktopId=computer_id)
        assert sent.json()["file"]["size_bytes"] == 6
        assert machine.files["Desktop/note.bin"] == b"\x00\r\n--\xff"
        listed = (await client.get("files", projectId=workspace)).json()["files"]
        assert [found["filename"] for found in listed] == ["note.bin"]
        exported = await client.post("files/export", {"desktopId": computer_id, "path": "~/Desktop/note.bin"})
        outside = await client.post("files/export", {"desktopId": computer_id, "path": "/etc/passwd"})
        assert outside.status_code == 403
        client.key, key = None, client.key
        assert (await client.get(exported.json()["url"])).content == b"\x00\r\n--\xff"
        client.key = key
        gone = await client.ask("DELETE", "files/delete", query={"id": listed[0]["id"]})
        assert gone.json() == {"success": True}
        assert (await client.upload("big", b"x" * (10 * 1024 * 1024 + 1), projectId=workspace)).status_code == 400


async def test_the_vendors_agent_answers_in_one_request_or_a_stream() -> None:
    """Errors of this route have another shape than the rest."""
    async with simulated() as client:
        computer_id = await client.create()
        body = {"computer_id": computer_id, "messages": [{"role": "user", "content": "look around"}]}
        answer = await client.post("v1/chat/completions", body)
        assert "look around" in answer.json()["choices"][0]["message"]["content"]
        assert answer.json()["orgo"]["thread_id"] == answer.headers["x-thread-id"]
        stream = (await client.post("v1/chat/completions", {**body, "stream": True})).text
        assert stream.endswith("data: [DONE]\n\n")
        pieces = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
        assert "look around" in "".join(piece["choices"][0]["delta"].get("content", "") for piece in pieces)
        wrong = await client.post("v1/chat/completions", {**body, "model": "claude-sonnet-4-6"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "invalid_model")
        client.key = "sk_live_wrong"
        refused = await client.post("v1/chat/completions", body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")


class Machines:
    """Gives fake computers and counts those that are open."""

    def __init__(self) -> None:
        self.opened = 0
        self.open = 0

    def __call__(self) -> AbstractAsyncContextManager[ExternalComputer]:
        """Give one."""
        return self._one()

    @asynccontextmanager
    async def _one(self) -> AsyncIterator[ExternalComputer]:
        self.opened += 1
        self.open += 1
        try:
            async with FakeComputer() as computer:
                yield computer
        finally:
            self.open -= 1


async def busy(simulator: OrgoSimulator, tasks: anyio.abc.TaskGroup) -> None:
    """Create a computer, and have a long command, a wait and a stalled answer going on."""
    import httpx2

    async def ask(client: Client, path: str, body: object) -> None:
        try:
            await client.post(path, body)
        except httpx2.TransportError:
            return

    http = await anyio.to_thread.run_sync(lambda: httpx2.AsyncClient(timeout=20, trust_env=False))
    client = Client(simulator, http)
    computer_id = await client.create()
    simulator.stall(route="click")
    tasks.start_soon(ask, client, f"computers/{computer_id}/bash", {"command": "sleep 600"})
    tasks.start_soon(ask, client, f"computers/{computer_id}/wait", {"seconds": 60})
    tasks.start_soon(ask, client, f"computers/{computer_id}/click", {"x": 1, "y": 1})
    with anyio.fail_after(10):
        for route in ("bash", "wait", "click"):
            await simulator.until_asked(route)


class LeftError(Exception):
    """The block's own error."""


@pytest.mark.parametrize("way", ["normally", "by an error", "cancelled"])
async def test_nothing_is_left_whichever_way_the_block_is_left(way: str) -> None:
    """Requests under way are cut off, machines end, the port is free, and what was left behind is still counted."""
    machines = Machines()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                try:
                    async with OrgoSimulator(behind=machines) as simulator:
                        port = simulator.port
                        await busy(simulator, tasks)
                        assert machines.open == 1
                        if way == "by an error":
                            raise LeftError  # noqa: TRY301 - it is the block that is left by it
                        if way == "cancelled":
                            scope.cancel()
                            await anyio.sleep_forever()
                except LeftError:
                    assert way == "by an error"
        assert machines.open == 0
        assert len(simulator.computers) == 1
        async with OrgoSimulator(behind=machines, port=port) as again:
            assert again.port == port


async def test_a_port_that_is_taken_is_a_configuration_error() -> None:
    """The error says which port, and what to do."""
    async with OrgoSimulator(behind=Machines()) as simulator:
        with pytest.raises(ConfigError, match=str(simulator.port)) as raised:
            async with OrgoSimulator(port=simulator.port):
                pass
        assert "0 for any" in str(raised.value)


async def test_a_machine_that_cannot_be_had_is_an_error_of_create() -> None:
    """The reason is in the answer; no computer is left of it."""

    @asynccontextmanager
    async def broken() -> AsyncIterator[ExternalComputer]:
        raise ConfigError("no screen here")
        yield

    async with OrgoSimulator(behind=broken) as simulator:
        import httpx2

        async with httpx2.AsyncClient(trust_env=False) as http:
            client = Client(simulator, http)
            workspace = simulator.add_workspace("first")
            answer = await client.post("computers", {"workspace_id": workspace.id, "name": "box"})
        assert answer.status_code == 500
        assert "no screen here" in answer.json()["error"]
        assert not simulator.computers
