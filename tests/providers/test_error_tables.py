"""Every error that a vendor's package or documents name, as it is told: class, effect, what to do, whether again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    DeskhandError,
    Effect,
    FileMissingError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    UnsupportedError,
)
from tests.providers.vendors import ACTS, VENDORS

Body = Mapping[str, object]


class Row(NamedTuple):
    """One error, and what it is told as."""

    status: int
    body: Body
    kind: type[DeskhandError]
    retryable: bool = False
    hint: str = ""
    effect: Effect = "no"


def coded(code: str, **more: object) -> Body:
    """Return an error as MIOSA documents it."""
    return {"error": {"code": code, "message": "It is so.", "request_id": "req_1", **more}}


def flat(code: str) -> Body:
    """Return an error as older servers of MIOSA write it."""
    return {"error": code, "detail": "It is so.", "request_id": "req_1"}


def detail(text: str) -> Body:
    """Return an error as Cua's server writes it, which has no names for requests."""
    return {"detail": text}


OF_ALL_MIOSA = (
    Row(400, coded("INVALID_PATH"), InvalidInputError, hint="absolute"),
    Row(401, coded("UNAUTHORIZED"), AuthError, hint="MIOSA_API_KEY"),
    Row(402, coded("INSUFFICIENT_CREDITS"), QuotaError, hint="top it up"),
    Row(402, coded("CREDIT_REQUIRED"), QuotaError, hint="top it up"),
    Row(402, flat("TEAM_MEMBER_CAP_REACHED"), QuotaError, hint="cap"),
    Row(403, coded("MACHINE_KEY_SCOPE"), PermissionDeniedError, hint="account's"),
    Row(403, coded("WORKSPACE_FORBIDDEN"), PermissionDeniedError),
    Row(403, coded("BILL_TO_SUSPENDED"), PermissionDeniedError),
    Row(403, flat("QUOTA_EXCEEDED"), QuotaError, hint="destroy one"),
    Row(409, coded("ENVIRONMENT_SCRUB_FAILED"), ConflictError, True, hint="moment"),
    Row(409, coded("AMBIGUOUS_ORG", retryable=False), ConflictError),
    Row(413, coded("TOO_LARGE"), PayloadTooLargeError, hint="less"),
    Row(422, coded("VALIDATION_FAILED"), InvalidInputError),
    Row(422, {"errors": ["It is so."], "request_id": "req_1"}, InvalidInputError),
    Row(422, {"message": "It is so.", "code": "INVALID_ENVIRONMENT", "request_id": "req_1"}, InvalidInputError),
    Row(429, coded("MEMBER_LIMIT_REACHED"), QuotaError, hint="destroy one"),
    Row(500, coded("INTERNAL_ERROR"), ProviderError, hint="look", effect="unknown"),
    Row(500, coded("INTERNAL_ERROR", retryable=True), ProviderError, hint="look", effect="unknown"),
    Row(503, coded("no_ready_machine", retryable=True), OverloadedError, hint="fail_fast"),
    Row(503, coded("NO_READY_MACHINE"), OverloadedError, hint="fail_fast"),
    Row(429, coded("RATE_LIMITED", retry_after=0.2), RateLimitedError, True),
    Row(429, coded("RATE_LIMITED", retry_after_ms=200), RateLimitedError, True),
)

TABLES: Mapping[str, Sequence[Row]] = {
    "miosa": (
        *OF_ALL_MIOSA,
        Row(409, coded("COMPUTER_STARTING"), ConflictError, True, "moment"),
        Row(409, flat("COMPUTER_STARTING"), ConflictError, True, "moment"),
        Row(409, coded("RESOURCE_STATE"), ConflictError, hint="start it"),
        Row(409, coded("TARGET_NOT_RUNNING"), ConflictError, hint="start it"),
        Row(409, coded("SNAPSHOT_NOT_READY"), ConflictError, True, "ready"),
        Row(409, coded("SNAPSHOT_IN_USE"), ConflictError),
        Row(409, coded("NO_SNAPSHOT_AVAILABLE"), ConflictError),
        Row(409, coded("NAME_TAKEN"), ConflictError),
        Row(422, coded("TIMEOUT_TOO_LONG"), InvalidInputError, hint="background"),
        Row(503, coded("RESTORE_TRANSIENT"), OverloadedError, True),
        Row(404, coded("COMPUTER_NOT_FOUND"), ComputerGoneError),
    ),
    "opencomputers": (
        *OF_ALL_MIOSA,
        Row(409, coded("HOST_OFFLINE"), ConflictError, True, "miosa-host"),
        Row(503, coded("HOST_OFFLINE"), ConflictError, True, "miosa-host"),
        Row(409, {"error": "the host is offline", "request_id": "req_1"}, ConflictError, True, "miosa-host"),
        Row(409, coded("JOB_ALREADY_TERMINAL"), ConflictError),
        Row(422, {"error": "cmd is required", "request_id": "req_1"}, InvalidInputError),
        Row(404, coded("FILE_NOT_FOUND"), FileMissingError),
        Row(409, coded("HOST_REVOKED"), ComputerGoneError),
    ),
    "cua": (
        Row(400, detail("Invalid JSON body: x"), InvalidInputError),
        Row(400, detail("Command is required"), InvalidInputError),
        Row(401, detail("Container name required"), AuthError, hint="container_name"),
        Row(401, detail("API key required"), AuthError, hint="CUA_API_KEY"),
        Row(401, detail("Authentication failed"), AuthError, hint="CUA_API_KEY"),
        Row(404, detail("Not Found"), NotFoundError, hint="address"),
        Row(409, detail("It is stopped"), ConflictError, hint="deskhand ls"),
        Row(413, detail("Too large"), PayloadTooLargeError),
        Row(500, detail("Internal Server Error"), ProviderError, hint="look", effect="unknown"),
        Row(400, detail("Unknown command: nope"), UnsupportedError, hint="another version"),
    ),
}
"""What each vendor answers with; what ends the computer, or takes a capability from it, comes last."""
WITHOUT_NAMES = {"cua"}
"""Vendors whose answers have no name of the request."""


@pytest.mark.parametrize("vendor", TABLES)
async def test_each_error_of_the_vendor_is_told_as_what_it_is(vendor: str) -> None:
    """Class, effect, whether to try again, what to do, and the vendor's words and name for the request."""
    act = next(act for act in ACTS.values() if act.vendor == vendor)
    async with VENDORS[vendor]() as served:
        for row in TABLES[vendor]:
            body = json.dumps(row.body).encode()
            served.simulator.respond(body, status=row.status, content_type="application/json", route=act.route)
            before = len(act.sent(served.simulator))
            with pytest.raises(DeskhandError) as caught:
                await act.use(served.computer)
            error = caught.value
            assert (type(error), error.effect, error.retryable) == (row.kind, row.effect, row.retryable), row
            assert row.hint in str(error.hint), row
            assert vendor in WITHOUT_NAMES or error.request_id == "req_1", row
            assert "It is so." not in str(row.body) or "It is so." in error.message, row
            assert (error.retry_at is not None) is ("retry_after" in str(row.body)), row
            assert len(act.sent(served.simulator)) == before + 1, row
        if row.kind is ComputerGoneError:
            assert served.computer.info.status == "running"  # it was asked for after that, and is there
            await act.use(served.computer)
