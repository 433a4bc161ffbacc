"""A computer whose creation was not heard of: there is never a second, none is left, and a doubt is told as one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

from deskhand.errors import OutcomeUnknownError
from deskhand.testing.simulators import OpenComputersDialect
from deskhand.testing.simulators.faults import FaultControls
from tests.providers.cua.parts import cua
from tests.providers.daytona.parts import daytona
from tests.providers.e2b.parts import e2b
from tests.providers.miosa.parts import miosa
from tests.providers.opencomputers.parts import opencomputers

pytestmark = pytest.mark.slow

Open = Callable[..., AbstractAsyncContextManager[Any]]
Loss = Callable[[FaultControls, str], None]
JSON = "application/json"

AFTER: Mapping[str, Loss] = {
    "cut": lambda simulator, route: simulator.drop(route=route, after_effect=True),
    "500": lambda simulator, route: simulator.fail(500, route=route, after_effect=True),
    "502": lambda simulator, route: simulator.fail(502, route=route, after_effect=True),
    "503": lambda simulator, route: simulator.fail(503, route=route, after_effect=True),
    "a page": lambda simulator, route: simulator.respond(route=route, after_effect=True),
    "nothing": lambda simulator, route: simulator.respond(b"", route=route, after_effect=True),
    "an empty object": lambda simulator, route: simulator.respond(
        b"{}", route=route, after_effect=True, content_type=JSON
    ),
    "no text for an id": lambda simulator, route: simulator.respond(
        b'{"id": null, "name": "box"}', route=route, after_effect=True, content_type=JSON
    ),
    "far too much": lambda simulator, route: simulator.respond(b"x" * (2 << 20), route=route, after_effect=True),
    "half of it": lambda simulator, route: simulator.stall(after=10, route=route),
    "silence": lambda simulator, route: simulator.stall(route=route),
}
"""How the answer is lost to what was done."""
BEFORE: Mapping[str, Loss] = {
    "cut": lambda simulator, route: simulator.drop(route=route),
    "504": lambda simulator, route: simulator.fail(504, route=route),
}
"""How the answer is lost to what was not done."""
ROUTES: Mapping[str, tuple[Open, str]] = {
    "miosa": (miosa, "create"),
    "opencomputers": (opencomputers, "register"),
    "cua": (cua, "start"),
    "e2b": (e2b, "create"),
    "daytona": (daytona, "create"),
}
FOUND = {"miosa", "e2b", "daytona"}
"""Those whose computers are found by a name that no other has."""
REFUSED = {("e2b", "503")}
"""What means that nothing was done, and is sent again: with its request's key, for the case that it is not true."""


def opened(vendor: str) -> AbstractAsyncContextManager[Any]:
    """Serve a vendor whose answers are not waited for long."""
    if vendor == "opencomputers":
        return opencomputers(dialect=OpenComputersDialect(agents="pending"), timeout=2.0)
    return ROUTES[vendor][0](timeout=2.0)


@pytest.mark.parametrize("loss", AFTER)
@pytest.mark.parametrize("vendor", ROUTES)
async def test_lost_answer_to_a_creation_leaves_one_computer(vendor: str, loss: str) -> None:
    """It is found, or made anew where its key was lost with the answer; it ends with the provider."""
    _, route = ROUTES[vendor]
    async with opened(vendor) as hosted:
        AFTER[loss](hosted.simulator, route)
        with anyio.fail_after(30):
            computer = await hosted.provider.create(name="box")
        assert [*hosted.simulator.computers] == [computer.info.id]
        asked, is_found = len(hosted.simulator.asked(route)), vendor in FOUND and (vendor, loss) not in REFUSED
        assert asked == (1 if is_found else 2) or (vendor == "cua" and asked == 1)
    assert not hosted.simulator.computers


@pytest.mark.parametrize("loss", BEFORE)
@pytest.mark.parametrize("vendor", ["miosa", "opencomputers"])
async def test_creation_of_which_nobody_knows_is_not_asked_for_again(vendor: str, loss: str) -> None:
    """These vendors would make another of a request that comes twice: the doubt is told, with the name to look for."""
    _, route = ROUTES[vendor]
    async with opened(vendor) as hosted:
        BEFORE[loss](hosted.simulator, route)
        with pytest.raises(OutcomeUnknownError, match="box-") as caught:
            await hosted.provider.create(name="box")
        assert (caught.value.effect, caught.value.retryable) == ("unknown", False)
        assert caught.value.hint is not None
        assert "leaving the provider" in caught.value.hint
        assert len(hosted.simulator.asked(route)) == 1


