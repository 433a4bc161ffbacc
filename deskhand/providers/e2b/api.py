"""What is asked of E2B, what its errors mean, and how it describes a sandbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from pydantic import JsonValue, SecretStr

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    FileMissingError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    ProtocolError,
    ProviderError,
    QuotaError,
    UnsupportedError,
)
from deskhand.providers.answers import JsonObject, moment, number
from deskhand.providers.contract import ComputerInfo, ComputerStatus, Specs
from deskhand.providers.e2b.connect import PORT, Connect
from deskhand.providers.http import Failure, FailureRow, HttpClient, Operation
from deskhand.providers.shell_commands import Background

__all__ = [
    "DAEMON_ROWS",
    "DOMAIN",
    "DOMAINS",
    "KEY_HINT",
    "NAME",
    "NAMED",
    "OPERATIONS",
    "ROWS",
    "STATUSES",
    "E2BApi",
    "computer_info",
]

NAME: Final = "e2b"
KEY_HINT: Final = "export E2B_API_KEY=e2b_..."
DOMAIN: Final = "e2b.app"
NAMED: Final = "deskhand-name"
"""The metadata that holds a computer's name, by which it is found again where the answer to its creation was lost."""

MAX_FILE: Final = 100 << 20
"""Bytes of a file that can be read or written at once."""

OPERATIONS: Final[Mapping[str, Operation]] = {
    row.name: row
    for row in (
        Operation("create a sandbox", deadline=90.0),
        Operation("list sandboxes", "GET", "read", limit=16 << 20),
        Operation("describe a sandbox", "GET", "read"),
        Operation("see whether it is there", "GET", "read", deadline=5.0, attempts=1),
        Operation("destroy a sandbox", "DELETE", "repeatable"),
        Operation("set its time", repetition="repeatable"),
        Operation("pause a sandbox", repetition="repeatable", deadline=60.0),
        Operation("resume a sandbox", repetition="repeatable", deadline=60.0),
        Operation("fork a sandbox", deadline=120.0),
        Operation("take a snapshot", deadline=120.0),
        Operation("tell its health", "GET", "read", deadline=10.0, attempts=1),
        Operation("run a command"),
        Operation("open a terminal"),
        Operation("end a process", repetition="repeatable", deadline=8.0, attempts=1),
        Operation("send input"),
        Operation("resize a terminal", repetition="repeatable"),
        Operation("describe a file", repetition="read"),
        Operation("list a folder", repetition="read", limit=16 << 20),
        Operation("move a file"),
        Operation("remove a file"),
        Operation("read a file", "GET", "read", deadline=120.0, limit=MAX_FILE),
        Operation("write a file", repetition="repeatable", deadline=120.0),
    )
}
"""What is asked of E2B. Commands and what is typed are sent once."""

_AGAIN: Final = "try again in a moment"
_REFUSED: Final = "no machine takes a sandbox of this template: build it anew, or name another as spec.image"
_TIMES: Final = "see the plan's longest time at https://e2b.dev/pricing, and give a shorter ttl"

ROWS: Final = (
    FailureRow(400, "timeout cannot", Failure(InvalidInputError, "no", hint=_TIMES)),
    FailureRow(401, "", Failure(AuthError, "no", hint=KEY_HINT)),
    FailureRow(402, "", Failure(QuotaError, "no", hint="see the account's billing at https://e2b.dev/dashboard")),
    FailureRow(403, "limit", Failure(QuotaError, "no", hint="the plan allows no more: destroy one first")),
    FailureRow(
        404, "template", Failure(NotFoundError, "no", hint="spec.image names the template; see e2b template list")
    ),
    FailureRow(404, "sandbox", Failure(ComputerGoneError, "no")),
    FailureRow(
        404, "", Failure(NotFoundError, "no", hint="check that E2B_API_URL or base_url is where the API begins")
    ),
    FailureRow(
        409,
        "sandbox_snapshot_guest_agent_unresponsive",
        Failure(ConflictError, "no", hint="its memory cannot be restored: start(from_disk=True) starts it anew"),
    ),
    FailureRow(409, "idempotency_in_progress", Failure(OverloadedError, None, True, _AGAIN)),
    FailureRow(409, "idempotency_outcome_unknown", Failure(ProviderError, "unknown")),
    FailureRow(
        429,
        "maximum number of concurrent",
        Failure(QuotaError, "no", hint="the plan allows no more at once: destroy one, or pause one"),
    ),
    FailureRow(500, "sandbox_create_failed", Failure(OverloadedError, "no", True, _AGAIN)),
    FailureRow(500, "sandbox_create_refused", Failure(ProviderError, "no", False, _REFUSED)),
    FailureRow(503, "sandbox_create_refused", Failure(ProviderError, "no", False, _REFUSED)),
    FailureRow(503, "sandbox_capacity_unavailable", Failure(OverloadedError, "no", True, _AGAIN)),
    FailureRow(503, "sandbox_placement_timeout", Failure(OverloadedError, None, True, _AGAIN)),
    FailureRow(503, "", Failure(OverloadedError, None, True, _AGAIN), is_bare=True),
    FailureRow(503, "", Failure(OverloadedError, "no", True, _AGAIN)),  # the vendor's package says so of every 503
)
"""What the API's errors mean where the status alone does not tell."""

