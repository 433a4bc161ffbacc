"""Whose account at MIOSA is used, and where its API begins: what is given, else what the environment says."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from deskhand.errors import InvalidInputError

__all__ = ["CONSOLE", "KEY_HINT", "Account", "account_of", "api_url"]

CONSOLE: Final = "https://miosa.ai"
"""Where a person sees what there is."""
KEY_HINT: Final = "export MIOSA_API_KEY=msk_..."
BASE_URL: Final = "https://api.miosa.ai/api/v1"

_VERSIONED: Final = re.compile(r"/v\d+")


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account is used, and where.

    Attributes:
        base_url: Where the API begins.
        key: What opens it; empty where there is none.
        headers: Which of the key's tenants is meant, where one is named.
    """

    base_url: str
    key: SecretStr
    headers: tuple[tuple[str, str], ...]


def account_of(
    provider: str,
    *,
    api_key: str | SecretStr | None = None,
    access_token: str | SecretStr | None = None,
    base_url: str | None = None,
    tenant: str | None = None,
) -> Account:
    """Return whose account is used; without a key where none can be found.

    Args:
        provider: Who is spoken to, as errors say it.
        api_key: The key; ``MIOSA_API_KEY`` where neither is given.
        access_token: A token in its place; ``MIOSA_ACCESS_TOKEN``, which counts first, where neither is given.
        base_url: Where the API is.
        tenant: Whose account is used, where the key has several; ``MIOSA_TENANT`` where not given.

    Raises:
        InvalidInputError: If both a key and a token are given, or the tenant cannot be one.
    """
    if api_key and access_token:
        raise InvalidInputError("give api_key or access_token, not both", provider=provider)
    whose = (tenant or os.environ.get("MIOSA_TENANT") or "").strip()
    if not (whose.isascii() and whose.isprintable()):
        raise InvalidInputError(f"{whose!r} cannot be a tenant", provider=provider)
    headers = (("x-miosa-tenant", whose),) if whose else ()
    return Account(api_url(base_url), SecretStr(_key(access_token, api_key)), headers)


def api_url(base_url: str | None = None) -> str:
    """Return where MIOSA's API begins: what is given, else ``MIOSA_BASE_URL``, else MIOSA's own.

    The version may be left out: ``https://host`` and ``https://host/prefix`` are followed by ``/api/v1``.
    """
    given = (base_url or os.environ.get("MIOSA_BASE_URL") or BASE_URL).strip().rstrip("/")
    path = given.rpartition("/")
    return given if _VERSIONED.fullmatch(f"/{path[2]}") else f"{given}/api/v1"


def _key(*given: str | SecretStr | None) -> str:
    texts = [one.get_secret_value() if isinstance(one, SecretStr) else one for one in given]
    named = [os.environ.get(name) for name in ("MIOSA_ACCESS_TOKEN", "MIOSA_API_KEY")]
    return next((text.strip() for text in (*texts, *named) if text and text.strip()), "")
