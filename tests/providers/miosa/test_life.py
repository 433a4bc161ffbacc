"""How MIOSA's computers come, change, are copied and end; whose they are; and what becomes of lost answers."""

from __future__ import annotations

import anyio
import pytest

from deskhand import ComputerSpec, attach
from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConfigError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    QuotaError,
    RateLimitedError,
    UnsupportedError,
)
from deskhand.providers import Capability, ComputerStatus
from deskhand.providers.miosa import MiosaProvider
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import MiosaDialect, MiosaPlan, MiosaSimulator
from tests.providers.behind import shell_only
from tests.providers.miosa.parts import miosa, simulated

HOST = "01234567-89ab-cdef-0123-456789abcdef"


async def test_usage_is_counted_for_whom_the_spec_names() -> None:
    """Workspace and project come from the options, else from the spec's metadata, which is kept whole."""
    async with miosa(workspace_id="ours") as hosted:
        spec = ComputerSpec(metadata={"external_workspace_id": "theirs", "team": "red"}, env={"A": "b"}, image="plain")
        computer = await hosted.create(spec=spec, external_project_id="p1", size="large")
        sent = hosted.simulator.asked("create")[0].body
        assert isinstance(sent, dict)
        assert sent["workspace_id"] == "ours"
        assert sent["external_workspace_id"] == "theirs"
        assert sent["external_project_id"] == "p1"
        assert sent["metadata"] == {"external_workspace_id": "theirs", "team": "red"}
        assert (sent["env"], sent["template_type"], sent["size"]) == ({"A": "b"}, "plain", "large")
        assert computer.info.metadata["external_project_id"] == "p1"
        assert computer.info.source == "miosa-cloud"
        assert [info.metadata["team"] for info in await hosted.provider.list()] == ["red"]
        behind = hosted.simulator.computers[computer.info.id]
        assert (behind.whose.external_workspace_id, behind.auto_stop) == ("theirs", 3600)


async def test_tenant_is_whose_account_is_used() -> None:
    """Computers of one tenant are not another's; a tenant that is not the key's is refused."""
    async with simulated() as simulator:
        simulator.add_tenant("other")
        key, url = simulator.key, simulator.origin
        async with (
            MiosaProvider(api_key=key, base_url=url, tenant="other") as theirs,
            MiosaProvider(api_key=key, base_url=url) as ours,
        ):
            computer = await theirs.create(name="box")
            assert simulator.computers[computer.info.id].tenant == "other"
            assert await ours.list() == []
            with pytest.raises(NotFoundError):
                await ours.get(computer.info.id)
        async with MiosaProvider(api_key=key, base_url=url, tenant="nobody's") as wrong:
            with pytest.raises(PermissionDeniedError):
                await wrong.list()