@pytest.mark.parametrize("loss", BEFORE)
@pytest.mark.parametrize("vendor", ["e2b", "daytona"])
async def test_creation_that_did_not_happen_is_asked_for_again(vendor: str, loss: str) -> None:
    """Nobody else has the name, and these vendors refuse one that comes twice or know the request again."""
    _, route = ROUTES[vendor]
    async with opened(vendor) as hosted:
        BEFORE[loss](hosted.simulator, route)
        with anyio.fail_after(30):
            computer = await hosted.provider.create(name="box")
        assert [*hosted.simulator.computers] == [computer.info.id]
        bodies = [request.body for request in hosted.simulator.asked(route)]
        assert len(bodies) == 2
        assert bodies[0] == bodies[1]


@pytest.mark.parametrize("loss", BEFORE)
async def test_machine_whose_start_was_not_heard_of_is_started(loss: str) -> None:
    """A machine of Cua's is started again without harm: it is the same."""
    async with opened("cua") as hosted:
        BEFORE[loss](hosted.simulator, "start")
        computer = await hosted.create()
        assert [*hosted.simulator.computers] == [computer.info.id]
        assert len(hosted.simulator.asked("start")) == 2


Step = Callable[[Any], Awaitable[object]]
REPEATED: Mapping[str, tuple[str, Step]] = {
    "miosa: stop": ("stop", lambda computer: computer.stop()),
    "miosa: start": ("start", lambda computer: computer.start()),
    "miosa: delete": ("delete", lambda computer: computer.destroy()),
    "miosa: move": ("move", lambda computer: computer.move(3, 4)),
    "miosa: expose": ("expose_port", lambda computer: computer.preview_url(3000)),
    "cua: stop": ("stop", lambda computer: computer.stop()),
    "cua: start": ("start", lambda computer: computer.start()),
    "cua: destroy": ("stop", lambda computer: computer.destroy()),
    "opencomputers: revoke": ("revoke", lambda computer: computer.destroy()),
    "e2b: pause": ("pause", lambda computer: computer.stop()),
    "e2b: resume": ("connect", lambda computer: computer.start()),
    "e2b: extend": ("set_timeout", lambda computer: computer.extend(600)),
    "e2b: write": ("write_file", lambda computer: computer.write_file("file", b"x")),
    "e2b: destroy": ("delete", lambda computer: computer.destroy()),
    "daytona: stop": ("stop", lambda computer: computer.stop()),
    "daytona: start": ("start", lambda computer: computer.start()),
    "daytona: extend": ("ttl", lambda computer: computer.extend(600)),
    "daytona: move": ("move", lambda computer: computer.move(3, 4)),
    "daytona: destroy": ("delete", lambda computer: computer.destroy()),
}
"""What may be asked for twice, as it comes to the same."""


@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("name", REPEATED)
async def test_what_comes_to_the_same_is_asked_for_again(name: str, is_done: bool) -> None:
    """A lost answer to it is made up for, whether it was done or not."""
    route, step = REPEATED[name]
    async with opened(name.partition(":")[0]) as hosted:
        computer = await hosted.provider.create(name="box")
        if route in {"start", "connect"}:
            await computer.stop()
        before = len(hosted.simulator.asked(route))
        hosted.simulator.drop(route=route, after_effect=is_done)
        with anyio.fail_after(30):
            await step(computer)
        again = 2 if name == "daytona: stop" and is_done else 1  # it says that it is not started, which may change
        assert len(hosted.simulator.asked(route)) == before + 1 + again
        assert hosted.simulator.pending_faults == 0


@pytest.mark.parametrize("what", ["clone", "restore"])
async def test_lost_answer_to_a_copy_leaves_one(what: str) -> None:
    """A copy of MIOSA's is asked for once: it is found, or the doubt is told."""
    async with miosa() as hosted:
        computer = await hosted.create()
        saved = await computer.snapshot("mine")

        async def copy() -> None:
            await (computer.clone("twin") if what == "clone" else computer.restore(saved))

        hosted.simulator.drop(route=what, after_effect=True)
        await copy()
        assert len(hosted.simulator.computers) == 2
        hosted.simulator.drop(route=what)
        with pytest.raises(OutcomeUnknownError) as caught:
            await copy()
        assert caught.value.effect == "unknown"
        assert len(hosted.simulator.asked(what)) == 2
        assert len(hosted.simulator.computers) == 2
