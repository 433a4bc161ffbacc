"""The event loop behind blocking calls: one a process, in a thread of its own, ended when the interpreter exits."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import concurrent.futures.thread
import functools
import inspect
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future
from contextlib import AbstractAsyncContextManager, suppress

import anyio
from anyio.from_thread import BlockingPortal

from deskhand.errors import ConflictError, DeadlineExceededError

__all__ = ["Held", "Job", "Portal", "process_portal"]

GRACE = 15.0
"""Seconds that a call may take to clean up after Ctrl-C; a second Ctrl-C waits no longer."""

LOOK = 0.2
"""Seconds after which a waiting thread looks for signals at the latest."""

EXIT_PATIENCE = 30.0
"""Seconds that everything which is still open may take to end when the interpreter exits."""


class Portal:
    """The loop's thread as other threads see it: they hand it calls and wait."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._closing = False
        self._held: dict[Held, None] = {}
        started: Future[tuple[BlockingPortal, asyncio.AbstractEventLoop]] = Future()
        self._thread = threading.Thread(target=_serve, args=(started,), name="deskhand.sync", daemon=True)
        self._thread.start()
        self._portal, self._loop = started.result()

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<Portal of process {self._process}: {len(self._held)} held>"

    def check(self) -> None:
        """Refuse a call that could not be made, or that would wait for itself.

        Raises:
            ConflictError: If an event loop runs in this thread, the process was forked, or the interpreter exits.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise ConflictError(
                "deskhand.sync blocks, and an event loop runs in this thread, which it would stop",
                hint="use the same names of deskhand itself, with await; or a thread: anyio.to_thread.run_sync(...)",
            )
        if os.getpid() != self._process:
            raise ConflictError(
                f"this object belongs to the process {self._process}, of which this one is a fork",
                hint='make it behind the fork; multiprocessing has the start method "spawn"',
            )
        if self._closing:
            raise ConflictError("the interpreter exits, and all blocking computers are being given up")

    def call(self, function: Callable[..., object], *args: object, **options: object) -> object:
        """Call a function in the loop's thread, await what it returns where that can be awaited, and return the result.

        Ctrl-C cancels it and waits until it has cleaned up.
        """
        outcome: Future[object] = Future()
        return self.job(_settle, outcome, function, args, options).wait(outcome)

    def job(self, function: Callable[..., Awaitable[object]], *args: object) -> Job:
        """Return something to be done in the loop's thread, not yet begun.

        Raises:
            ConflictError: As `check` says.
        """
        self.check()
        return Job(self, functools.partial(function, *args))

    def begin(self, function: Callable[[], Awaitable[object]]) -> None:
        """Have a task begun in the loop's thread."""
        self._portal.start_task_soon(function)

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Have a plain function called in the loop's thread, from any thread, without waiting; an ended loop won't."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    def holds(self, held: Held) -> None:
        """Remember what must be ended when the interpreter exits."""
        self._held[held] = None

    def lets_go(self, held: Held) -> None:
        """Forget what has ended."""
        self._held.pop(held, None)

    def close(self) -> None:
        """End what is still open, the newest first, then the loop; whatever fails is printed, and all is bounded."""
        if os.getpid() != self._process or self._closing:
            return
        self._closing = True
        deadline = time.monotonic() + EXIT_PATIENCE
        for held in reversed([*self._held]):
            try:
                held.close(timeout=max(0.1, deadline - time.monotonic()))
            except Exception as error:  # (at exit there is nobody to catch it: it is shown, and the next one ends)
                sys.excepthook(type(error), error, error.__traceback__)
        self._portal.start_task_soon(self._portal.stop, True)
        self._thread.join(max(0.1, deadline - time.monotonic()))


class Job:
    """Something done by a task in the loop's thread, which other threads wait for and cancel, also before it begins."""

    def __init__(self, portal: Portal, work: Callable[[], Awaitable[object]]) -> None:
        self._portal = portal
        self._work = work
        self._scope: anyio.CancelScope | None = None
        self._ended: Future[object] = Future()
        self._started = self._cancelled = False

    def start(self) -> None:
        """Begin; what has begun is not begun again."""
        if not self._started:
            self._started = True
            self._portal.begin(self._run)

    def cancel(self) -> None:
        """Cancel it; what has ended stays as it is."""
        self._portal.soon(self._cancel)

    def wait(self, outcome: Future[object], timeout: float | None = None) -> object:
        """Wait for one of its results; where this thread is interrupted, cancel it and see it cleaned up.

        Args:
            outcome: The result.
            timeout: Seconds to wait; without end where not given.

        Raises:
            ConflictError: If it was cancelled by something else: the interpreter exits.
            DeadlineExceededError: If it took longer.
        """
        try:
            self.start()  # inside: Ctrl-C may come while it begins
            _wait([outcome, self._ended], timeout)
        except BaseException:  # what is waited for ends first, in bounded time; a second Ctrl-C goes through here
            self.cancel()
            concurrent.futures.wait([self._ended], GRACE)
            raise
        if not outcome.done():
            self.cancel()
            if self._ended.done():
                raise ConflictError("the call was cancelled: what it was a part of has ended")
            raise DeadlineExceededError(f"it did not end within {timeout:g} s", hint="deskhand ls tells what is left")
        error = outcome.exception()
        if error is None:
            return outcome.result()
        try:
            traceback = error.__traceback__
            raise error.with_traceback(
                traceback.tb_next if traceback is not None else None
            )  # begins behind this module
        finally:
            del error, outcome, self  # an error that holds the frame which holds it would live on

    async def _run(self) -> None:
        if self._cancelled:
            return
        try:
            with anyio.CancelScope() as self._scope:
                await self._work()
        finally:
            self._ended.set_result(None)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()
        elif not self._ended.done():
            self._ended.set_result(None)


