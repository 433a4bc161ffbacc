"""Jobs: commands that a host goes on with although nobody follows them, and that are found again by their ids."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Final, Literal, TypeAlias, cast, get_args
from urllib.parse import quote

import anyio
from pydantic import JsonValue

from deskhand.errors import (
    ComputerGoneError,
    ConflictError,
    ConnectionLostError,
    DeskhandError,
    InvalidInputError,
    NotFoundError,
    ProtocolError,
)
from deskhand.providers.answers import text
from deskhand.providers.contract import ExecChunk
from deskhand.providers.execution import check_command, checked_timeout
from deskhand.providers.http import Stream
from deskhand.providers.http.events import ServerEvents, event_fields
from deskhand.providers.miosa.envelope import listed, unwrapped
from deskhand.providers.miosa.service import EVENTS
from deskhand.providers.opencomputers.api import NAME, OPERATIONS, HostApi
from deskhand.providers.readiness import until

__all__ = ["JOBS", "HostJob", "JobState", "list_jobs", "start_job"]

JOBS: Final = "jobs"
JobState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "timeout", "canceled"]

_ON_THE_WAY: Final = frozenset({"queued", "running"})
_MOST_LISTED: Final = 100
_LONGEST: Final = 24 * 3600.0
_MARGIN: Final = 30.0
"""Seconds beyond its own time that a job is waited for."""
_NO_CONTENT: Final = 204


class HostJob:
    """A command on a host that outlives whoever started it.

    The vendor keeps how it ended, and nothing of what it printed: that is told only while somebody follows.

    Attributes:
        id: Its id, by which it is found again.
        host_id: The host that it runs on.
        state: What it was doing when the vendor last told.
        exit_code: How it ended; ``None`` as long as that is not known, and where it came to no end of its own.
    """

    def __init__(self, api: HostApi, host_id: str, fields: Mapping[str, JsonValue]) -> None:
        job_id = text(fields.get("id"))
        if job_id is None:
            raise ProtocolError(f"{NAME} tells no id of a job", provider=NAME)
        self._api = api
        self.id: str = job_id
        self.host_id: str = host_id
        self.state: JobState = "queued"
        self.exit_code: int | None = None
        self._limit: float | None = None
        self._learn(fields)

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<HostJob {self.id} {self.state}>"

    @property
    def is_over(self) -> bool:
        """Whether it had ended when the vendor last told."""
        return self.state not in _ON_THE_WAY

    def _learn(self, fields: Mapping[str, JsonValue]) -> None:
        state, code, limit = fields.get("state"), fields.get("exit_code"), fields.get("timeout_ms")
        if state in get_args(JobState):
            self.state = cast("JobState", state)
        if isinstance(code, int) and not isinstance(code, bool):
            self.exit_code = code
        if isinstance(limit, int) and limit > 0:
            self._limit = min(limit, _LONGEST * 1000) / 1000

    async def _seconds(self) -> float:
        """Return the longest that it may take, as the vendor tells it of a job, though not in a list of them."""
        if self._limit is None:
            await self.refresh()
        return (_LONGEST if self._limit is None else self._limit) + _MARGIN

    def _path(self, route: str = "") -> str:
        return self._api.path(self.host_id, f"exec/{quote(self.id, safe='')}{route}")

    async def refresh(self) -> JobState:
        """Ask what it is doing.

        Raises:
            NotFoundError: If there is no such job.
            ComputerGoneError: If the host is revoked.
        """
        try:
            answer = await self._api.http.call(OPERATIONS["describe a job"], self._path())
        except NotFoundError as error:
            raise await self._missing(error) from error
        self._learn(unwrapped(answer, "job"))
        return self.state

    async def wait(self, timeout: float | None = None) -> JobState:
        """Ask until it has ended, and return how.

        Args:
            timeout: Seconds; its own time, and some more, where not given.

        Raises:
            DeadlineExceededError: If it has not ended by then; it goes on.
        """

        async def has_ended() -> bool:
            await self.refresh()
            return self.is_over

        seconds = await self._seconds() if timeout is None else timeout
        await until(f"the end of the job {self.id}", has_ended, provider=NAME, deadline=seconds)
        return self.state

    def follow(self) -> AbstractAsyncContextManager[AsyncIterator[ExecChunk]]:
        """Follow what it prints from now on; leaving the block leaves it running.

        Of a job that has ended nothing comes. When all has come, `state` and `exit_code` are known.

        Raises:
            ConnectionLostError: If the connection breaks before its end; it can be followed again.
        """
        return self._follow()

    @asynccontextmanager
    async def _follow(self) -> AsyncIterator[AsyncIterator[ExecChunk]]:
        stream = self._api.http.stream(
            OPERATIONS["follow a job"],
            self._path("/stream"),
            silence=await self._seconds(),
            headers=(EVENTS,),
        )
        async with AsyncExitStack() as stack:
            try:
                answer = await stack.enter_async_context(stream)
            except NotFoundError as error:
                raise await self._missing(error) from error
            yield self._chunks(answer)

    async def _chunks(self, answer: Stream) -> AsyncIterator[ExecChunk]:
        is_ended = answer.status == _NO_CONTENT
        if not is_ended:
            async for event in ServerEvents(answer, NAME):
                fields = event_fields(event, NAME)
                data = fields.get("data")
                if event.name == "exec_chunk" and isinstance(data, str):
                    name: Literal["stdout", "stderr"] = "stderr" if fields.get("stream") == "stderr" else "stdout"
                    yield ExecChunk(name, data.encode(errors="surrogatepass"))
                elif event.name in {"exec_result", "exec_error"}:
                    is_ended = True
                    await answer.finish()
                    break
        if not is_ended:
            raise ConnectionLostError(
                f"{NAME} stopped telling of the job {self.id} before its end",
                hint="follow it again; what it prints meanwhile is not kept",
                effect="no",
                provider=NAME,
            )
        await self.refresh()

    async def cancel(self) -> None:
        """End it; that it has ended already is no error."""
        try:
            with suppress(ConflictError):
                await self._api.http.ask(OPERATIONS["cancel a job"], self._path(), is_urgent=True)
        except NotFoundError as error:
            raise await self._missing(error) from error
        await self.refresh()

    async def _missing(self, error: NotFoundError) -> NotFoundError | ComputerGoneError:
        """Return what it means that the job was not found: it is not there, or its host is not."""
        if await self._api.is_there(self.host_id):
            said = f"the {NAME} host {self.host_id} has no job {self.id}"
            return NotFoundError(said, effect="no", provider=NAME, request_id=error.request_id)
        return ComputerGoneError(error.message, effect="no", provider=NAME, request_id=error.request_id)


async def start_job(
    api: HostApi, host_id: str, command: str, *, cwd: str | None, env: Mapping[str, str] | None, timeout: float | None
) -> HostJob:
    """Start a job, once: one whose answer was lost may run."""
    if not command.strip():
        raise InvalidInputError("the command is empty", provider=NAME)
    check_command(command, env)
    seconds = math.ceil(checked_timeout(timeout))  # the vendor counts whole ones
    body: dict[str, object] = {"command": "bash", "args": ["-c", command], "timeout": seconds}
    if cwd is not None:
        body["cwd"] = cwd
    if env:
        body["env"] = [{"name": name, "value": value} for name, value in env.items()]
    return HostJob(api, host_id, unwrapped(await api.act("start a job", host_id, JOBS, body), "job"))


async def list_jobs(api: HostApi, host_id: str, limit: int) -> list[HostJob]:
    """Return the jobs that the host's latest entries are about, the newest first."""
    if not 1 <= limit <= _MOST_LISTED:
        raise InvalidInputError(f"the limit is {limit}; it must be 1 to {_MOST_LISTED}", provider=NAME)
    answer = await api.act("list jobs", host_id, f"{JOBS}?limit={limit}", of=JOBS)
    found: dict[str, HostJob] = {}
    unclear: list[HostJob] = []
    for row in listed(answer, JOBS, provider=NAME):
        job_id, status = text(row.get("job_id")), row.get("status")
        if job_id is not None and job_id not in found:  # the first entry is the latest
            found[job_id] = job = HostJob(api, host_id, {"id": job_id, "state": status})
            if status not in get_args(JobState):  # it is the entry's own word, which is no job's
                unclear.append(job)
    async with anyio.create_task_group() as tasks:
        for job in unclear:
            tasks.start_soon(_settle, job)
    return [*found.values()]


async def _settle(job: HostJob) -> None:
    with suppress(DeskhandError):  # nobody can tell: it counts as on its way
        await job.refresh()