@pytest.mark.parametrize(
    ("spec", "options", "says"),
    [
        (ComputerSpec(cpus=2), {}, "cpus"),
        (ComputerSpec(memory=1 << 30), {}, "memory"),
        (ComputerSpec(screen=(800, 600)), {}, "screen"),
        (ComputerSpec(ttl=-1), {}, "ttl"),
        (ComputerSpec(), {"sise": "small"}, "did you mean 'size'"),
        (ComputerSpec(), {"size": "huge"}, "huge"),
        (ComputerSpec(), {"workspace_id": 5}, "text"),
        (ComputerSpec(), {"compute_placement_request": "aws"}, "an object"),
        (ComputerSpec(), {"compute_placement_request": {}}, "a provider of miosa"),
        (ComputerSpec(), {"compute_placement_request": {"provider": "azure"}}, "aws"),
        (ComputerSpec(), {"compute_placement_request": {"provider": "aws", "regionId": HOST}}, "region_id"),
        (ComputerSpec(), {"compute_placement_request": {"provider": "opencomputers", "host_id": "pc"}}, "UUIDs"),
        (ComputerSpec(), {"compute_placement_request": {"provider": "aws", "fallback": "any"}}, "fallback"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_before_anything_is_asked(
    spec: ComputerSpec, options: dict[str, object], says: str
) -> None:
    """Nothing is created that is not what was asked for."""
    async with miosa() as hosted:
        with pytest.raises(InvalidInputError, match=says):
            await hosted.create(spec=spec, **options)  # type: ignore[arg-type]
        assert hosted.simulator.asked("create") == []


@pytest.mark.parametrize("kind", ["computer", "sandbox"])
async def test_every_option_of_the_vendor_reaches_it(kind: str) -> None:
    """Under the names that the vendor's package sends, as they were given."""
    options: dict[str, object] = {
        **dict.fromkeys(("agent_runtime_profile_id", "agent_profile_id", "setup_file"), "one"),
        **dict.fromkeys(("environment", "environment_id", "env_id"), "two"),
        **dict.fromkeys(("no_env", "fail_fast", "skip_agent_runtime_profile"), False),
        "compute_placement_request": {"provider": "opencomputers", "host_id": HOST, "fallback": "miosa"},
        **({"database": {"engine": "postgres"}} if kind == "sandbox" else {}),
    }
    async with miosa() as hosted:
        await (hosted.sandbox if kind == "sandbox" else hosted.create)("box", None, **options)
        [sent] = [one.body for one in hosted.simulator.asked("create_sandbox" if kind == "sandbox" else "create")]
        assert isinstance(sent, dict)
        assert {name: sent[name] for name in options} == options


async def test_no_key_and_a_wrong_key_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint says what to export."""
    for name in ("MIOSA_API_KEY", "MIOSA_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="no key") as raised:
        async with MiosaProvider(base_url="http://127.0.0.1:9"):
            pass
    assert "MIOSA_API_KEY" in str(raised.value.hint)
    async with simulated() as simulator, MiosaProvider(api_key="msk_no", base_url=simulator.origin) as provider:
        with pytest.raises(AuthError):
            await provider.list()


async def test_plan_and_balance_are_quota_errors() -> None:
    """What the account does not allow is told as such, and nothing is left."""
    async with miosa(plan=MiosaPlan(computers=1)) as hosted:
        await hosted.create()
        with pytest.raises(QuotaError):
            await hosted.create()
        hosted.simulator.set_balance(0)
        with pytest.raises(QuotaError):
            await hosted.create()


async def test_created_computer_whose_answer_was_lost_is_found_by_its_name() -> None:
    """It is created once, and it is ours."""
    async with miosa() as hosted:
        hosted.simulator.drop(route="create", after_effect=True)
        computer = await hosted.create()
        assert [*hosted.simulator.computers] == [computer.info.id]
        assert len(hosted.simulator.asked("create")) == 1


async def test_creation_that_nobody_can_tell_of_is_never_asked_for_twice() -> None:
    """MIOSA would make another of a request that comes twice: the doubt is told, and looked into when all ends."""
    async with miosa() as hosted:
        hosted.simulator.drop(route="create")
        with pytest.raises(OutcomeUnknownError, match="nobody can tell"):
            await hosted.create()
        assert len(hosted.simulator.asked("create")) == 1


async def test_creation_that_had_no_effect_is_asked_for_again() -> None:
    """A request to slow down is heeded."""
    async with miosa() as hosted:
        hosted.simulator.fail(429, route="create", retry_after=0.1)
        await hosted.create()
        assert len(hosted.simulator.asked("create")) == 2
        hosted.simulator.fail(429, route="create", retry_after=100_000)
        with pytest.raises(RateLimitedError):
            await hosted.create()


@pytest.mark.parametrize(
    "dialect",
    [
        MiosaDialect(envelope="data", running="active", errors="flat"),
        MiosaDialect(exec="output", stopped="paused", delete=204),
        MiosaDialect(exec="merged", readiness="later"),
    ],
    ids=str,
)
async def test_every_dialect_is_understood(dialect: MiosaDialect) -> None:
    """Envelopes, words and shapes differ; what a computer does does not."""
    async with miosa(shell_only, dialect=dialect) as hosted:
        computer = await hosted.create()
        done = await computer.exec("printf out; printf err >&2; exit 3")
        assert (done.output, done.exit_code) == ("outerr", 3)
        assert done.stdout == (None if dialect.exec == "merged" else "out")
        await computer.write_file("kept", "yes")
        await computer.stop()
        assert computer.info.status in {ComputerStatus.STOPPED, ComputerStatus.PAUSED}
        await computer.start()
        assert await computer.read_file("kept") == "yes"
        assert [info.id for info in await hosted.provider.list()] == [computer.info.id]


async def test_snapshot_is_restored_onto_another_machine() -> None:
    """The object is the restored machine then; the former is stopped, restored from again, and ends with it."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        first = computer.info.id
        await computer.write_file("file", "before")
        snapshot = await computer.snapshot("mine")
        await computer.write_file("file", "after")
        for _ in range(2):
            await computer.restore(snapshot)
            assert computer.info.id != first
            assert await computer.read_file("file") == "before"
        assert len(hosted.simulator.computers) == 3
        with pytest.raises((NotFoundError, UnsupportedError)):
            await computer.restore("no-such")
        assert Capability.SNAPSHOT in computer.capabilities
        await computer.destroy()
        assert first not in hosted.simulator.computers


async def test_restored_computer_whose_answer_was_lost_is_found() -> None:
    """A restore is asked for once, and what came of it is ours."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create()
        snapshot = await computer.snapshot("mine")
        hosted.simulator.drop(route="restore", after_effect=True)
        await computer.restore(snapshot)
        assert len(hosted.simulator.asked("restore")) == 1
        assert len(hosted.simulator.computers) == 2


async def test_clone_has_what_the_original_has() -> None:
    """A clone is a computer of its own, owned by the provider."""
    async with miosa(shell_only) as hosted:
        computer = await hosted.create(external_workspace_id="theirs")
        await computer.write_file("file", "same")
        hosted.simulator.drop(route="clone", after_effect=True)
        clone = await computer.clone("twin")
        assert clone.info.name.startswith("twin-")
        assert await clone.read_file("file") == "same"
        assert hosted.simulator.computers[clone.info.id].whose.external_workspace_id == "theirs"


async def test_desktop_that_comes_up_after_its_computer_is_waited_for() -> None:
    """Until then it is not there; a computer of a template with a desktop is not taken for one without."""
    async with miosa() as hosted:
        hosted.simulator.fail(404, route="screen_size", times=3)
        hosted.simulator.fail(404, route="screenshot", times=3)
        computer = await hosted.create()
        assert computer.info.screen is not None
        assert Capability.SCREENSHOT in computer.capabilities


async def test_desktop_that_does_not_come_up_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left can be used."""
    monkeypatch.setattr("deskhand.providers.miosa.computer._PATIENCE", 0.0)
    async with miosa(without=("screen_size", "screenshot")) as hosted:
        computer = await hosted.create()
        assert computer.info.screen is None
        assert Capability.SCREENSHOT not in computer.capabilities
        assert Capability.EXEC in computer.capabilities


async def test_computer_that_its_idle_time_stopped_says_so() -> None:
    """After the idle time it is stopped: what is asked of it is a conflict, and it can be started."""
    async with miosa() as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=60))
        await hosted.simulator.pass_time(61)
        assert (await computer.refresh()).status is ComputerStatus.STOPPED
        await computer.start()
        assert (await computer.refresh()).status is ComputerStatus.RUNNING


async def test_computer_that_vanished_is_gone() -> None:
    """Somebody destroyed it: that is told, and destroying it is no error."""
    async with miosa() as hosted:
        computer = await hosted.create()
        await hosted.simulator.vanish(computer.info.id)
        with pytest.raises(ComputerGoneError):
            await computer.left_click(1, 1)
        assert computer.info.status is ComputerStatus.DESTROYED


async def test_attached_computer_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was got is not destroyed; its id leads to it from the environment."""
    async with MiosaSimulator(behind=FakeComputer) as simulator:
        for name, value in simulator.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("MIOSA_ACCESS_TOKEN", raising=False)
        async with MiosaProvider() as provider:
            computer = await provider.create(name="box")
            computer.keep()
        async with attach(f"miosa:{computer.info.id}") as borrowed:
            assert (await borrowed.screenshot()).startswith(b"\x89PNG")
        assert [*simulator.computers] == [computer.info.id]


async def test_agent_is_prompted_and_ended_when_nobody_waits() -> None:
    """Its last words are returned; a session that nobody waits for any more is ended."""

    async def think(computer: object, goal: str) -> str:
        if goal == "think":
            await anyio.sleep_forever()
        return f"done: {goal}"

    async with (
        MiosaSimulator(behind=FakeComputer, agent=think) as simulator,
        MiosaProvider(api_key=simulator.key, base_url=simulator.origin) as provider,
    ):
        computer = await provider.create(name="box")
        assert await computer.prompt("open it") == "done: open it"
        with anyio.move_on_after(0.5):
            await computer.prompt("think")
        assert len(simulator.asked("cancel_session")) == 1
        simulator.slow(delay=0.3, route="start_session")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(computer.prompt, "think")
            await simulator.until_asked("start_session", times=3)
            tasks.cancel_scope.cancel()
        assert len(simulator.asked("cancel_session")) == 2
        simulator.respond(b'{"id": "s", "goal": "think"}', content_type="application/json", route="start_session")
        simulator.fail(403, route="get_session")
        with pytest.raises(PermissionDeniedError):
            await computer.prompt("think")
        assert len(simulator.asked("cancel_session")) == 3


async def test_held_keys_are_let_go_of_when_a_click_fails() -> None:
    """A click with modifiers is several requests: nothing stays pressed, and the click is not sent again."""
    async with miosa() as hosted:
        computer = await hosted.create()
        hosted.simulator.drop(route="click", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await computer.left_click(5, 5, modifiers=["ctrl", "shift"])
        asked = [request.route for request in hosted.simulator.requests if request.method == "POST"]
        assert asked[-5:] == ["key_down", "key_down", "click", "key_up", "key_up"]
        hosted.simulator.let_pass(route="key_down")
        hosted.simulator.fail(409, route="key_down")
        with pytest.raises(ConflictError) as raised:
            await computer.left_click(5, 5, modifiers=["ctrl", "shift"])
        assert raised.value.effect == "yes"  # ctrl was struck


async def test_port_that_cannot_be_exposed_has_no_address() -> None:
    """That the computer is stopped is no port that is exposed already."""
    async with miosa() as hosted:
        computer = await hosted.create()
        await computer.stop()
        with pytest.raises(ConflictError, match="stopped") as caught:
            await computer.preview_url(3000)
        assert caught.value.effect == "no"


async def test_port_is_exposed_once_and_its_address_told() -> None:
    """A port that is exposed already is no error; the path is appended."""
    async with miosa() as hosted:
        computer = await hosted.create()
        for _ in range(2):
            url = await computer.preview_url(3000, "/x")
            assert url.startswith("http")
            assert url.endswith("/x")
        hosted.simulator.respond(
            b'{"data": {"port": 80, "url": "https://80-x.sandbox.miosa.ai/?token=t"}}',
            content_type="application/json",
            route="expose_port",
        )
        assert await computer.preview_url(80, "/a?b=c") == "https://80-x.sandbox.miosa.ai/a?token=t&b=c"
        assert (await computer.live_view_url()).startswith("https://")
