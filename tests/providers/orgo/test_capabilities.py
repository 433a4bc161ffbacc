"""What a computer can do is what the vendor has routes for: found out beforehand, and unlearnt at the first refusal."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest

from deskhand import ClaudeComputerUseHarness
from deskhand.errors import AuthError, UnsupportedError
from deskhand.providers import Capability
from deskhand.providers.orgo import OrgoComputer, OrgoProvider
from deskhand.testing import FakeComputer
from deskhand.testing.models import FakeAnthropic, FakeTurn, ModelView
from deskhand.testing.simulators import ORGO_ROUTES, OrgoDialect, OrgoPlan
from deskhand.tools import computer_tools
from tests.providers.orgo.parts import orgo, simulated

LOST: dict[str, dict[Capability, set[str]]] = {
    "bash": {
        Capability.EXEC: {"exec", "python"},
        Capability.FILES: {"read_file", "write_file", "list_dir"},
    },
    "click": {Capability.POINTER: {"left_click", "right_click", "double_click", "triple_click", "wait"}},
    "mouse_move": {Capability.MOVE: {"mouse_move"}},
    "drag": {Capability.DRAG: {"left_click_drag"}},
    "scroll": {Capability.SCROLL: {"scroll"}},
    "type": {Capability.KEYBOARD: {"type", "key"}},
    "key": {Capability.KEYBOARD: {"type", "key"}},
    "screenshot": {Capability.SCREENSHOT: {"screenshot"}, Capability.REGION: {"zoom"}},
    "terminal": {Capability.TERMINAL: set()},
    "vnc_password": {Capability.TERMINAL: set()},
    "start": {Capability.PAUSE: set()},
    "stop": {Capability.PAUSE: set()},
    "clone": {Capability.CLONE: set()},
    "get_auto_stop": {Capability.EXTEND: set()},
    "chat": {Capability.PROMPT: set()},
}
"""What each route's removal takes along, without xdotool: capabilities and their tools."""

NEEDED = {"list_workspaces", "create", "delete", "create_workspace"}
"""Without these there is no computer, or no end of one."""


async def offered(computer: OrgoComputer) -> set[str]:
    """Return what a model's request offers to use the computer with."""
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        return FakeTurn("Done.")

    fake = FakeAnthropic(play)
    async with fake.client() as client:
        result = await ClaudeComputerUseHarness(client=client).run(computer, "Look.")
    assert result.outcome == "completed"
    return {*views[0].members, *views[0].tools} - {"computer_toolset_20260801"}


@pytest.mark.parametrize("route", sorted({*ORGO_ROUTES} - NEEDED))
async def test_route_that_is_removed_takes_capability_tool_and_request_along(route: str) -> None:
    """Each of the vendor's routes in turn: what hangs on it is gone everywhere, and nothing else is."""
    async with orgo() as hosted:
        whole = await hosted.create()
        whole_tools = {tool.name for tool in computer_tools(whole)}
        whole_request = await offered(whole)
    async with orgo(without=(route,)) as hosted:
        computer = await hosted.create()
        gone = LOST.get(route, {})
        assert whole.capabilities - computer.capabilities == {*gone}
        assert not computer.capabilities - whole.capabilities
        lost = set().union(*gone.values())
        assert whole_tools - {tool.name for tool in computer_tools(computer)} == lost
        missing = whole_request - await offered(computer)
        assert lost & whole_request <= missing
        assert not {name for name in missing - lost if name in whole_tools} or Capability.SCREENSHOT in gone
        for capability in gone:
            with pytest.raises(UnsupportedError):
                computer.require(capability)


async def test_finding_out_does_nothing() -> None:
    """No click, key or command of the probe's own is performed, and it is done once for all computers."""
    async with FakeComputer() as machine, orgo(lambda: machine) as hosted:
        await hosted.create()
        first = len(hosted.simulator.requests)
        assert machine.performed == []
        assert not [request for request in hosted.simulator.requests if request.method == "POST" and request.performed][
            3:
        ]  # workspace, computer, one look around
        await hosted.provider.get((await hosted.create("second")).info.id)
        assert len([request for request in hosted.simulator.requests if request.method == "OPTIONS"]) > 10
        assert len(hosted.simulator.requests) <= first + 3


class Answering(httpx2.AsyncHTTPTransport):
    """Answers the question for a route itself, and passes on everything else."""

    def __init__(self, answer: Callable[[str], httpx2.Response]) -> None:
        super().__init__()
        self._answer = answer

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "OPTIONS":
            return self._answer(request.url.path)
        return await super().handle_async_request(request)


