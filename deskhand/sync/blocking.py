"""Blocking twins of asynchronous objects: one proxy for all, whose classes are made from the asynchronous ones."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import ClassVar, Final, cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from deskhand.sync.portal import Held, Job, Portal, process_portal

__all__ = [
    "MIRRORED",
    "Blocking",
    "BlockingContext",
    "BlockingIterator",
    "blocking",
    "blocking_class",
    "blocking_function",
    "is_mirrored",
]

MIRRORED: Final = frozenset(
    {
        "deskhand.harness.across.LogStream",
        "deskhand.harness.base.Harness",
        "deskhand.harness.context.OnComputer",
        "deskhand.harness.context.TurnContext",
        "deskhand.harness.engine.Engine",
        "deskhand.harness.inbox.Inbox",
        "deskhand.harness.log.EventLog",
        "deskhand.harness.run.Run",
        "deskhand.harness.stream.EventStream",
        "deskhand.harness.takeover.Takeover",
        "deskhand.providers.contract.ComputeProvider",
        "deskhand.providers.contract.ExecStream",
        "deskhand.providers.contract.ExternalComputer",
        "deskhand.providers.contract.Shell",
        "deskhand.providers.contract.Terminal",
    }
)
"""The classes that have a blocking twin, as do their subclasses; by name, so that none is imported for nothing."""

RENAMED: Final = {"aclose": "close"}
"""Methods whose name says that they are asynchronous."""

_END: Final = object()


def is_mirrored(cls: type) -> bool:
    """Tell whether a class has a blocking twin."""
    return any(f"{base.__module__}.{base.__qualname__}" in MIRRORED for base in cls.__mro__)


class Blocking:
    """The blocking twin of an asynchronous object: each call is done in the loop's thread, and waited for.

    What was made by calling the class, outside of ``with``, is entered by its first use and left when the interpreter
    exits.
    """

    __slots__ = ("__weakref__", "_fresh", "_held", "_lock", "_portal", "_subject")
    asynchronous: ClassVar[type]

    _fresh: bool
    _held: Held | None
    _lock: threading.Lock
    _portal: Portal
    _subject: object

    def __init__(self, *args: object, **options: object) -> None:
        portal = process_portal()
        arguments, named = _unwrapped(args, options)
        self._set(portal, portal.call(self.asynchronous, *arguments, **named), fresh=True)

    def __init_subclass__(cls, *, of: type | None = None) -> None:
        """Take over what the asynchronous class has.

        Raises:
            TypeError: If a program derives from a blocking class.
        """
        if of is None:
            raise TypeError("a blocking class has no subclasses: derive from deskhand's own, and pass it to blocking()")
        cls.asynchronous = of

    def __class_getitem__(cls, _parameters: object) -> type:
        """Take type parameters, for annotations."""
        return cls

    def _set(self, portal: Portal, subject: object, *, fresh: bool) -> None:
        self._portal, self._subject, self._fresh = portal, subject, fresh
        self._held = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        """The state at a glance, as its twin tells it."""
        return repr(self._subject)

    def __eq__(self, other: object) -> bool:
        """Whether it is the twin of the same object."""
        return isinstance(other, Blocking) and other._subject is self._subject

    def __hash__(self) -> int:
        """As equality goes."""
        return id(self._subject)

    def __getattr__(self, name: str) -> object:
        """Read what is the object's own rather than its class's."""
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self._read(name)

    def _read(self, name: str) -> object:
        return _wrapped(self._portal, self._portal.call(getattr, self._subject, name))

    def _call(self, name: str, args: tuple[object, ...], options: dict[str, object]) -> object:
        arguments, named = _unwrapped(args, options)
        method = cast("Callable[..., object]", getattr(self._ready(), name))
        return _wrapped(self._portal, self._portal.call(method, *arguments, **named))

    def _ready(self) -> object:
        """Return the asynchronous object, entered."""
        if self._fresh:
            with self._lock:
                if self._fresh and isinstance(self._subject, AbstractAsyncContextManager):
                    self._enter(self._subject)
                self._fresh = False
        return self._subject

    def _enter(self, subject: AbstractAsyncContextManager[object]) -> object:
        held = Held(self._portal, subject)
        value = held.open()
        self._held, self._fresh = held, False
        return value

    def _entered(self) -> object:
        """Enter the block."""
        if self._held is not None:
            return self  # opened by an earlier use: the block's end is its end all the same
        value = self._enter(cast("AbstractAsyncContextManager[object]", self._subject))
        return self if value is self._subject else _wrapped(self._portal, value)

    def _left(self, error: BaseException | None) -> bool:
        held, self._held = self._held, None
        return held is not None and held.close(error)


class BlockingContext:
    """The blocking twin of an asynchronous context manager, for one ``with``."""

    __slots__ = ("_held", "_portal")

    def __init__(self, portal: Portal, context: AbstractAsyncContextManager[object]) -> None:
        self._portal = portal
        self._held = Held(portal, context)

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<BlockingContext of {self._held!r}>"

    def __enter__(self) -> object:
        """Enter it."""
        return _wrapped(self._portal, self._held.open())

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Leave it."""
        return self._held.close(exc)


