"""Hosts that are registered, borrowed and revoked; what is left alone; answers that are lost on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import pytest
from pydantic import SecretStr

from deskhand import ComputerSpec
from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConfigError,
    ConflictError,
    DeadlineExceededError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    QuotaError,
    UnsupportedError,
)
from deskhand.providers import Capability, ComputerStatus
from deskhand.providers.opencomputers import OpenComputersProvider
from deskhand.testing.simulators import OpenComputersDialect
from tests.providers.behind import shell_only
from tests.providers.opencomputers.parts import opencomputers

PENDING = OpenComputersDialect(agents="pending")


async def test_a_registered_host_is_pending_until_its_agent_connects() -> None:
    """It can do nothing and says what to do; once the agent is there it can, as whoever asks finds out."""
    async with opencomputers(shell_only, dialect=PENDING) as hosted:
        computer = await hosted.provider.create(name="mac", spec=ComputerSpec(metadata={"team": "red"}), region="eu")
        (host,) = hosted.simulator.computers.values()
        assert computer.info.status is ComputerStatus.CREATING
        assert (computer.info.source, computer.info.metadata) == ("opencomputers", {"team": "red"})
        assert (host.region, host.labels["team"]) == ("eu", "red")
        assert computer.host_key == SecretStr(host.host_key)
        assert computer.capabilities == frozenset()
        with pytest.raises(UnsupportedError) as told:
            await computer.exec("true")
        assert "wait_until_online" in (told.value.hint or "")
        with pytest.raises(DeadlineExceededError):
            await computer.wait_until_online(timeout=0.3)
        await hosted.simulator.connect(host.id)
        await computer.wait_until_online()
        assert Capability.EXEC in computer.capabilities
        assert (await computer.exec("echo here")).output == "here\n"
    assert not hosted.simulator.computers


@pytest.mark.parametrize("registered", ["flat", "nested", "both"])
async def test_the_key_of_a_host_is_told_once_and_nowhere_shown(
    registered: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever shape the answer has; neither logs nor what is known of the host hold it."""
    dialect = OpenComputersDialect(
        registered="flat" if registered == "flat" else "nested" if registered == "nested" else "both", agents="pending"
    )
    caplog.set_level(logging.DEBUG)
    async with opencomputers(dialect=dialect) as hosted:
        computer = await hosted.provider.create(name="mac")
        key = hosted.simulator.computers[computer.info.id].host_key
        again = await OpenComputersProvider.get(hosted.provider, computer.info.id)
        assert again.host_key is not None
        assert again.host_key.get_secret_value() == key
        assert key not in f"{computer!r} {computer.info!r} {computer.info.raw} {caplog.text}"
        async with OpenComputersProvider(api_key=hosted.simulator.key, base_url=hosted.simulator.base_url) as other:
            assert (await other.get(computer.info.id)).host_key is None


async def test_a_borrowed_host_is_left_alone() -> None:
    """Leaving does nothing to it, and destroying it is refused: it is somebody's machine."""
    async with opencomputers() as hosted:
        computer = await hosted.borrow()
        with pytest.raises(PermissionDeniedError) as told:
            await computer.destroy()
        assert told.value.effect == "no"
        assert not hosted.simulator.asked("revoke")
    assert [*hosted.simulator.computers] == [computer.info.id]


async def test_a_host_that_was_registered_from_here_is_revoked_by_another_program_too() -> None:
    """Its label says so, which is no metadata; that it is revoked already is no error."""
    async with opencomputers() as hosted:
        made = await hosted.provider.create(name="mac")
        made.keep()
        async with OpenComputersProvider(api_key=hosted.simulator.key, base_url=hosted.simulator.base_url) as other:
            found = await other.get(made.info.id)
            assert found.info.metadata == {}
            await found.destroy()
            assert found.info.status is ComputerStatus.DESTROYED
            with pytest.raises(NotFoundError):
                await other.get(made.info.id)
        await made.destroy()
        assert (await hosted.provider.list()) == []


@pytest.mark.parametrize("revoked", ["listed", "gone"])
async def test_a_host_that_somebody_revokes_is_gone(revoked: str) -> None:
    """Whether the vendor still tells of it or not, what is asked of it says so."""
    dialect = OpenComputersDialect(revoked="listed" if revoked == "listed" else "gone")
    async with opencomputers(shell_only, dialect=dialect) as hosted:
        computer, other = await hosted.borrow(), await hosted.borrow("other")
        await hosted.simulator.vanish(computer.info.id)
        with pytest.raises(ComputerGoneError):
            await computer.exec("true")
        assert computer.info.status is ComputerStatus.DESTROYED
        await hosted.simulator.vanish(other.info.id)
        assert (await other.refresh()).status is ComputerStatus.DESTROYED


