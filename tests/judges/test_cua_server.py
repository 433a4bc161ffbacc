"""The vendor's own computer server is driven by our adapter on a real desktop, where an X client tells what arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from deskhand.errors import UnsupportedError
from deskhand.providers import Capability
from deskhand.providers.cua import CuaProvider
from deskhand.testing.conformance import Target, Verdict
from tests.conformance.targets import ALONE, IN_TURN, verdict_of
from tests.conformance.test_cua_computer import ATTACHED
from tests.judges.cua_server import computer_server

pytestmark = [pytest.mark.judge, pytest.mark.needs_x, pytest.mark.timeout(600)]

LACKING = frozenset(Capability) - ATTACHED
KEYBOARD = frozenset({Capability.KEYBOARD})
BY_INPUT = [case for case in IN_TURN if case.needs_truth]
PARTS = {
    "shell, files, screen": [case for case in IN_TURN if not case.needs_truth],
    "pointer": [case for case in BY_INPUT if not case.needs & KEYBOARD],
    "keyboard": [case for case in BY_INPUT if case.needs & KEYBOARD],
    "end": ALONE,
}
BEYOND = {
    "click_presses_and_releases_at_the_point": "back",
    "key_strikes_single_keys": "ö",
    "key_knows_the_names_of_other_systems": "kp_enter",
    "type_letters_of_many_scripts": "lose",
    "type_emoji_with_joiners": "lose",
    "type_right_to_left": "lose",
    "type_combining_marks": "lose",
    "type_five_hundred_characters": "lose",
    "type_in_turn": "lose",
    "type_many_different_characters": "lose",
}
"""Cases with a key, a button or a text that the server has no way for, and what the refusal then says."""


@pytest.mark.parametrize("part", PARTS)
async def test_the_vendors_server_is_driven(tmp_path: Path, part: str) -> None:
    """Each case of the suite is kept by the adapter over the vendor's server, as over the simulator."""
    async with computer_server(tmp_path) as served, CuaProvider(base_url=served.base_url) as provider:
        for case in PARTS[part]:
            computer = await provider.get(served.base_url)
            assert computer.capabilities == ATTACHED
            assert await case.run(Target(computer, served.truth)) is verdict_of(case, LACKING), case.name


async def test_the_vendors_server_is_driven_without_xdotool(tmp_path: Path) -> None:
    """What is put together of the server's commands arrives too; what they cannot do is refused."""
    async with (
        computer_server(tmp_path, without=("xdotool",)) as served,
        CuaProvider(base_url=served.base_url) as provider,
    ):
        computer = await provider.get(served.base_url)
        for case in BY_INPUT:
            if case.name not in BEYOND:
                assert await case.run(Target(computer, served.truth)) is Verdict.VERIFIED, case.name
                continue
            with pytest.raises(AssertionError) as failed:
                await case.run(Target(computer, served.truth))
            assert isinstance(failed.value.__cause__, UnsupportedError), case.name
            assert BEYOND[case.name] in failed.value.__cause__.message
