"""The provider of Orgo's computers: what it asks for, what it owns, what it refuses."""

from __future__ import annotations

import anyio
import pytest
from pydantic import SecretStr

from deskhand import ComputerSpec, OrgoProvider, attach, open_computer, provider
from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConfigError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    QuotaError,
)
from deskhand.providers import ComputerStatus, Screen
from deskhand.testing.simulators import OrgoDialect, OrgoPlan, OrgoSimulator
from tests.providers.orgo.parts import orgo, simulated

GIB = 1 << 30


def created(simulator: OrgoSimulator) -> dict[str, object]:
    """Return the newest request for a computer."""
    body = simulator.asked("create")[-1].body
    assert isinstance(body, dict)
    return dict(body)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORGO_API_KEY", "ORGO_API_BASE", "ORGO_WORKSPACE_ID"):
        monkeypatch.delenv(name, raising=False)


async def test_create_asks_for_what_the_spec_says_and_leaving_destroys() -> None:
    """Sizes are rounded up to what Orgo has; what was told comes back in the computer's information."""
    spec = ComputerSpec(
        cpus=3, memory=5 * GIB, disk=10 * GIB + 1, screen=(1024, 768), image="a", ttl=90, metadata={"for": "me"}
    )
    async with orgo() as hosted:
        computer = await hosted.create("box", spec, template_ref="ns/name@1")
        body, info = created(hosted.simulator), computer.info
        assert str(body.pop("name")).startswith("box-")
        assert body.pop("workspace_id") in hosted.simulator.workspaces
        assert body == {
            "cpu": 4,
            "ram": 8,
            "disk_size_gb": 11,
            "resolution": "1024x768x24",
            "image": "a",
            "auto_stop_minutes": 2,
            "template_ref": "ns/name@1",
        }
        assert (info.provider, info.source, info.status) == ("orgo", "external", ComputerStatus.RUNNING)
        assert (info.screen, info.specs.memory, info.specs.cpus) == (Screen(1024, 768), 8 * GIB, 4)
        assert (info.metadata, info.created_at is not None) == ({"for": "me"}, True)
        assert "vnc_password" not in info.raw
        assert len(hosted.simulator.computers) == 1


async def test_computers_of_one_name_have_names_of_their_own_and_stop_by_themselves() -> None:
    """The vendor gives a name once; a process that is killed leaves nothing that runs for ever."""
    async with orgo() as hosted:
        first, second = await hosted.create("box"), await hosted.create("box")
        assert first.info.name != second.info.name
        assert created(hosted.simulator)["auto_stop_minutes"] == 60
        await hosted.simulator.pass_time(61)
        assert {computer.status for computer in hosted.simulator.computers.values()} == {"stopped"}


async def test_plan_that_fixes_the_idle_time_is_only_in_the_way_of_who_wants_another() -> None:
    """Our default gives way; a time that was asked for is not dropped silently."""
    async with orgo(plan=OrgoPlan(auto_stop_configurable=False)) as hosted:
        await hosted.create()
        assert "auto_stop_minutes" not in created(hosted.simulator)
        with pytest.raises(PermissionDeniedError, match="auto-stop"):
            await hosted.create(spec=ComputerSpec(ttl=600))
        hosted.simulator.fail(400, route="create", message="auto_stop_minutes is not for your plan")
        await hosted.create()
        hosted.simulator.fail(403, route="create", message="Your plan allows 1 computer.")
        with pytest.raises(PermissionDeniedError):
            await hosted.create()
        assert len(hosted.simulator.asked("create")) == 6


async def test_workspace_is_the_first_made_once_or_the_one_that_is_named() -> None:
    """An account without one gets one; many that create at once agree on it."""
    async with orgo() as hosted:
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(hosted.create)
        assert [workspace.name for workspace in hosted.simulator.workspaces.values()] == ["deskhand"]
        other = hosted.simulator.add_workspace("other")
        await hosted.create(workspace_id=other.id)
        assert created(hosted.simulator)["workspace_id"] == other.id
    async with simulated(dialect=OrgoDialect(listing="projects")) as simulator:
        first, second = simulator.add_workspace("first"), simulator.add_workspace("second")
        for wanted, expected in ((None, first.id), (second.id, second.id)):
            async with OrgoProvider(
                api_key=simulator.key, base_url=simulator.base_url, workspace_id=wanted
            ) as hosted_by:
                await hosted_by.create(name="box")
                assert created(simulator)["workspace_id"] == expected


