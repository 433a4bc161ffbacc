"""Ports of a computer, and the addresses at which a vendor serves them."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from deskhand.errors import InvalidInputError

__all__ = ["check_port", "with_path"]


def check_port(port: int) -> None:
    """Refuse what is no port.

    Raises:
        InvalidInputError: If it is none.
    """
    if isinstance(port, bool) or not 1 <= port <= 65_535:
        raise InvalidInputError(f"{port!r} is no port", hint="1 to 65535")


def with_path(url: str, path: str) -> str:
    """Return the address of a path at a port; a query that the vendor put there stays before ours."""
    scheme, host, base, query, _ = urlsplit(url)
    wanted, _, more = path.partition("?")
    joined = base.rstrip("/") + (wanted if wanted.startswith("/") else f"/{wanted}")
    return urlunsplit((scheme, host, joined, "&".join(part for part in (query, more) if part), ""))
