"""Stopping, starting, archiving, forking, the time to live, ports, and a sandbox that vanishes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import httpx2
import pytest
from pydantic import JsonValue

from deskhand.errors import (
    ComputerGoneError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    ProtocolError,
    UnsupportedError,
)
from deskhand.providers import Capability, ComputerSpec, ComputerStatus
from deskhand.providers.daytona import DaytonaProvider
from deskhand.providers.daytona.request import settings_told
from tests.providers.behind import shell_only
from tests.providers.daytona.parts import daytona, simulated


async def test_stopped_sandbox_keeps_its_disk_and_says_that_it_is_off() -> None:
    """What it is asked meanwhile is refused with what to do; from the archive too it comes back with its files."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("kept", b"1")
        with pytest.raises(ConflictError, match="stopped"):
            await computer.archive()
        await computer.stop()
        assert computer.info.status is ComputerStatus.STOPPED
        with pytest.raises(ConflictError) as caught:
            await computer.exec("true")
        assert (caught.value.effect, caught.value.retryable) == ("no", True)
        assert caught.value.hint is not None
        assert "start" in caught.value.hint
        await computer.stop()
        await computer.archive()
        assert computer.info.raw["state"] == "archived"
        await computer.start()
        assert (await computer.refresh()).status is ComputerStatus.RUNNING
        assert await computer.read_bytes("kept") == b"1"
        await computer.start()
        assert len(hosted.simulator.asked("start")) == 1


async def test_change_of_state_that_was_not_heard_of_is_no_conflict() -> None:
    """The request that is sent again meets what the first one has brought about; a real conflict is told."""
    async with daytona() as hosted:
        computer = await hosted.create()
        for route, change in (("stop", computer.stop), ("archive", computer.archive), ("start", computer.start)):
            hosted.simulator.drop(route=route, after_effect=True)
            await change()
            assert len(hosted.simulator.asked(route)) > 1
        assert computer.info.status is ComputerStatus.RUNNING
        hosted.simulator.fail(409, route="stop", message="a state change is in progress")
        with pytest.raises(ConflictError, match="in progress"):
            await computer.stop()


async def test_fork_has_the_files_and_is_owned() -> None:
    """A lost answer leaves no second one; where the vendor has no forks, the capability goes."""
    async with daytona(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("kept", b"1")
        hosted.simulator.drop(route="fork", after_effect=True)
        twin = await computer.clone("twin")
        assert await twin.read_bytes("kept") == b"1"
        assert set(hosted.simulator.computers) == {computer.info.id, twin.info.id}
        hosted.simulator.remove("fork")
        with pytest.raises(UnsupportedError, match="no way to fork"):
            await computer.clone("another")
        assert Capability.CLONE not in computer.capabilities


async def test_time_to_live_ends_it_in_the_middle_and_can_be_extended() -> None:
    """What comes then is told as the sandbox's end, and leaving the provider minds nothing."""
    async with daytona() as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=600))
        await hosted.simulator.pass_time(9)
        await computer.refresh()
        await computer.extend(1200)
        await hosted.simulator.pass_time(15)
        assert (await computer.cursor_position()) is not None
        await hosted.simulator.pass_time(10)
        with pytest.raises(ComputerGoneError) as caught:
            await computer.left_click(1, 1)
        assert caught.value.effect == "no"
        assert computer.info.status is ComputerStatus.DESTROYED
        for wrong in (0, -1, float("nan"), 10**12):
            with pytest.raises(DeskhandError):
                await computer.extend(wrong)


class Clocked(httpx2.AsyncHTTPTransport):
    """Tells the vendor's time with each answer: that of this machine, and some seconds, or a text in its place."""

    def __init__(self, ahead: float, text: str | None = None) -> None:
        super().__init__()
        self._ahead = ahead
        self._text = text

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        told = format_datetime(datetime.now(UTC) + timedelta(seconds=self._ahead), usegmt=True)
        response.headers["date"] = told if self._text is None else self._text
        return response


@pytest.mark.parametrize(
    "date", ["", "today", "Mon, 30 Nov 99999999999 08:16:35 GMT", "Mon, 30 Nov 20260 08:16:35 GMT"]
)
async def test_date_that_is_none_is_made_up_for_by_this_machines_clock(date: str) -> None:
    """Life is extended all the same."""
    async with (
        simulated() as simulator,
        httpx2.AsyncClient(transport=Clocked(0.0, date), timeout=20) as own,
        DaytonaProvider(**simulator.options(), http_client=own) as provider,  # type: ignore[arg-type]
    ):
        computer = await provider.create(name="box")
        simulator.computers[computer.info.id].created_at -= 1800
        await computer.extend(600)
        [asked] = simulator.asked("ttl")
        assert int(asked.path.rpartition("/")[2]) in {40, 41}