DAEMON_ROWS: Final = (
    FailureRow(404, "", Failure(UnsupportedError, "no", hint="use a template with a newer daemon"), is_bare=True),
    FailureRow(400, "does not exist", Failure(FileMissingError, "no")),
    FailureRow(401, "", Failure(AuthError, "no", hint="its token is another one by now: get the computer again")),
    FailureRow(404, "", Failure(FileMissingError, "no")),
    FailureRow(500, "not a directory", Failure(InvalidInputError, "no")),
    FailureRow(501, "", Failure(UnsupportedError, "no")),
    FailureRow(502, "was not found", Failure(ComputerGoneError, "no")),
    FailureRow(502, "port is not open", Failure(OverloadedError, "no", True, _AGAIN)),
    FailureRow(507, "", Failure(ProviderError, "no", hint="the sandbox's disk is full: delete something")),
)
"""What the errors of the daemon inside of a sandbox, and of the proxy before it, mean."""

STATUSES: Final[Mapping[str, ComputerStatus]] = {
    "running": ComputerStatus.RUNNING,
    "paused": ComputerStatus.PAUSED,
    "pausing": ComputerStatus.PAUSED,
}
_SECRET: Final = re.compile(r"(?i)password|token|secret")
_MIB: Final = 1 << 20
DOMAINS: Final = re.compile(r"[a-z0-9.-]+", re.ASCII | re.IGNORECASE)
_SHARED: Final = frozenset(
    {"e2b.app", "e2b.dev", "e2b.pro", "e2b-staging.dev", "e2b-tango.dev", "e2b-juliett.dev", "foxtrot-2.e2b.dev"}
)
"""Domains that have one address for all sandboxes; elsewhere each has its own."""
_MOST_PAGES: Final = 500
"""Pages of a list, of a hundred sandboxes each."""
_MOST: Final = 1e9
"""More cores or MiB than this no machine has."""


