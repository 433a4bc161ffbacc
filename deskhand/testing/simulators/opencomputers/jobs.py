"""Commands on hosts: answered as a whole, told as they run, or left to run and looked at later."""

from __future__ import annotations

import codecs
import json
import shlex
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectSendStream
from pydantic import JsonValue

from deskhand.errors import DeadlineExceededError, DeskhandError
from deskhand.providers import ExternalComputer
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer

from .account import Account, CodedError, HostCall, events_answer, no_content, plain_fields, timestamp
from .dialect import OpenComputersDialect
from .host import SimulatedHost

__all__ = ["Job", "Jobs"]

JobState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "timeout", "canceled"]

BUFFER = 256
MOST_LISTED = 100
USUAL_TIMEOUT = 30.0
LONGEST_TIMEOUT_MS = 24 * 3600 * 1000

_SHELLS = frozenset({"bash", "sh"})
_COMMON = {"args": Field("array"), "env": Field("array"), "cwd": Field("string")}
_EXEC = {
    "cmd": Field("string", required=True),
    **_COMMON,
    "timeout_ms": Field("integer", low=1, high=LONGEST_TIMEOUT_MS),
    "stream": Field("boolean"),
}
_JOB = {
    "command": Field("string", required=True),
    **_COMMON,
    "timeout": Field("integer", low=1, high=LONGEST_TIMEOUT_MS / 1000),
}


@dataclass(frozen=True, slots=True)
class Event:
    """What is told of a job, once."""

    name: str
    fields: Json

    def encoded(self) -> bytes:
        """Returns it as it is sent: its name outside the JSON."""
        return f"id: {uuid.uuid4()}\nevent: {self.name}\ndata: {json.dumps(self.fields)}\n\n".encode()


