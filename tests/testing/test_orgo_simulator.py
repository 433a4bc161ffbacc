"""The simulated Orgo: what it is asked, it does; what nobody should ask, it refuses."""

from __future__ import annotations

import base64

import pytest

from deskhand.providers import Click, Drag, Move, Scroll
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import ORGO_ROUTES, OrgoPlan
from tests.testing.orgo_parts import simulated

ACTIONS = ("click", "move", "drag", "scroll", "type", "key", "wait", "bash", "exec")


async def test_a_request_reaches_the_computer_behind() -> None:
    """Clicks, drags, wheel, text and keys arrive at the machine behind, in order."""
    async with FakeComputer() as machine, simulated(computer=machine) as client:
        path = f"computers/{await client.create()}"
        assert (await client.post(f"{path}/click", {"x": 10, "y": 20, "button": "right"})).json() == {
            "success": True,
            "action": "click",
            "details": {"x": 10, "y": 20, "button": "right"},
        }
        double = await client.post(f"{path}/click", {"x": 11, "y": 21, "double": True})
        assert double.json()["action"] == "double_click"
        await client.post(f"{path}/move", {"x": 5, "y": 6})
        await client.post(f"{path}/drag", {"start_x": 1, "start_y": 2, "end_x": 30, "end_y": 40})
        await client.post(f"{path}/scroll", {"direction": "up", "amount": 2, "x": 7, "y": 8})
        await client.post(f"{path}/type", {"text": "grüße"})
        await client.post(f"{path}/key", {"key": "ctrl+shift+Page_Up"})
        clicks = machine.performed[:5]
        assert clicks == [
            Click(10, 20, "right"),
            Click(11, 21, "left", 2),
            Move(5, 6),
            Drag(((1, 2), (30, 40))),
            Scroll(7, 8, dy=-2),
        ]
        assert machine.typed.startswith("grüße")


async def test_a_scroll_without_a_place_moves_the_pointer_to_the_corner() -> None:
    """As on the vendor's Linux, an axis that is left out is 0."""
    async with FakeComputer() as machine, simulated(computer=machine) as client:
        path = f"computers/{await client.create()}"
        await client.post(f"{path}/move", {"x": 300, "y": 300})
        await client.post(f"{path}/scroll", {"direction": "down"})
        await client.post(f"{path}/scroll", {"direction": "down", "amount": 1, "y": 9})
        assert machine.performed[1:] == [Scroll(0, 0, dy=3), Scroll(0, 9, dy=1)]


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_without_its_fields_is_refused_before_any_effect(action: str) -> None:
    """An empty body and an unknown field get 400, and nothing happens on the machine."""
    async with FakeComputer() as machine, simulated(computer=machine) as client:
        path = f"computers/{await client.create()}/{action}"
        for body in ({}, {"surprise": 1}):
            answer = await client.post(path, body)
            assert answer.status_code == 400
            assert set(answer.json()) == {"error", "request_id"}
        assert (await client.ask("POST", path, content=b"[1")).status_code == 400
        assert machine.performed == []
        assert not any(request.performed for request in client.simulator.requests if request.path.endswith(action))


async def test_a_command_answers_with_its_output_and_exit_code() -> None:
    """Stdout and stderr come merged; a command that takes too long is a 500 with the desktop's status."""
    async with simulated() as client:
        path = f"computers/{await client.create()}/bash"
        answer = (await client.post(path, {"command": "echo one; echo two >&2; exit 3"})).json()
        assert (answer["output"], answer["exit_code"], answer["success"]) == ("one\ntwo\n", 3, True)
        late = await client.post(path, {"command": "sleep 30", "timeout": 1})
        assert late.status_code == 500
        assert late.json()["upstream_status"] == 500


async def test_workspaces_hold_computers_under_both_names() -> None:
    """Projects are workspaces; each lists its computers, and goes with all of them."""
    async with simulated() as client:
        made = await client.post("projects", {"name": "mine"})
        assert made.status_code == 201
        computer_id = await client.create()
        listed = (await client.get("workspaces")).json()
        assert listed["projects"] == listed["workspaces"]
        assert [found["id"] for found in listed["projects"][0]["desktops"]] == [computer_id]
        assert (await client.get("projects/by-name/mine")).json()["id"] == made.json()["id"]
        assert (await client.post("workspaces", {"name": "mine"})).status_code == 409
        assert (await client.ask("DELETE", f"projects/{made.json()['id']}")).json() == {"success": True}
        assert not client.simulator.computers


async def test_a_name_is_given_once_in_a_workspace() -> None:
    """A second computer of that name is a conflict; elsewhere it is none."""
    async with simulated() as client:
        await client.create("box")
        workspace = next(iter(client.simulator.workspaces))
        again = await client.post("computers", {"workspace_id": workspace, "name": "box"})
        assert again.status_code == 409
        other = client.simulator.add_workspace("other")
        elsewhere = await client.post("computers", {"workspace_id": other.id, "name": "box"})
        assert elsewhere.status_code == 201
        moved = await client.ask("PATCH", f"computers/{elsewhere.json()['id']}/move", {"workspace_id": workspace})
        assert moved.status_code == 409


