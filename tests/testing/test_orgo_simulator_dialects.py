"""Each shape that is known of Orgo's answers can be had from the simulator."""

from __future__ import annotations

import base64
from typing import Literal, get_args

import pytest

from deskhand.testing import FakeComputer
from deskhand.testing.simulators import OrgoDialect
from tests.testing.orgo_parts import Client, simulated

PNG = b"\x89PNG\r\n\x1a\n"


async def shot(client: Client, **query: str) -> dict[str, str]:
    """Take a screenshot of a new computer; return the answer."""
    answer = await client.get(f"computers/{await client.create()}/screenshot", **query)
    assert answer.status_code == 200
    described: dict[str, str] = answer.json()
    return described


async def test_an_inline_screenshot_names_its_type() -> None:
    """Asked for base64, it comes inline; asked for nothing, as a path."""
    async with simulated() as client:
        inline = await shot(client, response_format="base64")
        assert inline["mime_type"] == "image/png"
        assert base64.b64decode(inline["image"]).startswith(PNG)
        computer_id = next(iter(client.simulator.computers))
        assert (await client.get(f"computers/{computer_id}/screenshot")).json()["image"].startswith("/api/storage/")
        wrong = await client.get(f"computers/{computer_id}/screenshot", response_format="bmp")
        assert wrong.status_code == 400


async def test_a_stored_screenshot_needs_the_key() -> None:
    """The path is relative to the origin; without a key it is not given."""
    async with simulated(dialect=OrgoDialect(screenshot="path")) as client:
        described = await shot(client, response_format="base64")
        assert "mime_type" not in described
        address = client.simulator.base_url.removesuffix("/api") + described["image"]
        assert (await client.get(address)).content.startswith(PNG)
        client.key = None
        assert (await client.get(address)).status_code == 401


async def test_a_signed_address_is_on_another_host_and_takes_no_key() -> None:
    """Whoever sends the key there is told so, and the log has it."""
    async with simulated(dialect=OrgoDialect(screenshot="absolute")) as client:
        address = (await shot(client))["image"]
        assert address.startswith("http://localhost:")
        assert (await client.get(address)).status_code == 400
        client.key = None
        assert (await client.get(address)).content.startswith(PNG)


async def test_a_data_address_and_a_direct_answer_carry_the_picture() -> None:
    """The oldest shapes: a ``data:`` URI, and base64 with stray newlines and no padding."""
    async with simulated(dialect=OrgoDialect(screenshot="dataurl")) as client:
        head, _, data = (await shot(client))["image"].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data).startswith(PNG)
    async with simulated(dialect=OrgoDialect(screenshot="direct")) as client:
        described = await shot(client)
        assert set(described) == {"image", "width", "height"}
        assert "\n" in described["image"]
        assert not described["image"].rstrip().endswith("=")


@pytest.mark.parametrize("listing", ["projects", "workspaces", "both"])
async def test_workspaces_are_listed_under_the_chosen_key(listing: Literal["projects", "workspaces", "both"]) -> None:
    """The live servers and the documents name the list differently."""
    async with simulated(dialect=OrgoDialect(listing=listing)) as client:
        keys = set((await client.get("workspaces")).json())
        assert keys == ({"projects", "workspaces"} if listing == "both" else {listing})


@pytest.mark.parametrize("name", get_args(OrgoDialect.__annotations__["id_field"]) or ["instance_id", "neither"])
async def test_the_short_id_can_have_other_names(name: Literal["instance_id", "fly_instance_id", "neither"]) -> None:
    """Under whichever name, it is the end of the connection's address."""
    async with simulated(dialect=OrgoDialect(id_field=name, create_status=200)) as client:
        described = (await client.get(f"computers/{await client.create()}")).json()
        present = {key for key in ("instance_id", "fly_instance_id") if key in described}
        assert present == ({name} - {"neither"})
        instance_id = described["connection_url"].rsplit("/", 1)[-1]
        health = await client.get(f"desktops/{instance_id}/proxy/health")
        assert health.status_code == 200


async def test_a_plan_without_clones_has_no_such_route() -> None:
    """A clone is a 404 there; elsewhere it has the disk of its origin."""
    async with simulated(dialect=OrgoDialect(clone=404)) as client:
        answer = await client.post(f"computers/{await client.create()}/clone")
        assert (answer.status_code, answer.json()["error"]) == (404, "Not found")
    async with simulated() as client:
        computer_id = await client.create()
        await client.post(f"computers/{computer_id}/bash", {"command": "echo mine > note"})
        twin = await client.post(f"computers/{computer_id}/clone")
        assert (twin.status_code, twin.json()["name"]) == (201, "box (clone)")
        read = await client.post(f"computers/{twin.json()['id']}/bash", {"command": "cat note"})
        assert read.json()["output"] == "mine\n"


async def test_a_desktop_may_come_up_after_its_computer() -> None:
    """The vendor says ``running`` at once; until the desktop is up, its health is 503."""
    async with (
        FakeComputer() as machine,
        simulated(
            computer=machine, dialect=OrgoDialect(readiness="later", restart=405, delete_workspace=405)
        ) as client,
    ):
        computer_id = await client.create()
        described = (await client.get(f"computers/{computer_id}")).json()
        assert described["status"] == "running"
        assert (await client.post(f"computers/{computer_id}/restart")).status_code == 405
        workspace = described["workspace_id"]
        assert (await client.ask("DELETE", f"projects/{workspace}")).status_code == 405
        assert (await client.post(f"projects/{workspace}/delete")).json() == {"success": True}
