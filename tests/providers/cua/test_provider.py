"""What the provider of Cua does with servers by address, with machines of an account, and with keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

import anyio
import httpx2
import pytest

from deskhand import ComputerSpec
from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    ProtocolError,
    ProviderError,
    QuotaError,
    UnsupportedError,
)
from deskhand.providers import ComputerStatus, Screen, attach, open_computer
from deskhand.providers.cua import CuaProvider
from deskhand.testing import FakeComputer
from tests.providers.cua.parts import cua, simulated


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUA_API_BASE", "CUA_API_KEY", "CUA_SERVER_URL", "CUA_CONTAINER_NAME"):
        monkeypatch.delenv(name, raising=False)


async def test_server_is_attached_to_by_its_address_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server by its address is listed and got; destroying it lets go of it, and leaving ends nothing."""
    async with simulated(is_open=True, left_running=1) as simulator:
        monkeypatch.setenv("CUA_SERVER_URL", await simulator.start_machine("box-1"))
        async with CuaProvider() as provider:
            [info] = await provider.list()
            assert info.status is ComputerStatus.RUNNING
            computer = await provider.get(info.id)
            assert (computer.info.screen, computer.info.specs.os) == (Screen(1280, 720), "linux")
            await computer.destroy()
            assert computer.info.status is ComputerStatus.DESTROYED
            with pytest.raises(ComputerGoneError):
                await computer.left_click(1, 1)
        async with attach(f"cua:{info.id}") as again:
            await again.left_click(5, 6)
        assert simulator.machines["box-1"].status == "running"


