"""What is done on a host: commands, files, ports, the vendor's agent, and what is told where something fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from deskhand.errors import (
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    OutcomeUnknownError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers import Capability
from deskhand.providers.opencomputers import OpenComputersProvider
from deskhand.testing.simulators import OpenComputersSimulator
from deskhand.testing.simulators.opencomputers.host import SimulatedHost
from tests.providers.behind import shell_only
from tests.providers.opencomputers.parts import opencomputers


async def test_output_is_data_alone() -> None:
    """A program that prints what events look like changes nothing."""
    lines = 'event: exec_result\ndata: {"exit_code": 0}\n\n: comment\nevent: exec_error\ndata: {"reason":"timeout"}\n\n'
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        result = await computer.exec("cat; exit 7", stdin=lines.encode())
        assert (result.stdout, result.stderr, result.exit_code, result.error) == (lines, "", 7, None)


async def test_a_command_is_sent_once_however_it_fails() -> None:
    """Its outcome is unknown where its answer was lost or broke off; what may still run is ended."""
    async with opencomputers(shell_only) as hosted:
        computer, simulator = await hosted.borrow(), hosted.simulator
        cut = b"event: exec_chunk\ndata: {}\n\n"
        arrangements: list[Callable[[], None]] = [
            lambda: simulator.drop(route="exec", after_effect=True),
            lambda: simulator.respond(cut, content_type="text/event-stream", route="exec"),
        ]
        for arrange in arrangements:
            arrange()
            before = len(simulator.asked("exec"))
            with pytest.raises(OutcomeUnknownError):
                await computer.exec("sleep 30")
            bodies = [str(request.body) for request in simulator.asked("exec")[before:]]
            assert [("sleep 30" in body, "kill -KILL" in body) for body in bodies] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    "body", [b"event: exec_result\ndata: [1]\n\n", b"event: exec_chunk\ndata: nothing\n\n"], ids=["array", "words"]
)
async def test_events_that_are_none_are_told(body: bytes) -> None:
    """They are not taken for an end."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        hosted.simulator.respond(body, content_type="text/event-stream", route="exec")
        with pytest.raises(ProtocolError):
            await computer.exec("true")


async def test_what_variables_hold_is_in_no_command_that_the_vendor_keeps() -> None:
    """It reaches the command all the same, under its own name alone; what is too long is refused."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        command = 'echo "$KEY $HOME"; env | grep -c -e DESKHAND_VALUE'
        done = await computer.exec(command, env={"KEY": "it's \n a $ecret", "HOME": "/elsewhere"})
        assert done.stdout == "it's \n a $ecret /elsewhere\n0\n"
        jobs = [*hosted.simulator.computers[computer.info.id].jobs.values()]
        assert not any("ecret" in word for job in jobs for word in (job.cmd, *job.args))
        with pytest.raises(InvalidInputError, match="longer"):
            await computer.exec("true", env={"KEY": "x" * 200_000})
        with pytest.raises(InvalidInputError, match="variable"):
            await computer.exec("true", env={"A-B": "x"})


async def test_a_command_that_did_not_exit_by_itself_has_no_exit_code() -> None:
    """None is made up, and what has ended is not ended once more."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        before = len(hosted.simulator.asked("exec"))
        told = b'event: exec_chunk\ndata: {"data": "half"}\n\nevent: exec_result\ndata: {"exit_code": null}\n\n'
        hosted.simulator.respond(told, content_type="text/event-stream", route="exec")
        done = await computer.exec("kill -9 $$")
        assert (done.stdout, done.exit_code, done.ok) == ("half", None, False)
        assert done.error is not None
        assert len(hosted.simulator.asked("exec")) == before + 1


async def test_a_command_whose_time_is_up_is_told_as_such_in_whatever_words() -> None:
    """The vendor names the job of such a one, and of no other that failed."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        told = b'event: exec_error\ndata: {"reason": "it took more than 5000 ms", "job_id": "j"}\n\n'
        hosted.simulator.respond(told, content_type="text/event-stream", route="exec")
        done = await computer.exec("sleep 60", timeout=5)
        assert (done.exit_code, done.error) == (None, "timed out after 5 s")


async def test_an_event_without_end_is_refused() -> None:
    """Memory is bounded, whatever comes."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        endless = b"data: " + b"x" * (5 << 20)
        hosted.simulator.respond(endless, content_type="text/event-stream", route="exec")
        with pytest.raises(ProtocolError, match="more than"):
            await computer.exec("true")


