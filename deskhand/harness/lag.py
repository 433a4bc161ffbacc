"""Who holds the event loop: code of others that does is told by name, once it lets go.

While it is held nothing else happens: no event, no answer, no stop. Work is measured from one of its awaits to the
next, in the task that does it anyway; nothing runs beside it.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Final, Generic, TypeVar

from deskhand.logs import package_logger

__all__ = ["LIMIT", "Lag"]

LIMIT: Final = 2.0
"""Seconds from one await to the next beyond which code is told to have held the loop."""

ResultT = TypeVar("ResultT")

_log = package_logger(__name__)


class Lag:
    """Measures code of others in one run.

    Attributes:
        tell: Is told which code held the loop, and for how many seconds; again only when it was twice as long.
        spent: Seconds between awaits of all the code that is measured by name.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str, float], None] | None = None
        self.spent: float = 0.0
        self._told: dict[str, float] = {}

    async def of(self, code: str, work: Awaitable[ResultT]) -> ResultT:
        """Do work, and tell if it holds the loop.

        Args:
            code: What it is, for people: ``the tool deploy``.
            work: What is done.
        """
        return await _Measured(self, code, work if inspect.iscoroutine(work) else _awaited(work))

    def took(self, code: str, seconds: float) -> None:
        """Note how long code went on without an await."""
        if seconds < LIMIT or seconds < 2 * self._told.get(code, 0.0):
            return
        self._told[code] = seconds
        _log.warning("%s held the event loop for %.1f s: nothing else could happen meanwhile", code, seconds)
        if self.tell is not None:
            self.tell(code, seconds)


async def _awaited(work: Awaitable[ResultT]) -> ResultT:
    return await work


class _Measured(Generic[ResultT]):
    """A coroutine, awaited step by step."""

    def __init__(self, lag: Lag, code: str, work: Coroutine[object, object, ResultT]) -> None:
        self._lag = lag
        self._code = code
        self._work = work

    def __await__(self) -> Generator[object, object, ResultT]:
        value: object = None
        error: BaseException | None = None
        while True:
            began, before = time.monotonic(), self._lag.spent
            try:
                waits_for = self._work.send(value) if error is None else self._work.throw(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                own = time.monotonic() - began - (self._lag.spent - before)  # (less what was measured inside it)
                self._lag.spent += own
                self._lag.took(self._code, own)
            error = None
            try:
                value = yield waits_for
            except GeneratorExit:
                self._work.close()
                raise
            except BaseException as thrown:  # (cancellation too: it goes on to the work)
                error = thrown