async def test_environment_tells_key_address_and_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given counts first; the ways to a computer by name find the provider."""
    async with simulated() as simulator:
        workspace = simulator.add_workspace("mine")
        simulator.add_workspace("other")
        monkeypatch.setenv("ORGO_API_KEY", simulator.key)
        monkeypatch.setenv("ORGO_API_BASE", simulator.base_url + "/")
        monkeypatch.setenv("ORGO_WORKSPACE_ID", workspace.id)
        async with open_computer("orgo", label="named") as computer:
            assert created(simulator)["workspace_id"] == workspace.id
            async with attach(f"orgo:{computer.info.id}") as borrowed:
                assert borrowed.info.name == computer.info.name
            assert len(simulator.computers) == 1
        async with provider("orgo", api_key=SecretStr("sk_live_other")) as other:
            with pytest.raises(AuthError) as caught:
                await other.list()
        assert caught.value.hint is not None
        assert "ORGO_API_KEY" in caught.value.hint


async def test_provider_without_a_key_says_so_when_it_is_opened() -> None:
    """It can be made, as a list of what is installed does; the error says what to export."""
    closed = provider("orgo")
    with pytest.raises(ConfigError, match="no key") as caught:
        await closed.__aenter__()
    assert caught.value.code == "no_key"
    assert "ORGO_API_KEY" in str(caught.value)


async def test_provider_that_is_not_open_or_was_left_says_so() -> None:
    """It is a context manager, and its computers end with it."""
    async with simulated() as simulator:
        closed = OrgoProvider(api_key=simulator.key, base_url=simulator.base_url)
        with pytest.raises(ConflictError, match="not open"):
            await closed.create(name="box")
        async with closed:
            with pytest.raises(ConflictError, match="open already"):
                await closed.__aenter__()
            computer = await closed.create(name="box")
        for use in (closed.list(), closed.get("x")):
            with pytest.raises(ConflictError, match="not open"):
                await use
        with pytest.raises(ComputerGoneError):
            await computer.exec("true")


@pytest.mark.parametrize(
    "spec",
    [
        ComputerSpec(env={"A": "b"}),
        ComputerSpec(memory=65 * GIB),
        ComputerSpec(cpus=17),
        ComputerSpec(cpus=0),
        ComputerSpec(disk=-1),
        ComputerSpec(ttl=float("inf")),
        ComputerSpec(screen=(10, 10)),
    ],
    ids=str,
)
async def test_spec_that_cannot_be_honoured_is_refused(spec: ComputerSpec) -> None:
    """Nothing is dropped silently, and nothing is created."""
    async with orgo() as hosted:
        with pytest.raises(InvalidInputError):
            await hosted.create(spec=spec)
        assert not hosted.simulator.computers


async def test_names_and_options_that_cannot_be_are_refused_with_the_nearest() -> None:
    """Nothing is asked of the vendor for them."""
    async with orgo() as hosted:
        for name in ("", " ", "a\nb", "x" * 181):
            with pytest.raises(InvalidInputError, match="name"):
                await hosted.create(name)
        with pytest.raises(InvalidInputError, match="did you mean 'gpu'"):
            await hosted.create(gpus="a10")
        with pytest.raises(InvalidInputError, match="must be text"):
            await hosted.create(os=1)
        for option, value, hint in (("os", "macos", "linux, windows"), ("gpu", "a100-40g", "a100-80gb")):
            with pytest.raises(InvalidInputError, match=f"no {option} '{value}'") as caught:
                await hosted.create("box", None, **{option: value})
            assert hint in str(caught.value.hint)
        with pytest.raises(InvalidInputError, match="did you mean 'workspace_id'"):
            provider("orgo", workspace="x")
        assert not hosted.simulator.requests


async def test_got_computers_are_borrowed_and_listed_ones_untouched() -> None:
    """One that was created here is the same object; another's outlives this provider."""
    async with orgo() as hosted:
        own = await hosted.create("own")
        assert await hosted.provider.get(own.info.id) is own
        async with OrgoProvider(api_key=hosted.simulator.key, base_url=hosted.simulator.base_url) as other:
            borrowed = await other.get(own.info.id)
            assert borrowed.capabilities == own.capabilities
            assert [info.name for info in await other.list()] == [own.info.name]
        assert len(hosted.simulator.computers) == 1
        for missing in ("00000000-0000-0000-0000-000000000000", "../workspaces"):
            with pytest.raises(NotFoundError):
                await hosted.provider.get(missing)
        with pytest.raises(InvalidInputError):
            await hosted.provider.get("")


async def test_computers_that_the_list_does_not_tell_are_asked_for_in_each_workspace() -> None:
    """As the documents have it; so that one whose answer was lost is found there too."""
    async with orgo(dialect=OrgoDialect(desktops="apart", listing="workspaces")) as hosted:
        first = await hosted.create("first")
        hosted.simulator.drop(route="create", after_effect=True)
        second = await hosted.create("second")
        assert [info.id for info in await hosted.provider.list()] == [first.info.id, second.info.id]
        assert len(hosted.simulator.asked("create")) == 2


