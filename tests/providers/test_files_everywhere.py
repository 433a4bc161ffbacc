"""Files of every vendor, whichever of the requests for one fails: never a part of a file, never another's content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from random import Random
from typing import Any

import anyio
import pytest

from deskhand.errors import DeskhandError
from deskhand.providers import ExternalComputer
from deskhand.testing.simulators import made_up_machine
from deskhand.testing.simulators.faults import FaultControls
from tests.providers.behind import shell_only
from tests.providers.cua.parts import cua
from tests.providers.daytona.parts import daytona
from tests.providers.e2b.parts import e2b
from tests.providers.miosa.parts import miosa
from tests.providers.opencomputers.parts import opencomputers

pytestmark = pytest.mark.slow

OPEN: Mapping[str, Callable[[], AbstractAsyncContextManager[Any]]] = {
    "miosa": lambda: miosa(shell_only),
    "opencomputers": lambda: opencomputers(shell_only),
    "cua": lambda: cua(made_up_machine),
    "e2b": lambda: e2b(shell_only),
    "daytona": lambda: daytona(shell_only),
}
OLD, NEW = b"old", Random(7).randbytes(200_000)
FAULTS: Mapping[str, Callable[[FaultControls], None]] = {
    "refused": lambda simulator: simulator.fail(402),
    "failed": lambda simulator: simulator.fail(500, after_effect=True),
    "lost before it was done": lambda simulator: simulator.drop(),
    "lost after it was done": lambda simulator: simulator.drop(after_effect=True),
    "a page": lambda simulator: simulator.respond(after_effect=True),
    "other bytes": lambda simulator: simulator.respond(b"other bytes", content_type="application/octet-stream"),
}
UNCHECKED = {"daytona", "e2b"}
"""Vendors that give no digest of a file: what came in its place cannot be told from it."""
CLEAN_UP = 10.0


async def parts_of(computer: ExternalComputer) -> str:
    """Return what lies about of files, once what clears it away had its time."""
    left = ""
    with anyio.move_on_after(CLEAN_UP):
        while True:
            left = (await computer.exec("ls -A . folder /tmp | grep '^.deskhand'")).output
            if not left:
                break
            await anyio.sleep(0.02)
    return left


async def create(hosted: Any) -> ExternalComputer:
    """Return a computer, created or, of somebody's own, borrowed."""
    computer: ExternalComputer = await (hosted.borrow() if hasattr(hosted, "borrow") else hosted.create())
    return computer


@pytest.mark.parametrize("vendor", OPEN)
async def test_write_that_fails_anywhere_leaves_a_whole_file_and_no_part(vendor: str) -> None:
    """The old one or the new one, and the new one where nothing was told; nothing lies beside it."""
    async with OPEN[vendor]() as hosted:
        computer, simulator = await create(hosted), hosted.simulator
        await computer.write_file("folder/file", OLD)
        before = len(simulator.requests)
        await computer.write_file("folder/file", NEW)
        total = len(simulator.requests) - before
        for index in range(total):
            for fault, arrange in FAULTS.items():
                place = f"{fault} at request {index + 1} of {total}"
                await computer.write_file("folder/file", OLD)
                simulator.let_pass(times=index)
                arrange(simulator)
                error: DeskhandError | None = None
                try:
                    await computer.write_file("folder/file", NEW)
                except DeskhandError as failed:
                    error = failed
                simulator.clear_faults()
                there = await computer.read_bytes("folder/file")
                assert there in ({NEW} if error is None else {OLD, NEW}), place
                assert not (error is not None and error.effect == "no" and there == NEW), (place, error)
                assert await parts_of(computer) == "", place


@pytest.mark.parametrize("vendor", OPEN)
async def test_read_that_fails_anywhere_gives_the_file_or_nothing(vendor: str) -> None:
    """Whichever answer is cut, changed or lost, what is given is the file, and nothing lies about afterwards."""
    async with OPEN[vendor]() as hosted:
        computer, simulator = await create(hosted), hosted.simulator
        await computer.write_file("folder/file", NEW)
        before = len(simulator.requests)
        assert await computer.read_bytes("folder/file") == NEW
        total = len(simulator.requests) - before
        for index in range(total):
            for fault, arrange in FAULTS.items():
                place = f"{fault} at request {index + 1} of {total}"
                simulator.let_pass(times=index)
                arrange(simulator)
                with suppress(DeskhandError):
                    got = await computer.read_bytes("folder/file")
                    assert got == NEW or (vendor in UNCHECKED and fault in {"a page", "other bytes"}), place
                simulator.clear_faults()
                assert await computer.read_bytes("folder/file") == NEW, place
                if index == total - 1:  # the last one clears away, where it is let
                    await computer.exec("rm -f /tmp/.deskhand-*")
                assert await parts_of(computer) == "", place
