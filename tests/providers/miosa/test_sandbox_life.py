"""How MIOSA's sandboxes come, pause, are copied and end; whose they are; and what becomes of lost answers."""

from __future__ import annotations

import anyio
import pytest

from deskhand import ComputerSpec, attach, open_computer
from deskhand.errors import (
    ComputerGoneError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    UnsupportedError,
)
from deskhand.providers import Capability, ComputerStatus
from deskhand.providers.miosa import MiosaComputer, MiosaProvider, MiosaSandbox
from deskhand.testing import FakeComputer
from deskhand.testing.simulators import MiosaDialect, MiosaPlan
from tests.providers.behind import shell_only
from tests.providers.miosa.parts import miosa, simulated

MEGABYTE = 1 << 20


async def test_kind_is_an_option_of_creation_or_of_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given to `create` counts first, then the provider's own, then the environment's."""
    monkeypatch.delenv("MIOSA_KIND", raising=False)
    async with simulated() as simulator:
        key, url = simulator.key, simulator.base_url
        async with MiosaProvider(api_key=key, base_url=url, kind="sandbox") as provider:
            assert isinstance(await provider.create(name="a"), MiosaSandbox)
            assert isinstance(await provider.create(name="b", kind="computer"), MiosaComputer)
        monkeypatch.setenv("MIOSA_KIND", "sandbox")
        async with MiosaProvider(api_key=key, base_url=url) as provider:
            assert isinstance(await provider.create(name="c"), MiosaSandbox)
            with pytest.raises(InvalidInputError, match="did you mean 'sandbox'"):
                await provider.create(name="d", kind="sandbocks")
        monkeypatch.setenv("MIOSA_KIND", "vm")
        with pytest.raises(InvalidInputError, match="no kind 'vm'"):
            MiosaProvider(api_key=key, base_url=url)


async def test_sandbox_is_opened_and_attached_to_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """`open_computer` and `attach` know sandboxes; the latter leaves one alone."""
    async with simulated(shell_only) as simulator:
        monkeypatch.setenv("MIOSA_API_KEY", simulator.key)
        monkeypatch.setenv("MIOSA_BASE_URL", simulator.base_url)
        async with open_computer("miosa", kind="sandbox") as made:
            name = f"miosa:{made.info.id}"
            async with attach(name) as borrowed:
                assert isinstance(borrowed, MiosaSandbox)
                assert (await borrowed.exec("echo here")).output == "here\n"
            assert (await made.exec("echo there")).output == "there\n"
        with pytest.raises(NotFoundError, match="deskhand ls"):
            async with attach(name):
                pass


async def test_list_shows_both_kinds_told_apart() -> None:
    """The oldest first, each with the source that says what it is; of one workspace where that is asked for."""
    async with miosa() as hosted:
        computer, sandbox = await hosted.create("a"), await hosted.sandbox("b", workspace_id="w")
        listed = await hosted.provider.list()
        assert [(one.id, one.source) for one in listed] == [
            (computer.info.id, "miosa-cloud"),
            (sandbox.info.id, "miosa-sandbox"),
        ]
        key, url = hosted.simulator.key, hosted.simulator.base_url
        async with MiosaProvider(api_key=key, base_url=url, workspace_id="w") as ours:
            assert [one.id for one in await ours.list()] == [sandbox.info.id]
        assert await hosted.provider.get(sandbox.info.id) is sandbox
        assert await hosted.provider.get(computer.info.id) is computer


async def test_service_without_sandboxes_lists_its_computers() -> None:
    """An API that has one of the two alone is listed all the same; one with neither is told."""
    async with miosa(without=("list_sandboxes", "create_sandbox")) as hosted:
        computer = await hosted.create()
        assert [one.id for one in await hosted.provider.list()] == [computer.info.id]
        with pytest.raises(NotFoundError):
            await hosted.sandbox()
        for route in ("list", "create"):
            hosted.simulator.remove(route)
        with pytest.raises(NotFoundError):
            await hosted.provider.list()
        for route in ("list", "create", "list_sandboxes", "create_sandbox"):
            hosted.simulator.restore(route)


async def test_key_for_one_of_both_kinds_is_enough_for_that_one() -> None:
    """What it may not look for is not listed and not found; a key for neither is told."""
    async with miosa() as hosted:
        sandbox = await hosted.sandbox()
        key, url = hosted.simulator.key, hosted.simulator.base_url
        async with MiosaProvider(api_key=key, base_url=url) as other:
            for route in ("list", "get"):
                hosted.simulator.fail(403, route=route)
            assert [one.id for one in await other.list()] == [sandbox.info.id]
            assert isinstance(await other.get(sandbox.info.id), MiosaSandbox)
            hosted.simulator.fail(403, route="get")
            with pytest.raises(PermissionDeniedError):
                await other.get("no-such")
            for route in ("list", "list_sandboxes"):
                hosted.simulator.fail(403, route=route)
            with pytest.raises(PermissionDeniedError):
                await other.list()


async def test_usage_is_counted_for_whom_the_spec_names() -> None:
    """Workspace, project and user come from the options, else from the spec's metadata; all options go through."""
    async with miosa(workspace_id="ours") as hosted:
        spec = ComputerSpec(
            cpus=2,
            memory=4096 * MEGABYTE,
            ttl=90.5,
            image="python",
            env={"A": "b"},
            metadata={"external_user_id": "u1", "team": "red"},
        )
        sandbox = await hosted.sandbox(spec=spec, external_project_id="p1", persistent=True, tags=["x"], region="eu")
        sent = hosted.simulator.asked("create_sandbox")[0]
        assert sent.body == {
            "name": sandbox.info.name,
            "template_id": "python",
            "timeout_sec": 91,
            "cpu_count": 2,
            "memory_mb": 4096,
            "env": {"A": "b"},
            "metadata": {"external_user_id": "u1", "team": "red"},
            "workspace_id": "ours",
            "external_user_id": "u1",
            "external_project_id": "p1",
            "persistent": True,
            "tags": ["x"],
            "region": "eu",
        }
        info = sandbox.info
        assert info.metadata == {
            "external_user_id": "u1",
            "team": "red",
            "workspace_id": "ours",
            "external_project_id": "p1",
        }
        assert (info.specs.cpus, info.specs.memory) == (2, 4096 * MEGABYTE)
        assert (info.source, info.screen, info.status) == ("miosa-sandbox", None, ComputerStatus.RUNNING)
        assert info.public_url is not None


