"""The simulated E2B: what nobody should ask, it refuses as the vendor does."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from deskhand.testing import FakeComputer
from deskhand.testing.simulators import E2BPlan, E2BSimulator
from tests.providers.behind import shell_only

OCTETS = {"content-type": "application/octet-stream"}
STREAM = {"content-type": "application/connect+json"}


def packed(message: object) -> bytes:
    """Pack the one message of a stream's request."""
    data = json.dumps(message).encode()
    return struct.pack(">BI", 0, len(data)) + data


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


DAEMON: list[tuple[str, object, int, str]] = [
    ("filesystem.Filesystem/Stat", {}, 400, "invalid_argument"),
    ("filesystem.Filesystem/Stat", {"path": 7}, 400, "invalid_argument"),
    ("filesystem.Filesystem/Stat", {"path": "nowhere"}, 404, "not_found"),
    ("filesystem.Filesystem/ListDir", {"path": "nowhere"}, 404, "not_found"),
    ("filesystem.Filesystem/ListDir", {"path": ".", "depth": 3}, 501, "unimplemented"),
    ("filesystem.Filesystem/MakeDir", {"path": "folder"}, 409, "already_exists"),
    ("filesystem.Filesystem/Move", {"source": "nowhere", "destination": "x"}, 404, "not_found"),
    ("filesystem.Filesystem/Move", {"source": "file"}, 400, "invalid_argument"),
    ("process.Process/SendInput", {"process": {"pid": 1}, "input": {"stdin": "aGk="}}, 404, "not_found"),
    ("process.Process/SendSignal", {"process": {"tag": "nobody"}, "signal": "SIGNAL_SIGKILL"}, 404, "not_found"),
    ("process.Process/SendSignal", {"signal": "SIGNAL_SIGKILL"}, 400, "invalid_argument"),
    ("process.Process/Update", {"process": {"pid": 1}, "pty": {"size": {"cols": 80, "rows": 24}}}, 404, "not_found"),
    ("process.Process/CloseStdin", {"process": {"pid": 1}}, 404, "not_found"),
]


@asynccontextmanager
async def sandbox() -> AsyncIterator[tuple[E2BSimulator, httpx2.AsyncClient, dict[str, str]]]:
    """Serve a simulator with one sandbox, and give what opens that."""
    async with E2BSimulator(behind=shell_only) as simulator, httpx2.AsyncClient(trust_env=False) as client:
        made = await client.post(
            f"{simulator.base_url}/v2/sandboxes", json={"templateID": "base"}, headers={"x-api-key": simulator.key}
        )
        told = made.json()
        yield simulator, client, {"e2b-sandbox-id": told["sandboxID"], "x-access-token": told["envdAccessToken"]}
        assert [*simulator.errors] == []


async def test_the_daemon_refuses_with_the_codes_of_its_protocol() -> None:
    """A word beside the status, where the API has a number."""
    async with sandbox() as (simulator, client, inside):
        made = await client.post(f"{simulator.base_url}/files?path=file", headers=OCTETS | inside, content=b"x")
        assert made.json() == [{"name": "file", "type": "file", "path": "/home/agent/file"}]
        url = f"{simulator.base_url}/filesystem.Filesystem/MakeDir"
        assert (await client.post(url, json={"path": "folder"}, headers=inside)).status_code == 200
        for method, body, status, code in DAEMON:
            got = await client.post(f"{simulator.base_url}/{method}", json=body, headers=inside)
            assert (got.status_code, got.json()["code"]) == (status, code), (method, body)
            assert got.json()["message"]


FILES: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/files", {}, 400),
    ("GET", "/files?path=nowhere", {}, 404),
    ("POST", "/files", OCTETS, 400),
    ("POST", "/files?path=x", {"content-type": "text/plain"}, 400),
    ("GET", "/files?path=x", {"x-access-token": "another"}, 401),
    ("GET", "/files?path=x", {"e2b-sandbox-id": "another"}, 502),
    ("GET", "/health", {"e2b-sandbox-id": "another"}, 502),
]


async def test_the_file_route_refuses_with_numbers() -> None:
    """As the API does: it is none of the calls of the daemon's protocol."""
    async with sandbox() as (simulator, client, inside):
        for method, path, headers, status in FILES:
            content = b"x" if method == "POST" else None
            got = await client.request(method, simulator.base_url + path, headers=inside | headers, content=content)
            assert (got.status_code, got.json()["code"]) == (status, status), (method, path, headers)


STARTS: list[tuple[object, int]] = [
    ({}, 400),
    ({"process": {"args": []}}, 400),
    ({"process": {"cmd": "ls", "args": "x"}}, 400),
    ({"process": {"cmd": "ls", "args": [1]}}, 400),
    ({"process": {"cmd": "ls", "envs": {"A": 1}}}, 400),
    ({"process": {"cmd": "bash", "args": ["-i", "-l"]}, "pty": {}}, 400),
    ({"process": {"cmd": "bash", "args": ["-i", "-l"]}, "pty": {"size": {"cols": 0, "rows": 24}}}, 400),
]


