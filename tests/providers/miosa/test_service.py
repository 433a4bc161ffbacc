"""What all of MIOSA's APIs have in common: addresses, keys, tenant, errors, envelopes."""

from __future__ import annotations

import httpx2
import pytest
from pydantic import JsonValue

from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    ConflictError,
    DeskhandError,
    InvalidInputError,
    OverloadedError,
    PermissionDeniedError,
    ProtocolError,
    QuotaError,
    RateLimitedError,
)
from deskhand.providers.answers import moment, number
from deskhand.providers.http import Operation
from deskhand.providers.miosa.account import api_url
from deskhand.providers.miosa.envelope import listed, unwrapped, without_secrets
from deskhand.providers.miosa.service import miosa_client, socket_url

ACT = Operation("act")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MIOSA_API_KEY", "MIOSA_ACCESS_TOKEN", "MIOSA_BASE_URL", "MIOSA_TENANT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        ("http://127.0.0.1:8", "http://127.0.0.1:8/api/v1"),
        ("http://127.0.0.1:8/", "http://127.0.0.1:8/api/v1"),
        ("https://host/prefix", "https://host/prefix/api/v1"),
        ("https://host/v2", "https://host/v2"),
        ("https://host/api/v1/", "https://host/api/v1"),
        ("https://host/v1beta", "https://host/v1beta/api/v1"),
        (None, "https://api.miosa.ai/api/v1"),
    ],
)
def test_address_may_leave_out_the_version(given: str | None, begins: str) -> None:
    """A host alone is followed by the path of the API."""
    assert api_url(given) == begins


def test_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given counts before ``MIOSA_BASE_URL``."""
    monkeypatch.setenv("MIOSA_BASE_URL", "https://own.test")
    assert api_url() == "https://own.test/api/v1"
    assert api_url("https://given.test") == "https://given.test/api/v1"
    assert socket_url("https://given.test/x") == "wss://given.test/x"


async def headers_of(api_key: str | None = None, tenant: str | None = None) -> httpx2.Headers:
    """Return the headers that a client sends."""
    sent: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200, json={})

    async with (
        httpx2.AsyncClient(transport=httpx2.MockTransport(handle)) as own,
        miosa_client("miosa", http_client=own, api_key=api_key, tenant=tenant) as client,
    ):
        await client.call(ACT, "/x")
        await client.fetch(ACT, "https://elsewhere.test/x")
    assert "authorization" not in sent[1].headers
    assert "x-miosa-tenant" not in sent[1].headers
    return sent[0].headers


async def test_key_and_tenant_come_from_arguments_then_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token counts before a key, as with the vendor's own package; the tenant goes along to its own origin alone."""
    monkeypatch.setenv("MIOSA_API_KEY", "msk_env")
    monkeypatch.setenv("MIOSA_TENANT", "ours")
    headers = await headers_of()
    assert (headers["authorization"], headers["x-miosa-tenant"]) == ("Bearer msk_env", "ours")
    monkeypatch.setenv("MIOSA_ACCESS_TOKEN", "jwt")
    assert (await headers_of())["authorization"] == "Bearer jwt"
    headers = await headers_of(api_key="msk_given", tenant="theirs")
    assert (headers["authorization"], headers["x-miosa-tenant"]) == ("Bearer msk_given", "theirs")
    with pytest.raises(InvalidInputError):
        miosa_client("miosa", api_key="msk_a", access_token="b")
    with pytest.raises(InvalidInputError):
        miosa_client("miosa", api_key="msk_a", tenant="a\nb")


async def failing(answer: httpx2.Response) -> DeskhandError:
    """Return what an answer raises."""
    async with (
        httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: answer)) as own,
        miosa_client("miosa", api_key="msk_a", http_client=own) as client,
    ):
        with pytest.raises(DeskhandError) as raised:
            await client.call(ACT, "/x")
    return raised.value


def nested(code: str, **more: object) -> dict[str, object]:
    """Return an error as MIOSA documents it."""
    return {"error": {"code": code, "message": "It is so.", **more}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (401, nested("UNAUTHORIZED"), AuthError, False),
        (402, nested("INSUFFICIENT_CREDITS"), QuotaError, False),
        (402, {"error": "TEAM_MEMBER_CAP_REACHED", "detail": "It is so."}, QuotaError, False),
        (403, nested("MACHINE_KEY_SCOPE"), PermissionDeniedError, False),
        (403, nested("QUOTA_EXCEEDED"), QuotaError, False),
        (404, nested("COMPUTER_NOT_FOUND"), ComputerGoneError, False),
        (409, nested("COMPUTER_STARTING"), ConflictError, True),
        (409, {"error": "RESOURCE_STATE", "detail": "It is so."}, ConflictError, False),
        (409, {"code": "SNAPSHOT_NOT_READY", "message": "It is so."}, ConflictError, True),
        (422, nested("TIMEOUT_TOO_LONG"), InvalidInputError, False),
        (429, nested("MEMBER_LIMIT_REACHED"), QuotaError, False),
        (429, nested("RATE_LIMITED"), RateLimitedError, True),
        (503, nested("no_ready_machine"), OverloadedError, False),
    ],
)
async def test_errors_are_read_in_every_shape(
    status: int, body: dict[str, object], kind: type[DeskhandError], retryable: bool
) -> None:
    """Class, retryability and effect come from status and code; the text is the vendor's."""
    error = await failing(httpx2.Response(status, json=body, headers={"x-request-id": "req_1"}))
    assert isinstance(error, kind)
    assert "It is so." in error.message
    assert (error.retryable, error.effect, error.request_id) == (retryable, "no", "req_1")


async def test_wait_that_stands_in_the_error_is_heeded() -> None:
    """Where no header asks to wait, the error's own milliseconds do."""
    error = await failing(httpx2.Response(429, json=nested("RATE_LIMITED", retry_after_ms=1500)))
    assert error.retry_at is not None


def test_objects_are_read_bare_or_in_an_envelope() -> None:
    """Each resource answers in a way of its own."""
    computer: dict[str, object] = {"id": "c", "data": {"id": "other"}}
    assert unwrapped(computer)["id"] == "c"  # type: ignore[arg-type]
    assert unwrapped({"data": {"id": "c"}})["id"] == "c"
    assert unwrapped({"data": {"computer": {"id": "c"}, "snapshot": {"id": "s"}}}, "computer")["id"] == "c"


def test_lists_are_read_under_every_name() -> None:
    """What lists nothing is no answer."""
    for answer in ([{"id": "c"}], {"data": [{"id": "c"}]}, {"total": 1, "computers": [{"id": "c"}]}):
        assert listed(answer, "computers", provider="miosa") == [{"id": "c"}]  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        listed({"total": 0}, "computers", provider="miosa")


def test_values_that_make_no_sense_are_none() -> None:
    """Numbers below nothing, times that are none, and what opens something are not told."""
    assert number(-1) is None
    assert number(True) is None
    assert moment("yesterday") is None
    told: dict[str, JsonValue] = {"a": [{"vnc_password": "x", "b": 1}], "host_key": "y", "credentials": ["c"]}
    told |= {"env": {"DB": "z"}, "environment": "e"}
    assert without_secrets(told) == {"a": [{"b": 1}], "environment": "e"}
