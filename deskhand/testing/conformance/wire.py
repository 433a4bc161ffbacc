"""The wire between an adapter and its vendor: a proxy that passes requests on, until it is told to break."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias
from urllib.parse import urlsplit

from deskhand.testing.simulators.loopback import Loopback, serve

if TYPE_CHECKING:
    from types import TracebackType

    import httpx2
    from starlette.types import Receive, Scope, Send

__all__ = ["Answer", "Fault", "Forward", "Request", "Wire"]

_PATIENCE: Final = 120.0
"""Seconds that the vendor may take for an answer."""
_OF_THE_CONNECTION: Final = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})
"""Headers that are about one connection, and so are not passed on."""


@dataclass(frozen=True, slots=True)
class Request:
    """What an adapter sent.

    Attributes:
        method: ``GET``, ``POST``, ...
        target: Path and query.
        headers: Names in lower case.
        body: The bytes.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What an adapter gets; its length is added.

    Attributes:
        status: The status.
        body: The bytes.
        headers: Names in lower case.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]


Forward: TypeAlias = Callable[[Request], Awaitable[Answer]]
"""Passes a request on to the vendor and returns what it answers."""

Fault: TypeAlias = Callable[[Request, Forward], Awaitable[Answer | None]]
"""What becomes of a request; ``None`` breaks its connection without an answer."""


async def _nothing(request: Request, forward: Forward) -> Answer:
    return await forward(request)


class Wire:
    """Stands between an adapter and the HTTP API of its vendor, or of a simulator of it.

    Enter it, and give ``base_url`` to the adapter in place of the vendor's. It needs ``pip install
    'deskhand[simulate]'``. WebSockets are not passed on.

    Args:
        base_url: Where the vendor's API begins.

    Attributes:
        strays: Requests that came to ``elsewhere``.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._vendor = f"{parts.scheme}://{parts.netloc}"
        self._path = parts.path
        self._fault: Fault = _nothing
        self._requests: list[Request] = []
        self.strays: list[Request] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Serve until the block ends."""
        import httpx2

        async with AsyncExitStack() as stack:
            client = httpx2.AsyncClient(timeout=_PATIENCE, trust_env=False, follow_redirects=False)
            self._client: httpx2.AsyncClient = await stack.enter_async_context(client)
            self._near: Loopback = await stack.enter_async_context(serve(self._pass))
            self._far: Loopback = await stack.enter_async_context(serve(self._stray))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the servers."""
        await self._stack.__aexit__(exc_type, exc, traceback)

    @property
    def base_url(self) -> str:
        """Where the API begins for the adapter."""
        return self._near.origin + self._path

    @property
    def elsewhere(self) -> str:
        """An address of another origin, where nobody has anything to send to."""
        return f"{self._far.origin}/elsewhere"

    @contextmanager
    def broken(self, fault: Fault) -> Iterator[list[Request]]:
        """Let every request of a block meet a fault; gives the requests that came in it."""
        self._fault, self._requests = fault, []
        try:
            yield self._requests
        finally:
            self._fault, self._requests = _nothing, []

    async def _forward(self, request: Request) -> Answer:
        got = await self._client.request(
            request.method,
            self._vendor + request.target,
            headers={**request.headers, "accept-encoding": "identity"},
            content=request.body,
        )
        headers = {name: value for name, value in got.headers.items() if name not in _OF_THE_CONNECTION}
        return Answer(got.status_code, got.content, headers)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        request = await _read(scope, receive)
        self._requests.append(request)
        answer = await self._fault(request, self._forward)
        if answer is None:
            self._near.abort(scope)
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        await _write(answer, send)

    async def _stray(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.strays.append(await _read(scope, receive))
        await _write(Answer(200, b"{}", {"content-type": "application/json"}), send)


async def _read(scope: Scope, receive: Receive) -> Request:
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    kept = {name: value for name, value in headers.items() if name not in _OF_THE_CONNECTION}
    return Request(scope["method"], target, kept, b"".join([part async for part in _parts(receive)]))


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _write(answer: Answer, send: Send) -> None:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": answer.body})
