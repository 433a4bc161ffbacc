"""A specification that nobody could honour is refused alike by every provider, before its vendor is asked."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from deskhand.cli.simulating import KEYLESS, SIMULATED, Vendor, simulator
from deskhand.errors import InvalidInputError
from deskhand.providers import ComputerSpec, provider

NUMBER: Any = 7
REFUSED = {
    "no cores": (ComputerSpec(cpus=0), "cpus is 0"),
    "no memory": (ComputerSpec(memory=-1), "memory is -1"),
    "no disk": (ComputerSpec(disk=0), "disk is 0"),
    "no time": (ComputerSpec(ttl=0), "ttl is 0"),
    "endless time": (ComputerSpec(ttl=float("inf")), "ttl is inf"),
    "no image": (ComputerSpec(image=""), "'' is no image"),
    "a variable that is no text": (ComputerSpec(env={"A": NUMBER}), "'A' cannot be an environment variable"),
    "a variable without a name": (ComputerSpec(env={"": "x"}), "'' cannot be an environment variable"),
    "metadata that is no text": (ComputerSpec(metadata={"team": NUMBER}), "the metadata 'team' is 7"),
}


@pytest.mark.parametrize("name", [*KEYLESS, *SIMULATED])
async def test_what_no_computer_can_be_like_is_refused_by_each_provider(name: Vendor) -> None:
    """It says what is wrong, and the vendor was not asked."""
    served = simulator(name, fake_desktop=True) if name in SIMULATED else None
    async with served or nullcontext(), provider(name, **(served.options() if served is not None else {})) as chosen:
        asked = len(served.requests) if served is not None else 0
        for spec, said in REFUSED.values():
            with pytest.raises(InvalidInputError, match=said) as refused:
                await chosen.create(name="box", spec=spec)
            assert refused.value.effect == "no"
        assert served is None or len(served.requests) == asked
