"""The way to a vendor's socket: what opens it goes to one address and nowhere else."""

from __future__ import annotations

import http

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from deskhand.errors import ConnectionLostError, DeskhandError, ProviderError
from deskhand.providers.http.sockets import connect_socket


def refused(status: int) -> DeskhandError:
    return ProviderError(f"it answered {status}", effect="no")


async def test_redirect_of_a_socket_is_a_refusal_and_its_key_goes_nowhere_else() -> None:
    """Neither the headers nor the token of the address reach another server."""
    reached: list[str] = []

    async def elsewhere(connection: ServerConnection) -> None:
        reached.append(str(connection.request))

    async with serve(elsewhere, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]

        def redirect(connection: ServerConnection, request: Request) -> Response:
            del connection, request
            found = http.HTTPStatus.FOUND
            return Response(found, found.phrase, Headers(Location=f"ws://127.0.0.1:{port}/", Content_Length="0"))

        async with serve(elsewhere, "127.0.0.1", 0, process_request=redirect) as first:
            uri = f"ws://127.0.0.1:{first.sockets[0].getsockname()[1]}/?token=t"
            with pytest.raises(ProviderError, match="it answered 302"):
                await connect_socket(
                    uri, refused, provider="vendor", what="its socket", headers={"authorization": "Bearer key"}
                )
    assert reached == []


async def test_socket_that_cannot_be_reached_is_told_without_its_address() -> None:
    """A token in the address is in no message."""
    with pytest.raises(ConnectionLostError, match="its socket cannot be reached") as caught:
        await connect_socket("ws://127.0.0.1:9/?token=secret", refused, provider="vendor", what="its socket")
    assert caught.value.effect == "no"
    assert "secret" not in str(caught.value)