@dataclass(eq=False, slots=True)
class Job:
    """One command on one host.

    Attributes:
        id: Its id.
        state: What it is doing.
        exit_code: How it ended.
        ended: Set when it has ended.
        scope: Ends it.
    """

    host_id: str
    tenant_id: str
    cmd: str
    args: list[str]
    env: dict[str, str] = field(repr=False)
    cwd: str | None
    seconds: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: JobState = "queued"
    exit_code: int | None = None
    inserted_at: str = field(default_factory=timestamp)
    started_at: str | None = None
    ended_at: str | None = None
    ended: anyio.Event = field(default_factory=anyio.Event, repr=False)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope, repr=False)
    _listeners: list[MemoryObjectSendStream[Event]] = field(default_factory=list, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state not in {"queued", "running"}

    def listen(self) -> anyio.abc.ObjectReceiveStream[Event]:
        """Returns what is told of it from now on; nothing of what was told before is kept."""
        send, receive = anyio.create_memory_object_stream[Event](BUFFER)
        self._listeners.append(send)
        return receive

    async def tell(self, name: str, fields: Json) -> None:
        """Tells whoever listens; whoever has left is forgotten."""
        for listener in tuple(self._listeners):
            try:
                await listener.send(Event(name, fields))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                self._listeners.remove(listener)
                listener.close()

    async def finish(self, state: JobState, name: str, fields: Json, exit_code: int | None = None) -> None:
        """Ends it, and tells how."""
        self.state, self.exit_code, self.ended_at = state, exit_code, timestamp()
        with anyio.CancelScope(shield=True), anyio.move_on_after(5):
            await self.tell(name, fields)
        self.let_go()
        self.ended.set()

    def let_go(self) -> None:
        """Tells nobody anything any more."""
        for listener in self._listeners:
            listener.close()

    def as_json(self) -> Json:
        """Returns it as the API describes it: what it printed is nowhere kept."""
        return {
            "id": self.id,
            "host_id": self.host_id,
            "tenant_id": self.tenant_id,
            "cmd": self.cmd,
            "args": [*self.args],
            "cwd": self.cwd,
            "timeout_ms": round(self.seconds * 1000),
            "state": self.state,
            "exit_code": self.exit_code,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "inserted_at": self.inserted_at,
        }


class Jobs:
    """The routes ``/exec`` and ``/jobs``.

    Args:
        account: Whose hosts they are.
        dialect: How what happened to them is told.
        tasks: Where jobs run.
    """

    def __init__(self, account: Account, dialect: OpenComputersDialect, tasks: anyio.abc.TaskGroup) -> None:
        self._account = account
        self._dialect = dialect
        self._tasks = tasks

    async def execute(self, call: HostCall) -> Answer:
        """Runs a command and answers when it has ended; or, which is the default, tells of it as it runs.

        A command whose client leaves goes on until its time is up.
        """
        body = plain_fields(call.body, _EXEC)
        host = self._account.host(call.path["id"])
        timeout = body.get("timeout_ms")
        job = self._new(host, str(body["cmd"]), body, timeout / 1000 if isinstance(timeout, int) else USUAL_TIMEOUT)
        events = job.listen()
        self._begin(host, job)
        if body.get("stream", True):
            return await events_answer(_encoded(events))
        return await _whole(job, events)

    async def start(self, call: HostCall) -> Answer:
        """Starts a command and answers at once."""
        body = plain_fields(call.body, _JOB)
        host = self._account.host(call.path["id"])
        timeout = body.get("timeout")
        job = self._new(host, str(body["command"]), body, timeout if isinstance(timeout, int) else USUAL_TIMEOUT)
        self._begin(host, job)
        where = f"/api/v1/opencomputers/hosts/{host.id}/exec/{job.id}"
        return json_answer({"job": job.as_json(), "links": {"self": where, "stream": f"{where}/stream"}}, 202)

    async def listing(self, call: HostCall) -> Answer:
        """Lists what happened to jobs, the newest first."""
        limit = call.query.get("limit", "20")
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit) <= MOST_LISTED):
            raise ApiError(422, f"limit must be 1 to {MOST_LISTED}")
        rows: list[JsonValue] = []
        for job in reversed(self._account.host(call.path["id"]).jobs.values()):
            if job.is_over:
                kind = "job.done" if job.state == "succeeded" else "job.failed"
                rows.append(self._row(job, kind, job.ended_at))
            rows.append(self._row(job, "job.dispatched", job.inserted_at))
        return json_answer({"jobs": rows[: int(limit)]})

    async def get(self, call: HostCall) -> Answer:
        """Describes one."""
        return json_answer({"job": self._find(call).as_json()})

    async def follow(self, call: HostCall) -> Answer:
        """Tells what is left of one that runs."""
        job = self._find(call)
        return no_content() if job.is_over else await events_answer(_encoded(job.listen()))

    async def cancel(self, call: HostCall) -> Answer:
        """Ends one that has not ended."""
        job = self._find(call)
        if job.is_over:
            raise CodedError(409, "JOB_ALREADY_TERMINAL", f"The job is {job.state}")
        job.scope.cancel()
        await job.ended.wait()
        return no_content()

    def _row(self, job: Job, kind: str, at: str | None) -> Json:
        return {
            "id": str(uuid.uuid4()),
            "job_id": job.id,
            "kind": kind,
            "status": job.state if self._dialect.rows == "states" else kind.removeprefix("job."),
            "dispatched_at": job.inserted_at,
            "completed_at": job.ended_at,
            "event_at": at,
            "payload": {},
        }

    def _find(self, call: HostCall) -> Job:
        job = self._account.host(call.path["id"]).jobs.get(call.path["job"])
        if job is None:
            raise CodedError(404, "JOB_NOT_FOUND", "Job not found")
        return job

    def _new(self, host: SimulatedHost, cmd: str, body: Json, seconds: float) -> Job:
        if not cmd:
            raise ApiError(422, "cmd is required")
        given = body.get("args", [])
        args = [arg for arg in given if isinstance(arg, str)] if isinstance(given, list) else []
        if args != given:
            raise ApiError(422, "args must be texts")
        cwd = body.get("cwd")
        host.on()
        return Job(
            host.id,
            host.tenant_id,
            cmd,
            args,
            _variables(body.get("env", [])),
            None if cwd is None else str(cwd),
            seconds,
        )

    def _begin(self, host: SimulatedHost, job: Job) -> None:
        host.jobs[job.id] = job
        self._tasks.start_soon(_run, host, host.on(), job, name=f"job {job.id}")


