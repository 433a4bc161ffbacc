"""What all of MIOSA's APIs have in common: the client that asks them, and what their errors mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import SecretStr

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QuotaError,
)
from deskhand.providers.http import Failure, FailureRow, HttpClient, OwnClient
from deskhand.providers.http.events import EVENT_STREAM
from deskhand.providers.miosa.account import CONSOLE, KEY_HINT, account_of

__all__ = ["EVENTS", "ROWS", "miosa_client", "socket_url"]

EVENTS: Final = ("accept", f"{EVENT_STREAM}, application/json;q=0.9")
"""The header that asks for events: whoever names these alone is refused by MIOSA's routes for JSON, although some of
them answer with events."""

_STARTING: Final = Failure(ConflictError, "no", True, "it is still starting: try again in a moment")
_WRONG_STATE: Final = Failure(
    ConflictError, "no", hint="start it first, or wait until it is in a state that allows this"
)
_NO_MACHINE: Final = Failure(OverloadedError, "no", False, "leave out fail_fast to wait for a machine, or try later")
_NOT_FOUND: Final = "check the name, and that MIOSA_BASE_URL or base_url is where the API begins, such as https://host"
_NO_CREDIT: Final = f"the account has no credit left: top it up at {CONSOLE}"

ROWS: Final = (
    FailureRow(400, "invalid_path", Failure(InvalidInputError, "no", hint="give an absolute path on the computer")),
    FailureRow(401, "", Failure(AuthError, "no", hint=KEY_HINT)),
    FailureRow(402, "team_member_cap_reached", Failure(QuotaError, "no", hint="ask whoever set this member's cap")),
    FailureRow(402, "", Failure(QuotaError, "no", hint=_NO_CREDIT)),
    FailureRow(403, "quota_exceeded", Failure(QuotaError, "no", hint="the plan allows no more: destroy one first")),
    FailureRow(
        403,
        "machine_key_scope",
        Failure(PermissionDeniedError, "no", hint="this is the key of one machine: use the account's"),
    ),
    FailureRow(404, "computer_not_found", Failure(ComputerGoneError, "no")),
    FailureRow(404, "sandbox_not_found", Failure(ComputerGoneError, "no")),
    FailureRow(404, "", Failure(NotFoundError, "no", hint=_NOT_FOUND)),
    FailureRow(409, "computer_starting", _STARTING),
    FailureRow(409, "sandbox_starting", _STARTING),
    FailureRow(409, "sandbox_not_command_ready", _STARTING),
    FailureRow(409, "snapshot_not_ready", Failure(ConflictError, "no", True, "wait until the snapshot is ready")),
    FailureRow(409, "environment_scrub_failed", Failure(ConflictError, "no", True, "try again in a moment")),
    FailureRow(409, "resource_state", _WRONG_STATE),
    FailureRow(409, "target_not_running", _WRONG_STATE),
    FailureRow(413, "", Failure(PayloadTooLargeError, "no", hint="send less at once")),
    FailureRow(422, "timeout_too_long", Failure(InvalidInputError, "no", hint="start it in the background")),
    FailureRow(429, "member_limit_reached", Failure(QuotaError, "no", False, "destroy one first")),
    FailureRow(503, "no_ready_machine", _NO_MACHINE),
    FailureRow(503, "restore_transient", Failure(OverloadedError, "no", True)),
)
"""What MIOSA's errors mean where the status alone does not tell."""


def socket_url(http_url: str) -> str:
    """Return the address of a WebSocket from that which it would have as a request."""
    return f"ws{http_url.removeprefix('http')}"


def miosa_client(
    provider: str,
    *,
    api_key: str | SecretStr | None = None,
    access_token: str | SecretStr | None = None,
    base_url: str | None = None,
    tenant: str | None = None,
    timeout: float | None = None,
    http_client: OwnClient | None = None,
    rows: Sequence[FailureRow] = (),
) -> HttpClient:
    """Return a client of MIOSA's API; without a key where none can be found.

    Args:
        provider: Who is spoken to, as errors say it.
        api_key: The key; ``MIOSA_API_KEY`` where neither is given.
        access_token: A token in its place; ``MIOSA_ACCESS_TOKEN``, which counts first, where neither is given.
        base_url: Where the API is.
        tenant: Whose account is used, where the key has several; ``MIOSA_TENANT`` where not given.
        timeout: The longest that a request may take in seconds.
        http_client: A client of the caller's own.
        rows: Rows that count before those of all APIs.

    Raises:
        InvalidInputError: If both a key and a token are given, or the tenant cannot be one.
    """
    account = account_of(provider, api_key=api_key, access_token=access_token, base_url=base_url, tenant=tenant)
    return HttpClient(
        provider=provider,
        base_url=account.base_url,
        key=account.key,
        headers=account.headers,
        rows=(*rows, *ROWS),
        timeout=timeout,
        http_client=http_client,
    )
