"""What becomes of a sandbox: made once, found, paused, kept longer, gone; and what is refused at once."""

from __future__ import annotations

import anyio
import httpx2
import pytest

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConfigError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    OverloadedError,
    ProtocolError,
    QuotaError,
    UnsupportedError,
)
from deskhand.providers import Capability, ComputerSpec, ComputerStatus
from deskhand.providers.e2b import E2BProvider
from deskhand.testing.simulators import E2BPlan
from tests.providers.behind import shell_only
from tests.providers.e2b.parts import e2b, simulated


async def test_lost_answer_to_create_never_leaves_two() -> None:
    """It is looked for by the name in its metadata, before it is asked for again."""
    async with e2b() as hosted:
        hosted.simulator.drop(route="create", after_effect=True)
        computer = await hosted.create("box")
        assert [*hosted.simulator.computers] == [computer.info.id]
        assert computer.info.name.startswith("box-")
        hosted.simulator.drop(route="create")  # nothing came of this one
        await hosted.create("other")
        assert len(hosted.simulator.computers) == 2
        keys = {request.headers["idempotency-key"] for request in hosted.simulator.asked("create")}
        assert len(keys) == 2


async def test_lost_command_is_unknown_and_sent_once() -> None:
    """Whether it ran nobody can tell; what may run on is ended."""
    async with e2b() as hosted:
        computer = await hosted.create()
        before = len(hosted.simulator.asked("start"))
        hosted.simulator.drop(route="start", after_effect=True)
        with pytest.raises(OutcomeUnknownError):
            await computer.exec("echo once")
        assert len(hosted.simulator.asked("start")) == before + 2  # the command, and what ends whatever it started
        assert hosted.simulator.requests[-3].route == "send_signal"


async def test_sandbox_whose_time_is_up_is_gone_in_the_middle_of_a_command() -> None:
    """A connection that ends without a word is asked about: the command's effect is not known."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=60))
        async with anyio.create_task_group() as tasks:

            async def pass_time() -> None:
                await hosted.simulator.until_asked("start", times=before + 1)
                await hosted.simulator.pass_time(61)

            before = len(hosted.simulator.asked("start"))
            tasks.start_soon(pass_time)
            with pytest.raises(ComputerGoneError) as caught:
                await computer.exec("sleep 30")
        assert caught.value.effect == "unknown"
        assert computer.info.status is ComputerStatus.DESTROYED
        with pytest.raises(ComputerGoneError):
            await computer.exec("true")


async def test_time_can_be_extended_within_what_the_plan_allows() -> None:
    """It counts from now on."""
    async with e2b(plan=E2BPlan(longest=3600)) as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=60))
        await computer.extend(600)
        await hosted.simulator.pass_time(300)
        assert (await computer.refresh()).status is ComputerStatus.RUNNING
        with pytest.raises(InvalidInputError, match="cannot be greater"):
            await computer.extend(7200)
        with pytest.raises(InvalidInputError):
            await computer.extend(0)


async def test_paused_sandbox_says_so_and_goes_on() -> None:
    """Elsewhere too it is seen as paused; pausing twice is no error."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("kept", b"1")
        await computer.stop()
        await computer.stop()
        with pytest.raises(ConflictError) as caught:
            await computer.exec("true")
        assert caught.value.hint == "start() lets it go on"
        assert [info.status for info in await hosted.provider.list()] == [ComputerStatus.PAUSED]
        options = hosted.simulator.options()
        async with E2BProvider(**options) as other:  # type: ignore[arg-type]
            borrowed = await other.get(computer.info.id)
            assert borrowed.info.status is ComputerStatus.PAUSED
            await borrowed.start()
            assert await borrowed.read_bytes("kept") == b"1"
        assert (await computer.refresh()).status is ComputerStatus.RUNNING


async def test_sandbox_that_is_paused_when_its_time_is_up_is_not_gone() -> None:
    """Its daemon is not found, which is what is said of one that is gone; the API knows better."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create(spec=ComputerSpec(ttl=60), auto_pause=True)
        await computer.write_file("kept", b"1")
        await hosted.simulator.pass_time(61)
        with pytest.raises(ConflictError, match="is paused") as caught:
            await computer.exec("true")
        assert (caught.value.effect, caught.value.hint) == ("no", "start() lets it go on")
        assert computer.info.status is ComputerStatus.PAUSED
        await computer.start()
        assert await computer.read_bytes("kept") == b"1"


async def test_copy_has_the_files_and_is_owned() -> None:
    """It ends with the provider, as its original does."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("kept", b"1")
        hosted.simulator.drop(route="fork", after_effect=True)
        twin = await computer.clone("twin")
        assert await twin.read_bytes("kept") == b"1"
        assert twin.info.metadata == {"clone": "twin"}
        assert len(hosted.simulator.computers) == 2


