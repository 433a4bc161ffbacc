"""MIOSA's models: an API that speaks OpenAI's Chat Completions, under MIOSA's own address, keys and errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from deskhand.errors import ConfigError, NotFoundError, PermissionDeniedError, QuotaError
from deskhand.harness.models.failures import Vendor
from deskhand.harness.models.openai_door import OPENAI, OpenAIDoor, connected
from deskhand.providers.miosa.account import CONSOLE, Account

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["MIOSA", "MiosaDoor", "own_client"]

_GATEWAY: Final = ("MIOSA_AI_GATEWAY_URL", "MIOSA_AI_GATEWAY_KEY")
"""What MIOSA sets on its own machines, together: its key there for all else does not open the models."""

MODELS_KEY_HINT: Final = "export MIOSA_API_KEY=msk_i_...  # an intelligence key: the models take no other"

_NO_CREDIT: Final = (QuotaError, False, f"the account has no credit left: top it up at {CONSOLE}")
_WRONG_KEY: Final = (PermissionDeniedError, None, "the models want an intelligence key of the account: msk_i_...")

MIOSA: Final = Vendor(
    name="miosa",
    label="MIOSA's models",
    package="openai",
    hints=MappingProxyType({401: MODELS_KEY_HINT, 429: "wait a while, or ask MIOSA for a higher limit"}),
    statuses=MappingProxyType(
        {
            402: _NO_CREDIT,
            403: _WRONG_KEY,
            404: (NotFoundError, None, "name a model that this key may use, and see that MIOSA_BASE_URL is right"),
        }
    ),
    types=MappingProxyType(
        {
            **OPENAI.types,
            "unauthorized": 401,
            "insufficient_credits": 402,
            "credit_required": 402,
            "forbidden": 403,
            "not_found": 404,
            "rate_limited": 429,
            "service_unavailable": 503,
            "gateway_timeout": 504,
        }
    ),
    special=MappingProxyType(
        {
            **OPENAI.special,
            "team_member_cap_reached": (QuotaError, False, "ask whoever set this member's cap"),
        }
    ),
    base_url="MIOSA_BASE_URL",
    request_id="x-request-id",
)
"""How the vendor's failures are told; what comes from the model's maker through it says so in the maker's words."""


class MiosaDoor(OpenAIDoor):
    """Sends requests to MIOSA's models."""

    vendor = MIOSA


@asynccontextmanager
async def own_client(
    environment: Mapping[str, str], account: Account, *, is_given: bool = False
) -> AsyncIterator[AsyncOpenAI]:
    """Make a client of MIOSA's models, and close it.

    Args:
        environment: May hold the address and key of the models alone, as on MIOSA's machines.
        account: Whose account is asked, and where.
        is_given: Whether the account was given, so that it counts before those.

    Raises:
        ConfigError: If there is no key.
    """
    address, key = (environment.get(name, "").strip() for name in _GATEWAY)
    if is_given or not (address and key):
        address, key = f"{account.base_url}/intelligence", account.key.get_secret_value()
    if not key:
        raise ConfigError(f"there is no key for {MIOSA.label}: MIOSA_API_KEY is not set", hint=MODELS_KEY_HINT)
    # The vendor of the client would have its headers, of its own account, sent along.
    headers = {"Authorization": f"Bearer {key}", **dict(account.headers)}
    async with connected(MIOSA, key, address, headers) as client:
        client.organization = client.project = None
        yield client