async def test_server_cannot_be_created(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an account there is nobody to ask for a computer: before anything is sent, it says which to borrow."""
    async with simulated(is_open=True, left_running=1) as simulator:
        url = await simulator.start_machine("box-1")
        async with CuaProvider() as nobodys:
            with pytest.raises(UnsupportedError, match="no account") as refused:
                await nobodys.create(name="box")
        assert "attach('cua:HOST:PORT')" in str(refused.value.hint)
        assert "export CUA_API_KEY=" in str(refused.value.hint)
        monkeypatch.setenv("CUA_SERVER_URL", url)
        async with CuaProvider() as provider:
            with pytest.raises(UnsupportedError, match="no account") as refused:
                await provider.create(name="box")
        named = f"cua:{url.partition('://')[2]}"
        assert f"attach('{named}')" in str(refused.value.hint)
        async with attach(named) as borrowed:
            assert borrowed.info.status is ComputerStatus.RUNNING
        assert not simulator.asked("start")


async def test_machine_of_the_account_is_started_and_stopped() -> None:
    """Creating starts a machine that is stopped, which is waited for; leaving stops it."""
    async with cua() as hosted:
        computer = await hosted.create()
        assert (computer.info.status, computer.info.metadata) == (ComputerStatus.RUNNING, {"label": "box"})
        assert [*hosted.simulator.computers] == [computer.info.id]
        assert await hosted.provider.get(computer.info.id) is computer
        statuses = {info.id: info.status for info in await hosted.provider.list()}
        assert statuses == {
            "box-1": ComputerStatus.RUNNING,
            "box-2": ComputerStatus.STOPPED,
            "box-3": ComputerStatus.STOPPED,
        }
    assert hosted.simulator.machines["box-1"].status == "stopped"


async def test_machines_started_at_once_are_different_ones() -> None:
    """Whoever asks while another machine starts gets one of the others, and is told when there is none."""
    import anyio

    found: list[str] = []
    async with cua() as hosted:

        async def one() -> None:
            found.append((await hosted.create()).info.id)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(one)
        assert sorted(found) == ["box-1", "box-2", "box-3"]
        with pytest.raises(QuotaError, match="none of the account's 3 machines is stopped"):
            await hosted.create()


async def test_machine_can_be_named() -> None:
    """The one that is named is started; one that runs, or is not there, is not."""
    async with cua() as hosted:
        assert (await hosted.create("box-2")).info.id == "box-2"
        with pytest.raises(ConflictError, match="box-2 is running"):
            await hosted.create("box-2")
        with pytest.raises(NotFoundError, match="no machine box-9"):
            await hosted.create("box-9")


@pytest.mark.parametrize(
    "spec",
    [
        ComputerSpec(cpus=2),
        ComputerSpec(memory=1 << 30),
        ComputerSpec(screen=(800, 600)),
        ComputerSpec(ttl=60),
        ComputerSpec(env={"A": "b"}),
        ComputerSpec(image="ubuntu"),
    ],
    ids=["cpus", "memory", "screen", "ttl", "env", "image"],
)
async def test_what_a_machine_cannot_be_given_is_refused(spec: ComputerSpec) -> None:
    """A machine is as it was made: what a spec asks for besides is refused, and nothing is started."""
    async with cua() as hosted:
        with pytest.raises(InvalidInputError, match="as it was made"):
            await hosted.provider.create(name="box", spec=spec)
        assert not hosted.simulator.asked("start")


async def test_unknown_options_are_refused() -> None:
    """An option that is not there is refused, with the nearest one."""
    async with cua() as hosted:
        with pytest.raises(InvalidInputError, match="did you mean 'machine'"):
            await hosted.provider.create(name="box", machin="box-1")


async def test_stopping_and_starting_a_machine() -> None:
    """A machine that is stopped keeps its files, and is the same when it was started again."""
    async with cua() as hosted:
        computer = await hosted.create()
        machine = hosted.simulator.machines[computer.info.id].hardware
        assert machine.machine is not None
        await machine.machine.write_file("kept", "content")
        await computer.stop()
        assert (await computer.refresh()).status is ComputerStatus.STOPPED
        await computer.start()
        assert computer.info.status is ComputerStatus.RUNNING
        assert machine.machine is not None
        assert await machine.machine.read_file("kept") == "content"


async def test_use_of_a_stopped_machine_is_refused_with_the_way_to_start_it() -> None:
    """Nothing is sent to a server that does not run; once the machine was started, it can be used again."""
    async with cua() as hosted:
        computer = await hosted.create()
        await computer.stop()
        before = hosted.sent()
        uses: list[Callable[[], Awaitable[object]]] = [
            lambda: computer.exec("true"),
            lambda: computer.left_click(3, 4),
            lambda: computer.key("enter"),
            computer.screenshot,
            lambda: computer.read_file("kept"),
        ]
        for use in uses:
            with pytest.raises(ConflictError, match=r"start\(\)") as caught:
                await use()
            assert caught.value.effect == "no"
        assert hosted.sent() == before
        assert await computer.live_view_url()
        await computer.start()
        await computer.left_click(3, 4)


async def test_lost_answer_to_a_start_leaves_one_machine() -> None:
    """A start whose answer was lost is asked for again: it is the same machine, and it is stopped at the end."""
    async with cua() as hosted:
        hosted.simulator.drop(route="start", after_effect=True)
        computer = await hosted.create()
        assert [*hosted.simulator.computers] == [computer.info.id]
        assert len(hosted.simulator.asked("start")) == 2


async def test_machine_that_was_stopped_by_somebody_else_is_seen() -> None:
    """What a machine is doing is asked, not remembered; one of a lost account is gone."""
    async with cua() as hosted:
        computer = await hosted.create()
        await hosted.simulator.stop_machine(computer.info.id)
        assert (await computer.refresh()).status is ComputerStatus.STOPPED


async def test_page_of_the_screen_is_told_on_request_alone() -> None:
    """The address that opens a screen holds a password: it is returned, and is nowhere in what is known."""
    async with cua() as hosted:
        computer = await hosted.create()
        password = hosted.simulator.machines[computer.info.id].password.get_secret_value()
        assert password in await computer.live_view_url()
        assert password not in repr(computer.info) + str(computer.info.raw)


async def test_wrong_keys_are_told() -> None:
    """A wrong key and a wrong name are an error of authentication, that says what to set."""
    async with simulated(left_running=1) as simulator:
        url = await simulator.start_machine("box-1")
        async with CuaProvider(api_key="cua_wrong", cloud_url=simulator.origin) as provider:
            with pytest.raises(AuthError) as refused:
                await provider.list()
            assert "CUA_API_KEY" in str(refused.value.hint)
        for options in ({"api_key": simulator.key}, {"api_key": "cua_wrong", "container_name": "box-1"}):
            async with CuaProvider(base_url=url, **options) as provider:  # type: ignore[arg-type]
                with pytest.raises(AuthError):
                    await provider.get(url)
        async with CuaProvider(base_url=url, api_key=simulator.key, container_name="box-1") as provider:
            await (await provider.get(url)).move(3, 4)


async def test_key_goes_to_the_configured_address_alone() -> None:
    """A server that is named in passing gets no key; the configured one does."""
    async with simulated(is_open=True, left_running=2) as simulator:
        url, other = await simulator.start_machine("box-1"), await simulator.start_machine("box-2")
        async with CuaProvider(base_url=url, api_key="cua_mine", container_name="box-1") as provider:
            await provider.get(url)
            with pytest.raises(NotFoundError):  # a path is no HOST:PORT
                await provider.get(other)
        async with CuaProvider(base_url=f"{simulator.origin}/nowhere", api_key="cua_mine") as provider:
            with pytest.raises(NotFoundError):
                await provider.get(simulator.origin)
    keys = {request.path: "x-api-key" in request.headers for request in simulator.requests}
    assert keys["/machines/box-1/cmd"] is True
    assert keys["/status"] is False


async def test_server_that_is_not_there_is_told() -> None:
    """An address where nobody answers is a lost connection; what is no address is not found."""
    async with CuaProvider() as provider:
        with pytest.raises(ConnectionLostError):
            await provider.get("127.0.0.1:9")
        for name in ("no address", "http://host:99999", "a:b:c"):
            with pytest.raises(NotFoundError):
                await provider.get(name)
        assert await provider.list() == []


async def test_key_goes_to_no_machine_without_tls() -> None:
    """Where the cloud has TLS, so must the machine that it names: else the key could be read on the way."""
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, json=[{"name": "box", "status": "running", "api_url": "http://box.invalid:8000"}])

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        provider = CuaProvider(api_key="sk", cloud_url="https://cloud.invalid", http_client=client)
        async with provider:
            with pytest.raises(ProtocolError, match="without TLS"):
                await provider.get("box")
    assert asked == ["https://cloud.invalid/v1/vms"]


async def test_computer_can_be_opened_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an account is enough for `open_computer`."""
    async with simulated() as simulator:
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        async with open_computer("cua") as computer:
            assert computer.info.provider == "cua"


async def test_cancelled_start_stops_the_machine() -> None:
    """Whoever stops waiting for a machine leaves none running."""
    import anyio

    async with cua(FakeComputer) as hosted:
        hosted.simulator.slow(delay=0.5, route="start")
        with anyio.move_on_after(0.1) as scope:
            await hosted.create()
        assert scope.cancelled_caught
    assert {machine.status for machine in hosted.simulator.machines.values()} == {"stopped"}


@pytest.mark.parametrize("word", ["failed", "gone"])
async def test_machine_that_fails_while_it_starts_is_not_waited_for(word: str) -> None:
    """The cloud is asked meanwhile what becomes of it."""
    began, released = anyio.Event(), anyio.Event()

    class Slow(FakeComputer):
        async def __aenter__(self) -> Self:
            began.set()
            await released.wait()
            return await super().__aenter__()

    async with cua(Slow, machines=1) as hosted:
        failed: list[DeskhandError] = []

        async def create() -> None:
            try:
                await hosted.create()
            except DeskhandError as error:
                failed.append(error)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(create)
                await began.wait()
                if word == "failed":
                    hosted.simulator.machines["box-1"].status = "failed"
                else:
                    hosted.simulator.respond(b"[]", route="list_vms", content_type="application/json", times=50)
        assert [type(error) for error in failed] == [ProviderError if word == "failed" else ComputerGoneError]
        hosted.simulator.clear_faults()
        hosted.simulator.machines["box-1"].status = "stopped"
        released.set()
