"""The simulated E2B: what nobody should ask, it refuses as the vendor does."""

from __future__ import annotations

import json
import struct

import httpx2
import pytest

from deskhand.testing import FakeComputer
from deskhand.testing.simulators import E2BSimulator


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"templateID": "base", "colour": "red"}, 400),
        ({"templateID": "base", "timeout": "60"}, 400),
        ({"templateID": "base", "timeout": 10**6}, 400),
        ({"templateID": "base", "envVars": {"A": 1}}, 400),
        ({"templateID": "nothing"}, 404),
    ],
    ids=str,
)
async def test_creation_refuses_what_the_vendor_does_not_know(body: dict[str, object], status: int) -> None:
    """With a number as the code, and nothing comes of it."""
    async with E2BSimulator(behind=FakeComputer) as simulator, httpx2.AsyncClient(trust_env=False) as client:
        url, headers = f"{simulator.base_url}/v2/sandboxes", {"x-api-key": simulator.key}
        answer = await client.post(url, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (status, status)
        assert (await client.post(url, json={"templateID": "base"})).status_code == 401
        assert not simulator.computers


async def test_a_creation_that_is_repeated_with_its_key_creates_once() -> None:
    """The same key with another request is a conflict."""
    async with E2BSimulator(behind=FakeComputer) as simulator, httpx2.AsyncClient(trust_env=False) as client:
        url, headers = f"{simulator.base_url}/v2/sandboxes", {"x-api-key": simulator.key, "idempotency-key": "k"}
        ids = {(await client.post(url, json={"templateID": "base"}, headers=headers)).json()["sandboxID"] for _ in "12"}
        assert ids == {*simulator.computers}
        other = await client.post(url, json={"templateID": "desktop"}, headers=headers)
        assert (other.status_code, other.json()["error_code"]) == (409, "idempotency_request_mismatch")


async def test_the_daemon_wants_its_token_and_whole_envelopes() -> None:
    """A wrong token is refused, a sandbox that is not there has no daemon, half a message is none."""
    async with E2BSimulator(behind=FakeComputer) as simulator, httpx2.AsyncClient(trust_env=False) as client:
        made = await client.post(
            f"{simulator.base_url}/v2/sandboxes", json={"templateID": "base"}, headers={"x-api-key": simulator.key}
        )
        inside = {"e2b-sandbox-id": made.json()["sandboxID"], "x-access-token": made.json()["envdAccessToken"]}
        stat, start = f"{simulator.base_url}/filesystem.Filesystem/Stat", f"{simulator.base_url}/process.Process/Start"
        wrong = await client.post(stat, json={"path": "."}, headers={**inside, "x-access-token": "x"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthenticated")
        gone = await client.post(stat, json={"path": "."}, headers={**inside, "e2b-sandbox-id": "i0"})
        assert (gone.status_code, gone.json()["message"]) == (502, "The sandbox was not found")
        message = json.dumps({"process": {"cmd": "/bin/bash", "args": ["-l", "-c", "echo hi"]}}).encode()
        stream = {**inside, "content-type": "application/connect+json"}
        half = await client.post(start, content=struct.pack(">BI", 0, len(message)) + message[:5], headers=stream)
        assert (half.status_code, half.json()["code"]) == (400, "invalid_argument")
        whole = await client.post(start, content=struct.pack(">BI", 0, len(message)) + message, headers=stream)
        assert whole.content.startswith(b"\0")
        assert b'"start"' in whole.content
        assert whole.content.endswith(struct.pack(">BI", 2, 2) + b"{}")
