"""Orgo's API as data: where things are, what may be repeated, what its errors mean, and how it describes a computer."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from pydantic import JsonValue

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    QuotaError,
)
from deskhand.providers.answers import check_done, moment, number, text
from deskhand.providers.contract import ComputerInfo, ComputerStatus, Screen, Specs
from deskhand.providers.http import Failure, FailureRow, Operation
from deskhand.providers.routes import Routes

__all__ = [
    "KEY_HINT",
    "NAME",
    "OPERATIONS",
    "ROWS",
    "STATUSES",
    "OrgoApi",
    "computer_info",
    "instance_of",
]


NAME: Final = "orgo"
KEY_HINT: Final = "export ORGO_API_KEY=sk_live_..."
IMAGE_LIMIT: Final = 64 << 20
OUTPUT_LIMIT: Final = 32 << 20
PROMPT_DEADLINE: Final = 1800.0

OPERATIONS: Final[Mapping[str, Operation]] = {
    row.name: row
    for row in (
        Operation("list workspaces", "GET", "read", limit=16 << 20),
        Operation("describe a workspace", "GET", "read", limit=16 << 20),
        Operation("create a workspace"),
        Operation("create a computer", deadline=90.0),
        Operation("describe a computer", "GET", "read"),
        Operation("destroy a computer", "DELETE", "repeatable", deadline=30.0),
        Operation("start a computer", repetition="repeatable"),
        Operation("stop a computer", repetition="repeatable"),
        Operation("restart a computer", deadline=60.0),
        Operation("clone a computer", deadline=120.0),
        Operation("tell the idle time", "GET", "read", deadline=5.0, attempts=1),
        Operation("set the idle time", "PATCH", "repeatable"),
        Operation("tell the terminal's token", "GET", "read"),
        Operation("tell its health", "GET", "read", deadline=5.0, attempts=1),
        Operation("tell whether a route is there", "OPTIONS", "read", deadline=5.0, attempts=1),
        Operation("ask for no move", "POST", "read", deadline=5.0, attempts=1),
        Operation("run a command", limit=OUTPUT_LIMIT),
        Operation("look around", repetition="repeatable", deadline=10.0, attempts=1, limit=OUTPUT_LIMIT),
        Operation("read a file", repetition="read", limit=OUTPUT_LIMIT),
        Operation("write a part of a file", repetition="repeatable", deadline=60.0),
        Operation("run Python", limit=OUTPUT_LIMIT),
        Operation("take a screenshot", "GET", "read", limit=IMAGE_LIMIT),
        Operation("fetch a screenshot", "GET", "read", limit=IMAGE_LIMIT),
        Operation("click"),
        Operation("move the pointer", repetition="repeatable"),
        Operation("drag"),
        Operation("scroll"),
        Operation("type", deadline=60.0),
        Operation("strike a key"),
        Operation("prompt its agent", deadline=PROMPT_DEADLINE, limit=16 << 20),
    )
}
"""What is asked of Orgo. Input and commands are sent once: a click that is repeated may confirm what nobody read."""

_CREDITS: Final = "the account has no credit left: top it up at https://www.orgo.ai"
_NOT_FOUND: Final = (
    "check the name, and that ORGO_API_BASE or base_url is where the API begins, such as https://host/api"
)

ROWS: Final = (
    FailureRow(400, "not available", Failure(ConflictError, "no", True, "start it, or wait until it has started")),
    FailureRow(400, "invalid_model", Failure(InvalidInputError, "no", hint="see the models of Orgo's agent")),
    FailureRow(401, "", Failure(AuthError, "no", hint=KEY_HINT)),
    FailureRow(402, "", Failure(QuotaError, "no", hint=_CREDITS)),
    FailureRow(
        403,
        "workspace_scope_mismatch",
        Failure(PermissionDeniedError, "no", hint="this key is for the workspace {key_workspace_id} alone: use that"),
    ),
    FailureRow(403, "plan allows", Failure(QuotaError, "no", hint="the plan allows no more: destroy one first")),
    FailureRow(403, "limit", Failure(QuotaError, "no", hint="the plan allows no more: destroy one first")),
    FailureRow(404, "computer_not_found", Failure(ComputerGoneError, "no")),
    FailureRow(404, "computer not found", Failure(ComputerGoneError, "no")),
    FailureRow(404, "", Failure(NotFoundError, "no", hint=_NOT_FOUND)),
    FailureRow(503, "could not reach the desktop", Failure(OverloadedError, None, True, "try again in a moment")),
)
"""What Orgo's errors mean where the status alone does not tell."""

