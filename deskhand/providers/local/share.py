"""Share a local computer with this user's other processes, and find those that others share.

The process that creates a local computer holds it; its end is the computer's end. Others reach it by a unix socket in a
private folder (`deskhand.providers.local.register`), on which `deskhand.providers.local.wire` is spoken in WebSocket
frames. What that needs is imported when the first of them comes, so that creating a computer stays quick.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from deskhand.errors import ConfigError
from deskhand.logs import package_logger
from deskhand.providers.contract import ComputerInfo, ComputerStatus, ExternalComputer
from deskhand.providers.local.companion import companion
from deskhand.providers.local.register import live_entries, registered, runtime_folder

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

__all__ = ["list_shared", "serve_computer", "share_computer"]

MOST_GUESTS = 64
"""Processes that may be attached to one computer at a time."""

HANDSHAKE_DEADLINE = 5.0
PING_INTERVAL = 20.0
CLOSE_DEADLINE = 2.0
END_DEADLINE = 8.0

_LOGGER = package_logger(__name__)
_LOGGER.addHandler(logging.NullHandler())  # a stranger's garbage on the socket is no news for whoever holds it


@asynccontextmanager
async def share_computer(computer: ExternalComputer) -> AsyncIterator[None]:
    """Let this user's other processes find and use a computer while the block lasts.

    Leaving the block ends what they have open on it.

    Args:
        computer: What they may use, to its destruction.

    Raises:
        ConfigError: If there is no private folder for its socket.
        ConflictError: If a computer with its id is shared already.
    """
    with registered(computer.info) as path:
        async with serve_computer(computer, path):
            yield


@asynccontextmanager
async def serve_computer(computer: ExternalComputer, path: Path) -> AsyncIterator[None]:
    """Let whoever may open a socket use a computer while the block lasts.

    Args:
        computer: What they may use.
        path: Where the socket is made; `registered` gives it, and removes it.

    Raises:
        ConfigError: If it cannot be made.
    """
    with _listen(path) as listener:
        async with companion(functools.partial(_serve, listener, computer)):
            yield


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(os.fspath(path))
        path.chmod(0o600)  # the folder lets nobody else in, whatever the mode was until here
        listener.listen(MOST_GUESTS)
    except OSError as error:
        listener.close()
        raise ConfigError(f"the socket {path} cannot be made: {error.strerror}") from error
    return listener


async def _serve(
    listener: socket.socket, computer: ExternalComputer, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Serve whoever connects, until cancelled."""
    task_status.started()
    await anyio.wait_readable(listener)
    for name in ("websockets.asyncio.server", "deskhand.providers.local.owner"):
        await anyio.to_thread.run_sync(importlib.import_module, name)
    from websockets.asyncio.server import unix_serve
    from websockets.frames import CloseCode

    from deskhand.providers.local import owner, wire

    async def attend(guest: ServerConnection) -> None:
        if len(server.connections) > MOST_GUESTS:
            await guest.close(CloseCode.TRY_AGAIN_LATER, "too many are attached")
        else:
            await owner.serve(guest, computer)

    with anyio.CancelScope(shield=True) as starting:  # cancelled halfway, it would leave a server that nobody holds
        server = await unix_serve(
            attend,
            sock=listener,
            compression=None,
            logger=_LOGGER,
            max_size=wire.LONGEST_MESSAGE,
            open_timeout=HANDSHAKE_DEADLINE,
            ping_interval=PING_INTERVAL,
            ping_timeout=PING_INTERVAL,
            close_timeout=CLOSE_DEADLINE,
            server_header=None,
        )
        starting.shield = False
        try:
            await anyio.sleep_forever()
        finally:
            server.close(reason="the computer is gone")
            with anyio.CancelScope(shield=True), anyio.move_on_after(END_DEADLINE):
                await server.wait_closed()


async def list_shared() -> list[ComputerInfo]:
    """List the computers that this user's processes hold, oldest first.

    Raises:
        ConfigError: If the folder where they are written down is not this user's own.
    """
    entries = await anyio.to_thread.run_sync(lambda: live_entries(runtime_folder()))
    return [
        ComputerInfo(
            id=entry.id,
            name=entry.name,
            provider="local",
            source="local",
            status=ComputerStatus.RUNNING,
            screen=entry.screen,
            created_at=entry.created_at,
            metadata={"pid": str(entry.pid)},
        )
        for entry in entries
    ]
