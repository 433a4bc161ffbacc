"""Ports, the page of the screen, the vendor's own agent, the balance."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio.abc

from deskhand.errors import DeskhandError
from deskhand.providers import Capability
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .account import Account, Session, timestamp
from .computer import SimulatedComputer
from .wire import MiosaCall

__all__ = ["Agent", "Extras", "look"]

Agent: TypeAlias = Callable[[SimulatedComputer, str], Awaitable[str]]
"""What the vendor's agent does with a goal on a computer: returns its answer."""

VIEW_SECONDS = 3600


async def look(computer: SimulatedComputer, goal: str) -> str:
    """Looks at the screen and says so, whatever the goal is."""
    image = await computer.desktop().screenshot()
    return f"I looked at the screen ({len(image)} bytes). You asked: {goal}"


class Extras:
    """What a computer has besides.

    Args:
        account: Whose computers they are.
        agent: What is done with a goal; it looks at the screen and says so where None.
        tasks: Where agents act.
    """

    def __init__(self, account: Account, agent: Agent | None, tasks: anyio.abc.TaskGroup) -> None:
        self._account = account
        self._agent = agent or look
        self._tasks = tasks
        self._scopes: dict[str, anyio.CancelScope] = {}

    # Ports

    async def expose(self, call: MiosaCall) -> Answer:
        """Exposes a port."""
        computer = self._find(call)
        body = read_fields(
            call.body,
            {
                "port": Field("integer", required=True, low=1, high=65_535),
                "visibility": Field("string", choices=("public", "tenant", "key")),
            },
        )
        machine, port = computer.on(), body["port"]
        if port in computer.ports:
            raise ApiError(409, f"The port {port} is exposed already.", code="PORT_EXPOSED")
        url = f"https://{port}-{computer.slug}.sandbox.miosa.ai"
        if Capability.PORTS in machine.capabilities:
            url = (await machine.preview_url(port)).rstrip("/")
        computer.ports[port] = {"port": port, "visibility": body.get("visibility", "tenant"), "url": url}
        return json_answer({"data": computer.ports[port]}, 201)

    async def ports(self, call: MiosaCall) -> Answer:
        """Lists the ports that are exposed."""
        return json_answer({"data": [*self._find(call).ports.values()]})

    async def hide(self, call: MiosaCall) -> Answer:
        """Exposes a port no more."""
        ports, port = self._find(call).ports, call.path["port"]
        if not port.isdecimal() or int(port) not in ports:
            raise ApiError(404, "Port not found", code="PORT_NOT_FOUND")
        del ports[int(port)]
        return json_answer({"success": True})

    # The screen for people

    async def embed(self, call: MiosaCall) -> Answer:
        """Makes a page on which the screen can be watched for some time."""
        computer = self._find(call)
        computer.desktop()
        token = secrets.token_urlsafe(16)
        page: Json = {
            "url": f"https://{computer.slug}.computer.miosa.ai/embed?token={token}",
            "expires_at": timestamp(time.time() + VIEW_SECONDS),
            "mode": call.query.get("mode", "desktop"),
            "view_only": call.query.get("view_only", "false") == "true",
        }
        return json_answer({"data": page})

    # The vendor's agent

    async def start_session(self, call: MiosaCall) -> Answer:
        """Gives a goal to the agent, which acts in the background."""
        computer = self._find(call)
        body = read_fields(
            call.body,
            {
                "goal": Field("string", required=True),
                "model_id": Field("string"),
                "max_turns": Field("integer", low=1),
            },
        )
        computer.on()
        self._account.charge()
        session = Session(computer.id, body["goal"], body.get("model_id"), body.get("max_turns"))
        self._account.sessions[session.id] = session
        self._tasks.start_soon(self._act, computer, session)
        return json_answer(session.as_json(), 201)

    async def sessions(self, call: MiosaCall) -> Answer:
        """Lists the sessions of one computer."""
        computer = self._find(call)
        found = [one.as_json() for one in self._account.sessions.values() if one.computer_id == computer.id]
        return json_answer({"data": [*found]})

    async def session(self, call: MiosaCall) -> Answer:
        """Describes a session."""
        return json_answer(self._session(call).as_json())

    async def cancel_session(self, call: MiosaCall) -> Answer:
        """Ends a session."""
        session = self._session(call)
        if session.id in self._scopes:
            self._scopes[session.id].cancel()
        if session.status in {"pending", "running"}:
            session.status = "cancelled"
        return json_answer(session.as_json())

    async def _act(self, computer: SimulatedComputer, session: Session) -> None:
        if session.status == "cancelled":
            return
        session.status = "running"
        with anyio.CancelScope() as scope:
            self._scopes[session.id] = scope
            try:
                session.result = await self._agent(computer, session.goal)
                session.turns_used, session.status = 1, "completed"
                self._account.credits -= 1
            except (ApiError, DeskhandError) as error:
                session.error, session.status = str(error), "failed"
        del self._scopes[session.id]

    async def balance(self, call: MiosaCall) -> Answer:
        """Tells the balance."""
        return json_answer({"balance_credits": self._account.credits, "tenant_id": call.caller.tenant})

    def _find(self, call: MiosaCall) -> SimulatedComputer:
        return self._account.computer(call.caller, call.path["id"])

    def _session(self, call: MiosaCall) -> Session:
        computer = self._find(call)
        session = self._account.sessions.get(call.path["session"])
        if session is None or session.computer_id != computer.id:
            raise ApiError(404, "Session not found", code="SESSION_NOT_FOUND")
        return session