@pytest.mark.parametrize(
    ("spec", "options", "says"),
    [
        (ComputerSpec(screen=(800, 600)), {}, "screen"),
        (ComputerSpec(cpus=3), {}, "without the disk"),
        (ComputerSpec(cpus=2, memory=1 << 30), {}, "without the disk"),
        (ComputerSpec(cpus=2, memory=4096 * MEGABYTE), {"size": "small"}, "leave one of them out|own cores"),
        (ComputerSpec(ttl=0), {}, "ttl"),
        (ComputerSpec(), {"persistant": True}, "did you mean 'persistent'"),
        (ComputerSpec(), {"persistent": "yes"}, "true or false"),
        (ComputerSpec(), {"tags": "one"}, "a list"),
        (ComputerSpec(), {"idle_timeout_sec": 0}, "whole number"),
        (ComputerSpec(), {"size": "huge"}, "huge"),
        (ComputerSpec(), {"database": "yes"}, "true or false"),
        (ComputerSpec(), {"runtime_profile": "firecracker"}, "standard"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_before_anything_is_asked(
    spec: ComputerSpec, options: dict[str, object], says: str
) -> None:
    """Nothing is created that is not what was asked for."""
    async with miosa() as hosted:
        with pytest.raises(InvalidInputError, match=says):
            await hosted.sandbox(spec=spec, **options)  # type: ignore[arg-type]
        assert hosted.simulator.asked("create_sandbox") == []


async def test_size_of_its_own_needs_all_three() -> None:
    """Cores, memory and disk together may be any."""
    async with miosa() as hosted:
        spec = ComputerSpec(cpus=3, memory=3000 * MEGABYTE, disk=5000 * MEGABYTE)
        sandbox = await hosted.sandbox(spec=spec)
        assert (sandbox.info.specs.cpus, sandbox.info.specs.disk) == (3, 5000 * MEGABYTE)


async def test_created_sandbox_whose_answer_was_lost_is_there_once() -> None:
    """It is found by its name."""
    async with miosa() as hosted:
        hosted.simulator.drop(route="create_sandbox", after_effect=True)
        sandbox = await hosted.sandbox()
        assert [*hosted.simulator.sandboxes] == [sandbox.info.id]


async def test_sandbox_that_is_nowhere_to_be_seen_is_asked_for_again_with_the_same_key() -> None:
    """MIOSA makes one of a request that comes twice, also where the list does not show it yet."""
    async with miosa() as hosted:
        hosted.simulator.drop(route="create_sandbox", after_effect=True)
        hosted.simulator.respond(b'{"data": []}', content_type="application/json", route="list_sandboxes", times=4)
        sandbox = await hosted.sandbox()
        asked = hosted.simulator.asked("create_sandbox")
        assert len({request.headers["idempotency-key"] for request in asked}) == 1
        assert len(asked) == 2
        assert [*hosted.simulator.sandboxes] == [sandbox.info.id]
        other = await hosted.sandbox()
        assert hosted.simulator.asked("create_sandbox")[2].headers["idempotency-key"] not in {
            request.headers["idempotency-key"] for request in asked
        }
        assert other.info.id != sandbox.info.id


async def test_creation_that_nobody_can_tell_of_is_told_and_looked_into_at_the_end() -> None:
    """Where no try is answered and the list neither, the doubt is told; leaving ends what came of it."""
    async with miosa() as hosted:
        hosted.simulator.drop(route="create_sandbox", after_effect=True)
        hosted.simulator.fail(500, route="list_sandboxes", times=3)
        with pytest.raises(OutcomeUnknownError, match="nobody can tell"):
            await hosted.sandbox()
        assert len(hosted.simulator.sandboxes) == 1


async def test_creation_that_had_no_effect_is_asked_for_again() -> None:
    """A request to slow down is heeded; a plan that allows no more is told."""
    async with miosa(plan=MiosaPlan(sandboxes=1)) as hosted:
        hosted.simulator.fail(429, route="create_sandbox", retry_after=0.1)
        await hosted.sandbox()
        assert len(hosted.simulator.asked("create_sandbox")) == 2
        hosted.simulator.fail(429, route="create_sandbox", retry_after=100_000)
        with pytest.raises(RateLimitedError):
            await hosted.sandbox()
        with pytest.raises(QuotaError):
            await hosted.sandbox()


@pytest.mark.parametrize(
    "dialect",
    [
        MiosaDialect(sandbox="bare", begins="provisioning", stopped="paused", errors="flat"),
        MiosaDialect(readiness="later", checkpoint=0.3, delete=204),
    ],
    ids=str,
)
async def test_every_dialect_is_understood(dialect: MiosaDialect) -> None:
    """Envelopes, words and delays differ; what a sandbox does does not."""
    async with miosa(shell_only, dialect=dialect) as hosted:
        sandbox = await hosted.sandbox()
        done = await sandbox.exec("printf out; printf err >&2; exit 3")
        assert (done.stdout, done.stderr, done.exit_code) == ("out", "err", 3)
        await sandbox.write_file("kept", "yes")
        await sandbox.stop()
        assert sandbox.info.status is ComputerStatus.PAUSED
        await sandbox.start()
        assert await sandbox.read_file("kept") == "yes"
        assert [info.id for info in await hosted.provider.list()] == [sandbox.info.id]


@pytest.mark.parametrize("readiness", [(), ("sandbox_readiness",)], ids=["route", "no route"])
async def test_creation_waits_until_commands_are_let_through(readiness: tuple[str, ...]) -> None:
    """A sandbox that runs may not take commands yet; without a route that tells, a command does."""
    async with miosa(shell_only, dialect=MiosaDialect(readiness="later"), without=readiness) as hosted:
        sandbox = await hosted.sandbox()
        assert (await sandbox.exec("echo ready")).output == "ready\n"
        hosted.simulator.sandboxes[sandbox.info.id].is_ready = False
        with pytest.raises(ConflictError, match="not ready") as raised:
            await sandbox.exec("true")
        assert (raised.value.retryable, raised.value.effect) == (True, "no")


@pytest.mark.parametrize(("told", "is_ready"), [("ready", True), ("pending", False)])
async def test_readiness_is_also_told_part_by_part(told: str, is_ready: bool) -> None:
    """Where it is not told as a whole, each part of the platform must be ready; the workload's own is no matter."""
    parts = ("command_agent", "process_control", "resource_contract", "clock", "identity", "durability", "filesystem")
    each = ", ".join(f'"{part}": "ready"' for part in parts)
    body = f'{{"components": {{{each}, "internal_probe": {{"status": "{told}"}}, "application_probe": "pending"}}}}'
    async with miosa() as hosted:
        hosted.simulator.respond(body.encode(), content_type="application/json", route="sandbox_readiness")
        await hosted.sandbox()
        assert len(hosted.simulator.asked("sandbox_readiness")) == (1 if is_ready else 2)


async def test_sandbox_is_resumed_once_its_checkpoint_is_saved() -> None:
    """What MIOSA still saves after a pause is waited for, also where only the refusal tells of it."""
    async with miosa(shell_only, dialect=MiosaDialect(checkpoint=0.5)) as hosted:
        sandbox = await hosted.sandbox()
        await sandbox.stop()
        assert sandbox.info.raw["checkpoint_pending"] is True
        await sandbox.start()
        assert [request.status for request in hosted.simulator.asked("resume_sandbox") if request.method == "POST"] == [
            200
        ]
        await sandbox.stop()
        hosted.simulator.sandboxes[sandbox.info.id].checkpoint_pending = False
        hosted.simulator.fail(
            503, route="resume_sandbox", extra={"code": "RESTORE_TRANSIENT", "retryable": True}, times=2
        )
        await sandbox.start()
        assert sandbox.info.status is ComputerStatus.RUNNING


@pytest.mark.parametrize("is_refused", [False, True])
async def test_sandbox_whose_runtime_cannot_pause_is_stopped(is_refused: bool) -> None:
    """Its disk is kept either way; whether no sandbox can be paused, or this one cannot."""
    async with miosa(shell_only, without=() if is_refused else ("pause_sandbox",)) as hosted:
        sandbox = await hosted.sandbox()
        if is_refused:
            hosted.simulator.fail(422, route="pause_sandbox", message="This runtime has no pause.")
        await sandbox.write_file("kept", "yes")
        await sandbox.stop()
        assert sandbox.info.status is ComputerStatus.STOPPED
        await sandbox.start()
        assert await sandbox.read_file("kept") == "yes"


@pytest.mark.parametrize("route", ["pause_sandbox", "resume_sandbox"])
async def test_pause_and_resumption_whose_answer_was_lost_are_no_error(route: str) -> None:
    """What arrived the first time is refused the second time, which tells that it has happened."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        hosted.simulator.drop(route=route, after_effect=True)
        await sandbox.stop()
        await sandbox.start()
        assert (await sandbox.exec("echo on")).output == "on\n"


async def test_snapshot_is_restored_onto_another_sandbox() -> None:
    """The object is the restored one then; the former is stopped, restored from again, and ends with it."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        first = sandbox.info.id
        await sandbox.write_file("file", "before")
        snapshot = await sandbox.snapshot("mine")
        assert hosted.simulator.sandbox_snapshots[snapshot].comment == "mine"
        await sandbox.write_file("file", "after")
        await sandbox.restore(snapshot)
        assert sandbox.info.id != first
        assert await sandbox.read_file("file") == "before"
        assert len(hosted.simulator.sandboxes) == 2
        with pytest.raises((NotFoundError, UnsupportedError)):
            await sandbox.restore("no-such")
        await sandbox.destroy()
        assert not hosted.simulator.sandboxes


@pytest.mark.parametrize("is_borrowed", [False, True], ids=["owned", "borrowed"])
async def test_snapshot_may_be_restored_in_its_place(is_borrowed: bool) -> None:
    """The sandbox keeps its id; one that was borrowed is left there."""
    async with miosa(shell_only, dialect=MiosaDialect(restores="in_place"), left_behind=0) as hosted:
        made = await hosted.sandbox()
        async with MiosaProvider(api_key=hosted.simulator.key, base_url=hosted.simulator.base_url) as second:
            sandbox = await second.get(made.info.id) if is_borrowed else made
            await sandbox.write_file("file", "before")
            snapshot = await sandbox.snapshot("mine")
            await sandbox.write_file("file", "after")
            await sandbox.restore(snapshot)
            assert sandbox.info.id == made.info.id
            assert await sandbox.read_file("file") == "before"
        assert [*hosted.simulator.sandboxes] == [made.info.id]


async def test_snapshot_by_the_older_route_and_one_that_fails() -> None:
    """Without the route that takes a comment the other one does; what came to nothing is told."""
    async with miosa(shell_only, without=("take_sandbox_snapshot",)) as hosted:
        sandbox = await hosted.sandbox()
        snapshot = await sandbox.snapshot("unsaid")
        assert snapshot in hosted.simulator.sandbox_snapshots
        hosted.simulator.restore("take_sandbox_snapshot")
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        failed = b'{"data": {"id": "snap_1", "status": "failed", "error": "the disk is full"}}'
        hosted.simulator.respond(failed, content_type="application/json", route="take_sandbox_snapshot")
        with pytest.raises(ProviderError, match="the disk is full"):
            await sandbox.snapshot("mine")


async def test_fork_goes_on_from_where_the_original_is() -> None:
    """It has the same files, is counted for the same, and is the provider's."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox(external_user_id="u1")
        await sandbox.write_file("file", "mine")
        twin = await sandbox.clone("twin")
        assert isinstance(twin, MiosaSandbox)
        assert twin.info.name.startswith("twin-")
        assert await twin.read_file("file") == "mine"
        assert twin.info.metadata["external_user_id"] == "u1"
        await twin.write_file("file", "yours")
        assert await sandbox.read_file("file") == "mine"


async def test_copy_has_the_user_and_the_time_of_the_original() -> None:
    """They are said to a vendor who may give it neither; the time is the one that was said last."""
    async with miosa(dialect=MiosaDialect(forks="plain")) as hosted:
        sandbox = await hosted.sandbox(spec=ComputerSpec(ttl=900), external_user_id="u1")
        await sandbox.extend(1800)
        twin = hosted.simulator.sandboxes[(await sandbox.clone("twin")).info.id]
        assert (twin.whose["external_user_id"], twin.timeout) == ("u1", 1800)
        await sandbox.restore(await sandbox.snapshot("now"))
        assert hosted.simulator.sandboxes[sandbox.info.id].timeout == 1800
        await sandbox.restore(await sandbox.snapshot("then"))
        assert hosted.simulator.sandboxes[sandbox.info.id].timeout == 1800
        bare = hosted.simulator.sandboxes[(await (await hosted.sandbox()).clone("bare")).info.id]
        assert (bare.whose, bare.timeout) == ({}, 3600)


@pytest.mark.parametrize("is_listed", [True, False])
async def test_fork_whose_answer_was_lost_is_there_once(is_listed: bool) -> None:
    """It is found by its name, or asked for again with the same key."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        hosted.simulator.drop(route="fork_sandbox", after_effect=True)
        if not is_listed:
            hosted.simulator.respond(b'{"data": []}', content_type="application/json", route="list_sandboxes", times=4)
        twin = await sandbox.clone("twin")
        assert {*hosted.simulator.sandboxes} == {sandbox.info.id, twin.info.id}


async def test_time_of_a_sandbox_is_given_and_extended() -> None:
    """One that nobody uses is ended by MIOSA when its time is up; a persistent one is paused."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox(spec=ComputerSpec(ttl=100))
        lasting = await hosted.sandbox(spec=ComputerSpec(ttl=100), persistent=True)
        behind = hosted.simulator.sandboxes[sandbox.info.id]
        await sandbox.extend(500)
        assert behind.timeout == 500
        await hosted.simulator.pass_time(200)
        assert (await sandbox.refresh()).status is ComputerStatus.RUNNING
        assert (await lasting.refresh()).status is ComputerStatus.PAUSED
        with pytest.raises(InvalidInputError):
            await sandbox.extend(0)
        await hosted.simulator.pass_time(600)
        with pytest.raises(ComputerGoneError):
            await sandbox.exec("true")
        with pytest.raises(ComputerGoneError):
            await sandbox.extend(10)


async def test_extension_without_its_route_is_unsupported() -> None:
    """It is said, and nothing else is lost."""
    async with miosa(without=("extend_sandbox",)) as hosted:
        sandbox = await hosted.sandbox()
        with pytest.raises(UnsupportedError):
            await sandbox.extend(10)
        assert Capability.EXEC in sandbox.capabilities


async def test_sandbox_that_vanished_is_told() -> None:
    """Whatever is asked of it says so, and ending it is no error."""
    async with miosa(shell_only) as hosted:
        sandbox = await hosted.sandbox()
        await hosted.simulator.vanish(sandbox.info.id)
        with pytest.raises(ComputerGoneError):
            await sandbox.exec("true")
        assert sandbox.info.status is ComputerStatus.DESTROYED
        with pytest.raises(ComputerGoneError):
            await sandbox.preview_url(80)
        await sandbox.destroy()


async def test_cancelled_creation_leaves_nothing_behind() -> None:
    """Whoever does not wait any more gets none: what came of the request is ended."""
    async with miosa(FakeComputer) as hosted:
        hosted.simulator.slow(delay=0.3, route="create_sandbox")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hosted.sandbox)
            await hosted.simulator.until_asked("create_sandbox")
            tasks.cancel_scope.cancel()
    assert not hosted.simulator.sandboxes


async def test_kept_sandbox_is_left_alone() -> None:
    """`keep` gives it away."""
    async with miosa(FakeComputer, left_behind=1) as hosted:
        (await hosted.sandbox()).keep()
