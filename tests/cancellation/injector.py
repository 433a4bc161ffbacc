"""Cancels a scenario at its n-th suspension, by scope or natively, once or twice.

Every coroutine of the loop is wrapped in an awaitable that counts suspensions. A first pass with no cancellation counts
them; then the scenario is run afresh for each, and whatever it must not leave behind is checked after each.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import random
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from typing import Literal

import anyio

Scenario = Callable[[], Awaitable[None]]
Mode = Literal["scope", "native", "mixed"]
"""By a cancel scope, by ``task.cancel()``, or first by the one and then by the other."""

HARD_DEADLINE = 30.0
"""Seconds after which a scenario hangs; a loop that spins is stopped too."""


@dataclass(eq=False)
class Schedule:
    """When to cancel, and how far the count is."""

    at: frozenset[int]
    mode: Mode
    seen: int = 0
    where: list[str] = field(default_factory=list)
    completed: bool = False
    scope: anyio.CancelScope | None = None
    task: asyncio.Task[object] | None = None

    def suspended(self, coroutine: Coroutine[object, object, object]) -> None:
        """Count a suspension of the scenario's own task, and cancel if it is one of those."""
        task, current = self.task, asyncio.current_task()
        if task is None or current is None or id(task) != id(current) or task.done():
            return
        self.seen += 1
        if self.seen in self.at:
            self.where.append(innermost(coroutine))
            if self.mode == "native" or (self.mode == "mixed" and len(self.where) > 1):
                task.cancel()
            elif self.scope is not None:
                self.scope.cancel()


class Counted:
    """Drives a coroutine and counts how often it suspends."""

    def __init__(self, coroutine: Coroutine[object, object, object], schedule: Schedule) -> None:
        self._coroutine = coroutine
        self._schedule = schedule

    def __await__(self) -> Generator[object, object, object]:
        value: object = None
        thrown: BaseException | None = None
        while True:
            try:
                yielded = self._coroutine.throw(thrown) if thrown is not None else self._coroutine.send(value)
            except StopIteration as end:
                return end.value
            value, thrown = None, None
            self._schedule.suspended(self._coroutine)
            try:
                value = yield yielded
            except BaseException as error:
                thrown = error


def innermost(coroutine: object) -> str:
    """Name the function and line in which a coroutine is suspended."""
    place = "?"
    while coroutine is not None:
        frame = (
            getattr(coroutine, "cr_frame", None)
            or getattr(coroutine, "gi_frame", None)
            or getattr(coroutine, "ag_frame", None)
        )
        if frame is not None:
            place = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        coroutine = (
            getattr(coroutine, "cr_await", None)
            or getattr(coroutine, "gi_yieldfrom", None)
            or getattr(coroutine, "ag_await", None)
        )
    return place


async def _drive(scenario: Scenario, schedule: Schedule) -> None:
    schedule.task = asyncio.current_task()
    with anyio.CancelScope() as schedule.scope:
        await scenario()
        schedule.completed = True


def run_once(scenario: Scenario, at: frozenset[int], mode: Mode) -> Schedule:
    """Run the scenario on a fresh loop and cancel at these suspensions; nothing may be left on the loop.

    Raises:
        AssertionError: If it hangs, leaves tasks behind, or ends in anything but success or cancellation.
    """
    schedule = Schedule(at, mode)

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[object, object, object], **options: object
    ) -> asyncio.Task[object]:
        async def counted() -> object:
            return await Counted(coroutine, schedule)

        return asyncio.Task(counted(), loop=loop, **options)  # type: ignore[arg-type]

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)  # type: ignore[arg-type]
        before = asyncio.all_tasks()
        task = asyncio.get_running_loop().create_task(_drive(scenario, schedule))
        await asyncio.wait([task])
        _judge(task, schedule)
        left = asyncio.all_tasks() - before
        assert not left, f"tasks left after {mode} cancel at {schedule.where}: {left}"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _run_within(HARD_DEADLINE, main, schedule)
        gc.collect()
    return schedule


