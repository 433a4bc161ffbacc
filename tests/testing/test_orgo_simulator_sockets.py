"""The WebSockets of a simulated desktop: its terminal and its events, word by word."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage, InvalidStatus

from deskhand.testing.simulators import OrgoDialect, OrgoSimulator
from tests.testing.orgo_parts import simulated


@asynccontextmanager
async def socket(
    simulator: OrgoSimulator,
    computer_id: str,
    kind: str = "terminal",
    *,
    token: str | None = None,
    header: str | None = None,
    **query: str,
) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket of a computer."""
    computer = simulator.computers[computer_id]
    parts = {"token": computer.vnc_password if token is None else token, **query}
    tail = "&".join(f"{name}={value}" for name, value in parts.items() if value)
    url = f"ws://127.0.0.1:{simulator.port}/desktops/{computer.instance_id}/ws/{kind}?{tail}"
    headers = {"authorization": f"Bearer {header}"} if header is not None else {}
    async with connect(url, additional_headers=headers, proxy=None) as opened:
        yield opened


async def shown(opened: ClientConnection, text: str) -> str:
    """Read until the terminal has shown a text."""
    seen = ""
    with anyio.fail_after(10):
        while text not in seen:
            frame = json.loads(await opened.recv())
            seen += frame.get("data", "") if frame["type"] == "output" else ""
    return seen


async def send(opened: ClientConnection, **frame: object) -> None:
    """Send a frame."""
    await opened.send(json.dumps(frame))


async def closed(opened: ClientConnection) -> int | None:
    """Read to the end; return the code that it was closed by, None where it was by none."""
    with anyio.fail_after(10):
        try:
            while True:
                await opened.recv()
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd is not None else None


async def test_a_terminal_takes_input_and_sizes_and_ends_with_its_code() -> None:
    """Frames are JSON texts both ways; what is none gets an error frame, and the terminal goes on."""
    async with simulated() as client:
        computer_id = await client.create()
        async with socket(client.simulator, computer_id, cols="90", rows="30") as opened:
            await send(opened, type="input", data="stty size\r")
            await shown(opened, "30 90")
            await send(opened, type="resize", cols=100, rows=40)
            await send(opened, type="input", data="stty size\r")
            await shown(opened, "40 100")
            await send(opened, type="ping")
            await opened.send("raw text")
            await send(opened, type="input", data=5)
            kinds = [json.loads(await opened.recv())["type"] for _ in range(4)]
            assert [kind for kind in kinds if kind != "output"] == ["pong", "error", "error"]
            await send(opened, type="input", data="exit 5\r")
            with anyio.fail_after(10):
                while (frame := json.loads(await opened.recv()))["type"] != "exit":
                    pass
            assert frame["code"] == 5
            assert await closed(opened) == 1000


async def test_a_terminal_says_by_its_code_why_it_is_closed() -> None:
    """4401 for a wrong token, 4404 where nothing runs, 4500 where no shell can be had."""
    async with simulated() as client:
        computer_id = await client.create()
        async with socket(client.simulator, computer_id, token="wrong") as opened:
            assert await closed(opened) == 4401
        async with socket(client.simulator, computer_id, cols="0") as opened:
            assert await closed(opened) == 4500
        client.simulator.computers[computer_id].status = "stopped"
        async with socket(client.simulator, computer_id) as opened:
            assert await closed(opened) == 4404


async def test_an_old_image_takes_the_token_as_a_header_alone() -> None:
    """Each dialect refuses the other's place."""
    async with simulated(dialect=OrgoDialect(terminal_auth="header")) as client:
        computer_id = await client.create()
        password = client.simulator.computers[computer_id].vnc_password
        async with socket(client.simulator, computer_id) as opened:
            assert await closed(opened) == 4401
        async with socket(client.simulator, computer_id, token="", header=password) as opened:
            await send(opened, type="input", data="echo in\r")
            await shown(opened, "\nin")


async def test_stopping_a_computer_closes_its_terminal() -> None:
    """With 1001, as a server that goes away does."""
    async with simulated() as client:
        computer_id = await client.create()
        async with socket(client.simulator, computer_id) as opened:
            await shown(opened, "$")
            await client.post(f"computers/{computer_id}/stop")
            assert await closed(opened) == 1001


async def test_a_terminal_breaks_as_it_is_told_to() -> None:
    """Without a word, by a code, half closed, or silently."""
    async with simulated() as client:
        computer_id = await client.create()
        async with socket(client.simulator, computer_id) as opened:
            await shown(opened, "$")
            await client.simulator.break_sockets("close", code=4404)
            assert await closed(opened) == 4404
        for how in ("abort", "half"):
            async with socket(client.simulator, computer_id) as opened:
                await shown(opened, "$")
                await client.simulator.break_sockets("abort" if how == "abort" else "half")
                with pytest.raises(ConnectionClosedError):
                    await opened.recv()
        async with socket(client.simulator, computer_id) as opened:
            await shown(opened, "$")
            await client.simulator.break_sockets("silent")
            await send(opened, type="input", data="echo heard > note\r")
            await send(opened, type="ping")
            assert json.loads(await opened.recv()) == {"type": "pong"}
        with anyio.fail_after(10):
            while (await client.post(f"computers/{computer_id}/bash", {"command": "cat note"})).json()["exit_code"]:
                pass


async def test_a_removed_or_failing_terminal_is_refused_at_the_handshake() -> None:
    """404 where the route is gone, the planned status where it fails, nothing at all where the line breaks."""
    async with simulated() as client:
        computer_id = await client.create()
        client.simulator.fail(503, route="terminal")
        with pytest.raises(InvalidStatus) as failed:
            async with socket(client.simulator, computer_id):
                pass
        assert failed.value.response.status_code == 503
        client.simulator.drop(route="terminal")
        with pytest.raises((InvalidMessage, OSError, EOFError)):
            async with socket(client.simulator, computer_id):
                pass
        client.simulator.remove("terminal")
        with pytest.raises(InvalidStatus) as gone:
            async with socket(client.simulator, computer_id):
                pass
        assert gone.value.response.status_code == 404


async def test_events_come_to_whoever_subscribed() -> None:
    """None before that, none of another kind, none after unsubscribing; an unknown kind is refused."""
    async with simulated() as client:
        computer_id = await client.create()
        async with socket(client.simulator, computer_id, "events") as opened:

            async def answer(**frame: object) -> dict[str, object]:
                await send(opened, **frame)
                told: dict[str, object] = json.loads(await opened.recv())
                return told

            unknown = await answer(type="subscribe", event_types=["earthquake"])
            assert unknown == {"type": "error", "message": "Unknown event type: earthquake"}
            client.simulator.tell(computer_id, "clipboard", {"content": "early"})
            assert (await answer(type="subscribe", event_types=["clipboard"]))["type"] == "subscribed"
            client.simulator.tell(computer_id, "idle", {"idle_seconds": 30})
            client.simulator.tell(computer_id, "clipboard", {"content": "now"})
            event = json.loads(await opened.recv())
            assert (event["event"]["type"], event["event"]["data"]) == ("clipboard", {"content": "now"})
            assert (await answer(type="unsubscribe", event_types=["clipboard"]))["type"] == "unsubscribed"
            client.simulator.tell(computer_id, "clipboard", {"content": "late"})
            assert await answer(type="ping") == {"type": "pong"}