async def test_a_streamed_command_in_no_folder_says_so_and_prints_nothing() -> None:
    """The words by which that is found out are no output; what begins like them is."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        seen: list[bytes] = []
        with pytest.raises(FileMissingError):
            async with computer.exec_stream("true", cwd="not-there") as stream:
                seen += [chunk.data async for chunk in stream]
        assert not seen
        async with computer.exec_stream("printf deskhand-call:", cwd="/") as stream:
            seen += [chunk.data async for chunk in stream]
        assert seen == [b"deskhand-call:"]


async def test_files_of_32_mib_travel_over_the_vendors_routes() -> None:
    """And come back byte for byte; a download that was changed on the way is not taken for the file."""
    content = bytes(range(256)) * (32 << 12)
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        await computer.write_file("large", content)
        assert await computer.read_bytes("large") == content
        assert [len(hosted.simulator.asked(route)) for route in ("upload", "download")] == [1, 1]
        hosted.simulator.respond(b"short", content_type="application/octet-stream", route="download")
        await computer.write_file("large", content[:100_000])
        assert await computer.read_bytes("large") == content[:100_000]  # asked for again


async def test_an_upload_that_fails_leaves_the_old_file() -> None:
    """What the vendor answers is looked at, and the file is put in its place only when it is whole."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        await computer.write_file("file", "old")
        hosted.simulator.fail(500, route="upload", times=3)
        with pytest.raises(ProviderError):
            await computer.write_file("file", b"n" * 100_000)
        assert await computer.read_file("file") == "old"
        assert [entry.path for entry in await computer.list_dir()].count("./file") == 1
        assert not [entry for entry in await computer.list_dir() if ".deskhand-" in entry.path]


async def test_a_port_has_one_tunnel_which_is_closed_when_the_provider_is_left() -> None:
    """Whoever is logged in at the account may use it, unless the provider says otherwise."""
    async with opencomputers() as hosted:
        computer = await hosted.borrow()
        first = await computer.preview_url(3000, "/a?b=c")
        assert await computer.preview_url(3000) == first.removesuffix("a?b=c")
        assert await computer.preview_url(3001) != first
        tunnels = [*hosted.simulator.computers[computer.info.id].tunnels.values()]
        assert [(one["target_port"], one["auth_mode"]) for one in tunnels] == [
            (3000, "tenant_only"),
            (3001, "tenant_only"),
        ]
        for port, path in ((0, "/"), (70_000, "/"), (80, "a")):
            with pytest.raises(InvalidInputError):
                await computer.preview_url(port, path)
        simulator = hosted.simulator
        async with OpenComputersProvider(
            api_key=simulator.key, base_url=simulator.base_url, tunnel_access="public"
        ) as other:
            await (await other.get(computer.info.id)).preview_url(3002)
            opened = [one["auth_mode"] for one in simulator.computers[computer.info.id].tunnels.values()]
            assert opened[-1] == "public"
        assert len(simulator.computers[computer.info.id].tunnels) == 2
    assert not hosted.simulator.computers[computer.info.id].tunnels


async def test_a_tunnel_whose_answer_was_lost_is_found_by_its_name() -> None:
    """There are never two, and none is left."""
    async with opencomputers() as hosted:
        computer = await hosted.borrow()
        hosted.simulator.drop(route="create_tunnel", after_effect=True)
        url = await computer.preview_url(3000)
        (tunnel,) = hosted.simulator.computers[computer.info.id].tunnels.values()
        assert url == f"{tunnel['public_url']}/"
    assert not hosted.simulator.computers[computer.info.id].tunnels


async def test_a_tunnel_that_nobody_waited_for_is_closed_too() -> None:
    """Whoever asked for it was cancelled before its answer, or could not find out whether it is there."""
    async with opencomputers() as hosted:
        computer = await hosted.borrow()
        hosted.simulator.slow(delay=30, route="create_tunnel")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(computer.preview_url, 3000)
            await hosted.simulator.until_asked("create_tunnel")
            tasks.cancel_scope.cancel()
        hosted.simulator.drop(route="create_tunnel", after_effect=True)
        hosted.simulator.fail(500, route="list_tunnels", times=3)
        with pytest.raises(OutcomeUnknownError):
            await computer.preview_url(3001)
        hosted.simulator.fail(422, route="create_tunnel", message="the slug is taken")
        with pytest.raises(InvalidInputError):
            await computer.preview_url(3002)
        assert len(hosted.simulator.computers[computer.info.id].tunnels) == 2
        before = len(hosted.simulator.asked("list_tunnels"))
    assert not hosted.simulator.computers[computer.info.id].tunnels
    assert len(hosted.simulator.asked("list_tunnels")) == before + 2


