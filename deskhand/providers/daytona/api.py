"""Daytona's API as data: where things are, what may be repeated, what its errors mean, and what it says of a sandbox.

There are two planes: the control plane makes and ends sandboxes; the toolbox is inside each, behind an address that the
control plane tells with every sandbox, and takes the same key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote

from pydantic import JsonValue
from pydantic_core import from_json

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    DeadlineExceededError,
    DeskhandError,
    FileMissingError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    QuotaError,
    UnsupportedError,
)
from deskhand.providers.answers import JsonObject, moment, number, text
from deskhand.providers.contract import ComputerInfo, ComputerStatus, Specs
from deskhand.providers.http import Failure, FailureRow, HttpClient, Operation
from deskhand.providers.shell_commands import Background

__all__ = [
    "KEY_HINT",
    "NAME",
    "OPERATIONS",
    "ROWS",
    "STATUSES",
    "DaytonaApi",
    "computer_info",
    "state_of",
]

NAME: Final = "daytona"
KEY_HINT: Final = "export DAYTONA_API_KEY=dtn_..."
IMAGE_LIMIT: Final = 64 << 20
OUTPUT_LIMIT: Final = 32 << 20
FILE_LIMIT: Final = (100 << 20) + (1 << 20)

OPERATIONS: Final[Mapping[str, Operation]] = {
    row.name: row
    for row in (
        Operation("create a computer", deadline=90.0),
        Operation("list computers", "GET", "read", limit=16 << 20),
        Operation("describe a computer", "GET", "read"),
        Operation("tell where its toolbox is", "GET", "read"),
        Operation("destroy a computer", "DELETE", "repeatable", deadline=30.0),
        Operation("start a computer", repetition="repeatable"),
        Operation("stop a computer", repetition="repeatable"),
        Operation("archive a computer", repetition="repeatable"),
        Operation("set its time to live", repetition="repeatable"),
        Operation("fork a computer", deadline=90.0),
        Operation("take a snapshot", deadline=90.0),
        Operation("tell a port's address", "GET", "read"),
        Operation("open a way in over SSH"),
        Operation("run a command", limit=OUTPUT_LIMIT),
        Operation("look around", repetition="repeatable", deadline=10.0, attempts=1, limit=OUTPUT_LIMIT),
        Operation("read a file", repetition="read", deadline=120.0, limit=OUTPUT_LIMIT),
        Operation("download a file", repetition="read", deadline=300.0, limit=FILE_LIMIT),
        Operation("write a part of a file", repetition="repeatable", deadline=300.0),
        Operation("open a session"),
        Operation("begin a command"),
        Operation("tell how a command goes", "GET", "read"),
        Operation("end a session", "DELETE", "repeatable", deadline=8.0),
        Operation("resize a terminal", repetition="repeatable"),
        Operation("end a terminal", "DELETE", "repeatable", deadline=8.0),
        Operation("start the desktop", repetition="repeatable", deadline=60.0),
        Operation("tell how the desktop is", "GET", "read"),
        Operation("tell the screen's size", "GET", "read"),
        Operation("ask for half a point", "POST", "read", deadline=5.0, attempts=1),
        Operation("take a screenshot", "GET", "read", limit=IMAGE_LIMIT),
        Operation("tell where the pointer is", "GET", "read"),
        Operation("click"),
        Operation("move the pointer", repetition="repeatable"),
        Operation("press a button"),
        Operation("let go of a button", repetition="repeatable"),
        Operation("drag"),
        Operation("scroll"),
        Operation("type", deadline=60.0),
        Operation("strike a key"),
        Operation("press a key"),
        Operation("let go of a key", repetition="repeatable"),
    )
}
"""What is asked of Daytona. Input and commands are sent once: a click that is repeated may confirm what nobody read."""

_QUOTA: Final = (
    "the organization allows no more: destroy or archive some, or see https://app.daytona.io/dashboard/limits"
)
_NOT_FOUND: Final = "check the name, and that DAYTONA_API_URL or base_url is where the API begins"
_OLD_DAEMON: Final = "its snapshot's daemon is older than that: use a newer snapshot"
_OFF: Final = "start it, or wait until it has started"

ROWS: Final = (
    FailureRow(400, "is the sandbox started", Failure(ConflictError, "no", True, _OFF)),
    FailureRow(400, "not started", Failure(ConflictError, "no", True, _OFF)),
    FailureRow(400, "not stopped", Failure(ConflictError, "no", hint="stop it first")),
    FailureRow(400, "valid state", Failure(ConflictError, "no", hint="see its state with refresh")),
    FailureRow(400, "did you add it", Failure(NotFoundError, "no", hint="see the snapshots at https://app.daytona.io")),
    FailureRow(400, "quota", Failure(QuotaError, "no", hint=_QUOTA)),
    FailureRow(400, "limit exceeded", Failure(QuotaError, "no", hint=_QUOTA)),
    FailureRow(401, "", Failure(AuthError, "no", hint=KEY_HINT)),
    FailureRow(402, "", Failure(QuotaError, "no", hint=_QUOTA)),
    FailureRow(403, "quota", Failure(QuotaError, "no", hint=_QUOTA)),
    FailureRow(403, "limit exceeded", Failure(QuotaError, "no", hint=_QUOTA)),
    FailureRow(403, "suspended", Failure(QuotaError, "no", hint="see https://app.daytona.io/dashboard/billing")),
    FailureRow(403, "file_access_denied", Failure(PermissionDeniedError, "no", hint="see its owner and mode")),
    FailureRow(404, "file_not_found", Failure(FileMissingError, "no")),
    FailureRow(404, "sandbox not found", Failure(ComputerGoneError, "no")),
    FailureRow(404, "", Failure(NotFoundError, "no", hint=_NOT_FOUND)),
    FailureRow(408, "process_execution_timeout", Failure(DeadlineExceededError, "yes", False, "give it more time")),
    FailureRow(410, "", Failure(ComputerGoneError, "no")),
    FailureRow(503, "computer-use", Failure(UnsupportedError, "no", hint="its snapshot has no desktop: use another")),
    FailureRow(503, "", Failure(OverloadedError, None, True, "try again in a moment")),
)
"""What Daytona's errors mean where the status alone does not tell; codes come before texts."""

