"""The vendor's own agent, which is sent to a host with a task."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
import anyio.abc

from deskhand.errors import DeskhandError
from deskhand.testing.simulators.wire import Answer, Field, Json, json_answer

from .account import Account, CodedError, HostCall, events_answer, no_content, plain_fields, timestamp
from .host import SimulatedHost

__all__ = ["AgentRoutes", "HostAgent", "Session", "look"]

HostAgent: TypeAlias = Callable[[SimulatedHost, str], Awaitable[str]]
"""What the vendor's agent does with a task on a host: returns its summary."""

_DISPATCH = {
    "task": Field("string", required=True),
    "model": Field("string"),
    "model_id": Field("string"),
    "max_turns": Field("integer", low=1),
    "tools": Field("array"),
    "budget": Field("object"),
    "agent_runtime_profile_id": Field("string"),
    "agent_profile_id": Field("string"),
    "skip_agent_runtime_profile": Field("boolean"),
    "context": Field("object"),
}


async def look(host: SimulatedHost, task: str) -> str:
    """Looks at the machine and says so, whatever the task is."""
    result = await host.on().exec("echo $HOME")
    return f"I looked at {host.name}, whose home is {result.output.strip()}. You asked: {task}"


@dataclass(eq=False, slots=True)
class Session:
    """One task that the agent was given."""

    host_id: str
    task: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "pending"
    result_summary: str | None = None
    error: str | None = None
    created_at: str = field(default_factory=timestamp)
    ended_at: str | None = None
    ended: anyio.Event = field(default_factory=anyio.Event, repr=False)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope, repr=False)

    def finish(self, status: str, *, summary: str | None = None, error: str | None = None) -> None:
        """Ends it."""
        self.status, self.result_summary, self.error, self.ended_at = status, summary, error, timestamp()
        self.ended.set()

    def as_json(self) -> Json:
        """Returns it as the API describes it."""
        return {
            "id": self.id,
            "session_id": self.id,
            "host_id": self.host_id,
            "task": self.task,
            "status": self.status,
            "sse_url": f"/api/v1/opencomputers/hosts/{self.host_id}/agent/sessions/{self.id}/events",
            "result_summary": self.result_summary,
            "error": self.error,
            "created_at": self.created_at,
            "ended_at": self.ended_at,
        }


class AgentRoutes:
    """The routes ``/agent``.

    Args:
        account: Whose hosts they are.
        agent: What is done with a task.
        tasks: Where it is done.
    """

    def __init__(self, account: Account, agent: HostAgent, tasks: anyio.abc.TaskGroup) -> None:
        self._account = account
        self._agent = agent
        self._tasks = tasks

    async def dispatch(self, call: HostCall) -> Answer:
        """Gives the agent a task and answers at once."""
        host = self._account.host(call.path["id"])
        body = plain_fields(call.body, _DISPATCH)
        host.on()
        if not self._account.has_credit:
            raise CodedError(402, "INSUFFICIENT_CREDITS", "The account is out of credits")
        session = Session(host.id, str(body["task"]))
        host.sessions[session.id] = session
        described = session.as_json()
        self._tasks.start_soon(self._work, host, session)
        return json_answer({"session": described}, 202)

    async def _work(self, host: SimulatedHost, session: Session) -> None:
        session.status = "running"
        with session.scope:
            try:
                session.finish("completed", summary=await self._agent(host, session.task))
            except (CodedError, DeskhandError) as error:
                session.finish("failed", error=error.message)
        if not session.ended.is_set():
            session.finish("canceled")

    async def list(self, call: HostCall) -> Answer:
        """Lists the tasks of a host."""
        host = self._account.host(call.path["id"])
        return json_answer({"sessions": [session.as_json() for session in host.sessions.values()]})

    async def get(self, call: HostCall) -> Answer:
        """Describes one."""
        return json_answer({"session": self._find(call).as_json()})

    async def follow(self, call: HostCall) -> Answer:
        """Tells how one ends."""
        return await events_answer(_events(self._find(call)))

    async def cancel(self, call: HostCall) -> Answer:
        """Ends one."""
        session = self._find(call)
        session.scope.cancel()
        return no_content()

    def _find(self, call: HostCall) -> Session:
        session = self._account.host(call.path["id"]).sessions.get(call.path["session"])
        if session is None:
            raise CodedError(404, "SESSION_NOT_FOUND", "Session not found")
        return session


async def _events(session: Session) -> AsyncIterator[bytes]:
    yield _event(session, "session.started")
    await session.ended.wait()
    yield _event(session, f"session.{session.status}")


def _event(session: Session, kind: str) -> bytes:
    fields = {"type": kind, "session_id": session.id, "data": {"status": session.status}, "timestamp": timestamp()}
    return f"data: {json.dumps(fields)}\n\n".encode()