@pytest.mark.parametrize(
    "fields",
    [
        {"ram": 5},
        {"cpu": 3},
        {"os": "beos"},
        {"gpu": "h100"},
        {"resolution": "1280x720"},
        {"resolution": "1x1x24"},
        {"auto_stop_minutes": -1},
        {"auto_stop_minutes": True},
        {"colour": "red"},
        {"name": ""},
        {"workspace_id": ""},
    ],
    ids=str,
)
async def test_creation_refuses_what_the_vendor_does_not_know(fields: dict[str, str | int | bool]) -> None:
    """A wrong size, screen or field is refused, and no computer comes of it."""
    async with simulated() as client:
        workspace = client.simulator.add_workspace("first")
        answer = await client.post("computers", {"workspace_id": workspace.id, "name": "box", **fields})
        assert answer.status_code == 400
        assert not client.simulator.computers


async def test_a_computer_has_the_screen_that_it_was_created_with() -> None:
    """The resolution is honoured by the machine behind, and its picture has that size."""
    async with simulated() as client:
        computer_id = await client.create(resolution="1024x768x24")
        shot = (await client.get(f"computers/{computer_id}/screenshot", response_format="base64")).json()
        assert (shot["width"], shot["height"], shot["mime_type"]) == (1024, 768, "image/png")
        image = base64.b64decode(shot["image"])
        assert int.from_bytes(image[16:20]) == 1024
        details = (await client.get(f"computers/{computer_id}")).json()["instance_details"]
        assert details["resolution"] == "1024x768x24"


async def test_a_key_is_needed_and_must_be_good() -> None:
    """No key, a wrong one and an expired one are refused with the vendor's words."""
    async with simulated() as client:
        good, client.key = client.key, None
        missing = await client.get("workspaces")
        assert (missing.status_code, missing.json()["error"]) == (401, "Missing API key.")
        client.key = "sk_live_wrong"
        assert (await client.get("workspaces")).json()["error"].startswith("Invalid API key")
        client.key = good
        client.simulator.expire_key()
        assert (await client.get("workspaces")).status_code == 401
        client.simulator.expire_key(expired=False)
        assert (await client.get("workspaces")).status_code == 200


async def test_a_key_of_a_workspace_opens_no_other() -> None:
    """The refusal names both workspaces."""
    async with simulated() as client:
        computer_id = await client.create()
        other = client.simulator.add_workspace("other")
        client.key = client.simulator.add_key(other.id)
        answer = await client.get(f"computers/{computer_id}")
        assert answer.status_code == 403
        assert answer.json()["code"] == "workspace_scope_mismatch"
        assert answer.json()["key_workspace_id"] == other.id
        assert [found["name"] for found in (await client.get("projects")).json()["projects"]] == ["other"]


async def test_credits_and_the_plan_limit_what_is_created() -> None:
    """Without credits there is 402, beyond the plan 403."""
    async with simulated(plan=OrgoPlan(computers=1, ram=8)) as client:
        workspace = client.simulator.add_workspace("first").id
        large = await client.post("computers", {"workspace_id": workspace, "name": "large", "ram": 16})
        assert large.status_code == 403
        client.simulator.set_balance(0)
        broke = await client.post("computers", {"workspace_id": workspace, "name": "box"})
        assert (broke.status_code, broke.json()["code"]) == (402, "credits_exhausted")
        client.simulator.set_balance(100)
        await client.create()
        second = await client.post("computers", {"workspace_id": workspace, "name": "second"})
        assert second.status_code == 403


@pytest.mark.parametrize("route", ORGO_ROUTES)
async def test_every_route_has_a_name_by_which_it_is_known(route: str) -> None:
    """Routes can be asked for in the log and removed; an unknown name is refused."""
    async with simulated() as client:
        assert client.simulator.asked(route) == []
        client.simulator.remove(route)
        with pytest.raises(ValueError, match="there is no route"):
            client.simulator.remove(f"{route}s?")


async def test_a_removed_route_is_not_there() -> None:
    """Any method on its path is a 404 that names no computer; what shares the path stays."""
    async with simulated() as client:
        computer_id = await client.create()
        client.simulator.remove("click")
        client.simulator.remove("mouse_move")
        for method in ("POST", "GET", "PATCH"):
            answer = await client.ask(method, f"computers/{computer_id}/click", {"x": 1, "y": 1})
            assert (answer.status_code, answer.json()["error"]) == (404, "Not found")
        assert (await client.post(f"computers/{computer_id}/move", {"x": 1, "y": 1})).status_code == 404
        assert (await client.ask("PATCH", f"computers/{computer_id}/move", {})).status_code == 400
        client.simulator.restore("click")
        assert (await client.get(f"computers/{computer_id}/click")).status_code == 405


async def test_the_log_tells_what_was_asked_and_no_key() -> None:
    """Each request is there with its route, query and body; keys and tokens are not."""
    async with simulated() as client:
        computer_id = await client.create()
        await client.post(f"computers/{computer_id}/click", {"x": 1, "y": 2})
        request = client.simulator.asked("click")[0]
        assert (request.method, request.status, request.performed) == ("POST", 200, True)
        assert request.body == {"x": 1, "y": 2}
        assert client.simulator.key not in repr(list(client.simulator.requests))
        assert client.simulator.key not in repr(client.simulator)


async def test_the_log_holds_no_more_bytes_than_it_may() -> None:
    """A simulator that serves for days holds the newest requests alone."""
    async with simulated() as client:
        for _ in range(3):
            await client.post("workspaces", {"name": "x" * (25 << 20)})
        assert [request.number for request in client.simulator.requests] == [2, 3]
