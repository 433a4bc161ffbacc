"""Start an X server of one's own: Xvnc where it is installed, else Xvfb."""

from __future__ import annotations

import os
import secrets
import shutil
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
import anyio.abc

from deskhand.errors import ConfigError
from deskhand.providers.contract import Screen

__all__ = ["INSTALL_HINT", "ServerKind", "XServer", "available_server", "open_server"]

ServerKind = Literal["Xvnc", "Xvfb"]
"""The X servers that can be used, the preferred one first."""

INSTALL_HINT = "apt-get install tigervnc-standalone-server openbox tint2 (or xvfb)"

_BOOT_DEADLINE = 20.0
_END_DEADLINE = 5.0
_COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
_FAMILY_WILD = 0xFFFF  # matches whatever host and display number the client asks for

_LAUNCHER = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launcher.py")))
_COMMON_ARGUMENTS = (
    *(":?", "-displayfd", "1", "-nolisten", "tcp", "-nolisten", "local"),
    *("-noreset", "-s", "0", "-dpms", "-dpi", "96"),
)


@dataclass(frozen=True, slots=True)
class XServer:
    """A running X server.

    Attributes:
        kind: Which program it is.
        display: The display's number.
        socket: Its unix socket.
        xauthority: The cookie file that clients need.
        cookie: The cookie itself.
        vnc_socket: The unix socket that speaks VNC (mode 0600), where the server can.
    """

    kind: ServerKind
    display: int
    socket: Path
    xauthority: Path
    cookie: bytes = field(repr=False)
    vnc_socket: Path | None


def available_server() -> ServerKind | None:
    """Return the X server that would be started, or ``None`` where neither is installed."""
    if shutil.which("Xvnc"):
        return "Xvnc"
    return "Xvfb" if shutil.which("Xvfb") else None


@asynccontextmanager
async def open_server(screen: Screen, directory: Path, *, owner: int | None = None) -> AsyncIterator[XServer]:
    """Start an X server that ends with the block, or with this process however it ends.

    Args:
        screen: The screen's size.
        directory: A private folder for cookie, sockets and log.
        owner: The user id that shall be able to read the cookie, where it is not this process's.

    Raises:
        ConfigError: If no server is installed, or it does not start; says the last lines that it wrote.
    """
    kind = available_server()
    if kind is None:
        raise ConfigError("neither Xvnc nor Xvfb is installed, so there is no screen", hint=INSTALL_HINT)
    cookie = _write_cookie(directory / "xauthority", owner)
    vnc_socket = directory / "vnc" if kind == "Xvnc" else None
    log = directory / "xserver.log"
    # Cancelled halfway, the start of a process would leave one that nobody holds; it takes milliseconds.
    with log.open("wb") as errors, anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            [*_LAUNCHER, *_command(kind, screen, directory)],
            stderr=errors,
            start_new_session=True,
        )
    try:
        display = await _display_number(process, kind, log)
        yield XServer(
            kind,
            display,
            Path(f"/tmp/.X11-unix/X{display}"),  # noqa: S108 - where the X protocol's conventions put it
            directory / "xauthority",
            cookie,
            vnc_socket,
        )
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)


def _command(kind: ServerKind, screen: Screen, directory: Path) -> list[str]:
    size = f"{screen.width}x{screen.height}"
    arguments = [kind, *_COMMON_ARGUMENTS, "-auth", str(directory / "xauthority")]
    if kind == "Xvfb":
        return [*arguments, "-screen", "0", f"{size}x24"]
    vnc = ["-rfbport", "-1", "-rfbunixpath", str(directory / "vnc"), "-SecurityTypes", "None", "-AlwaysShared"]
    return [*arguments, "-geometry", size, "-depth", "24", *vnc]


def _write_cookie(path: Path, owner: int | None) -> bytes:
    """Write a fresh cookie file in the Xauthority format."""
    cookie = secrets.token_bytes(16)
    record = struct.pack(">H", _FAMILY_WILD)
    for part in (b"", b"", _COOKIE_NAME, cookie):
        record += struct.pack(">H", len(part)) + part
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if owner is not None and owner != os.geteuid():
            os.fchown(descriptor, owner, -1)
        file.write(record)
    return cookie


async def _display_number(process: anyio.abc.Process, kind: ServerKind, log: Path) -> int:
    """Wait until the server says its display number, which it does when it accepts clients."""
    output = process.stdout
    assert output is not None  # noqa: S101 - open_process makes pipes by default
    said = b""
    with anyio.move_on_after(_BOOT_DEADLINE):
        try:
            while not said.endswith(b"\n"):
                said += await output.receive(64)
            return int(said)
        except (anyio.EndOfStream, ValueError):
            await process.wait()
    lines = (await anyio.Path(log).read_text(encoding="utf-8", errors="replace")).strip().splitlines()
    why = f"ended with code {process.returncode}" if process.returncode is not None else "did not start"
    raise ConfigError(
        f"{kind} {why} (deadline {_BOOT_DEADLINE:g} s): {' / '.join(lines[-3:]) or 'it wrote nothing'}",
        hint=f"run {kind} by hand to see why; {INSTALL_HINT}",
    )


async def _end(process: anyio.abc.Process) -> None:
    """Close the launcher's pipe, which ends the server, and wait for it."""
    try:
        if process.stdin is not None:
            await process.stdin.aclose()
    except OSError:
        pass  # it has ended already
    with anyio.move_on_after(_END_DEADLINE):
        await process.wait()
    if process.returncode is None:
        process.kill()
    if process.stdout is not None:
        # The event loop lets go of a pipe at its end of file only, which may be still to come.
        with anyio.move_on_after(_END_DEADLINE), suppress(anyio.EndOfStream):
            while True:
                await process.stdout.receive()
    await process.aclose()
