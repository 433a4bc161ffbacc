"""What servers and the way to them do wrong, and what comes of it."""

from __future__ import annotations

import json

import anyio
import pytest
from PIL import Image

from deskhand.errors import (
    AuthError,
    ConnectionLostError,
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers import Capability, ComputerStatus
from deskhand.providers.cua import CuaProvider
from tests.providers.cua.parts import cua, simulated

LOST: dict[str, frozenset[Capability]] = {
    "run_command": frozenset({Capability.EXEC, Capability.FILES}),
    "read_bytes": frozenset({Capability.FILES}),
    "write_bytes": frozenset({Capability.FILES}),
    "drag": frozenset({Capability.DRAG, Capability.FULL_INPUT}),
    "scroll": frozenset({Capability.SCROLL, Capability.FULL_INPUT}),
    "move_cursor": frozenset({Capability.MOVE, Capability.SCROLL, Capability.FULL_INPUT}),
    "type_text": frozenset({Capability.KEYBOARD, Capability.FULL_INPUT}),
    "press_key": frozenset({Capability.KEYBOARD, Capability.FULL_INPUT}),
    "hotkey": frozenset({Capability.KEYBOARD, Capability.FULL_INPUT}),
    "key_down": frozenset({Capability.FULL_INPUT}),
    "key_up": frozenset({Capability.FULL_INPUT}),
}
"""What cannot be done on a server of another version, which lacks a command."""


@pytest.mark.parametrize("command", sorted(LOST))
async def test_command_that_a_server_lacks_takes_its_capabilities(command: str) -> None:
    """What is missing is found out before the computer is handed out, and nothing is pressed for it."""
    async with cua(without=(command,)) as hosted:
        computer = await hosted.create()
        everything = {*LOST["run_command"], *LOST["move_cursor"], *LOST["hotkey"], *LOST["drag"]}
        assert everything - computer.capabilities == LOST[command]
        behind = hosted.simulator.machines[computer.info.id].hardware.machine
        assert behind is not None
        assert behind.performed == []  # type: ignore[attr-defined]
        for capability in LOST[command]:
            with pytest.raises(UnsupportedError):
                computer.require(capability)


async def test_command_that_cannot_be_asked_for_is_missed_once() -> None:
    """A click cannot be tried: its first use tells, and then its capabilities are gone."""
    async with cua(without=("left_click", "screenshot")) as hosted:
        computer = await hosted.create()
        assert {Capability.POINTER, Capability.SCREENSHOT} <= computer.capabilities
        with pytest.raises(UnsupportedError) as refused:
            await computer.left_click(5, 5)
        assert refused.value.effect == "no"
        with pytest.raises(UnsupportedError):
            await computer.screenshot()
        gone = {Capability.POINTER, Capability.FULL_INPUT, Capability.SCREENSHOT, Capability.REGION}
        assert not gone & computer.capabilities


@pytest.mark.parametrize(
    ("said", "error", "effect"),
    [
        ("[Errno 2] No such file or directory: 'x'", FileMissingError, "no"),
        ("[Errno 13] Permission denied: 'x'", PermissionDeniedError, "no"),
        ("move_cursor() missing 1 required positional argument: 'y'", InvalidInputError, "no"),
        ("PyAutoGUI was unable to import pyscreeze", ProviderError, "unknown"),
    ],
)
async def test_failed_command_is_a_typed_error(said: str, error: type[DeskhandError], effect: str) -> None:
    """An answer of success that says that it is none is an error, by what it says."""
    async with cua() as hosted:
        computer = await hosted.create()
        body = f"data: {json.dumps({'success': False, 'error': said})}\n\n".encode()
        hosted.simulator.respond(body, content_type="text/plain", route="cmd")
        with pytest.raises(error) as told:
            await computer.left_click(5, 5)
        assert (told.value.effect, len(hosted.params("left_click"))) == (effect, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"success": true}',
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        b'data: {"success": "true"}\n\n',
        b'data: {"success": true}\n\ndata: {"success": true}\n\n',
        b"<html>Sign in</html>",
    ],
)
async def test_answer_that_is_no_event_is_refused(body: bytes) -> None:
    """What does not look like one line of data is not taken for an answer: nobody knows what came of a click."""
    async with cua() as hosted:
        computer = await hosted.create()
        hosted.simulator.respond(body, route="cmd", times=2)
        with pytest.raises(ProtocolError) as told:
            await computer.left_click(5, 5)
        assert told.value.effect == "unknown"
        with pytest.raises(ProtocolError) as told:
            await computer.cursor_position()
        assert told.value.effect == "no"