@pytest.mark.parametrize("ahead", [-7200.0, 0.0, 7200.0])
async def test_clock_that_is_wrong_shortens_no_life(ahead: float) -> None:
    """The vendor counts from its creation, by its own clock: one of half an hour that gets ten minutes has forty."""
    async with (
        simulated() as simulator,
        httpx2.AsyncClient(transport=Clocked(ahead), timeout=20) as own,
        DaytonaProvider(**simulator.options(), http_client=own) as provider,  # type: ignore[arg-type]
    ):
        computer = await provider.create(name="box")
        simulator.computers[computer.info.id].created_at += ahead - 1800
        await computer.extend(600)
        [asked] = simulator.asked("ttl")
        assert int(asked.path.rpartition("/")[2]) in {40, 41}
        simulator.computers[computer.info.id].created_at -= ahead  # or it would be over by the clock of this machine


async def test_life_is_not_extended_where_nobody_knows_since_when_it_is() -> None:
    """An answer without a time of creation, or that is none, is told."""
    async with daytona() as hosted:
        computer = await hosted.create()
        for body in (b"{}", b"<html>", b'{"createdAt": "yesterday"}', b"[]"):
            hosted.simulator.respond(body, route="get", content_type="application/json")
            with pytest.raises(ProtocolError) as caught:
                await computer.extend(60)
            assert caught.value.effect == "no"
        assert not hosted.simulator.asked("ttl")


async def test_idle_sandbox_stops_and_is_deleted_by_itself() -> None:
    """So that a process that was killed leaves nothing that costs for ever."""
    async with daytona() as hosted:
        computer = await hosted.create()
        await hosted.simulator.pass_time(61)
        assert (await computer.refresh()).status is ComputerStatus.STOPPED
        await hosted.simulator.pass_time(24 * 60 + 1)
        assert (await computer.refresh()).status is ComputerStatus.DESTROYED
        await computer.destroy()


async def test_vanished_sandbox_is_gone_for_everything() -> None:
    """For its toolbox, its sockets and its life."""
    async with daytona() as hosted:
        computer = await hosted.create()
        other = await hosted.create()
        await hosted.simulator.vanish(computer.info.id)
        with pytest.raises(ComputerGoneError):
            await computer.screenshot()
        with pytest.raises(ComputerGoneError):
            await computer.exec("true")
        await computer.destroy()
        hosted.simulator.drop(route="delete", after_effect=True)
        await other.destroy()
        assert other.is_ended


async def test_ports_have_addresses_and_tokens_are_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """A private port's address is signed, or goes with a token; a public one's needs neither."""
    caplog.set_level(logging.DEBUG)
    async with daytona() as hosted:
        computer = await hosted.create()
        signed = await computer.preview_url(3000, "/a?b=c")
        assert signed.endswith("/a?b=c")
        assert computer.info.id not in signed
        link = await computer.preview_link(3000)
        token = hosted.simulator.computers[computer.info.id].token
        assert link.token.get_secret_value() == token
        assert token not in repr(link)
        assert "vnc.html?autoconnect=true" in await computer.live_view_url()
        open_to_all = await hosted.create(public=True)
        assert open_to_all.info.id in await open_to_all.preview_url(80)
        for port in (0, 65_536, True):
            with pytest.raises(InvalidInputError):
                await computer.preview_url(port)
        ours = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("uvicorn"))
        for secret in (hosted.simulator.key, token):
            assert secret not in ours


async def test_way_in_over_ssh_is_opened_for_an_hour_and_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """The address has no token in it; where there is no such way, exec and the terminal are told."""
    caplog.set_level("DEBUG")
    async with daytona() as hosted:
        computer = await hosted.create()
        endpoint = await computer.shell_endpoint()
        assert (endpoint.kind, endpoint.uri) == ("ssh", "ssh://localhost:2222")
        assert endpoint.token is not None
        secret = endpoint.token.get_secret_value()
        assert secret not in f"{endpoint!r}{caplog.text}{computer.info}"
        left = datetime.fromisoformat(endpoint.meta["expires_at"]) - datetime.now(UTC)
        assert 3500 < left.total_seconds() <= 3600
        hosted.simulator.respond(
            b'{"token": "t", "sshCommand": "ssh"}', route="ssh_access", content_type="application/json"
        )
        with pytest.raises(ProtocolError):
            await computer.shell_endpoint()
        hosted.simulator.remove("ssh_access")
        before = len(hosted.simulator.requests)
        assert [(await computer.shell_endpoint()).kind for _ in range(2)] == ["exec-only", "exec-only"]
        assert len(hosted.simulator.requests) == before + 2  # the route, and whether the sandbox is there