class BlockingIterator:
    """The blocking twin of an asynchronous iterator."""

    __slots__ = ("__weakref__", "_ended", "_job", "_portal", "_requests")

    def __init__(self, portal: Portal, iterator: AsyncIterator[object]) -> None:
        self._portal = portal
        self._ended = False
        self._requests, received = anyio.create_memory_object_stream[Future[object]](1)
        self._job = portal.job(_iterate, iterator, self._requests, received)
        self._job.start()

    def __iter__(self) -> BlockingIterator:
        """Iterate."""
        return self

    def __next__(self) -> object:
        """Return the next item."""
        if self._ended:
            raise StopIteration
        self._portal.check()
        outcome: Future[object] = Future()
        self._portal.soon(self._requests.send_nowait, outcome)
        try:
            item = self._job.wait(outcome)
        except BaseException:
            self._ended = True
            raise
        if item is _END:
            self._ended = True
            raise StopIteration
        return _wrapped(self._portal, item)

    def __del__(self) -> None:
        """End the task behind it."""
        job: Job | None = getattr(self, "_job", None)
        if job is not None and not self._ended:
            job.cancel()


async def _iterate(
    iterator: AsyncIterator[object],
    requests: MemoryObjectSendStream[Future[object]],
    received: MemoryObjectReceiveStream[Future[object]],
) -> None:
    """Take items as they are asked for, all by one task: what an iterator holds open, it holds open in its task."""
    outcome: Future[object] | None = None
    try:
        async for outcome in received:
            outcome.set_result(await anext(iterator))
    except StopAsyncIteration:
        if outcome is not None:
            outcome.set_result(_END)
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:  # told to the waiting thread, whatever it is
        if outcome is not None:
            outcome.set_exception(error)
    finally:
        requests.close()
        received.close()
        if inspect.isasyncgen(iterator):
            with anyio.CancelScope(shield=True):
                await iterator.aclose()


@functools.cache
def blocking_class(cls: type) -> type[Blocking]:
    """Return the blocking twin of a class: with twins of all that it defines, derived from the twins of its bases."""
    bases = tuple(blocking_class(base) for base in cls.__bases__ if is_mirrored(base)) or (Blocking,)
    members: dict[str, object] = {"__slots__": (), "__doc__": cls.__doc__, "__module__": "deskhand.sync"}
    for name, member in vars(cls).items():
        if name == "__aiter__":
            members["__iter__"] = _iter
        elif name == "__init__":
            members[name] = _constructor(member)
        elif name == "__aenter__":
            members |= {"__enter__": _enter, "__exit__": _exit}
            members.setdefault("close", _close)
        elif not name.startswith("_"):
            members[RENAMED.get(name, name)] = _twin(name, member)
    return type(cls.__name__, bases, members, of=cls)


def _constructor(member: Callable[..., None]) -> Callable[..., None]:
    """Return the twin of a constructor, which runs in the loop's thread as everything does."""

    @functools.wraps(member)
    def construct(self: Blocking, *args: object, **options: object) -> None:
        Blocking.__init__(self, *args, **options)

    return construct


def _twin(name: str, member: object) -> object:
    """Return the twin of one member of a class."""
    if isinstance(member, property):
        return property(lambda self: self._read(name), doc=member.__doc__)
    if isinstance(member, classmethod | staticmethod):
        return member
    if not inspect.isfunction(member):
        return member

    @functools.wraps(member)
    def method(self: Blocking, *args: object, **options: object) -> object:
        return self._call(name, args, options)

    return method


def _iter(self: Blocking) -> BlockingIterator:
    """Iterate."""
    subject = cast("AsyncIterator[object]", self._ready())
    iterator = self._portal.call(type(subject).__aiter__, subject)
    return BlockingIterator(self._portal, cast("AsyncIterator[object]", iterator))


def _enter(self: Blocking) -> object:
    """Enter it."""
    return self._entered()


def _exit(
    self: Blocking, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
) -> bool:
    """Leave it."""
    return self._left(exc)


def _close(self: Blocking) -> None:
    """Leave it now, rather than when the interpreter exits."""
    self._left(None)


def blocking_function(function: Callable[..., object]) -> Callable[..., object]:
    """Return the blocking twin of a function."""

    @functools.wraps(function)
    def call(*args: object, **options: object) -> object:
        portal = process_portal()
        arguments, named = _unwrapped(args, options)
        return _wrapped(portal, portal.call(function, *arguments, **named), fresh=True)

    return call


def blocking(value: object) -> object:
    """Return the blocking twin of a computer, provider, harness or log that was made with deskhand's own names.

    For what one wrote oneself: ``blocking(MyDriver()).run(computer, "goal")``.
    """
    return _wrapped(process_portal(), value, fresh=True)


def _wrapped(portal: Portal, value: object, *, fresh: bool = False) -> object:
    """Return the twin of what came out of the loop's thread, or the value itself where it has none."""
    kind: type = type(value)
    if is_mirrored(kind):
        cls = blocking_class(kind)
        twin = cls.__new__(cls)
        twin._set(portal, value, fresh=fresh)
        return twin
    if isinstance(value, AbstractAsyncContextManager):
        return BlockingContext(portal, value)
    if isinstance(value, AsyncIterator):
        return BlockingIterator(portal, value)
    return value


def _unwrapped(args: tuple[object, ...], options: dict[str, object]) -> tuple[list[object], dict[str, object]]:
    """Return arguments with asynchronous objects in the places of their twins."""
    return [_plain(value) for value in args], {name: _plain(value) for name, value in options.items()}


def _plain(value: object) -> object:
    if isinstance(value, Blocking):
        return value._ready()
    if isinstance(value, list | tuple) and any(isinstance(item, Blocking) for item in value):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and any(isinstance(item, Blocking) for item in value.values()):
        return {key: _plain(item) for key, item in value.items()}
    return value
