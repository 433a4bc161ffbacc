"""Creating, getting and listing sandboxes: what is asked for, refused and owned, and what is lost on the way."""

from __future__ import annotations

import httpx2
import pytest

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConfigError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProtocolError,
    ProviderError,
    QuotaError,
)
from deskhand.providers import Capability, ComputerSpec, ComputerStatus, Screen
from deskhand.providers.daytona import DaytonaProvider
from deskhand.testing.simulators import DaytonaDialect, DaytonaPlan
from tests.providers.behind import shell_only
from tests.providers.daytona.parts import daytona, simulated

GIB = 1 << 30


async def test_spec_and_options_reach_the_vendor_in_its_words() -> None:
    """Labels, variables, the screen, the time to live and the vendor's own options; sizes with an image."""
    spec = ComputerSpec(
        cpus=1.5,
        memory=3 * GIB + 1,
        disk=10 * GIB,
        image="debian:12",
        screen=Screen(1280, 800),
        ttl=90.0,
        env={"A": "b"},
        metadata={"run": "7"},
    )
    async with daytona() as hosted:
        computer = await hosted.create("work", spec, target="eu", public=True, auto_stop_minutes=5)
        [asked] = hosted.simulator.asked("create")
        assert isinstance(asked.body, dict)
        name = asked.body.pop("name")
        assert isinstance(name, str)
        assert name.startswith("work-")
        assert asked.body == {
            "autoStopInterval": 5,
            "autoDeleteInterval": 1440,
            "target": "eu",
            "public": True,
            "cpu": 2,
            "memory": 4,
            "disk": 10,
            "env": {"A": "b", "VNC_RESOLUTION": "1280x800"},
            "labels": {"run": "7"},
            "buildInfo": {"dockerfileContent": "FROM debian:12\n"},
            "ttlMinutes": 2,
        }
        info = computer.info
        assert (info.name, info.status, info.metadata) == (name, ComputerStatus.RUNNING, {"run": "7"})
        assert (info.specs.cpus, info.specs.memory, info.specs.disk) == (2.0, 4 * GIB, 10 * GIB)
        assert "env" not in info.raw


async def test_idle_sandbox_is_paused_in_place_of_stopped_where_that_is_wanted() -> None:
    """The vendor takes one of the two; what its sandboxes may reach is told in its words."""
    async with daytona() as hosted:
        await hosted.create(network_allow_list="10.0.0.0/8", domain_allow_list="example.org", auto_pause_minutes=7)
        [asked] = hosted.simulator.asked("create")
        assert isinstance(asked.body, dict)
        names = ("autoStopInterval", "autoPauseInterval", "networkAllowList", "domainAllowList")
        assert [asked.body[name] for name in names] == [0, 7, "10.0.0.0/8", "example.org"]
        await hosted.create(auto_stop_minutes=5, auto_pause_minutes=0)


