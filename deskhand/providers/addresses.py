"""Addresses at which a vendor serves a port."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

__all__ = ["with_path"]


def with_path(url: str, path: str) -> str:
    """Return the address of a path at a port; a query that the vendor put there stays before ours."""
    scheme, host, base, query, _ = urlsplit(url)
    wanted, _, more = path.partition("?")
    joined = base.rstrip("/") + (wanted if wanted.startswith("/") else f"/{wanted}")
    return urlunsplit((scheme, host, joined, "&".join(part for part in (query, more) if part), ""))