async def test_a_host_whose_agent_goes_away_says_so_and_comes_back() -> None:
    """What is asked of it meanwhile did not happen, and may be asked again."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        await hosted.simulator.disconnect(computer.info.id)
        with pytest.raises(ConflictError) as told:
            await computer.exec("true")
        assert (told.value.effect, told.value.retryable) == ("no", True)
        assert (await computer.refresh()).status is ComputerStatus.STOPPED
        await hosted.simulator.connect(computer.info.id)
        assert (await computer.refresh()).status is ComputerStatus.RUNNING
        assert (await computer.exec("echo back")).output == "back\n"


@pytest.mark.parametrize("field", ["status", "state"])
async def test_hosts_are_listed_with_what_they_do(field: str) -> None:
    """All pages of them, the oldest first, in the words of older and of newer servers."""
    dialect = OpenComputersDialect(status_field="status" if field == "status" else "state")
    async with opencomputers(dialect=dialect) as hosted:
        for number in range(105):
            await hosted.simulator.add_host(f"pc-{number}", connected=False)
        await hosted.simulator.add_host("here")
        found = await hosted.provider.list()
        assert [info.name for info in found] == [*(f"pc-{number}" for number in range(105)), "here"]
        assert {info.status for info in found} == {ComputerStatus.CREATING, ComputerStatus.RUNNING}
        assert found[-1].status is ComputerStatus.RUNNING


async def test_a_lost_registration_is_revoked_and_made_again() -> None:
    """A host whose key nobody heard is of no use: it is revoked before another is registered."""
    async with opencomputers(dialect=PENDING) as hosted:
        hosted.simulator.drop(route="register", after_effect=True)
        computer = await hosted.provider.create(name="mac")
        assert [*hosted.simulator.computers] == [computer.info.id]
        assert [request.performed for request in hosted.simulator.asked("register")] == [True, True]
        assert len(hosted.simulator.asked("revoke")) == 1
    assert not hosted.simulator.computers


async def test_a_lost_registration_that_is_not_to_be_seen_is_not_sent_again() -> None:
    """Nobody can tell whether there will be one: that is said, with its name."""
    async with opencomputers(dialect=PENDING) as hosted:
        hosted.simulator.drop(route="register")
        with pytest.raises(OutcomeUnknownError, match="mac-"):
            await hosted.provider.create(name="mac")
        assert len(hosted.simulator.asked("register")) == 1


async def test_a_registration_that_appears_late_is_revoked_when_the_provider_is_left() -> None:
    """It is looked for once more, by its name."""
    async with opencomputers(dialect=PENDING) as hosted:
        hosted.simulator.drop(route="register", after_effect=True)
        hosted.simulator.fail(500, route="list_hosts", times=3)
        with pytest.raises(OutcomeUnknownError):
            await hosted.provider.create(name="mac")
        assert len(hosted.simulator.computers) == 1
    assert not hosted.simulator.computers


async def test_whoever_stops_waiting_for_a_registration_leaves_none() -> None:
    """The answer that is under way is waited for, and the host revoked."""
    async with opencomputers(dialect=PENDING) as hosted:
        hosted.simulator.slow(delay=0.5, route="register")
        with anyio.move_on_after(0.1) as scope:
            await hosted.provider.create(name="mac")
        assert scope.cancelled_caught
    assert not hosted.simulator.computers
    assert len(hosted.simulator.asked("revoke")) == 1


@pytest.mark.parametrize(
    ("spec", "options", "what"),
    [
        (ComputerSpec(memory=1 << 30), {}, "memory"),
        (ComputerSpec(ttl=60), {}, "ttl"),
        (ComputerSpec(env={"A": "1"}), {}, "env"),
        (ComputerSpec(metadata={"created-by": "me"}), {}, "created-by"),
        (None, {"regoin": "eu"}, "'region'"),
        (None, {"region": 3}, "region"),
    ],
)
async def test_what_cannot_be_honoured_is_refused(
    spec: ComputerSpec | None, options: dict[str, object], what: str
) -> None:
    """Before anything is asked."""
    async with opencomputers() as hosted:
        with pytest.raises(InvalidInputError, match=what):
            await hosted.provider.create(name="mac", spec=spec, **options)
        assert not hosted.simulator.requests


async def test_refusals_of_the_account_are_told_as_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that allows no more, no credit, a wrong key, none at all: nothing happened."""
    async with opencomputers(most_hosts=0) as hosted:
        raised: list[DeskhandError] = []
        arrangements: list[Callable[[], None]] = [
            lambda: None,
            hosted.simulator.use_up_credit,
            hosted.simulator.expire_key,
        ]
        for arrange in arrangements:
            arrange()
            with pytest.raises(DeskhandError) as told:
                await hosted.provider.create(name="mac")
            raised.append(told.value)
        assert [type(error) for error in raised] == [QuotaError, QuotaError, AuthError]
        assert {error.effect for error in raised} == {"no"}
        assert all(error.request_id and error.hint for error in raised)
    for name in ("MIOSA_API_KEY", "MIOSA_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="no key"):
        async with OpenComputersProvider():
            pass