STATUSES: Final[Mapping[str, ComputerStatus]] = {
    "creating": ComputerStatus.CREATING,
    "starting": ComputerStatus.CREATING,
    "restarting": ComputerStatus.CREATING,
    "running": ComputerStatus.RUNNING,
    "suspended": ComputerStatus.PAUSED,
    "stopping": ComputerStatus.STOPPED,
    "stopped": ComputerStatus.STOPPED,
    "deleting": ComputerStatus.DESTROYED,
}
_SIZE: Final = re.compile(r"([1-9]\d{1,4})x([1-9]\d{1,4})(?:x\d+)?", re.ASCII)
_SECRET: Final = re.compile(r"(?i)password|token|secret")
_GIB: Final = 1 << 30
_MOST: Final = 1e6
"""More cores or GiB than this no machine has."""


class OrgoApi(Routes):
    """The client, and what is learnt about the vendor's routes as they are used."""

    provider = NAME
    operations = OPERATIONS

    async def is_there(self, computer_id: str) -> bool:
        """Ask whether a computer is there, whatever else was not found."""
        try:
            await self.http.call(OPERATIONS["describe a computer"], self.path(computer_id), is_urgent=True)
        except (NotFoundError, ComputerGoneError):
            return False
        return True

    async def do(
        self,
        operation: str,
        computer_id: str,
        route: str,
        body: Mapping[str, object] | None = None,
        *,
        deadline: float | None = None,
        told: Collection[str] = (),
        foreign: Collection[str] = (),
    ) -> None:
        """Use a computer's route, for what it does and not for what it tells.

        Raises:
            ProviderError: If the answer says that it was not done.
            ProtocolError: If it is not the vendor's.
        """
        answer = await self.act(operation, computer_id, route, body, deadline=deadline)
        check_done(NAME, operation, answer, told=told, foreign=foreign)

    async def destroy(self, computer_id: str) -> None:
        """End a computer for good.

        Raises:
            ComputerGoneError: If it is not there any more.
            ProviderError: If the answer says that it was not done.
        """
        operation = OPERATIONS["destroy a computer"]
        check_done(NAME, operation.name, await self.http.call(operation, self.path(computer_id), is_urgent=True))


def computer_info(fields: Mapping[str, JsonValue], metadata: Mapping[str, str] | None = None) -> ComputerInfo:
    """Read what Orgo says of a computer, in any of its dialects."""
    details = fields.get("instance_details")
    nested = details if isinstance(details, dict) else {}
    memory, disk = number(fields.get("ram"), most=_MOST), number(fields.get("disk_size_gb"), most=_MOST)
    return ComputerInfo(
        id=text(fields.get("id")) or "",
        name=text(fields.get("name")) or "",
        provider=NAME,
        source="external",
        status=STATUSES.get((text(fields.get("status")) or "").lower(), ComputerStatus.ERROR),
        public_url=text(fields.get("connection_url")) or text(fields.get("url")),
        screen=_screen(fields.get("resolution")) or _screen(nested.get("resolution")),
        specs=Specs(
            cpus=number(fields.get("cpu"), most=_MOST),
            memory=None if memory is None else int(memory * _GIB),
            disk=None if disk is None else int(disk * _GIB),
            os=text(fields.get("os")),
        ),
        created_at=moment(fields.get("created_at")),
        metadata=dict(metadata or {}),
        raw={name: _told(value) for name, value in fields.items() if _SECRET.search(name) is None},
    )


def instance_of(info: ComputerInfo) -> str | None:
    """Return the short id by which desktops are addressed; servers name it in three ways."""
    raw = info.raw
    named = text(raw.get("instance_id")) or text(raw.get("fly_instance_id"))
    url = text(raw.get("connection_url"))
    return named or (url.rstrip("/").rsplit("/", 1)[-1] if url else None)


def _screen(value: JsonValue) -> Screen | None:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return Screen(int(found[1]), int(found[2])) if found else None


def _told(value: JsonValue) -> JsonValue:
    """Return what may be shown of an answer: at any depth, nothing that opens a desktop."""
    if isinstance(value, dict):
        return {name: _told(inner) for name, inner in value.items() if _SECRET.search(name) is None}
    return [_told(inner) for inner in value] if isinstance(value, list) else value
