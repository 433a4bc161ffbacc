"""Connect to the owner of a local computer."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from deskhand.errors import ComputerGoneError, DeadlineExceededError, ProtocolError
from deskhand.logs import package_logger
from deskhand.providers.local import wire
from deskhand.providers.local.register import socket_path

__all__ = ["CLOSE_DEADLINE", "connect", "hello_of"]

OPEN_DEADLINE = 10.0
"""Seconds until the owner must have said its first word."""

CLOSE_DEADLINE = 2.0
PING_INTERVAL = 20.0

_LOGGER = package_logger(__name__)
_LOGGER.addHandler(logging.NullHandler())


async def connect(folder: Path, computer_id: str) -> ClientConnection:
    """Open a connection to whoever holds a computer.

    Raises:
        ComputerGoneError: If nobody answers.
    """
    try:
        return await unix_connect(
            str(socket_path(folder, computer_id)),
            "ws://localhost/",
            compression=None,
            logger=_LOGGER,
            max_size=wire.LONGEST_MESSAGE,
            open_timeout=OPEN_DEADLINE,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_INTERVAL,
            close_timeout=CLOSE_DEADLINE,
            proxy=None,
            user_agent_header=None,
        )
    except (OSError, WebSocketException) as error:
        raise ComputerGoneError(
            f"the owner of the computer {computer_id} does not answer: {error or type(error).__name__}",
            hint="deskhand ls lists the computers that are there",
            effect="no",
            provider="local",
        ) from error


async def hello_of(socket: ClientConnection, computer_id: str) -> wire.Hello:
    """Wait for the owner's first word.

    Raises:
        ComputerGoneError: If it closes the connection instead.
        ProtocolError: If it does not speak this protocol.
        DeadlineExceededError: If it says nothing.
    """
    with anyio.move_on_after(OPEN_DEADLINE):
        try:
            frame = await socket.recv()
        except ConnectionClosed as error:
            raise ComputerGoneError(
                f"the owner of the computer {computer_id} does not let us in: {error}", effect="no", provider="local"
            ) from error
        hello = wire.decode_from_owner(frame) if isinstance(frame, str) else None
        if isinstance(hello, wire.Hello) and hello.version == wire.VERSION:
            return hello
        raise ProtocolError(
            f"the owner of the computer {computer_id} does not speak version {wire.VERSION} of this protocol",
            hint="create it with the version of deskhand that is used here",
            effect="no",
            provider="local",
        )
    raise DeadlineExceededError(
        f"the owner of the computer {computer_id} said nothing within {OPEN_DEADLINE:g} s",
        hint="is it stopped? deskhand ls tells its process id in --json",
        effect="no",
        provider="local",
    )
