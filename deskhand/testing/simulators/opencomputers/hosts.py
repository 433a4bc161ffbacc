"""The routes of a host's registration, and the tickets for its terminal and its desktop."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import anyio.abc

from deskhand.testing.simulators.hardware import Machine
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer

from .account import Account, CodedError, HostCall, no_content, plain_fields, timestamp
from .dialect import OpenComputersDialect
from .host import SimulatedHost, System

__all__ = ["Hosts"]

MOST_A_PAGE = 100
TICKET_SECONDS = 60
LONGEST_NAME = 255

_REGISTER = {
    "name": Field("string", required=True),
    "region": Field("string"),
    "labels": Field("object"),
    "platform": Field("string", choices=("linux", "macos", "windows")),
}


class Hosts:
    """The routes ``/hosts`` and ``/hosts/{id}``.

    Args:
        account: Whose hosts they are.
        dialect: How they are described.
        open_machine: Gives the machines behind them.
        tasks: Where what goes on in the background is done.
        origin: Tells where the simulator serves.
    """

    def __init__(
        self,
        account: Account,
        dialect: OpenComputersDialect,
        open_machine: Machine,
        tasks: anyio.abc.TaskGroup,
        origin: Callable[[], str],
    ) -> None:
        self._account = account
        self._dialect = dialect
        self._open_machine = open_machine
        self._tasks = tasks
        self._origin = origin

    def new(
        self, name: str, *, system: System = "linux", region: str | None = None, labels: dict[str, str] | None = None
    ) -> SimulatedHost:
        """Registers a host."""
        host = SimulatedHost(
            name,
            self._account.tenant_id,
            self._open_machine,
            self._tasks,
            region=region,
            labels=labels or {},
            system=system,
        )
        self._account.hosts[host.id] = host
        return host

    async def register(self, call: HostCall) -> Answer:
        """Registers a host, which is pending until its agent connects; its key is told here and nowhere else."""
        body = plain_fields(call.body, _REGISTER)
        name = str(body["name"])
        if not 0 < len(name.strip()) <= LONGEST_NAME:
            raise ApiError(422, f"name must have 1 to {LONGEST_NAME} characters")
        given = body.get("labels", {})
        labels = (
            {label: value for label, value in given.items() if isinstance(value, str)}
            if isinstance(given, dict)
            else {}
        )
        if labels != given:
            raise ApiError(422, "labels must be text")
        if not self._account.has_credit:
            raise CodedError(402, "INSUFFICIENT_CREDITS", "The account is out of credits")
        if sum(host.status != "revoked" for host in self._account.hosts.values()) >= self._account.most_hosts:
            raise CodedError(403, "QUOTA_EXCEEDED", f"Your plan allows {self._account.most_hosts} hosts")
        region, platform = body.get("region"), body.get("platform", "linux")
        system: System = "windows" if platform == "windows" else "macos" if platform == "macos" else "linux"
        host = self.new(name, system=system, region=None if region is None else str(region), labels=labels)
        if self._dialect.agents == "connected":
            await host.connect()
        return json_answer(self._registered(host), 201)

    def _registered(self, host: SimulatedHost) -> Json:
        described = host.as_json(self._dialect)
        beside: Json = {"host_key": host.host_key, "control_url": f"{self._origin()}/opencomputers"}
        match self._dialect.registered:
            case "flat":
                return {**described, "host_key": host.host_key}
            case "nested":
                return {"host": described, **beside}
            case _:
                return {**described, "host": described, **beside}

    async def listing(self, call: HostCall) -> Answer:
        """Lists the hosts, page by page where pages are asked for."""
        page, size = _number(call, "page", 1), _number(call, "per_page", MOST_A_PAGE)
        if size > MOST_A_PAGE:
            raise ApiError(422, f"per_page must be at most {MOST_A_PAGE}")
        hosts = [host for host in self._account.hosts.values() if self._is_listed(host)]
        shown = [host.as_json(self._dialect) for host in hosts[(page - 1) * size : page * size]]
        return json_answer({"data": [*shown], "meta": {"page": page, "per_page": size, "total": len(hosts)}})

    def _is_listed(self, host: SimulatedHost) -> bool:
        return host.status != "revoked" or self._dialect.revoked == "listed"

    async def get(self, call: HostCall) -> Answer:
        """Describes one."""
        host = self._account.hosts.get(call.path["id"])
        if host is None or not self._is_listed(host):
            raise CodedError(404, "HOST_NOT_FOUND", "Host not found")
        return json_answer(host.as_json(self._dialect))

    async def revoke(self, call: HostCall) -> Answer:
        """Ends a registration."""
        await self._account.host(call.path["id"]).revoke()
        return no_content()

    async def terminal_ticket(self, call: HostCall) -> Answer:
        """Issues a ticket for a terminal."""
        return self._ticket(call, "terminal")

    async def desktop_ticket(self, call: HostCall) -> Answer:
        """Issues a ticket for the desktop."""
        return self._ticket(call, "desktop")

    def _ticket(self, call: HostCall, kind: str) -> Answer:
        plain_fields(call.body, {})
        host = self._account.host(call.path["id"])
        host.on()
        address = f"ws{self._origin().removeprefix('http')}/opencomputers/hosts/{host.id}/{kind}"
        expires = timestamp(time.time() + TICKET_SECONDS)
        return json_answer({"ticket": f"tkt_{secrets.token_urlsafe(16)}", "ws_url": address, "expires_at": expires})


def _number(call: HostCall, name: str, default: int) -> int:
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ApiError(422, f"{name} must be a positive integer")
    return int(text)