async def test_input_whose_answer_is_lost_is_sent_once_and_a_question_again() -> None:
    """What acts is not repeated; what only asks is."""
    async with cua() as hosted:
        computer = await hosted.create()
        hosted.simulator.drop(route="cmd", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await computer.type("a")
        assert len(hosted.params("type_text")) == 1
        hosted.simulator.drop(route="cmd", after_effect=True)
        asked = hosted.sent().count("get_cursor_position")
        await computer.cursor_position()
        assert hosted.sent().count("get_cursor_position") == asked + 2


async def test_key_that_expires_is_told() -> None:
    """A refused key is an error of authentication that had no effect."""
    async with cua() as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(401, route="cmd", message="Authentication failed")
        with pytest.raises(AuthError) as told:
            await computer.left_click(5, 5)
        assert told.value.effect == "no"


async def test_answer_that_is_cut_in_the_middle_is_in_time() -> None:
    """A picture that stops half way is given up when its time is over, not waited for."""
    async with cua() as hosted:
        provider = CuaProvider(api_key=hosted.simulator.key, cloud_url=hosted.simulator.origin, timeout=1.0)
        computer = await hosted.create()
        async with provider:
            again = await provider.get(computer.info.id)
            hosted.simulator.stall(after=100, route="cmd", times=3)
            with anyio.fail_after(10), pytest.raises(DeskhandError):
                await again.screenshot()


async def test_server_that_ended_is_seen() -> None:
    """A server that cannot be reached any more has an error, and is asked in vain."""
    async with simulated(is_open=True, left_running=1) as simulator:
        url = await simulator.start_machine("box-1")
        provider = CuaProvider(base_url=url)
        async with provider:
            computer = await provider.get(url)
            simulator.drop(route="status", times=3)
            assert (await computer.refresh()).status is ComputerStatus.ERROR
            assert (await computer.refresh()).status is ComputerStatus.ERROR


async def test_system_that_is_no_linux_is_refused() -> None:
    """The commands of other systems are other ones."""
    async with simulated(is_open=True, left_running=1) as simulator:
        url = await simulator.start_machine("box-1")
        body = json.dumps({"status": "ok", "os_type": "windows", "features": []}).encode()
        simulator.respond(body, content_type="application/json", route="status")
        async with CuaProvider(base_url=url) as provider:
            with pytest.raises(UnsupportedError, match="runs windows"):
                await provider.get(url)


async def test_pointer_is_drawn_where_it_is() -> None:
    """The server's pictures have no pointer; it is in ours, and left out where it is not wanted."""
    import io

    async with cua() as hosted:
        computer = await hosted.create()
        await computer.move(400, 300)
        bare, shown = await computer.screenshot(cursor=False), await computer.screenshot()
        before, after = (Image.open(io.BytesIO(data)).convert("RGB") for data in (bare, shown))
        changed = [(x, y) for x in range(390, 420) for y in range(290, 330) if _differs(before, after, x, y)]
        assert (400, 300) in changed
        assert min(changed) >= (400, 300)


def _differs(one: Image.Image, other: Image.Image, x: int, y: int) -> bool:
    return one.getpixel((x, y)) != other.getpixel((x, y))


async def test_unreachable_machine_is_a_lost_connection() -> None:
    """A machine that does not answer at all is a lost connection for what asks, and in doubt for what acts."""
    async with cua() as hosted:
        computer = await hosted.create()
        hosted.simulator.drop(route="cmd", times=6)
        with pytest.raises(ConnectionLostError):
            await computer.cursor_position()
        with pytest.raises(OutcomeUnknownError):
            await computer.left_click(5, 5)
        hosted.simulator.clear_faults()
