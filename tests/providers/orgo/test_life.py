"""Stopping, starting, restarting, copying, the vendor's agent, and a computer that vanishes."""

from __future__ import annotations

import anyio
import pytest

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaError,
)
from deskhand.providers import Capability, ComputerSpec, ComputerStatus
from deskhand.providers.orgo import OrgoProvider
from deskhand.testing.simulators import OrgoDialect
from tests.providers.behind import shell_only
from tests.providers.orgo.parts import orgo


async def test_stopped_computer_keeps_its_disk_and_says_that_it_is_off() -> None:
    """What it is asked meanwhile is refused with what to do; started again, it is up when start returns."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("kept", b"1")
        await computer.stop()
        assert computer.info.status is ComputerStatus.STOPPED
        with pytest.raises(ConflictError) as caught:
            await computer.exec("true")
        assert (caught.value.effect, caught.value.retryable) == ("no", True)
        assert caught.value.hint is not None
        assert "start" in caught.value.hint
        await computer.stop()
        async with OrgoProvider(api_key=hosted.simulator.key, base_url=hosted.simulator.base_url) as other:
            borrowed = await other.get(computer.info.id)
            assert borrowed.info.status is ComputerStatus.STOPPED
            await borrowed.start()
            assert borrowed.capabilities == computer.capabilities
        assert (await computer.refresh()).status is ComputerStatus.RUNNING
        assert await computer.read_bytes("kept") == b"1"
        await computer.start()


@pytest.mark.parametrize("status", [200, 405])
async def test_restart_returns_when_it_is_up(status: int) -> None:
    """Old hosts know no restart: they are stopped and started. Processes end, files stay."""
    async with orgo(shell_only, dialect=OrgoDialect(restart=405 if status == 405 else 200)) as hosted:
        computer = await hosted.create()
        await computer.write_file("kept", b"1")
        await computer.restart()
        assert (await computer.exec("cat kept")).output == "1"
        assert len(hosted.simulator.asked("stop")) == (status == 405)
        assert computer.capabilities >= {Capability.PAUSE, Capability.EXEC}


async def test_lost_answer_to_restart_is_unknown_and_not_sent_again() -> None:
    """Twice would end what was begun after the first."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.drop(route="restart", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await computer.restart()
        assert len(hosted.simulator.asked("restart")) == 1
        hosted.simulator.drop(route="stop", after_effect=True)
        await computer.stop()
        assert computer.info.status is ComputerStatus.STOPPED


async def test_computer_that_has_failed_is_not_waited_for() -> None:
    """Its status says so."""
    async with orgo() as hosted:
        computer = await hosted.create()
        body = b'{"id": "x", "name": "box", "status": "error"}'
        hosted.simulator.respond(body, route="get", content_type="application/json")
        with anyio.fail_after(10), pytest.raises(ProviderError, match="has failed"):
            await computer.stop()


async def test_idle_time_is_extended() -> None:
    """In whole minutes, in place of what was said before; a refusal of the plan is told."""
    async with orgo() as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=60))
        await computer.extend(601)
        assert hosted.simulator.computers[computer.info.id].settings.auto_stop_minutes == 11
        await hosted.simulator.pass_time(10)
        assert (await computer.refresh()).status is ComputerStatus.RUNNING
        await hosted.simulator.pass_time(11)
        assert (await computer.refresh()).status is ComputerStatus.STOPPED
        for wrong in (0, -1, float("nan"), float("inf")):
            with pytest.raises(InvalidInputError):
                await computer.extend(wrong)
        hosted.simulator.fail(403, route="set_auto_stop", message="Your plan does not allow changing auto-stop.")
        with pytest.raises(PermissionDeniedError, match="auto-stop"):
            await computer.extend(60)