class E2BApi:
    """The API, and the daemons of the sandboxes.

    Args:
        http: The client of the API.
        daemons: The client of all daemons, without a key.
        sandbox_url: Where the daemons are; where their domain says where not given.
        background: Does something to its end, whatever becomes of whoever asked for it.
        domain: The domain of a sandbox of which none is told.
    """

    def __init__(
        self,
        http: HttpClient,
        daemons: HttpClient,
        sandbox_url: str | None,
        background: Background,
        domain: str = DOMAIN,
    ) -> None:
        self.http = http
        self._domain = domain
        self.in_background = background
        self.missing: set[str] = set()
        self._daemons = daemons
        self._sandbox_url = sandbox_url

    @staticmethod
    def path(sandbox_id: str, route: str = "") -> str:
        """Return the path of a sandbox, or of one of its routes."""
        return f"/sandboxes/{quote(sandbox_id, safe='')}" + (f"/{route}" if route else "")

    def daemon(self, fields: Mapping[str, JsonValue]) -> Connect:
        """Return what speaks to the daemon inside of a sandbox."""
        sandbox_id, token, domain = str(fields.get("sandboxID")), fields.get("envdAccessToken"), self.domain_of(fields)
        base = self._sandbox_url or (
            f"https://sandbox.{domain}" if domain in _SHARED else f"https://{PORT}-{sandbox_id}.{domain}"
        )
        secret = SecretStr(token if isinstance(token, str) else "")
        self._daemons.hide(secret)
        return Connect(self._daemons, base.rstrip("/"), sandbox_id, secret, fields.get("envdVersion"))

    def domain_of(self, fields: Mapping[str, JsonValue]) -> str:
        """Return the domain below which a sandbox's ports are.

        Raises:
            ProtocolError: If it is none.
        """
        domain = fields.get("domain") or self._domain
        if not isinstance(domain, str) or not DOMAINS.fullmatch(domain):
            raise ProtocolError(f"e2b names {domain!r} as a domain", provider=NAME)
        return domain

    async def act(self, operation: str, sandbox_id: str, route: str, body: Mapping[str, object]) -> bytes:
        """Use a route of a sandbox's life, and return the answer.

        Raises:
            ComputerGoneError: If the sandbox is not there any more.
            UnsupportedError: If the route is not there, which is remembered.
        """
        prefix = "/v2" if route == "connect" else ""
        try:
            reply = await self.http.ask(OPERATIONS[operation], prefix + self.path(sandbox_id, route), body)
        except (NotFoundError, UnsupportedError) as error:
            if isinstance(error, NotFoundError) and "template" in error.message.lower():
                raise  # what it was made of is gone, and not the route
            self.missing.add(route)
            raise UnsupportedError(
                f"e2b has no way to {operation} here: {error.message}",
                hint="capabilities no longer tell of it",
                provider=NAME,
                request_id=error.request_id,
            ) from error
        return reply.data

    async def look(self, sandbox_id: str) -> ComputerStatus:
        """Ask once what a sandbox is doing, and whether it is there at all.

        Raises:
            DeskhandError: If that cannot be found out.
        """
        try:
            seen = await self.http.call(OPERATIONS["see whether it is there"], self.path(sandbox_id), is_urgent=True)
        except ComputerGoneError:
            return ComputerStatus.DESTROYED
        return computer_info(seen).status

    async def destroy(self, sandbox_id: str) -> None:
        """End a sandbox for good.

        Raises:
            ComputerGoneError: If it is not there any more.
        """
        await self.http.ask(OPERATIONS["destroy a sandbox"], self.path(sandbox_id), is_urgent=True)

    async def list(self, metadata: Mapping[str, str] | None = None) -> list[JsonObject]:
        """List the sandboxes that run or are paused, or those of them with some metadata."""
        query = {"state": "running,paused", "limit": "100"}
        if metadata:
            query["metadata"] = urlencode({quote(name): quote(value) for name, value in metadata.items()})
        found: list[JsonObject] = []
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            path = f"/v2/sandboxes?{urlencode(query)}"
            page, headers = await self.http.call_list(OPERATIONS["list sandboxes"], path)
            found += [one for one in page if isinstance(one, dict)]
            more = headers.get("x-next-token", "")
            if not more:
                return found
            if more in seen:
                raise ProtocolError("e2b lists the same page again and again", provider=NAME, effect="no")
            seen.add(more)
            query["nextToken"] = more
        raise ProtocolError("e2b's list of sandboxes has no end", provider=NAME, effect="no")

    async def find(self, name: str) -> JsonObject | None:
        """Return the sandbox whose metadata holds a name."""
        for one in await self.list({NAMED: name}):
            metadata = one.get("metadata")
            if isinstance(metadata, dict) and metadata.get(NAMED) == name and one.get("sandboxID"):
                return one
        return None


def computer_info(fields: Mapping[str, JsonValue]) -> ComputerInfo:
    """Read what E2B says of a sandbox; an answer to its creation tells no state, which is that it runs."""
    noted = fields.get("metadata")
    metadata = {str(name): str(value) for name, value in noted.items()} if isinstance(noted, dict) else {}
    sandbox_id = str(fields.get("sandboxID") or "")
    memory, disk, cpus = (number(fields.get(name), most=_MOST) for name in ("memoryMB", "diskSizeMB", "cpuCount"))
    return ComputerInfo(
        id=sandbox_id,
        name=metadata.pop(NAMED, sandbox_id),
        provider=NAME,
        source="external",
        status=STATUSES.get(str(fields.get("state", "running")), ComputerStatus.ERROR),
        specs=Specs(
            cpus=cpus,
            memory=None if memory is None else int(memory * _MIB),
            disk=None if disk is None else int(disk * _MIB),
            os="linux",
        ),
        created_at=moment(fields.get("startedAt")),
        metadata=metadata,
        raw={name: value for name, value in fields.items() if _SECRET.search(name) is None},
    )