def _judge(task: asyncio.Task[object], schedule: Schedule) -> None:
    """Hold that the scenario succeeded, or passed on the cancellation; only a scope's may come too late for it."""
    place = f"{schedule.mode} cancel at {schedule.where}"
    error = None if task.cancelled() else task.exception()
    if error is not None:
        raise AssertionError(f"{place} ended in {error!r}") from error
    if not schedule.where:
        assert schedule.completed, "cancelled by nobody"
    elif schedule.mode == "native":
        assert task.cancelled(), f"{place} was swallowed"
    elif not task.cancelled():
        assert schedule.scope is not None
        assert schedule.completed or schedule.scope.cancelled_caught, f"{place} was swallowed"


def _run_within(seconds: float, main: Callable[[], Coroutine[object, object, None]], schedule: Schedule) -> None:
    """Run a loop that stops itself at the deadline: even one that spins, or whose tasks ignore cancellation."""
    loop = asyncio.new_event_loop()
    unhandled: list[str] = []
    loop.set_exception_handler(lambda _, context: unhandled.append(str(context)))
    stacks: list[str] = []

    def give_up() -> None:
        stacks.extend(f"{task.get_name()} in {innermost(task.get_coro())}" for task in asyncio.all_tasks(loop))
        loop.stop()

    try:
        asyncio.set_event_loop(loop)
        running = loop.create_task(main())
        deadline = loop.call_later(seconds, give_up)
        try:
            loop.run_until_complete(running)
        except RuntimeError:
            if not stacks:
                raise
            _abandon(loop)
            raise AssertionError(f"{schedule.mode} cancel at {schedule.where} hangs: {stacks}") from None
        deadline.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        assert not unhandled, unhandled
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _abandon(loop: asyncio.AbstractEventLoop) -> None:
    """Let the tasks of a hung loop end if they can, so that they hold no threads."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.call_later(1, loop.stop)
    loop.run_forever()


def explore(
    scenario: Scenario, check: Callable[[], None], *, modes: tuple[Mode, ...] = ("scope", "native"), every: int = 1
) -> int:
    """Cancel once at each suspension, in both modes; return how many suspensions there were.

    Args:
        scenario: Run afresh each time.
        check: Raises if anything was left behind.
        modes: How to cancel.
        every: Only each n-th suspension.
    """
    total = run_once(scenario, frozenset(), "scope").seen
    check()
    for mode in modes:
        for n in range(1, total + 1, every):
            schedule = run_once(scenario, frozenset({n}), mode)
            try:
                check()
            except AssertionError as error:
                raise AssertionError(f"{mode} cancel at {n}/{total} ({schedule.where}): {error}") from error
    return total


async def inject(act: Callable[[], Coroutine[object, object, object]], at: frozenset[int], mode: Mode) -> Schedule:
    """Cancel an act at these suspensions on the loop that runs, beside what lives on it.

    Raises:
        AssertionError: If it hangs, or ends in anything but success or cancellation.
    """
    schedule = Schedule(at, mode)

    async def scenario() -> None:
        await act()

    async def counted() -> None:
        await Counted(_drive(scenario, schedule), schedule)

    task = asyncio.get_running_loop().create_task(counted())
    _, late = await asyncio.wait([task], timeout=HARD_DEADLINE)
    assert not late, f"{mode} cancel at {schedule.where} hangs in {innermost(task.get_coro())}"
    _judge(task, schedule)
    return schedule


def pairs_of(scenario: Scenario, *, most: int = 600, seed: int = 7) -> list[tuple[int, int]]:
    """Count a scenario's suspensions and pair them, with a few behind the last, where the clean-up may suspend.

    Args:
        scenario: Run once, uncancelled.
        most: So many pairs are drawn where there are more.
        seed: Draws them.
    """
    total = run_once(scenario, frozenset(), "scope").seen
    pairs = list(itertools.combinations(range(1, total + 4), 2))
    return pairs if len(pairs) <= most else random.Random(seed).sample(pairs, most)


def explore_pairs(
    scenario: Scenario, check: Callable[[], None], pairs: list[tuple[int, int]], *, mode: Mode = "native"
) -> None:
    """Cancel twice, at these pairs of suspensions."""
    for first, second in pairs:
        schedule = run_once(scenario, frozenset({first, second}), mode)
        try:
            check()
        except AssertionError as error:
            raise AssertionError(f"{mode} cancel at {first} and {second} ({schedule.where}): {error}") from error


def open_descriptors() -> set[str]:
    """Return this process's open descriptors, by what they lead to."""
    found: set[str] = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name}:{os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:
            continue
    return found