class Held:
    """An asynchronous context manager that is entered and left by one task, while other threads have what it gave."""

    def __init__(self, portal: Portal, context: AbstractAsyncContextManager[object]) -> None:
        self._portal = portal
        self._context = context
        self._opened: Future[object] = Future()
        self._closed: Future[object] = Future()
        self._error: BaseException | None = None
        self._leave: anyio.Event | None = None
        self._job: Job | None = None

    def __repr__(self) -> str:
        """The state at a glance."""
        state = "closed" if self._closed.done() else "open" if self._opened.done() else "new"
        return f"<Held {state} {self._context!r}>"

    def open(self) -> object:
        """Enter it and return what it gives.

        Raises:
            ConflictError: If it was entered before.
        """
        if self._job is not None:
            raise ConflictError(f"{self._context!r} was entered before", hint="make another for each `with`")
        self._job = self._portal.job(self._hold)
        self._portal.holds(self)
        return self._job.wait(self._opened)

    def close(self, error: BaseException | None = None, *, timeout: float | None = None) -> bool:
        """Leave it, and tell whether it swallowed the error with which its block was left.

        An interrupt or exit of this thread is a cancellation in there: thrown into a loop it would end the loop.

        Args:
            error: What the block was left with.
            timeout: Seconds that leaving may take; without end where not given.

        Raises:
            DeadlineExceededError: If it took longer.
        """
        if self._job is None or self._leave is None:
            return False
        traceback = error.__traceback__ if error is not None else None
        if error is not None and not isinstance(error, Exception):
            self._job.cancel()
        else:
            self._error = error
            self._portal.soon(self._leave.set)
        try:
            return bool(self._job.wait(self._closed, timeout))
        finally:
            if error is not None:
                error.__traceback__ = traceback  # without the frames that it passed through in the other thread

    async def _hold(self) -> None:
        self._leave = anyio.Event()
        try:
            async with self._context as value:
                self._opened.set_result(value)
                await self._leave.wait()
                if self._error is not None:
                    raise self._error  # noqa: TRY301 (through the context, as the block's own error would go)
        except anyio.get_cancelled_exc_class():
            self._end(None, swallowed=False)
            raise
        except BaseException as error:  # told to the waiting thread, whatever it is
            self._end(error)
        else:
            self._end(None, swallowed=self._error is not None)

    def _end(self, error: BaseException | None, *, swallowed: bool = False) -> None:
        """Tell the other thread how it ended."""
        self._portal.lets_go(self)
        if error is not None and not self._opened.done():
            self._opened.set_exception(error)
        if error is None or error is self._error or not isinstance(error, Exception):
            self._closed.set_result(swallowed)
        else:
            self._closed.set_exception(error)


def _wait(futures: Sequence[Future[object]], timeout: float | None) -> None:
    """Wait until one of them is done, or for some seconds.

    A signal that comes between Python's last look for one and the lock on which it then waits is not seen until that
    wait ends; so none may be long.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while deadline is None or time.monotonic() < deadline:
        rest = LOOK if deadline is None else min(LOOK, max(0.0, deadline - time.monotonic()))
        if concurrent.futures.wait(futures, rest, FIRST_COMPLETED).done:
            return


async def _settle(
    outcome: Future[object], function: Callable[..., object], args: tuple[object, ...], options: dict[str, object]
) -> None:
    """Do a call and tell the waiting thread its result; a cancelled one has none."""
    try:
        result = function(*args, **options)
        if inspect.isawaitable(result):
            result = await result
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:  # an exit raised in there is the caller's, not the loop's
        outcome.set_exception(error)
    else:
        outcome.set_result(result)


def _serve(started: Future[tuple[BlockingPortal, asyncio.AbstractEventLoop]]) -> None:
    """Run the loop until it is told to stop."""

    async def serve() -> None:
        async with BlockingPortal() as portal:
            started.set_result((portal, asyncio.get_running_loop()))
            await portal.sleep_until_stopped()

    try:
        anyio.run(serve)
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


_lock = threading.Lock()
_portal: Portal | None = None


def process_portal() -> Portal:
    """Return this process's portal, started on first use."""
    global _portal  # noqa: PLW0603 (one for the process is the point)
    with _lock:
        if _portal is None:
            _portal = Portal()
        return _portal


def _close() -> None:
    if _portal is not None:
        _portal.close()


def _forget() -> None:
    """Begin anew in a forked child: the thread stayed behind, and what it holds is the parent's."""
    global _lock, _portal
    _lock, _portal = threading.Lock(), None


# What ends computers asks for threads of executors, which refuse work once the interpreter has begun to join them: this
# must come before that, where `concurrent.futures` itself registers, and `atexit` comes after.
_at_exit: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_at_exit(_close)
os.register_at_fork(after_in_child=_forget)