async def test_desktop_of_which_a_part_does_not_come_up_is_used_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot without a viewer has a screen: that is waited for, and not for a word that does not come."""
    monkeypatch.setattr("deskhand.providers.daytona.computer._PARTLY", 0.5)
    async with daytona() as hosted:
        body = b'{"status": "partial"}'
        hosted.simulator.respond(body, route="desktop_status", content_type="application/json", times=50)
        computer = await hosted.create()
        assert {Capability.SCREENSHOT, Capability.POINTER} <= computer.capabilities
        assert len(hosted.simulator.asked("desktop_status")) > 1
        hosted.simulator.clear_faults()


async def test_desktop_that_is_late_is_waited_for() -> None:
    """The toolbox is up a moment after the sandbox, and its screen a moment after that."""
    async with daytona() as hosted:
        hosted.simulator.fail(502, route="execute")
        hosted.simulator.respond(b'{"status": "inactive"}', route="desktop_status", content_type="application/json")
        hosted.simulator.respond(b'{"displays": []}', route="display", content_type="application/json", times=2)
        with anyio.fail_after(20):
            computer = await hosted.create()
        assert computer.info.screen is not None
        assert len(hosted.simulator.asked("display")) == 3


async def test_restored_sandbox_has_the_time_to_live_that_was_wanted_last() -> None:
    """Not that of its creation, which may be over already."""
    async with daytona() as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=600))
        saved = await computer.snapshot("mine")
        await computer.restore(saved)
        await computer.extend(3600)
        for _ in range(2):
            await computer.restore(saved)
        asked = [request.body for request in hosted.simulator.asked("create")]
        assert [body["ttlMinutes"] for body in asked if isinstance(body, dict)] == [10, 10, 60, 60]


async def test_sandbox_restored_from_a_borrowed_one_goes_on_as_the_vendor_tells() -> None:
    """With its intervals and its end, as shut off as it was, but without the variables, which are not kept."""
    async with daytona() as hosted:
        spec = ComputerSpec(ttl=7200, env={"GIVEN": "here"}, metadata={"team": "red"})
        options = {"auto_stop_minutes": 7, "auto_delete_minutes": -1, "public": True, "network_block_all": True}
        computer = await hosted.create("box", spec, user="somebody", **options)
        async with DaytonaProvider(**hosted.simulator.options()) as other:  # type: ignore[arg-type]
            borrowed = await other.get(computer.info.id)
            await borrowed.restore(await borrowed.snapshot("mine"))
            first, second = (request.body for request in hosted.simulator.asked("create"))
            assert isinstance(first, dict)
            assert isinstance(second, dict)
            differing = {name for name in first | second if first.get(name) != second.get(name)}
            assert differing == {"name", "snapshot", "env", "target"}
            assert "env" not in second
            await borrowed.extend(600)
            await borrowed.restore(await borrowed.snapshot("mine"))
            assert hosted.simulator.computers[borrowed.info.id].minutes("ttlMinutes", 0) == 10


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"autoStopInterval": 0, "autoPauseInterval": 60.0}, {"autoStopInterval": 0, "autoPauseInterval": 60}),
        ({"autoPauseInterval": 60}, {"autoStopInterval": 0, "autoPauseInterval": 60}),
        ({"autoStopInterval": 15.0, "autoPauseInterval": 0}, {"autoStopInterval": 15}),
        ({"networkAllowList": "10.0.0.0/8", "domainAllowList": ""}, {"networkAllowList": "10.0.0.0/8"}),
        ({"public": ["yes"], "user": None, "autoStopInterval": float("inf"), "autoDeleteInterval": True}, {}),
        ({"createdAt": "2026-01-01T00:00:00Z", "autoDestroyAt": "2026-01-01T02:00:00.4Z"}, {"ttlMinutes": 120}),
        ({"createdAt": "2026-01-01T00:00:00Z", "autoDestroyAt": "2025-01-01T02:00:00Z"}, {}),
        ({"createdAt": "yesterday", "autoDestroyAt": None}, {}),
    ],
)
def test_settings_of_a_sandbox_from_elsewhere_are_what_can_be_asked_for(
    raw: dict[str, JsonValue], told: dict[str, object]
) -> None:
    """The vendor takes one of two intervals, and nothing that is none; an end that is before the beginning is none."""
    assert settings_told(raw) == told
