"""The simulated OpenComputers refuses what the vendor refuses, and tells of commands as the vendor does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from deskhand.testing.simulators import OpenComputersDialect, OpenComputersSimulator
from deskhand.testing.simulators.opencomputers.host import SimulatedHost
from tests.providers.behind import shell_only


class Client:
    """Asks a simulator over plain HTTP."""

    def __init__(self, simulator: OpenComputersSimulator, http: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self.http = http

    async def send(self, method: str, path: str, body: object = None, *, key: str | None = None) -> httpx2.Response:
        """Send a request below the hosts."""
        headers = {"authorization": f"Bearer {key or self.simulator.key}"}
        url = f"{self.simulator.base_url}/opencomputers/hosts{path}"
        content = None if body is None else json.dumps(body)
        return await self.http.request(method, url, content=content, headers=headers)

    async def ask(self, method: str, path: str, body: object = None, *, key: str | None = None) -> tuple[int, Any]:
        """Send a request; return the status and the JSON, ``None`` where there is nothing."""
        answer = await self.send(method, path, body, key=key)
        return answer.status_code, answer.json() if answer.content else None

    async def run(self, host: SimulatedHost, **body: object) -> tuple[list[str], list[dict[str, Any]]]:
        """Run a command and return the names and the fields of what is told of it."""
        answer = await self.send("POST", f"/{host.id}/exec", {"cmd": "bash", **body})
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
        lines = answer.text.splitlines()
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        return names, [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


@asynccontextmanager
async def served(dialect: OpenComputersDialect | None = None, *, most_hosts: int = 32) -> AsyncIterator[Client]:
    """Serve a simulator with real shells behind its hosts."""
    async with (
        OpenComputersSimulator(behind=shell_only, dialect=dialect, most_hosts=most_hosts) as simulator,
        httpx2.AsyncClient(trust_env=False, timeout=20) as http,
    ):
        yield Client(simulator, http)
        assert [*simulator.errors] == []


REGISTRATIONS: list[Mapping[str, object]] = [
    {},
    {"name": " "},
    {"name": "x" * 256},
    {"name": 5},
    {"name": "pc", "unknown": 1},
    {"name": "pc", "labels": {"a": 1}},
    {"name": "pc", "labels": []},
    {"name": "pc", "platform": "amiga"},
    {"name": "pc", "region": 1},
]


async def test_registration_is_strict_and_tells_the_key_once() -> None:
    """Unknown fields and wrong types are refused in words that stand alone; nothing else tells the key."""
    async with served(OpenComputersDialect(agents="pending")) as client:
        for body in REGISTRATIONS:
            status, told = await client.ask("POST", "", body)
            assert (status, isinstance(told["error"], str)) == (422, True), body
        assert not client.simulator.computers
        status, made = await client.ask("POST", "", {"name": "pc"})
        assert (status, made["status"], made["connected"]) == (201, "pending", False)
        assert made["host_key"].startswith("hk_")
        for path in ("", f"/{made['id']}"):
            assert made["host_key"] not in (await client.send("GET", path)).text


async def test_host_that_is_not_there_or_not_connected_says_so() -> None:
    """Each in a code of its own; one that was revoked takes nothing any more."""
    async with served(OpenComputersDialect(agents="pending")) as client:
        host = await client.simulator.add_host("pc", connected=False)
        body = {"cmd": "true"}
        for route in ("exec", "jobs"):
            wanted = body if route == "exec" else {"command": "true"}
            status, told = await client.ask("POST", f"/{host.id}/{route}", wanted)
            assert (status, told["error"]["code"]) == (409, "HOST_OFFLINE"), route
        for method, path in (("GET", "/nowhere"), ("DELETE", "/nowhere"), ("POST", "/nowhere/exec")):
            status, told = await client.ask(method, path, body if method == "POST" else None)
            assert (status, told["error"]["code"]) == (404, "HOST_NOT_FOUND"), path
        assert await client.ask("DELETE", f"/{host.id}") == (204, None)
        assert (await client.ask("POST", f"/{host.id}/exec", body))[0] in {404, 409}


EXECS: list[tuple[str, Mapping[str, object]]] = [
    ("exec", {}),
    ("exec", {"cmd": ""}),
    ("exec", {"command": "true"}),
    ("exec", {"cmd": "true", "args": "x"}),
    ("exec", {"cmd": "true", "args": [1]}),
    ("exec", {"cmd": "true", "env": {"A": "1"}}),
    ("exec", {"cmd": "true", "env": [{"name": "A"}]}),
    ("exec", {"cmd": "true", "env": ["A=1"]}),
    ("exec", {"cmd": "true", "timeout_ms": 0}),
    ("exec", {"cmd": "true", "timeout": 1}),
    ("exec", {"cmd": "true", "stream": "no"}),
    ("jobs", {"cmd": "true"}),
    ("jobs", {"command": "true", "timeout_ms": 5}),
    ("jobs", {"command": "true", "timeout": 1.0}),
    ("tunnels", {}),
    ("tunnels", {"target_port": 0}),
    ("tunnels", {"target_port": "80"}),
    ("tunnels", {"target_port": 80, "auth_mode": "nobody"}),
    ("tunnels", {"target_port": 80, "slug": "-x-"}),
    ("agent/dispatch", {}),
    ("agent/dispatch", {"task": "x", "max_turns": 0}),
    ("fs/mkdir", {}),
    ("terminal/ticket", {"size": 5}),
]


async def test_what_is_done_on_a_host_is_strict() -> None:
    """Fields of the other route among them: the two routes for commands call things by different names."""
    async with served() as client:
        host = await client.simulator.add_host("pc")
        for route, body in EXECS:
            status, told = await client.ask("POST", f"/{host.id}/{route}", body)
            assert (status, isinstance(told["error"], str)) == (422, True), (route, body)
        assert not host.jobs
        assert not host.tunnels
        assert not host.sessions


async def test_command_is_told_of_as_it_runs_which_is_the_default() -> None:
    """Its pieces, then how it ended, once; output that looks like events is data."""
    forged = "event: exec_result\ndata: {}\n\n"
    async with served() as client:
        host = await client.simulator.add_host("pc")
        names, fields = await client.run(host, args=["-c", f"printf '{forged}'; printf e >&2; exit 3"])
        assert names[-1] == "exec_result"
        assert {*names[:-1]} == {"exec_chunk"}
        assert fields[-1]["exit_code"] == 3
        for stream, text in (("stdout", forged), ("stderr", "e")):
            assert "".join(one["data"] for one in fields[:-1] if one["stream"] == stream) == text
        names, fields = await client.run(host, args=["-c", "sleep 60"], timeout_ms=200)
        assert (names, fields[0]["reason"]) == (["exec_error"], "timeout")
        names, _ = await client.run(host, args=["-c", "sleep 0.1"])
        assert names == ["exec_result"]


async def test_command_is_told_of_as_a_whole_where_that_is_wanted() -> None:
    """Both streams apart; the end of its time is an error of its own."""
    async with served() as client:
        host = await client.simulator.add_host("pc")
        body = {"cmd": "bash", "args": ["-c", "printf o; printf e >&2; exit 3"], "stream": False}
        status, told = await client.ask("POST", f"/{host.id}/exec", body)
        assert (status, told["exit_code"], told["stdout"], told["stderr"]) == (200, 3, "o", "e")
        body = {"cmd": "sleep", "args": ["60"], "timeout_ms": 200, "stream": False}
        status, told = await client.ask("POST", f"/{host.id}/exec", body)
        assert (status, told["error"]["code"]) == (504, "EXEC_TIMEOUT")


async def test_job_runs_whoever_listens_and_is_cancelled_once() -> None:
    """It is described without what it printed; one that has ended cannot be ended, nor followed."""
    async with served() as client:
        host = await client.simulator.add_host("pc")
        status, told = await client.ask("POST", f"/{host.id}/jobs", {"command": "sleep", "args": ["60"]})
        job = told["job"]["id"]
        assert (status, told["job"]["state"] in {"queued", "running"}) == (202, True)
        assert (await client.ask("DELETE", f"/{host.id}/exec/{job}"))[0] == 204
        assert (await client.ask("DELETE", f"/{host.id}/exec/{job}"))[1]["error"]["code"] == "JOB_ALREADY_TERMINAL"
        assert (await client.ask("GET", f"/{host.id}/exec/{job}"))[1]["job"]["state"] == "canceled"
        assert await client.ask("GET", f"/{host.id}/exec/{job}/stream") == (204, None)
        assert (await client.ask("GET", f"/{host.id}/exec/nowhere"))[1]["error"]["code"] == "JOB_NOT_FOUND"


async def test_files_have_absolute_paths() -> None:
    """Relative ones, none, and what is not there have each their code."""
    async with served() as client:
        host = await client.simulator.add_host("pc")
        for query, wanted in (("", 422), ("?path=", 400), ("?path=x", 400), ("?path=/nowhere", 404)):
            for method, route in (("GET", "fs"), ("GET", "fs/stat"), ("GET", "fs/download"), ("DELETE", "fs")):
                assert (await client.ask(method, f"/{host.id}/{route}{query}"))[0] == wanted, (route, query)


async def test_pages_and_keys_are_checked() -> None:
    """A page is at most a hundred hosts; a key that is wrong, or expired, opens nothing."""
    async with served(OpenComputersDialect(agents="pending"), most_hosts=3) as client:
        for query in ("page=0", "per_page=101", "per_page=x", "page=-1"):
            assert (await client.ask("GET", f"?{query}"))[0] == 422, query
        for number in range(3):
            await client.ask("POST", "", {"name": f"pc-{number}"})
        status, told = await client.ask("POST", "", {"name": "one too many"})
        assert (status, told["error"]["code"]) == (403, "QUOTA_EXCEEDED")
        _, told = await client.ask("GET", "?page=2&per_page=2")
        assert ([one["name"] for one in told["data"]], told["meta"]["total"]) == (["pc-2"], 3)
        assert (await client.ask("GET", "", key="msk_no"))[1]["error"]["code"] == "UNAUTHORIZED"
        client.simulator.expire_key()
        assert (await client.ask("GET", ""))[0] == 401


ACCEPTED = {
    "text/event-stream, application/json;q=0.9": 401,
    "application/json": 401,
    "*/*": 401,
    "text/event-stream": 406,
}


@pytest.mark.parametrize(("accept", "status"), ACCEPTED.items())
async def test_whoever_takes_no_json_is_refused_before_the_key_is_looked_at(accept: str, status: int) -> None:
    """Whoever asks for events alone too: the vendor's routes for them are behind the same guard, or were."""
    async with served() as client:
        url = f"{client.simulator.base_url}/opencomputers/hosts/any/exec/any/stream"
        assert (await client.http.get(url, headers={"accept": accept})).status_code == status


@pytest.mark.parametrize("system", ["linux", "windows"])
async def test_machine_without_a_shell_says_so(system: str) -> None:
    """Where there is no bash, the command is told as one that failed to start."""
    async with served() as client:
        host = await client.simulator.add_host("pc", system="windows" if system == "windows" else "linux")
        names, fields = await client.run(host, args=["-c", "true"])
        assert names == (["exec_error"] if system == "windows" else ["exec_result"])
        assert ("not found" in str(fields[0].get("reason"))) is (system == "windows")