STATUSES: Final[Mapping[str, ComputerStatus]] = {
    "creating": ComputerStatus.CREATING,
    "restoring": ComputerStatus.CREATING,
    "pending_build": ComputerStatus.CREATING,
    "building_snapshot": ComputerStatus.CREATING,
    "pulling_snapshot": ComputerStatus.CREATING,
    "starting": ComputerStatus.CREATING,
    "resuming": ComputerStatus.CREATING,
    "started": ComputerStatus.RUNNING,
    "resizing": ComputerStatus.RUNNING,
    "snapshotting": ComputerStatus.RUNNING,
    "forking": ComputerStatus.RUNNING,
    "pausing": ComputerStatus.PAUSED,
    "paused": ComputerStatus.PAUSED,
    "stopping": ComputerStatus.STOPPED,
    "stopped": ComputerStatus.STOPPED,
    "archiving": ComputerStatus.STOPPED,
    "archived": ComputerStatus.STOPPED,
    "destroying": ComputerStatus.DESTROYED,
    "destroyed": ComputerStatus.DESTROYED,
    "error": ComputerStatus.ERROR,
    "build_failed": ComputerStatus.ERROR,
    "unknown": ComputerStatus.ERROR,
}
"""Every state that Daytona has; one that is newer than this table is an error's."""

_SHOWN: Final = (
    *("id", "name", "organizationId", "snapshot", "target", "user", "public", "state", "desiredState", "errorReason"),
    *("networkBlockAll", "networkAllowList", "domainAllowList"),
    *("cpu", "memory", "disk", "gpu", "autoStopInterval", "autoPauseInterval", "autoArchiveInterval"),
    *("autoDeleteInterval", "autoDestroyAt", "createdAt", "updatedAt", "daemonVersion", "toolboxProxyUrl"),
)
"""What is kept of an answer: its variables may hold secrets."""
_ENDS: Final = (
    ("queueTimedOutAt", "it waited too long for a machine to run on"),
    ("spotEvictedAt", "it was ended to make room for others"),
)
"""What is told for a day of a sandbox that Daytona ended by itself, and what that means."""
_GIB: Final = 1 << 30
_MOST: Final = 10**6
"""More cores or GiB than this no machine has."""


