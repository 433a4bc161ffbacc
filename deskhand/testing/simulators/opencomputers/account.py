"""What the simulated vendor knows of a customer: keys and hosts."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from pydantic import JsonValue

from deskhand.testing.simulators.wire import Answer, ApiError, Call, Field, Json

if TYPE_CHECKING:
    from .host import SimulatedHost

__all__ = ["Account", "CodedError", "HostCall", "events_answer", "no_content", "plain_fields", "timestamp"]

HostCall: TypeAlias = Call["Account"]


def timestamp(seconds: float | None = None) -> str:
    """Returns a time, or now, as the API writes it."""
    at = datetime.fromtimestamp(seconds if seconds is not None else time.time(), UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


class CodedError(ApiError):
    """An error with a code of its own."""

    def __init__(self, status: int, code: str, message: str, **extra: JsonValue) -> None:
        super().__init__(status, message)
        self.extra.update(extra)
        self.code = code

    def body(self, request_id: str) -> Json:
        """Returns the body of the answer."""
        return {"error": {"code": self.code, "message": self.message, "request_id": request_id, **self.extra}}


def plain_fields(body: Json, fields: Mapping[str, Field]) -> Json:
    """Returns the fields of a body.

    Raises:
        ApiError: If one is missing, unknown or wrong; its text stands alone, as these routes have it.
    """
    for name in body:
        if name not in fields:
            raise ApiError(422, f"{name} is not a field")
    for name, wanted in fields.items():
        value = body.get(name)
        if value is None:
            if wanted.required:
                raise ApiError(422, f"{name} is required")
            continue
        problem = wanted.problem(name, value)
        if problem is not None:
            raise ApiError(422, problem)
    return {name: value for name, value in body.items() if value is not None}


def no_content() -> Answer:
    """Returns an answer with nothing in it."""
    return Answer(204)


async def events_answer(events: AsyncIterator[bytes]) -> Answer:
    """Returns an answer of events, as they come; it has begun, so that it cleans up although nobody reads it."""
    return Answer(200, await anext(events), "text/event-stream; charset=utf-8", stream=events)


@dataclass(slots=True)
class Account:
    """One customer's account.

    Attributes:
        tenant_id: Its id.
        keys: The keys that open it.
        hosts: Its hosts by id, those among them that were revoked.
        most_hosts: How many the plan allows.
    """

    most_hosts: int
    tenant_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    keys: set[str] = field(default_factory=lambda: {f"msk_live_{secrets.token_hex(16)}"}, repr=False)
    hosts: dict[str, SimulatedHost] = field(default_factory=dict)
    has_credit: bool = True

    def check(self, authorization: str) -> None:
        """Refuses a request without a good key.

        Raises:
            ApiError: If it has none.
        """
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or key not in self.keys:
            raise CodedError(401, "UNAUTHORIZED", "Invalid or missing API key")

    def host(self, host_id: str) -> SimulatedHost:
        """Returns a host that was not revoked.

        Raises:
            ApiError: If there is none.
        """
        host = self.hosts.get(host_id)
        if host is None or host.status == "revoked":
            raise CodedError(404, "HOST_NOT_FOUND", "Host not found")
        return host