async def test_list_tells_what_computers_are_doing_now() -> None:
    """One that has stopped by itself is told as stopped; what was noted at its creation is still there."""
    async with orgo() as hosted:
        first = await hosted.create("first", ComputerSpec(ttl=60, metadata={"for": "me"}))
        second = await hosted.create("second")
        await hosted.simulator.pass_time(2)
        told = await hosted.provider.list()
        assert [(info.id, info.status) for info in told] == [
            (first.info.id, ComputerStatus.STOPPED),
            (second.info.id, ComputerStatus.RUNNING),
        ]
        assert told[0].metadata == {"for": "me"}


async def test_kept_computers_stay() -> None:
    """Whoever keeps one, destroys it."""
    async with orgo(left_behind=1) as hosted:
        kept, _ = await hosted.create("kept"), await hosted.create("other")
        kept.keep()


async def leave_with_a_key_that_fails(simulator: OrgoSimulator, error: Exception | None = None) -> None:
    """Create two computers, only one of which can be destroyed, and leave, with an error where one is given."""
    async with OrgoProvider(api_key=simulator.key, base_url=simulator.base_url) as hosted:
        await hosted.create(name="box")
        await hosted.create(name="box")
        simulator.fail(401, route="delete")
        if error is not None:
            raise error


async def test_what_cannot_be_destroyed_is_told_and_named() -> None:
    """Leaving goes on, all are tried, and a note names what was left; the block's own error goes before."""
    for own, kind in ((None, AuthError), (ValueError("mine"), ValueError)):
        async with simulated(left_behind=1) as simulator:
            with pytest.raises(kind) as caught:
                await leave_with_a_key_that_fails(simulator, own)
            [left] = simulator.computers
            assert f"{left} may have been left behind" in caught.value.__notes__[0]


async def test_what_cannot_be_destroyed_after_a_cancellation_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A cancellation passes as it is, and nobody reads its notes: a warning names what was left."""
    async with simulated(left_behind=1) as simulator:
        with anyio.CancelScope() as scope:
            async with OrgoProvider(api_key=simulator.key, base_url=simulator.base_url) as hosted_by:
                left = await hosted_by.create(name="box")
                simulator.fail(401, route="delete")
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
    assert f"{left.info.id} may have been left behind" in caplog.text


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (402, "You are out of credits.", QuotaError),
        (403, "Your plan allows 1 computers. Delete one, or upgrade.", QuotaError),
    ],
)
async def test_account_that_may_not_create_is_told_what_to_do(
    status: int, message: str, kind: type[DeskhandError]
) -> None:
    """Money, plan: nothing was created, and the hint says what to do."""
    async with orgo() as hosted:
        hosted.simulator.fail(status, route="create", message=message)
        with pytest.raises(kind) as caught:
            await hosted.create()
        error = caught.value
        assert (error.effect, error.provider, error.retryable) == ("no", "orgo", False)
        assert error.request_id
        assert error.hint


async def test_key_of_one_workspace_is_told_which() -> None:
    """A scoped key uses its own workspace by itself; where another is asked for, the hint names its own."""
    async with simulated() as simulator:
        mine, other = simulator.add_workspace("mine"), simulator.add_workspace("other")
        key = simulator.add_key(mine.id)
        async with OrgoProvider(api_key=key, base_url=simulator.base_url) as hosted:
            await hosted.create(name="box")
            with pytest.raises(PermissionDeniedError) as caught:
                await hosted.create(name="box", workspace_id=other.id)
        assert caught.value.hint is not None
        assert mine.id in caught.value.hint


async def test_address_below_which_there_is_no_api_is_told_as_such() -> None:
    """The path that was forgotten is what the hint names."""
    async with simulated() as simulator:
        base_url = simulator.base_url.removesuffix("/api")
        async with OrgoProvider(api_key=simulator.key, base_url=base_url) as hosted_by:
            with pytest.raises(NotFoundError) as caught:
                await hosted_by.create(name="box")
        assert "ORGO_API_BASE" in str(caught.value.hint)


async def test_what_is_told_of_a_computer_is_taken_with_care() -> None:
    """Numbers that no machine has count as untold, and no secret is kept, however deep it lies."""
    fields = (
        b'{"id": "c", "name": "n", "status": "running", "ram": 1e400, "cpu": 1%b, "resolution": "00x00", '
        b'"instance_details": {"apiPort": 7, "vncPassword": "t0ps3cret", "more": [{"desktop_api_token": "t0ps3cret"}]}}'
        % (b"0" * 400)
    )
    async with simulated() as simulator, OrgoProvider(api_key=simulator.key, base_url=simulator.base_url) as hosted_by:
        body = b'{"workspaces": [{"id": "w", "desktops": [%b]}]}' % fields
        simulator.respond(body, route="list_workspaces", content_type="application/json")
        [info] = await hosted_by.list()
    assert (info.specs.cpus, info.specs.memory, info.screen) == (None, None, None)
    assert info.raw["instance_details"] == {"apiPort": 7, "more": [{}]}
    assert "t0ps3cret" not in repr(info)