async def test_a_process_is_refused_before_it_starts() -> None:
    """With a status where its fields are wrong; where its folder is missing, at the end of a stream of status 200."""
    async with sandbox() as (simulator, client, inside):
        url, stream = f"{simulator.base_url}/process.Process/Start", inside | STREAM
        for body, status in STARTS:
            got = await client.post(url, content=packed(body), headers=stream)
            assert (got.status_code, got.json()["code"]) == (status, "invalid_argument"), body
        wrong = await client.post(url, json={"process": {"cmd": "ls"}}, headers=inside)
        assert wrong.status_code == 415
        lost = {"process": {"cmd": "/bin/bash", "args": ["-l", "-c", "true"], "cwd": "/nowhere"}}
        got = await client.post(url, content=packed(lost), headers=stream)
        assert (got.status_code, got.content[0]) == (200, 2)
        assert json.loads(got.content[5:])["error"]["code"] == "invalid_argument"


async def test_life_refuses_what_the_vendor_refuses() -> None:
    """What is paused is not paused again, has no time to set, cannot be forked, and its daemon is not found."""
    async with sandbox() as (simulator, client, inside):
        one, key = f"{simulator.base_url}/sandboxes/{inside['e2b-sandbox-id']}", {"x-api-key": simulator.key}
        rows: list[tuple[str, object, int]] = [
            (f"{one}/timeout", {"timeout": -1}, 400),
            (f"{one}/timeout", {"timeout": 10**6}, 400),
            (f"{one}/timeout", {}, 400),
            (f"{one}/fork", {"count": 0}, 400),
            (f"{one}/pause", {"surprise": 1}, 400),
            (f"{one}/pause", {}, 204),
            (f"{one}/pause", {}, 409),
            (f"{one}/timeout", {"timeout": 60}, 404),
            (f"{one}/fork", {"count": 1}, 409),
        ]
        for url, body, status in rows:
            assert (await client.post(url, json=body, headers=key)).status_code == status, (url, body)
        asleep = await client.get(f"{simulator.base_url}/health", headers=inside)
        assert (asleep.status_code, asleep.json()["message"]) == (502, "The sandbox was not found")
        for query in ("state=sleeping", "limit=x"):
            got = await client.get(f"{simulator.base_url}/v2/sandboxes?{query}", headers=key)
            assert (got.status_code, got.json()["code"]) == (400, 400)
        assert (await client.delete(one, headers=key)).status_code == 204
        assert (await client.delete(one, headers=key)).status_code == 404


async def test_the_daemon_refuses_what_the_vendor_passes_over_unseen() -> None:
    """A field of another name is a mistake of whoever sends it, at the top and within."""
    async with E2BSimulator(behind=shell_only) as simulator, httpx2.AsyncClient(trust_env=False) as client:
        made = await client.post(
            f"{simulator.base_url}/v2/sandboxes", json={"templateID": "base"}, headers={"x-api-key": simulator.key}
        )
        inside = {"e2b-sandbox-id": made.json()["sandboxID"], "x-access-token": made.json()["envdAccessToken"]}
        url = f"{simulator.base_url}/filesystem.Filesystem/ListDir"
        answer = await client.post(url, json={"path": ".", "deep": 2}, headers=inside)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
        assert "deep" in answer.json()["message"]
        config = {"cmd": "/bin/bash", "args": ["-l", "-c", "true"], "env": {"A": "1"}}
        url = f"{simulator.base_url}/process.Process/Start"
        told = await client.post(url, content=packed({"process": config}), headers={**inside, **STREAM})
        assert b"no field 'env'" in told.content


@pytest.mark.parametrize(("daemon", "status"), [("0.3.9", 401), ("0.4.0", 500), ("0.5.6", 500), ("0.5.7", 200)])
async def test_an_older_daemon_refuses_what_it_does_not_know(daemon: str, status: int) -> None:
    """A file as it is before 0.5.7, and what is nobody's before 0.4.0."""
    plan = E2BPlan(daemon=daemon)
    async with E2BSimulator(plan=plan, behind=shell_only) as simulator, httpx2.AsyncClient(trust_env=False) as client:
        made = await client.post(
            f"{simulator.base_url}/v2/sandboxes", json={"templateID": "base"}, headers={"x-api-key": simulator.key}
        )
        assert made.json()["envdVersion"] == daemon
        inside = {"e2b-sandbox-id": made.json()["sandboxID"], "x-access-token": made.json()["envdAccessToken"]}
        url = f"{simulator.base_url}/files?path=x"
        assert (await client.post(url, content=b"x", headers={**inside, **OCTETS})).status_code == status
        stat = await client.post(f"{simulator.base_url}/filesystem.Filesystem/Stat", json={"path": "."}, headers=inside)
        assert stat.status_code == (401 if status == 401 else 200)