@pytest.mark.parametrize(
    ("spec", "options", "said"),
    [
        (ComputerSpec(cpus=2), {}, "image"),
        (ComputerSpec(memory=GIB), {}, "image"),
        (ComputerSpec(disk=GIB), {}, "image"),
        *((ComputerSpec(ttl=ttl), {}, "ttl") for ttl in (-1, 0, float("nan"), float("inf"))),
        *((ComputerSpec(cpus=cpus, image="debian:12"), {}, "cpus") for cpus in (0, -1, float("nan"), float("inf"))),
        (ComputerSpec(memory=0, image="debian:12"), {}, "memory"),
        (ComputerSpec(screen=(10, 10)), {}, "screen"),
        (ComputerSpec(screen=(100_000, 100)), {}, "screen"),
        (ComputerSpec(env={"A=B": "x"}), {}, "A=B"),
        (ComputerSpec(env={"A": "x\0y"}), {}, "A"),
        (ComputerSpec(image="a b"), {}, "no image"),
        (ComputerSpec(image="debian:12"), {"snapshot": "s"}, "exclude"),
        (ComputerSpec(), {"snapshott": "s"}, "did you mean 'snapshot'"),
        (ComputerSpec(), {"public": "yes"}, "True or False"),
        (ComputerSpec(), {"auto_stop_minutes": True}, "whole number"),
        (ComputerSpec(), {"auto_stop_minutes": 5, "auto_pause_minutes": 5}, "not both"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_before_anything_is_sent(
    spec: ComputerSpec, options: dict[str, object], said: str
) -> None:
    """With what is wrong, and the nearest option."""
    async with daytona() as hosted:
        with pytest.raises(InvalidInputError, match=said):
            await hosted.create("box", spec, **options)
        assert not hosted.simulator.requests


async def test_key_and_address_come_from_arguments_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is opened; a wrong one is told as such."""
    monkeypatch.delenv("DAYTONA_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="no key") as caught:
        await DaytonaProvider().__aenter__()
    assert caught.value.hint is not None
    assert "DAYTONA_API_KEY" in caught.value.hint
    async with simulated() as simulator:
        for name, value in {**simulator.environment, "DAYTONA_TARGET": "eu"}.items():
            monkeypatch.setenv(name, value)
        async with DaytonaProvider() as provider:
            await provider.create(name="box")
            [asked] = simulator.asked("create")
            assert isinstance(asked.body, dict)
            assert asked.body["target"] == "eu"
        async with DaytonaProvider(api_key="dtn_wrong") as provider:
            with pytest.raises(AuthError):
                await provider.list()


async def test_sandboxes_made_elsewhere_are_listed_over_all_pages_and_adopted() -> None:
    """By id or by name, borrowed: leaving the provider leaves them."""
    async with daytona() as hosted:
        made = [await hosted.create(f"box{number}") for number in range(3)]
        for extra in range(110):  # more than a page
            twin = hosted.simulator.computers[made[0].info.id]
            hosted.simulator._sandboxes[f"x{extra}"] = twin
        async with DaytonaProvider(api_key=hosted.simulator.key, base_url=hosted.simulator.base_url) as other:
            listed = await other.list()
            assert len(listed) == 113
            assert len(hosted.simulator.asked("list")) == 2
            borrowed = await other.get(made[1].info.name)
            assert borrowed.info.id == made[1].info.id
            assert borrowed.capabilities == made[1].capabilities
            with pytest.raises(NotFoundError, match="nobody"):
                await other.get("nobody")
        for extra in range(110):
            del hosted.simulator._sandboxes[f"x{extra}"]
        assert (await hosted.provider.get(made[1].info.id)) is made[1]
        assert (await made[1].refresh()).status is ComputerStatus.RUNNING


STATES = {
    "started": ComputerStatus.RUNNING,
    "resizing": ComputerStatus.RUNNING,
    "pulling_snapshot": ComputerStatus.CREATING,
    "restoring": ComputerStatus.CREATING,
    "resuming": ComputerStatus.CREATING,
    "paused": ComputerStatus.PAUSED,
    "stopping": ComputerStatus.STOPPED,
    "archived": ComputerStatus.STOPPED,
    "destroying": ComputerStatus.DESTROYED,
    "build_failed": ComputerStatus.ERROR,
    "something newer": ComputerStatus.ERROR,
}


async def test_every_state_has_its_status() -> None:
    """In the vendor's words and in ours; one that nobody knows is none to rely on."""
    async with daytona() as hosted:
        computer = await hosted.create()
        box = hosted.simulator.computers[computer.info.id]
        for state, status in STATES.items():
            box.state = state
            assert (await computer.refresh()).status is status, state
        box.state = "started"
        await computer.refresh()


async def test_sandbox_that_fails_to_start_is_told_with_its_reason_and_ended() -> None:
    """The reason is the vendor's; nothing is left of it."""

    class Broken:
        async def __aenter__(self) -> None:
            raise RuntimeError("no runner is free")

        async def __aexit__(self, *_: object) -> None:
            pass

    async with daytona(Broken) as hosted:  # type: ignore[arg-type]
        with pytest.raises(ProviderError, match="no runner is free"):
            await hosted.create()
        assert not hosted.simulator.computers


@pytest.mark.parametrize(("when", "why"), [("queueTimedOutAt", "waited too long"), ("spotEvictedAt", "make room")])
async def test_sandbox_that_the_vendor_ended_by_itself_is_told_with_its_reason(when: str, why: str) -> None:
    """It is found for a day afterwards, and says what became of it."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        told = {"id": "box", "name": "box", "toolboxProxyUrl": "http://vendor.test/toolbox", "state": "pending_build"}
        if request.method == "POST":
            return httpx2.Response(200, json=told)
        return httpx2.Response(200, json={**told, "state": "destroyed", when: "2026-01-01T00:00:00Z"})

    async with (
        httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as own,
        DaytonaProvider(api_key="dtn_x", base_url="http://vendor.test/api", http_client=own) as provider,
    ):
        with pytest.raises(ComputerGoneError, match=why):
            await provider.create(name="box")


async def test_api_that_falters_while_a_sandbox_starts_is_waited_through() -> None:
    """What was built for minutes is not ended because a question was not answered; a refusal ends the wait."""
    async with daytona() as hosted:
        hosted.simulator.fail(503, route="get", times=4)  # one question more than is asked in a row
        computer = await hosted.create()
        assert computer.info.status is ComputerStatus.RUNNING
        hosted.simulator.fail(403, route="get")
        with pytest.raises(PermissionDeniedError):
            await hosted.create()
        assert [*hosted.simulator.computers] == [computer.info.id]


async def test_limits_and_credit_are_quotas() -> None:
    """With where to look."""
    async with daytona(plan=DaytonaPlan(sandboxes=1)) as hosted:
        await hosted.create()
        for _ in range(2):
            with pytest.raises(QuotaError) as caught:
                await hosted.create()
            assert (caught.value.effect, caught.value.retryable) == ("no", False)
            assert caught.value.hint is not None
            assert "app.daytona.io" in caught.value.hint
            hosted.simulator.suspend()


async def test_lost_answer_to_create_never_leaves_a_second_sandbox() -> None:
    """The name is looked for; only where it is not there the request is sent again."""
    async with daytona() as hosted:
        hosted.simulator.drop(route="create", after_effect=True)
        hosted.simulator.fail(502, route="create", after_effect=True)
        one = await hosted.create("one")
        two = await hosted.create("two")
        assert {one.info.id, two.info.id} == set(hosted.simulator.computers)
        hosted.simulator.drop(route="create")
        await hosted.create("three")
        assert len(hosted.simulator.computers) == 3


async def test_sandbox_that_nobody_can_tell_of_is_looked_for_when_all_ends() -> None:
    """Where looking fails too, the doubt is told; leaving the provider ends it."""
    async with daytona() as hosted:
        hosted.simulator.drop(route="create", after_effect=True)
        hosted.simulator.fail(401, route="get")
        with pytest.raises(OutcomeUnknownError, match="nobody can tell"):
            await hosted.create()
        assert len(hosted.simulator.computers) == 1


async def test_toolbox_that_is_not_told_is_asked_for() -> None:
    """Once; old answers leave it out."""
    async with daytona(dialect=DaytonaDialect(toolbox_url="asked")) as hosted:
        computer = await hosted.create()
        await computer.cursor_position()
        assert len(hosted.simulator.asked("toolbox_url")) == 1
        assert Capability.POINTER in computer.capabilities


async def test_key_goes_to_the_toolbox_that_the_api_names() -> None:
    """Which is on another host than the API; its sockets too."""
    async with daytona(shell_only) as hosted:
        hosted.simulator.toolbox_origin = f"http://localhost:{hosted.simulator.port}"
        computer = await hosted.create()
        assert (await computer.exec("echo there")).output == "there\n"
        async with computer.terminal() as terminal:
            await anext(aiter(terminal))
        assert {request.headers["host"].partition(":")[0] for request in hosted.simulator.asked("execute")} == {
            "localhost"
        }


async def test_key_goes_to_no_toolbox_without_tls() -> None:
    """Where the API has TLS, so must the toolbox: else the key could be read on the way."""
    provider = DaytonaProvider(api_key="dtn_x", base_url="https://daytona.invalid/api")
    with pytest.raises(ProtocolError, match="without TLS"):
        provider._api.learn_toolbox("id", "http://elsewhere.invalid/toolbox")
    with pytest.raises(DeskhandError, match="not for"):
        provider._http.authorization("http://elsewhere.invalid/toolbox/x")