def _variables(given: JsonValue) -> dict[str, str]:
    variables: dict[str, str] = {}
    for one in given if isinstance(given, list) else []:
        name, value = (one.get("name"), one.get("value")) if isinstance(one, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, str):
            raise ApiError(422, "env must be a list of name and value")
        variables[name] = value
    return variables


async def _run(host: SimulatedHost, machine: ExternalComputer, job: Job) -> None:
    """Runs a job to its end, whoever listens."""
    try:
        with job.scope:
            await _run_to_its_end(host, machine, job)
        if not job.ended.is_set():
            await job.finish("canceled", "exec_error", {"reason": "canceled"})
    finally:
        job.let_go()


async def _run_to_its_end(host: SimulatedHost, machine: ExternalComputer, job: Job) -> None:
    began = time.monotonic()
    job.state, job.started_at = "running", timestamp()
    try:
        if host.system == "windows" and job.cmd in _SHELLS:
            await _fail(job, f'exec: "{job.cmd}": executable file not found in %PATH%')
            return
        code = await _followed(machine, job)
    except DeadlineExceededError:
        await job.finish("timeout", "exec_error", {"reason": "timeout", "job_id": job.id})
    except DeskhandError as error:
        await _fail(job, error.message)
    else:
        elapsed = round((time.monotonic() - began) * 1000)
        state: JobState = "succeeded" if code == 0 else "failed"
        await job.finish(state, "exec_result", {"exit_code": code, "elapsed_ms": elapsed}, code)


async def _fail(job: Job, reason: str) -> None:
    await job.finish("failed", "exec_error", {"reason": reason})


async def _followed(machine: ExternalComputer, job: Job) -> int | None:
    decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
    async with machine.exec_stream(_line(job), timeout=job.seconds, cwd=job.cwd, env=job.env) as stream:
        async for chunk in stream:
            text = decoders[chunk.stream].decode(chunk.data)
            if text:
                await job.tell("exec_chunk", {"stream": chunk.stream, "data": text})
    for name, decoder in decoders.items():
        if rest := decoder.decode(b"", final=True):
            await job.tell("exec_chunk", {"stream": name, "data": rest})
    return stream.exit_code


def _line(job: Job) -> str:
    """Returns a program and its arguments as a line of a shell; a shell with a line needs no other around it."""
    if job.cmd in _SHELLS and len(job.args) == 2 and job.args[0] == "-c":
        return job.args[1]
    return shlex.join([job.cmd, *job.args]) if job.args else job.cmd


async def _encoded(events: anyio.abc.ObjectReceiveStream[Event]) -> AsyncIterator[bytes]:
    async with events:
        yield b": connected\n\n"
        async for event in events:
            yield event.encoded()


async def _whole(job: Job, events: anyio.abc.ObjectReceiveStream[Event]) -> Answer:
    """Waits for a job's end and returns all that it printed."""
    printed: dict[str, list[str]] = {"stdout": [], "stderr": []}
    reason: JsonValue = None
    async with events:
        async for event in events:
            if event.name == "exec_chunk":
                printed[str(event.fields["stream"])].append(str(event.fields["data"]))
            elif event.name == "exec_error":
                reason = event.fields["reason"]
    if job.state == "timeout":
        raise CodedError(504, "EXEC_TIMEOUT", "The command timed out")
    if reason is not None:
        raise CodedError(422, "EXEC_FAILED", str(reason))
    apart: Json = {name: "".join(parts) for name, parts in printed.items()}
    return json_answer({"job_id": job.id, "exit_code": job.exit_code, **apart})
