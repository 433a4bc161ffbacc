"""What is no answer and what is no picture: told as what it is, in bounds of memory, to every loop."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.harness.every_api import EVERY

MIB = 1024 * 1024
LARGEST_EVENT = 8 * MIB
LARGEST_ANSWER = 1 * MIB
"""What a model's API may send in one event, and a vendor of computers in one answer."""

NOISE = 4 * MIB
"""By how much a process grows for other reasons."""


def met(what: str, name: str) -> dict[str, Any]:
    """Meet all of it in a process of its own; return what was said and by how much it grew."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.harness.memory_worker", what, name],
        capture_output=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


FROM_MODELS = {
    "page": "protocol",
    "empty": "protocol",
    "no content": "protocol",
    "bomb": "protocol",
    "bomb in place of a stream": "protocol",
    "bomb as an error": "invalid_input",
    "large error": "invalid_input",
    "endless": "payload_too_large",
    "more announced than comes": "truncated_stream",
    "less announced than comes": "truncated_stream",
    "terabytes announced": "protocol",
    "length that is none": "connection_lost",
}
"""What a run ends with, by what answers in place of the model's API."""

FROM_PROVIDERS = FROM_MODELS | {
    "bomb as an error": "protocol",
    "large error": "payload_too_large",
    "more announced than comes": "outcome_unknown",
    "less announced than comes": "protocol",
    "terabytes announced": "payload_too_large",
    "length that is none": "outcome_unknown",
}
"""The same of a vendor of computers that was asked for a click, which may have been done."""


@pytest.mark.slow
@EVERY
def test_what_is_no_answer_of_a_models_api_is_told_in_bounds(name: str) -> None:
    """Pages, nothing, bombs and wrong lengths are typed errors; none takes more than twice what an event may have."""
    found = met("answers", name)
    assert {kind: one["said"] for kind, one in found.items()} == FROM_MODELS
    assert {kind: one["grown"] for kind, one in found.items() if one["grown"] > 2 * LARGEST_EVENT} == {}


@pytest.mark.slow
def test_what_is_no_answer_of_a_provider_is_told_in_bounds() -> None:
    """The same of a vendor of computers; none takes more than twice what an answer may have."""
    found = met("answers", "provider")
    assert {kind: one["said"] for kind, one in found.items()} == FROM_PROVIDERS
    assert {kind: one["grown"] for kind, one in found.items() if one["grown"] > 2 * LARGEST_ANSWER + NOISE} == {}


BLACK = [32, 32]
"""What stands for a screenshot where the API takes no answer without one: words beside it say so."""


@pytest.mark.slow
@EVERY
def test_what_is_no_picture_is_an_error_result_in_bounds(name: str) -> None:
    """The model is told, and shown nothing; the run goes on, its history is legal, and nothing large was decoded."""
    found = met("pictures", name)
    assert len(found) > 20
    for kind, one in found.items():
        outcome, shown, said, refused = json.loads(one["said"])
        assert (outcome, refused) == ("completed", []), kind
        assert shown == (BLACK if name == "responses" else None), kind
        assert "the screenshot " in said, kind
        assert one["grown"] <= 32 * MIB, kind