@pytest.mark.parametrize(("route", "lost"), [("pause", Capability.PAUSE), ("fork", Capability.CLONE)])
async def test_missing_route_takes_its_capability_along(route: str, lost: Capability) -> None:
    """Once that is found out; what else there is stays."""
    async with e2b(without=(route,)) as hosted:
        computer = await hosted.create()
        before = computer.capabilities
        with pytest.raises(UnsupportedError):
            await (computer.stop() if route == "pause" else computer.clone("twin"))
        assert before - computer.capabilities == {lost}


async def test_list_has_all_pages_and_get_adopts_what_was_made_elsewhere() -> None:
    """Computers that this provider did not make are left alone when it is left."""
    async with simulated(left_behind=3) as simulator, E2BProvider(**simulator.options()) as maker:  # type: ignore[arg-type]
        made = [await maker.create(name=f"box{n}", spec=ComputerSpec(metadata={"n": str(n)})) for n in range(3)]
        for one in made:
            one.keep()
        async with E2BProvider(**simulator.options()) as other:  # type: ignore[arg-type]
            simulator.clear_faults()
            listed = await other.list()
            assert [info.id for info in listed] == [one.info.id for one in made]
            assert [info.metadata for info in listed] == [{"n": "0"}, {"n": "1"}, {"n": "2"}]
            borrowed = await other.get(made[0].info.id)
            assert (await borrowed.exec("echo hi")).output == "hi\n"
            with pytest.raises(NotFoundError):
                await other.get("inothing")
        assert len(simulator.computers) == 3


@pytest.mark.parametrize(
    ("spec", "options", "said"),
    [
        (ComputerSpec(cpus=4), {}, "no cpus"),
        (ComputerSpec(memory=1 << 30), {}, "no memory"),
        (ComputerSpec(disk=1 << 30), {}, "no disk"),
        *((ComputerSpec(ttl=ttl), {}, "ttl") for ttl in (-1, 0, float("nan"), float("inf"))),
        (ComputerSpec(screen=(10, 10)), {}, "screen"),
        (ComputerSpec(screen=(2561, 1440)), {}, "screen"),
        (ComputerSpec(env={"A=B": "x"}), {}, "A=B"),
        (ComputerSpec(env={"A": "x\0y"}), {}, "A"),
        (ComputerSpec(), {"auto_puase": True}, "auto_pause"),
        (ComputerSpec(), {"auto_pause": "yes"}, "True or False"),
        (ComputerSpec(metadata={"deskhand-name": "x"}), {}, "taken"),
    ],
    ids=str,
)
async def test_what_cannot_be_honoured_is_refused_before_anything_is_asked(
    spec: ComputerSpec, options: dict[str, object], said: str
) -> None:
    """Options that are not known are refused with the nearest name."""
    async with e2b() as hosted:
        with pytest.raises(InvalidInputError, match=said):
            await hosted.create("box", spec, **options)
        assert not hosted.simulator.requests


async def test_errors_of_the_vendor_are_typed_and_say_what_to_do() -> None:
    """A template that is not there, a plan that is full, a key that is wrong or missing."""
    async with e2b(plan=E2BPlan(sandboxes=1)) as hosted:
        with pytest.raises(NotFoundError, match="template"):
            await hosted.create("box", ComputerSpec(image="nothing"))
        await hosted.create()
        with pytest.raises(QuotaError, match="maximum number"):
            await hosted.create("more")
        hosted.simulator.expire_key()
        with pytest.raises(AuthError) as caught:
            await hosted.provider.list()
        assert caught.value.hint == "export E2B_API_KEY=e2b_..."
        hosted.simulator.expire_key(expired=False)
    with pytest.raises(ConfigError, match="no key"):
        async with E2BProvider(api_key="", base_url="http://127.0.0.1:9"):
            pass


async def test_key_and_tokens_go_where_they_belong() -> None:
    """The account's key never goes into a sandbox, its token never to the API; nothing of it is told of a computer."""
    async with e2b() as hosted:
        computer = await hosted.create()
        await computer.exec("true")
        for request in hosted.simulator.requests:
            is_inside = request.path.startswith(("/process.", "/filesystem.", "/files", "/health"))
            assert ("x-api-key" in request.headers, "x-access-token" in request.headers) == (not is_inside, is_inside)
            assert "authorization" not in request.headers
        token = hosted.simulator.computers[computer.info.id].token.get_secret_value()
        assert token not in repr(computer.info) + str(computer.info.raw)


async def test_preview_address_is_below_the_sandboxs_domain() -> None:
    """Anybody reaches a port there; what is no port is refused."""
    async with e2b() as hosted:
        computer = await hosted.create()
        assert await computer.preview_url(3000, "/a b?c=1") == f"https://3000-{computer.info.id}.e2b.app/a%20b?c=1"
        with pytest.raises(InvalidInputError):
            await computer.preview_url(0)


