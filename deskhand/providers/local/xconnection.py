"""One connection to an X server, driven by the event loop: no call waits for the server inside C."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import xcffib
import xcffib.damage
import xcffib.randr
import xcffib.shm
import xcffib.xfixes
import xcffib.xkb
import xcffib.xproto
import xcffib.xtest

from deskhand.errors import ComputerGoneError, ConfigError, DeadlineExceededError

__all__ = ["REPLY_DEADLINE", "XConnection", "open_connection"]

_CONNECT_DEADLINE = 10.0
REPLY_DEADLINE = 10.0
"""Seconds that the X server may take to answer a request."""

_COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
_xcffib: Any = xcffib  # ships a py.typed marker but no types


class _Connection(xcffib.Connection):
    """The library's connection, with this package's error for a server that has ended."""

    def invalid(self) -> None:
        if self._conn is None or _xcffib.lib.xcb_connection_has_error(self._conn):
            raise ComputerGoneError("the computer has no screen any more: its X server has ended")


class XConnection:
    """Requests, replies and events of one X client.

    Replies are matched as they arrive, events go to the handlers of their type, and unknown events are skipped. A
    server that has ended fails every waiting and later call with `ComputerGoneError`, one that is stuck with
    `DeadlineExceededError`.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._handlers: dict[type, list[Callable[[Any], None]]] = {}
        self._gone = False
        self.core: Any = connection.core
        self.shm: Any = connection(xcffib.shm.key)
        self.test: Any = connection(xcffib.xtest.key)
        self.fixes: Any = connection(xcffib.xfixes.key)
        self.damage: Any = connection(xcffib.damage.key)
        self.randr: Any = connection(xcffib.randr.key)
        self.xkb: Any = connection(xcffib.xkb.key)
        setup = connection.get_setup()
        self.min_keycode: int = setup.min_keycode
        self.max_keycode: int = setup.max_keycode
        self.root: int = setup.roots[0].root
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(connection.get_file_descriptor(), self._drain)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call something after a delay in seconds, unless the connection has ended by then."""

        def guarded() -> None:
            if not self._gone:
                with suppress(ComputerGoneError):  # those who wait for the server are told
                    callback()

        self._loop.call_later(delay, guarded)

    def new_id(self) -> int:
        """Return a fresh resource id."""
        identifier: int = self._connection.generate_id()
        return identifier

    def on(self, event: type, handler: Callable[[Any], None]) -> None:
        """Call a handler for every event of a type."""
        self._handlers.setdefault(event, []).append(handler)

    def flush(self) -> None:
        """Send what was requested so far."""
        self._connection.flush()
        self._drain()  # sending reads too what has come meanwhile, for which the loop would then not wake

    async def reply(self, cookie: Any) -> Any:
        """Send what was requested so far and wait for one request's reply.

        Raises:
            ComputerGoneError: If the server has ended.
            DeadlineExceededError: If it does not answer.
            xcffib.Error: What the server refused.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self._pending[cookie.sequence] = future
        try:
            self.flush()
            with anyio.fail_after(REPLY_DEADLINE):
                raw = await future
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the X server did not answer within {REPLY_DEADLINE:g} s",
                hint="it is stopped or starved; destroy the computer",
            ) from error
        finally:
            del self._pending[cookie.sequence]
            if not future.done():
                with suppress(ComputerGoneError):  # must not hide a cancellation
                    self._connection.discard_reply(cookie.sequence)
        return raw if cookie.reply_type is None else cookie.reply_type(raw)

    async def sync(self) -> None:
        """Wait until the server has done everything that was requested."""
        await self.reply(self.core.GetInputFocus())

    def close(self) -> None:
        """Disconnect."""
        self._fail("the connection was closed")
        self._connection.disconnect()

    def _fail(self, why: str) -> None:
        if self._gone:
            return
        self._gone = True
        self._loop.remove_reader(_xcffib.lib.xcb_get_file_descriptor(self._connection._conn))
        for future in self._pending.values():
            if not future.done():
                future.set_exception(ComputerGoneError(f"the computer has no screen any more: {why}"))
                future.exception()  # whoever waited may have been cancelled, and the loop complains of errors unseen

    def _drain(self) -> None:
        """Read what has come: events to their handlers, replies to those who wait."""
        if self._gone:
            return
        while True:
            try:
                event = self._connection.poll_for_event()
            except ComputerGoneError:
                self._fail("its X server has ended")
                return
            except (xcffib.Error, xcffib.ProtocolException, IndexError, KeyError):
                continue  # an error of a request that nobody waits for, or an event that this client knows nothing of
            if event is None:
                break
            for handler in self._handlers.get(type(event), ()):
                handler(event)
        for sequence, future in list(self._pending.items()):
            if not future.done():
                self._take(sequence, future)

    def _take(self, sequence: int, future: asyncio.Future[Any]) -> None:
        """Hand over one reply or error if it has come."""
        ffi, lib = _xcffib.ffi, _xcffib.lib
        reply, error = ffi.new("void **"), ffi.new("xcb_generic_error_t **")
        if not lib.xcb_poll_for_reply(self._connection._conn, sequence, reply, error):
            return
        if error[0] != ffi.NULL:
            try:
                self._connection._process_error(error[0])
            except xcffib.Error as refused:
                future.set_exception(refused)
            finally:
                _xcffib.c_free(error[0])
        elif reply[0] == ffi.NULL:
            future.set_result(None)
        else:
            data = ffi.gc(reply[0], _xcffib.c_free)
            length = ffi.cast("xcb_generic_reply_t *", data).length
            future.set_result(_xcffib.CffiUnpacker(data, known_max=32 + length * 4))


def _connect(path: Path, cookie: bytes) -> Any:
    ffi, lib = _xcffib.ffi, _xcffib.lib
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as stream:
            stream.settimeout(_CONNECT_DEADLINE)
            stream.connect(str(path))
            stream.setblocking(False)
            descriptor = stream.detach()  # from here on the library's to close, also where it fails
        # The library's own auth= hands the server memory that it has freed by then.
        name, data = ffi.new("char[]", _COOKIE_NAME), ffi.new("char[]", cookie)
        auth = ffi.new("xcb_auth_info_t *", {"namelen": len(_COOKIE_NAME), "datalen": len(cookie)})
        auth.name, auth.data = name, data
        connection: Any = _Connection.__new__(_Connection)
        connection._conn = lib.xcb_connect_to_fd(descriptor, auth)
        connection.pref_screen = 0
        connection.invalid()
        connection._init_x()
    except (OSError, ComputerGoneError) as error:
        raise ConfigError(f"the X server at {path} refuses the connection: {error!r}") from error
    return connection


@asynccontextmanager
async def open_connection(path: Path, cookie: bytes) -> AsyncIterator[XConnection]:
    """Connect to the X server at a unix socket; leaving the block disconnects.

    Raises:
        ConfigError: If the server refuses, or lacks an extension that is needed.
    """
    with anyio.fail_after(_CONNECT_DEADLINE):
        raw = await anyio.to_thread.run_sync(_connect, path, cookie, abandon_on_cancel=True)
    connection = XConnection(raw)
    try:
        for version in (
            connection.fixes.QueryVersion(5, 0),
            connection.damage.QueryVersion(1, 1),
            connection.shm.QueryVersion(),
            connection.randr.QueryVersion(1, 4),
            connection.test.GetVersion(2, 2),
            connection.xkb.UseExtension(1, 0),
        ):
            await connection.reply(version)
        yield connection
    finally:
        connection.close()