async def test_copy_has_the_files_and_is_owned() -> None:
    """It ends with the provider; it goes by the vendor's name and remembers the one that was wished for."""
    async with orgo(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("kept", b"1")
        twin = await computer.clone("twin")
        assert await twin.read_bytes("kept") == b"1"
        assert twin.info.metadata == {"clone": "twin"}
        assert len(hosted.simulator.computers) == 2
        with pytest.raises(InvalidInputError):
            await computer.clone("")


async def test_computer_that_vanishes_is_gone() -> None:
    """The first use finds out, every later one knows, and destroying it is no error."""
    async with orgo() as hosted:
        computer = await hosted.create()
        await hosted.simulator.vanish(computer.info.id)
        with pytest.raises(ComputerGoneError) as caught:
            await computer.left_click(1, 1)
        assert caught.value.request_id
        assert computer.info.status is ComputerStatus.DESTROYED
        before = len(hosted.simulator.requests)
        for use in (computer.exec("true"), computer.screenshot(), computer.read_bytes("x"), computer.prompt("x")):
            with pytest.raises(ComputerGoneError):
                await use
        assert len(hosted.simulator.requests) == before
        await computer.destroy()
        await computer.destroy()
        assert len(hosted.simulator.asked("delete")) == 1


async def test_computer_that_vanishes_in_other_words_costs_no_route() -> None:
    """A page in the place of the vendor's usual words is no missing route: whether the computer is there is asked."""
    async with orgo() as hosted:
        computer, other = await hosted.create(), await hosted.create()
        await hosted.simulator.vanish(computer.info.id)
        hosted.simulator.respond(status=404, route="click")
        with pytest.raises(ComputerGoneError):
            await computer.left_click(1, 1)
        assert Capability.POINTER in other.capabilities
        await other.left_click(1, 1)


async def test_computer_that_vanishes_is_told_where_it_is_asked_for() -> None:
    """Asking what it is doing is no use of it; waiting for it is."""
    async with orgo() as hosted:
        computer, other = await hosted.create(), await hosted.create()
        assert (await computer.refresh()).status is ComputerStatus.RUNNING
        for one in (computer, other):
            await hosted.simulator.vanish(one.info.id)
        assert (await computer.refresh()).status is ComputerStatus.DESTROYED
        with pytest.raises(ComputerGoneError):
            await other.stop()


async def test_computer_that_was_not_found_once_is_destroyed_all_the_same() -> None:
    """The vendor may have been wrong: leaving asks for its end, and nothing is left."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(404, route="click")
        with pytest.raises(ComputerGoneError):
            await computer.left_click(1, 1)
        assert [*hosted.simulator.computers] == [computer.info.id]


async def test_failed_end_is_never_reported_as_done() -> None:
    """A status of success with a word of failure in the body ends nothing, and is asked for again on leaving."""
    async with orgo() as hosted:
        computer = await hosted.create()
        for route, do in (("delete", computer.destroy), ("stop", computer.stop), ("start", computer.start)):
            body = b'{"success": false, "error": "the host is busy"}'
            hosted.simulator.respond(body, route=route, content_type="application/json")
            with pytest.raises(ProviderError, match="the host is busy") as caught:
                await do()
            assert caught.value.effect == "unknown"
        assert (computer.info.status, len(hosted.simulator.computers)) == ("running", 1)


async def test_computer_that_cannot_be_destroyed_is_not_said_to_be() -> None:
    """Where the vendor has no such route any more, that the computer is there counts."""
    async with orgo(without=("delete",)) as hosted:
        computer = await hosted.create()
        with pytest.raises(NotFoundError):
            await computer.destroy()
        hosted.simulator.restore("delete")


async def test_agent_of_the_vendor_gets_the_goal_and_its_words_come_back() -> None:
    """Where the account cannot pay, the key is wrong or the model unknown: typed, with what to do."""
    async with orgo() as hosted:
        computer = await hosted.create()
        assert "Open the editor" in await computer.prompt("Open the editor")
        [request] = hosted.simulator.asked("chat")
        assert isinstance(request.body, dict)
        assert (request.body["computer_id"], request.body["model"]) == (computer.info.id, "claude-sonnet-4.6")
        with pytest.raises(InvalidInputError, match="empty"):
            await computer.prompt(" ")
        hosted.simulator.set_balance(0)
        with pytest.raises(QuotaError) as caught:
            await computer.prompt("Go on")
        assert (caught.value.effect, caught.value.retryable) == ("no", False)
        assert caught.value.hint is not None
        assert "credit" in caught.value.hint
        hosted.simulator.expire_key()
        with pytest.raises(AuthError):
            await computer.prompt("Go on")
        hosted.simulator.expire_key(expired=False)
        hosted.simulator.respond(b'{"choices": []}', route="chat", content_type="application/json")
        with pytest.raises(ProtocolError, match="no text"):
            await computer.prompt("Go on")
        async with OrgoProvider(
            api_key=hosted.simulator.key, base_url=hosted.simulator.base_url, agent_model="other"
        ) as other:
            with pytest.raises(InvalidInputError):
                await (await other.get(computer.info.id)).prompt("Go on")


async def test_agent_that_was_not_heard_of_is_unknown() -> None:
    """It may be at work."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.drop(route="chat", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await computer.prompt("Buy it")
        assert len(hosted.simulator.asked("chat")) == 1


async def test_watching_has_a_url() -> None:
    """It is the page of the computer at the vendor's."""
    async with orgo() as hosted:
        computer = await hosted.create()
        assert (await computer.live_view_url()).startswith("https://www.orgo.ai/desktops/")
        assert (await computer.shell_endpoint()).kind == "websocket"
        with pytest.raises(DeskhandError, match="ports"):
            await computer.preview_url(80)
