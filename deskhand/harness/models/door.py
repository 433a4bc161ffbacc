"""The way to a model's API: through the vendor's own client, with our bytes.

The client keeps its authentication, its addresses and its clouds; what it would encode, decode and repeat by itself is
done here, where it is bounded and counted.
"""

from __future__ import annotations

import abc
import functools
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import anyio

from deskhand.errors import DeskhandError
from deskhand.harness.models.adapter import Json
from deskhand.harness.models.failures import Vendor
from deskhand.harness.models.profiles import Platform, platform_of
from deskhand.harness.models.retry_budget import RetryBudget, budget_of
from deskhand.harness.models.sse import CLOSE, Watch, drain
from deskhand.harness.models.transcript import Request
from deskhand.harness.models.transport import Deadlines
from deskhand.retry import Clock

if TYPE_CHECKING:
    import httpx2

__all__ = ["Answer", "Body", "Door", "ssl_context"]


@functools.lru_cache(maxsize=1)
def ssl_context() -> ssl.SSLContext:
    """Return the process's one SSL context: making it costs more than everything else about a client."""
    import httpx2

    return httpx2.create_ssl_context()


class Answer(Protocol):
    """What the vendors' clients return when the head of an answer is there."""

    @property
    def response(self) -> httpx2.Response:
        """The response, its body not yet read."""
        ...

    async def close(self) -> None:
        """Give the answer up."""
        ...


@dataclass(frozen=True, slots=True)
class Body:
    """A request as a client takes it: as a mapping, or as bytes.

    Attributes:
        mapping: For a client that looks into the body.
        content: For one that sends it as it is: whole, or in parts as often as it is read.
        headers: What goes with it.
    """

    mapping: object
    content: bytes | AsyncIterable[bytes] | None = field(repr=False)
    headers: dict[str, str]


class Door(abc.ABC):
    """Sends requests and receives their events.

    Args:
        client: The vendor's client; a cloud's own where it has one.
        deadlines: How long to wait.
        clock: Time.
        retries: How much of what is asked may be a repetition, where that is not the client's own.

    Attributes:
        retries: How much of what is asked may be a repetition.
        vendor: How the vendor's failures are told.
        last: The events after which nothing of an answer follows.
        readers: The modules of clients that look into a body, and so must have it as a mapping.
    """

    vendor: ClassVar[Vendor]
    last: ClassVar[Collection[str]]
    readers: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        client: object,
        *,
        deadlines: Deadlines | None = None,
        clock: Clock | None = None,
        retries: RetryBudget | None = None,
    ) -> None:
        self._any_client = client
        self.retries: RetryBudget = retries or budget_of(client)
        self._deadlines = deadlines or Deadlines()
        self._clock = clock or Clock()

    @property
    def max_body(self) -> int:
        """How many bytes a request may have; clouds take less than the API itself."""
        return self.platform.max_body

    @property
    def platform(self) -> Platform:
        """Where requests go."""
        return platform_of(self._any_client)

    @property
    def timeout(self) -> httpx2.Timeout:
        """What the client is told about waiting; our own deadlines come first and say more."""
        import httpx2

        return httpx2.Timeout(self._deadlines.idle + CLOSE, connect=self._deadlines.connect)

    @abc.abstractmethod
    def _plain_client(self) -> type:
        """Return the client's class that sends a body on without looking at it; others sign it, or are not known."""

    @abc.abstractmethod
    async def _post(self, request: Request, body: Body) -> Answer:
        """Send a request, never twice; returns when the head of the answer is there."""

    @abc.abstractmethod
    async def _source(self, answer: Answer) -> AsyncGenerator[list[Json], None]:
        """Return the events of an answer.

        Raises:
            ProtocolError: If it is no stream of events.
        """

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[AsyncIterator[list[Json]]]:
        """Send a request and receive its events, as many at a time as the network brings.

        Raises:
            DeskhandError: Whatever goes wrong, mapped once.
        """
        watch = Watch(self._deadlines.idle)
        with watch.scope:
            try:
                answer = await self._post(request, self._body(request))
            except Exception as error:
                raise self.vendor.map_error(error, self._clock.wall) from error
            events = self._events(answer, watch)
            try:
                yield events
            except DeskhandError as error:
                error.request_id = error.request_id or answer.response.headers.get(self.vendor.request_id)
                raise
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE):
                    await events.aclose()
                    await answer.close()
        if watch.scope.cancelled_caught:
            raise self.vendor.idle(self._deadlines.idle)

    def _body(self, request: Request) -> Body:
        """Give a request the form that the client takes."""
        headers = {"accept-encoding": "identity", "content-type": "application/json"}
        if any(cls.__module__.startswith(self.readers) for cls in type(self._any_client).__mro__):
            return Body(json.loads(request.joined()), None, headers)
        if type(self._any_client) is self._plain_client():
            return Body(None, request, headers | {"content-length": str(request.size)})
        return Body(None, request.joined(), headers)

    async def _events(self, answer: Answer, watch: Watch) -> AsyncGenerator[list[Json], None]:
        """Read an answer's events up to its last."""
        begun = False
        async with aclosing(await self._source(answer)) as source:
            while True:
                try:
                    events = await anext(source, None)
                except DeskhandError:
                    raise
                except Exception as error:
                    raise self.vendor.broken(error, begun=begun, wall=self._clock.wall) from error
                if events is None:
                    return
                if not events:  # (pings alone are no content)
                    continue
                begun = True
                watch.content()
                yield events
                if events[-1].get("type") in self.last:
                    await drain(source)
                    return