class DaytonaApi:
    """The client, and what is learnt about the toolbox of each sandbox.

    Args:
        http: The client.
        background: Does something to its end, whatever becomes of whoever asked for it.
    """

    def __init__(self, http: HttpClient, background: Background) -> None:
        self.http = http
        self.in_background = background
        self._toolboxes: dict[str, str] = {}

    @staticmethod
    def path(computer_id: str, route: str = "") -> str:
        """Return the path of a sandbox on the control plane, or of one of its routes."""
        return f"/sandbox/{quote(computer_id, safe='')}" + (f"/{route}" if route else "")

    def learn_toolbox(self, computer_id: str, url: JsonValue) -> None:
        """Note where a sandbox's toolbox is; the key goes there too, as the vendor has it.

        Raises:
            ProtocolError: If that is not as well protected as the API is.
        """
        if not isinstance(url, str) or not url:
            return
        self.http.check_protected(url, "the toolbox")
        self.http.trust(url)
        self._toolboxes[computer_id] = url.rstrip("/")

    async def toolbox(self, computer_id: str, route: str) -> str:
        """Return the URL of a route of a sandbox's toolbox."""
        if computer_id not in self._toolboxes:
            where = await self.http.call(
                OPERATIONS["tell where its toolbox is"], self.path(computer_id, "toolbox-proxy-url")
            )
            self.learn_toolbox(computer_id, where.get("url"))
        if computer_id not in self._toolboxes:
            raise ProtocolError("daytona does not tell where the sandbox's toolbox is", provider=NAME, effect="no")
        return f"{self._toolboxes[computer_id]}/{quote(computer_id, safe='')}/{route}"

    async def act(
        self,
        operation: str,
        computer_id: str,
        route: str,
        body: Mapping[str, object] | None = None,
        *,
        deadline: float | None = None,
        is_urgent: bool = False,
    ) -> JsonObject:
        """Use a route of a sandbox's toolbox.

        Raises:
            ComputerGoneError: If the sandbox is not there any more.
            UnsupportedError: If the route is not there.
        """
        try:
            return await self.http.call(
                OPERATIONS[operation],
                await self.toolbox(computer_id, route),
                body,
                deadline=deadline,
                is_urgent=is_urgent,
            )
        except NotFoundError as error:
            raise await self.missing(error, operation, computer_id) from error

    async def use(
        self, operation: str, computer_id: str, route: str, body: Mapping[str, object] | None = None
    ) -> JsonObject:
        """Use a route of the control plane that a sandbox has.

        Raises:
            ComputerGoneError: If the sandbox is not there any more.
            UnsupportedError: If the route is not there.
        """
        try:
            return await self.http.call(OPERATIONS[operation], self.path(computer_id, route), body)
        except NotFoundError as error:
            raise await self.missing(error, operation, computer_id, "this API is older than that") from error

    async def missing(
        self, error: NotFoundError, operation: str, computer_id: str, hint: str = _OLD_DAEMON
    ) -> DeskhandError:
        """Return what "not found" means where no file was meant: no sandbox, or no such route."""
        if isinstance(error, FileMissingError):
            return error
        if not await self.is_there(computer_id):
            return ComputerGoneError(error.message, effect="no", provider=NAME, request_id=error.request_id)
        return UnsupportedError(
            f"this sandbox has no way to {operation}: {error.message}",
            hint=hint,
            provider=NAME,
            effect="no",
            request_id=error.request_id,
        )

    async def age(self, computer_id: str) -> float:
        """Return the seconds since a sandbox was created, by the vendor's own clock where it tells the time."""
        reply = await self.http.ask(OPERATIONS["describe a computer"], self.path(computer_id))
        try:
            fields = from_json(reply.data, allow_inf_nan=False)
        except ValueError:
            fields = None
        created = moment(fields.get("createdAt")) if isinstance(fields, dict) else None
        if created is None:
            raise ProtocolError("daytona does not tell when the sandbox was created", provider=NAME, effect="no")
        return max(0.0, (_told_time(reply.headers.get("date", "")) - created).total_seconds())

    async def is_there(self, computer_id: str) -> bool:
        """Ask whether a sandbox is there, whatever else was not found."""
        try:
            fields = await self.http.call(OPERATIONS["describe a computer"], self.path(computer_id), is_urgent=True)
        except (NotFoundError, ComputerGoneError):
            return False
        return state_of(fields) not in {"destroying", "destroyed"}

    async def ask(self, operation: str, computer_id: str) -> JsonObject:
        """Ask the control plane about a sandbox."""
        return await self.http.call(OPERATIONS[operation], self.path(computer_id))

    async def destroy(self, computer_id: str) -> None:
        """End a sandbox for good.

        Raises:
            ComputerGoneError: If it is not there any more.
        """
        await self.http.ask(OPERATIONS["destroy a computer"], self.path(computer_id), is_urgent=True)


def _told_time(date: str) -> datetime:
    """Return the time that a header tells; that of this machine where it tells none."""
    try:
        told = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def state_of(fields: Mapping[str, JsonValue]) -> str:
    """Return a sandbox's state in Daytona's words."""
    state = fields.get("state")
    return state if isinstance(state, str) else "unknown"


def computer_info(fields: Mapping[str, JsonValue]) -> ComputerInfo:
    """Read what Daytona says of a sandbox, alone or in a list."""
    labels = fields.get("labels")
    memory, disk, cpus = (number(fields.get(name), most=_MOST) or None for name in ("memory", "disk", "cpu"))
    raw = {name: fields[name] for name in _SHOWN if name in fields}
    if not raw.get("errorReason") and (why := next((why for name, why in _ENDS if fields.get(name)), None)):
        raw["errorReason"] = why
    return ComputerInfo(
        id=text(fields.get("id")) or "",
        name=text(fields.get("name")) or text(fields.get("id")) or "",
        provider=NAME,
        source="external",
        status=STATUSES.get(state_of(fields), ComputerStatus.ERROR),
        specs=Specs(
            cpus=cpus,
            memory=None if memory is None else int(memory * _GIB),
            disk=None if disk is None else int(disk * _GIB),
            os="linux",
        ),
        created_at=moment(fields.get("createdAt")),
        metadata={name: str(value) for name, value in labels.items()} if isinstance(labels, dict) else {},
        raw=raw,
    )
