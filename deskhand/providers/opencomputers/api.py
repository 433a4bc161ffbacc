"""The API of OpenComputers as data: where things are, what may be repeated, what its errors mean, what a host is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

from deskhand.errors import ComputerGoneError, ConflictError, FileMissingError, NotFoundError
from deskhand.providers.answers import JsonObject, moment, text
from deskhand.providers.contract import ComputerInfo, ComputerStatus, Specs
from deskhand.providers.http import Failure, FailureRow, Operation
from deskhand.providers.miosa.envelope import without_secrets
from deskhand.providers.routes import Routes

__all__ = ["CREATED_HERE", "HOSTS", "NAME", "OPERATIONS", "ROWS", "STATUSES", "HostApi", "host_info", "is_of_deskhand"]

NAME: Final = "opencomputers"
HOSTS: Final = "/opencomputers/hosts"
CREATED_HERE: Final = {"created-by": "deskhand"}
"""The label of hosts that were registered from here: only these are ever revoked."""
OUTPUT_LIMIT: Final = 32 << 20
FILE_LIMIT: Final = 100 << 20

OPERATIONS: Final[Mapping[str, Operation]] = {
    row.name: row
    for row in (
        Operation("list hosts", "GET", "read", limit=16 << 20),
        Operation("register a host"),
        Operation("describe a host", "GET", "read"),
        Operation("revoke a host", "DELETE", "repeatable"),
        Operation("tell whether a route is there", "GET", "read", deadline=10.0, attempts=1, limit=16 << 20),
        Operation("run a command", limit=OUTPUT_LIMIT),
        Operation("look around", repetition="repeatable", deadline=15.0, limit=OUTPUT_LIMIT),
        Operation("read a file", repetition="read", limit=OUTPUT_LIMIT),
        Operation("write a part of a file", repetition="repeatable", deadline=60.0),
        Operation("download a file", "GET", "read", deadline=300.0, limit=FILE_LIMIT),
        Operation("upload a file", repetition="repeatable", deadline=300.0),
        Operation("start a job"),
        Operation("describe a job", "GET", "read"),
        Operation("list jobs", "GET", "read"),
        Operation("follow a job", "GET", "read"),
        Operation("cancel a job", "DELETE", "repeatable"),
        Operation("tell a ticket for a terminal"),
        Operation("list tunnels", "GET", "read"),
        Operation("open a tunnel"),
        Operation("close a tunnel", "DELETE", "repeatable"),
        Operation("prompt its agent", deadline=15.0),
        Operation("tell how its agent fares", "GET", "read"),
        Operation("stop its agent", "DELETE", "repeatable"),
    )
}
"""What is asked of hosts. Commands and goals are sent once: what may have been done is not done again."""

_OFFLINE: Final = Failure(
    ConflictError, "no", True, "its agent is not connected: start miosa-host on the machine, or wait until it is back"
)

ROWS: Final = (
    FailureRow(404, "host_not_found", Failure(ComputerGoneError, "no")),
    FailureRow(404, "host not found", Failure(ComputerGoneError, "no")),
    FailureRow(410, "", Failure(ComputerGoneError, "no")),
    FailureRow(409, "host_offline", _OFFLINE),
    FailureRow(409, "offline", _OFFLINE),
    FailureRow(503, "host_offline", _OFFLINE),
    FailureRow(409, "host_revoked", Failure(ComputerGoneError, "no")),
    FailureRow(404, "file_not_found", Failure(FileMissingError, "no")),
    FailureRow(404, "no such file", Failure(FileMissingError, "no")),
)
"""What errors mean that only hosts have; those of all of MIOSA's APIs come behind."""

STATUSES: Final[Mapping[str, ComputerStatus]] = {
    "pending": ComputerStatus.CREATING,
    "online": ComputerStatus.RUNNING,
    "offline": ComputerStatus.STOPPED,
    "error": ComputerStatus.ERROR,
    "revoked": ComputerStatus.DESTROYED,
}


class HostApi(Routes):
    """The client, and what is learnt about the vendor's routes as they are used."""

    provider = NAME
    prefix = HOSTS
    operations = OPERATIONS

    @staticmethod
    def name_of(route: str) -> str:
        """Return what a route is called in `missing`: the first part of its path."""
        return Routes.name_of(route).partition("/")[0]

    async def is_there(self, computer_id: str) -> bool:
        """Ask whether a host is there, whatever else was not found."""
        try:
            told = await self.describe(computer_id)
        except (NotFoundError, ComputerGoneError):
            return False
        return host_info(told).status is not ComputerStatus.DESTROYED

    async def describe(self, host_id: str) -> JsonObject:
        """Return what the vendor says of a host."""
        answer = await self.http.call(OPERATIONS["describe a host"], self.path(host_id), is_urgent=True)
        return host_of(answer)

    async def revoke(self, host_id: str) -> None:
        """End a host's registration: its key opens nothing any more, its agent is disconnected.

        Raises:
            ComputerGoneError: If it is not registered any more.
        """
        try:
            await self.http.ask(OPERATIONS["revoke a host"], self.path(host_id), is_urgent=True)
        except NotFoundError as error:
            if await self.is_there(host_id):
                raise  # and what revokes it is not
            raise ComputerGoneError(error.message, effect="no", provider=NAME, request_id=error.request_id) from error


def host_of(answer: Mapping[str, JsonValue]) -> JsonObject:
    """Return the host of an answer: servers describe it bare, or beside its key."""
    inner = answer.get("host") or answer.get("data")
    return {**answer, **inner} if isinstance(inner, dict) else dict(answer)


def is_of_deskhand(fields: Mapping[str, JsonValue]) -> bool:
    """Whether a host was registered from here, now or in another program."""
    labels = fields.get("labels")
    return isinstance(labels, dict) and all(labels.get(name) == value for name, value in CREATED_HERE.items())


def host_info(fields: Mapping[str, JsonValue]) -> ComputerInfo:
    """Read what the vendor says of a host; older servers call its state ``status``, newer ones ``state``."""
    labels = fields.get("labels")
    said = text(fields.get("state")) or text(fields.get("status")) or ""
    return ComputerInfo(
        id=text(fields.get("id")) or "",
        name=text(fields.get("name")) or "",
        provider=NAME,
        source="opencomputers",
        status=STATUSES.get(said.lower(), ComputerStatus.ERROR),
        specs=Specs(os=text(fields.get("os_kind")) or text(fields.get("platform"))),
        created_at=moment(fields.get("created_at")),
        metadata={
            name: str(value)
            for name, value in (labels if isinstance(labels, dict) else {}).items()
            if name not in CREATED_HERE
        },
        raw=_shown(fields),
    )


def _shown(fields: Mapping[str, JsonValue]) -> JsonObject:
    shown = without_secrets({name: value for name, value in fields.items() if name != "host"})
    return shown if isinstance(shown, dict) else {}
