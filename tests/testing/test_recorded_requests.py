"""Requests that the vendors' own clients sent are taken by the fakes, and seen by the script as they were meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deskhand.testing import FakeAnthropic, FakeOpenAI, FakeTurn, ModelView
from deskhand.testing.models.wire import WireRequest

from .recordings import FOLDER, SESSIONS, kept

SEEN = {
    "anthropic_runner": [
        (0, [], None),
        (1, ["screenshot"], (1280, 800)),
        (2, ["left_click", "type", "screenshot", "add"], (1280, 800)),
    ],
    "openai_runner": [(0, [], None), (1, ["computer"], (64, 48)), (2, ["computer", "exec"], (64, 48))],
    "openai_preview": [(0, [], None), (1, ["computer"], (64, 48))],
    "openai_chat": [(0, [], None), (1, ["Weather"], (64, 48))],
}
"""For each request the turns that the model has had, the results that it sees, and the size of the frame."""


def recorded(name: str) -> list[Any]:
    """Returns the requests of a session."""
    lines = (FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", SESSIONS)
async def test_recorded_request_is_taken(name: str) -> None:
    """A fresh fake, which has issued nothing of it, takes every request of the session and sees what it says."""
    views: list[ModelView] = []

    def play(view: ModelView) -> FakeTurn:
        views.append(view)
        return FakeTurn("Done.")

    server = FakeAnthropic(play) if name.startswith("anthropic") else FakeOpenAI(play)
    for request in recorded(name):
        headers = {"authorization": f"Bearer {server.api_key}", **request["headers"]}
        await server.handle(WireRequest("POST", request["path"], headers, json.dumps(request["body"]).encode()))
        assert (server.requests[-1].status, server.requests[-1].error) == (200, None)
    seen = [(v.turn, [result.name for result in v.results], v.frame and v.frame.size) for v in views]
    assert seen == SEEN[name]


@pytest.mark.parametrize("name", SESSIONS)
async def test_installed_client_passes_as_it_did_when_it_was_recorded(name: str) -> None:
    """The session runs with the client that is installed, in as many requests to the same paths."""
    server = await SESSIONS[name]()
    server.raise_script_errors()
    now = [kept(request)["path"] for request in server.requests if request.status == 200]
    assert now == [request["path"] for request in recorded(name)]
