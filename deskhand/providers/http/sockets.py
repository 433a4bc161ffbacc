"""The one way to a vendor's WebSocket: bounded in time and size, and never redirected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from deskhand.errors import ConnectionLostError, DeskhandError
from deskhand.providers.http.logs import private_logger

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["CLOSE", "connect_socket"]

_OPEN: Final = 15.0
CLOSE: Final = 5.0
"""Seconds for a socket to be closed."""
_IN_ORDER: Final = 4.0
"""Seconds of those in which the other side may answer to that: then the connection is cut."""
_LARGEST: Final = 4 << 20
_PING: Final = 20.0
"""Seconds between two pings, and for the answer to one."""


async def connect_socket(
    uri: str,
    refused: Callable[[int], DeskhandError],
    *,
    provider: str,
    what: str,
    headers: Mapping[str, str] | None = None,
    protocol: str | None = None,
) -> ClientConnection:
    """Open a socket; what opens it goes to no other address, as a redirect is a refusal.

    Args:
        uri: Where it is; a token in it is in no log.
        refused: Tells what the status of a refused handshake means.
        provider: Whose it is.
        what: What it is, as messages say it: ``orgo's terminal``.
        headers: Further headers of the handshake.
        protocol: The subprotocol to speak.

    Raises:
        ConnectionLostError: If it cannot be reached.
        DeskhandError: What ``refused`` says.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus, WebSocketException
    from websockets.typing import Subprotocol

    attempt = connect(
        uri,
        additional_headers=headers,
        subprotocols=None if protocol is None else [Subprotocol(protocol)],
        open_timeout=_OPEN,
        close_timeout=_IN_ORDER,
        max_size=_LARGEST,
        compression=None,
        ping_interval=_PING,
        ping_timeout=_PING,
        logger=private_logger(f"deskhand.{provider}.socket"),
    )
    attempt.process_redirect = lambda exc: exc  # type: ignore[method-assign]
    try:
        return await attempt
    except InvalidStatus as error:
        raise refused(error.response.status_code) from error
    except (OSError, WebSocketException, TimeoutError) as error:
        raise ConnectionLostError(
            f"{what} cannot be reached: {type(error).__name__}", provider=provider, effect="no"
        ) from error