@pytest.mark.parametrize("daemon", ["0.3.5", "0.5.6", "0.5.7"])
async def test_older_daemons_are_spoken_to_as_they_need_it(daemon: str) -> None:
    """A template keeps the daemon that it was built with: one is told the user, and gets files as a form."""
    async with e2b(shell_only, plan=E2BPlan(daemon=daemon)) as hosted:
        computer = await hosted.create()
        content = bytes(range(256)) * 300
        await computer.write_file("a folder/ünï code", content)
        assert await computer.read_bytes("a folder/ünï code") == content
        assert [one.path for one in await computer.list_dir("a folder")] == ["a folder/ünï code"]
        assert (await computer.exec("cat; whoami >/dev/null", stdin=b"given")).output == "given"
        await computer.delete("a folder", recursive=True)
        copy = await computer.clone("twin")
        assert (await copy.exec("echo twin")).output == "twin\n"
        await computer.stop()
        await computer.start()
        await computer.write_file("again", "x")
        kinds = {asked.headers["content-type"].partition(";")[0] for asked in hosted.simulator.asked("write_file")}
        assert kinds == {"application/octet-stream" if daemon == "0.5.7" else "multipart/form-data"}


async def test_domain_of_another_installation_is_where_all_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its API, its sandboxes and their ports; the key goes to no other."""
    asked: list[tuple[str, str]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append((f"{request.url.scheme}://{request.url.host}", request.headers.get("x-api-key", "")))
        if request.url.path == "/sandboxes/i1":
            return httpx2.Response(200, json={"sandboxID": "i1", "state": "running", "envdAccessToken": "t"})
        return httpx2.Response(200, json={})

    for domain, daemons in (("e2b.pro", "https://sandbox.e2b.pro"), ("mine.test", "https://49983-i1.mine.test")):
        monkeypatch.setenv("E2B_DOMAIN", domain)
        async with (
            httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as own,
            E2BProvider(api_key="e2b_x", http_client=own) as provider,
        ):
            asked.clear()
            with pytest.raises(ProtocolError):
                await provider.get("i1")  # nothing there speaks the daemon's protocol
            assert asked[0] == (f"https://api.{domain}", "e2b_x")
            assert asked[1] == (daemons, "")
    with pytest.raises(ConfigError, match="no domain"):
        E2BProvider(api_key="e2b_x", domain="https://e2b.pro")


async def test_template_that_is_gone_takes_no_route_along() -> None:
    """A copy needs what its sandbox was made of: without that there is no copy, and the way to copies stays."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        hosted.simulator.fail(404, route="fork", message="template 'desktop' not found")
        with pytest.raises(NotFoundError, match="template"):
            await computer.clone("twin")
        assert Capability.CLONE in computer.capabilities
        assert (await (await computer.clone("twin")).exec("echo twin")).ok


@pytest.mark.parametrize(
    ("status", "code"), [(503, ""), (503, "sandbox_capacity_unavailable"), (500, "sandbox_create_failed")]
)
async def test_creation_that_was_refused_for_now_is_no_doubt(status: int, code: str) -> None:
    """It is asked for again, and nobody is looked for; at last the next provider may be asked."""
    async with e2b(shell_only) as hosted:
        extra = {"error_code": code} if code else {}
        hosted.simulator.fail(status, route="create", message="not now", extra=extra)
        await hosted.create()
        assert (len(hosted.simulator.asked("create")), hosted.simulator.asked("list")) == (2, [])
        hosted.simulator.fail(status, route="create", message="not now", extra=extra, times=3)
        with pytest.raises(OverloadedError) as caught:
            await hosted.create()
        assert (caught.value.effect, hosted.simulator.asked("list")) == ("no", [])


async def test_sandbox_whose_memory_cannot_be_restored_starts_from_its_disk() -> None:
    """That is refused first, with the way to it; its files are there, and it is asked for its memory no more."""
    async with e2b(shell_only) as hosted:
        computer = await hosted.create()
        await computer.write_file("kept", "on disk")
        await computer.stop()
        hosted.simulator.fail(
            409, route="connect", extra={"error_code": "sandbox_snapshot_guest_agent_unresponsive"}, message="no"
        )
        with pytest.raises(ConflictError) as caught:
            await computer.start()
        assert caught.value.hint is not None
        assert "start(from_disk=True)" in caught.value.hint
        await computer.start(from_disk=True)
        assert await computer.read_bytes("kept") == b"on disk"
        asked = [request.body for request in hosted.simulator.asked("connect")]
        assert [isinstance(body, dict) and body.get("memory") for body in asked] == [None, False]