async def told_by(answer: Callable[[str], httpx2.Response]) -> frozenset[Capability]:
    """Return the capabilities that are found where a server answers the question for a route like this."""
    async with (
        simulated() as simulator,
        httpx2.AsyncClient(transport=Answering(answer), timeout=20) as own,
        OrgoProvider(api_key=simulator.key, base_url=simulator.base_url, http_client=own) as provider,
    ):
        computer = await provider.create(name="box")
        await provider.__aexit__(None, None, None)
        assert not own.is_closed
        return computer.capabilities


async def test_question_for_a_route_is_understood_however_it_is_answered() -> None:
    """A server that denies its own computer knows no such question; one that lists methods is taken at its word."""
    every = await told_by(lambda path: httpx2.Response(404))
    assert every >= {Capability.POINTER, Capability.SCREENSHOT, Capability.PROMPT}
    assert await told_by(lambda path: httpx2.Response(204, headers={"allow": "OPTIONS, get, POST"})) == every
    assert await told_by(lambda path: httpx2.Response(503)) == every
    odd = {"drag": "GET", "screenshot": "POST"}
    few = await told_by(
        lambda path: httpx2.Response(204, headers={"allow": odd.get(path.rsplit("/", 1)[1], "GET, POST")})
    )
    assert every - few == {Capability.DRAG, Capability.SCREENSHOT, Capability.REGION}


async def test_path_where_something_else_is_moved_tells_nothing_of_the_pointer() -> None:
    """A server that only moves computers there refuses the method."""
    async with simulated() as simulator, OrgoProvider(api_key=simulator.key, base_url=simulator.base_url) as provider:
        simulator.fail(405, route="mouse_move")
        assert Capability.MOVE not in (await provider.create(name="box")).capabilities


async def test_idle_time_that_the_plan_fixes_cannot_be_extended() -> None:
    """The vendor tells beforehand; where only setting it is missing, that is learnt when it is tried."""
    async with orgo(plan=OrgoPlan(auto_stop_configurable=False)) as hosted:
        assert Capability.EXTEND not in (await hosted.create()).capabilities
    async with orgo(without=("set_auto_stop",)) as hosted:
        computer = await hosted.create()
        with pytest.raises(UnsupportedError):
            await computer.extend(60)
        assert Capability.EXTEND not in computer.capabilities


async def test_plan_without_clones_is_learnt_at_the_first_refusal() -> None:
    """Only asking tells; afterwards it is not offered any more, and nothing was created."""
    async with orgo(dialect=OrgoDialect(clone=404)) as hosted:
        computer = await hosted.create()
        assert Capability.CLONE in computer.capabilities
        for _ in range(2):
            with pytest.raises(UnsupportedError) as caught:
                await computer.clone("twin")
            assert caught.value.effect == "no"
        assert Capability.CLONE not in computer.capabilities
        assert "plan" in str(caught.value)
        assert len(hosted.simulator.computers) == 1


async def test_route_that_vanishes_in_use_takes_its_capability() -> None:
    """The call that finds out says so; what is left works on."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.remove("drag")
        with pytest.raises(UnsupportedError, match="drag") as caught:
            await computer.drag((1, 1), (2, 2))
        assert (caught.value.effect, caught.value.provider) == ("no", "orgo")
        assert Capability.DRAG not in computer.capabilities
        await computer.left_click(1, 1)


async def test_unanswered_question_counts_for_a_yes() -> None:
    """What nobody could tell is found out by its first use."""
    async with orgo() as hosted:
        hosted.simulator.let_pass(route="create_workspace")
        hosted.simulator.drop(route="terminal")
        computer = await hosted.create()
        assert Capability.TERMINAL in computer.capabilities


async def test_python_without_its_route_is_a_command() -> None:
    """The route's removal costs nothing but time."""
    async with orgo(without=("exec",)) as hosted:
        computer = await hosted.create()
        before = len(hosted.simulator.asked("bash"))
        await computer.python("print(1)")
        assert len(hosted.simulator.asked("bash")) == before + 1


async def test_wrong_key_ends_the_opening_of_a_computer() -> None:
    """A key that expires meanwhile is told as such, not as a missing route."""
    async with orgo() as hosted:
        computer = await hosted.create()
        hosted.simulator.expire_key()
        with pytest.raises(AuthError) as caught:
            await computer.left_click(1, 1)
        assert caught.value.request_id
        assert Capability.POINTER in computer.capabilities
        hosted.simulator.expire_key(expired=False)
