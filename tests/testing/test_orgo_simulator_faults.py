"""The simulated Orgo goes wrong as it is told to: with the effect or without, in every way a network can."""

from __future__ import annotations

import anyio
import httpx2
import pytest

from deskhand.providers import Click
from deskhand.testing import FakeComputer
from tests.testing.orgo_parts import simulated

PLACE = {"x": 3, "y": 4}


@pytest.mark.parametrize("happens", [True, False], ids=["after the effect", "before the effect"])
async def test_a_lost_answer_tells_nothing_of_the_effect(*, happens: bool) -> None:
    """The connection breaks either way; whether the click happened, only the machine and the log know."""
    async with FakeComputer() as machine, simulated(computer=machine) as client:
        path = f"computers/{await client.create()}/click"
        client.simulator.drop(route="click", after_effect=happens)
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.post(path, PLACE)
        assert machine.performed == ([Click(3, 4)] if happens else [])
        request = client.simulator.asked("click")[0]
        assert (request.performed, request.status) == (happens, None)
        assert (await client.post(path, PLACE)).status_code == 200


@pytest.mark.parametrize("happens", [True, False], ids=["after the effect", "before the effect"])
async def test_a_lost_answer_to_create_leaves_a_computer_or_none(*, happens: bool) -> None:
    """What was created is there, under its name, although nobody was told."""
    async with simulated() as client:
        workspace = client.simulator.add_workspace("first")
        client.simulator.drop(route="create", after_effect=happens)
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.post("computers", {"workspace_id": workspace.id, "name": "box"})
        listed = (await client.get(f"projects/{workspace.id}")).json()["desktops"]
        assert [found["name"] for found in listed] == (["box"] if happens else [])


async def test_a_failure_has_the_vendors_shape_and_hints() -> None:
    """429 comes with Retry-After or without, 503 with the desktop's own status."""
    async with FakeComputer() as machine, simulated(computer=machine) as client:
        path = f"computers/{await client.create()}/click"
        client.simulator.fail(429, retry_after=1.5)
        client.simulator.fail(429)
        client.simulator.fail(503, upstream_status=502, after_effect=True)
        first, second, third = [await client.post(path, PLACE) for _ in range(3)]
        assert (first.status_code, first.headers["retry-after"]) == (429, "1.5")
        assert second.status_code == 429
        assert "retry-after" not in second.headers
        assert (third.status_code, third.json()["upstream_status"]) == (503, 502)
        assert machine.performed == [Click(3, 4)]
        assert client.simulator.pending_faults == 0


async def test_a_fault_waits_for_its_route() -> None:
    """Other requests pass; what is planned behind a pass meets a later request."""
    async with simulated() as client:
        computer_id = await client.create()
        client.simulator.let_pass(route="bash")
        client.simulator.fail(500, route="bash")
        assert (await client.get(f"computers/{computer_id}")).status_code == 200
        statuses = [
            (await client.post(f"computers/{computer_id}/bash", {"command": "true"})).status_code for _ in "123"
        ]
        assert statuses == [200, 500, 200]
        with pytest.raises(ValueError, match="no route 'bsh'"):
            client.simulator.drop(route="bsh")


async def test_a_page_instead_of_an_answer_has_status_200() -> None:
    """A proxy's page, and a body that is much too large, come where JSON is expected."""
    async with simulated() as client:
        computer_id = await client.create()
        client.simulator.respond()
        page = await client.get(f"computers/{computer_id}")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        client.simulator.respond(b"x" * 5_000_000, content_type="application/json")
        assert len((await client.get(f"computers/{computer_id}")).content) == 5_000_000


async def test_an_answer_that_stalls_keeps_the_connection_open() -> None:
    """Nothing comes, or the beginning of the body and then nothing, until the client gives up."""
    async with FakeComputer() as machine, simulated(computer=machine) as client:
        path = f"computers/{await client.create()}/click"
        for after in (None, 5):
            client.simulator.stall(after=after)
            with anyio.move_on_after(0.2) as waited:
                await client.post(path, PLACE)
            assert waited.cancelled_caught
        assert len(machine.performed) == 2


async def test_a_slow_body_comes_whole() -> None:
    """A trickling answer takes its time and is complete."""
    async with simulated() as client:
        computer_id = await client.create()
        client.simulator.slow(delay=0.05, trickle=0.1)
        began = anyio.current_time()
        assert (await client.get(f"computers/{computer_id}")).json()["id"] == computer_id
        assert anyio.current_time() - began >= 0.15


async def test_a_computer_vanishes() -> None:
    """Whatever is asked of it then is a 404, as if somebody else had deleted it."""
    async with simulated() as client:
        computer_id = await client.create()
        await client.simulator.vanish(computer_id)
        answer = await client.post(f"computers/{computer_id}/click", PLACE)
        assert (answer.status_code, answer.json()["error"]) == (404, "Computer not found")


async def test_a_machine_that_ended_by_itself_cannot_be_reached() -> None:
    """The desktop is said to be out of reach, with the desktop's status."""
    async with FakeComputer() as machine, simulated(computer=machine) as client:
        computer_id = await client.create()
        await machine.destroy()
        answer = await client.post(f"computers/{computer_id}/bash", {"command": "true"})
        assert (answer.status_code, answer.json()["upstream_status"]) == (503, 503)


async def test_latency_of_the_seed_holds_answers_back() -> None:
    """A command takes about 0.1 s, and a computer is not ready when it is created."""
    async with simulated(latency="seed") as client:
        computer_id = await client.create()
        early = await client.post(f"computers/{computer_id}/bash", {"command": "true"})
        assert (early.status_code, early.json()["error"]) == (400, "Desktop instance not available")
        with anyio.fail_after(10):
            while (await client.post(f"computers/{computer_id}/bash", {"command": "true"})).status_code != 200:
                pass
        began = anyio.current_time()
        await client.post(f"computers/{computer_id}/bash", {"command": "true"})
        assert 0.085 <= anyio.current_time() - began < 1.0