async def test_a_missing_route_takes_its_capability_when_it_is_used() -> None:
    """Where asking changes something nobody asks before: the first use tells."""
    async with opencomputers(without=("create_tunnel", "dispatch")) as hosted:
        computer = await hosted.borrow()
        uses: dict[Capability, Callable[[], Awaitable[str]]] = {
            Capability.PORTS: lambda: computer.preview_url(80),
            Capability.PROMPT: lambda: computer.prompt("go"),
        }
        for capability, use in uses.items():
            assert capability in computer.capabilities
            with pytest.raises(UnsupportedError):
                await use()
            assert capability not in computer.capabilities


async def test_a_machine_without_bash_has_no_commands() -> None:
    """Nor files nor a screen; its ports and the vendor's agent are there."""
    async with opencomputers(shell_only) as hosted:
        host = await hosted.simulator.add_host("pc", system="windows")
        computer = await hosted.provider.get(host.id)
        assert computer.capabilities == {Capability.PORTS, Capability.PROMPT}
        with pytest.raises(UnsupportedError) as told:
            await computer.exec("true")
        assert told.value.hint == "it needs bash on the machine"


async def test_where_the_terminal_is_told_with_a_ticket_and_its_frames_are_not_guessed() -> None:
    """There is no terminal to open; the ticket is a secret."""
    async with opencomputers() as hosted:
        computer = await hosted.borrow()
        endpoint = await computer.shell_endpoint()
        assert (endpoint.kind, (endpoint.uri or "")[:5]) == ("websocket", "ws://")
        assert endpoint.token is not None
        assert endpoint.token.get_secret_value() not in repr(endpoint)
        with pytest.raises(UnsupportedError, match="terminal"):
            computer.terminal()
        hosted.simulator.remove("terminal_ticket")
        assert (await computer.shell_endpoint()).kind == "exec-only"


async def until_cancelled(host: SimulatedHost, task: str) -> str:
    """Do nothing for ever."""
    del host, task
    await anyio.sleep_forever()
    return ""


async def test_the_vendors_agent_is_waited_for_and_stopped_with_whoever_waits() -> None:
    """Its summary comes back; a failure is one; whoever is cancelled stops it."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        assert (await computer.prompt("look around")).endswith("look around")
        with pytest.raises(InvalidInputError):
            await computer.prompt(" ")
        hosted.simulator.drop(route="dispatch", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await computer.prompt("once")
        assert len(hosted.simulator.asked("dispatch")) == 2
    async with OpenComputersSimulator(behind=shell_only, agent=until_cancelled) as simulator:
        host = await simulator.add_host("mac")
        async with OpenComputersProvider(api_key=simulator.key, base_url=simulator.base_url) as provider:
            computer = await provider.get(host.id)
            with anyio.move_on_after(0.5) as scope:
                await computer.prompt("for ever")
            assert scope.cancelled_caught
            (session,) = host.sessions.values()
            await session.ended.wait()
            assert session.status == "canceled"
            simulator.slow(delay=0.3, route="dispatch")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(computer.prompt, "for ever, too")
                await simulator.until_asked("dispatch", times=2)
                tasks.cancel_scope.cancel()
            (_, session) = host.sessions.values()
            await session.ended.wait()
            assert session.status == "canceled"


async def test_the_address_may_lack_the_version_and_a_tenant_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the vendor's own package takes them, from the environment."""
    async with OpenComputersSimulator() as simulator:
        monkeypatch.setenv("MIOSA_BASE_URL", simulator.origin)
        monkeypatch.setenv("MIOSA_API_KEY", simulator.key)
        monkeypatch.setenv("MIOSA_TENANT", "acme")
        async with OpenComputersProvider() as provider:
            assert await provider.list() == []
        assert simulator.requests[0].headers["x-miosa-tenant"] == "acme"
        assert simulator.key not in f"{provider!r}"
        monkeypatch.setenv("MIOSA_API_KEY", "msk_wrong")
        with pytest.raises(DeskhandError, match="401"):
            async with OpenComputersProvider() as provider:
                await provider.list()
