"""A computer that is stopped and started where an answer was lost, at the vendors that refuse either a second time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from deskhand.errors import ConflictError
from deskhand.providers import ComputerStatus
from tests.providers.miosa.parts import miosa
from tests.providers.orgo.parts import orgo

HOSTS: Mapping[str, Callable[[], AbstractAsyncContextManager[Any]]] = {"miosa": miosa, "orgo": orgo}


@pytest.mark.parametrize("vendor", HOSTS)
async def test_lost_answers_to_stop_and_start_are_made_up_for(vendor: str) -> None:
    """The request arrived, so that the same once more is refused: it is done all the same. Any other refusal is one."""
    async with HOSTS[vendor]() as hosted:
        computer = await hosted.create()
        for route, use, after in (
            ("stop", computer.stop, ComputerStatus.STOPPED),
            ("start", computer.start, ComputerStatus.RUNNING),
        ):
            hosted.simulator.drop(route=route, after_effect=True)
            hosted.simulator.fail(409, route=route, message="The computer is on its way.")
            await use()
            assert (await computer.refresh()).status is after
            assert len(hosted.simulator.asked(route)) == 2
        hosted.simulator.fail(409, route="stop", message="The computer is busy.")
        with pytest.raises(ConflictError, match="busy"):
            await computer.stop()
