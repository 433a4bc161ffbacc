"""What the fakes of all vendors share: requests on record, planned faults, a script, and the ways to reach them."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import ClassVar

import anyio
from pydantic import JsonValue
from pydantic_core import from_json

from .delivery import ChunkHook, deliver
from .faults import Fault, FaultControls
from .script import FakeTurn, ModelView, Player, Script
from .server import serve_loopback
from .wire import ApiError, ConnectionCutError, WireAnswer, WireRequest, as_dict

__all__ = ["FakeApi", "RecordedRequest"]

KEPT_BYTES = 64 * 1024 * 1024
SECRET_HEADERS = frozenset({"x-api-key", "authorization", "cookie"})

Json = dict[str, JsonValue]


@dataclass(slots=True)
class RecordedRequest:
    """A request that the fake got.

    Attributes:
        number: Counts from 1.
        method: The HTTP method.
        path: The path, without the query.
        headers: The headers, names in lower case, keys redacted.
        body: The decoded JSON object; empty where the body was none.
        size: The size of the body in bytes.
        status: The status of the answer; None where the connection was closed instead.
        error: The text of the error that it was answered with.
    """

    number: int
    method: str
    path: str
    headers: dict[str, str]
    body: Json
    size: int
    status: int | None = None
    error: str | None = None


class FakeApi(FaultControls):
    """A fake of one vendor's API: it records requests, meets them with the planned faults and plays its script.

    Args:
        script: The turns to play, or a function that answers each :class:`ModelView` with a turn.
        api_key: The key that requests must bring.
        on_chunk: Awaited before each chunk of a body is sent, to hold a stream at a chosen place.
        keep_requests: How many requests are kept in :attr:`requests`.

    Attributes:
        api_key: The key that requests must bring.
        requests: The newest requests, at most ``keep_requests`` and 64 MB of them.
        script_errors: What went wrong in the script itself. The program under test saw a status 500 for each.
    """

    MAX_BODY: ClassVar[int] = 32 * 1024 * 1024
    """The size in bytes from which on a body is refused."""

    REQUEST_ID: ClassVar[str] = "request-id"
    """The header that names a request."""

    def __init__(
        self, script: Script, *, api_key: str, on_chunk: ChunkHook | None = None, keep_requests: int = 256
    ) -> None:
        super().__init__()
        self.api_key = api_key
        self.requests: deque[RecordedRequest] = deque(maxlen=keep_requests)
        self.script_errors: deque[Exception] = deque(maxlen=100)
        self._on_chunk = on_chunk
        self._player = Player(script)
        self._received = 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._player!r}, requests={self._received})"

    @property
    def played(self) -> int:
        """How many turns have been delivered to the end."""
        return self._player.played

    def serve(self) -> AbstractAsyncContextManager[str]:
        """Serves on a free port of 127.0.0.1 for as long as the block lasts; gives the base URL."""
        return serve_loopback(self.handle, max_body=self.MAX_BODY)

    def raise_script_errors(self) -> None:
        """Raises the first thing that went wrong in the script, if anything did."""
        if self.script_errors:
            raise self.script_errors[0]

    async def handle(self, request: WireRequest) -> WireAnswer:
        """Answers one request.

        Raises:
            ConnectionCutError: A planned fault closes the connection instead.
        """
        self._received += 1
        request_id = f"req_fake{self._received:08d}"
        body, problem = self._decode(request.body)
        record = self._record(request, body)
        fault = self._next_fault()
        if fault.stall_after == -1:
            await anyio.sleep_forever()
        if fault.drop:
            raise ConnectionCutError
        try:
            if fault.error is not None:
                raise fault.error
            if fault.answer is not None:
                headers = {self.REQUEST_ID: request_id, **fault.answer.headers}
                answer = WireAnswer(fault.answer.status, headers, fault.answer.body)
            else:
                answer = await self._answer(request, body, problem, request_id, fault)
        except ApiError as error:
            record.error = error.message
            answer = error.answer(request_id)
        record.status = answer.status
        return answer

    async def _answer(
        self, request: WireRequest, body: JsonValue, problem: str | None, request_id: str, fault: Fault
    ) -> WireAnswer:
        """Answers a request that no fault keeps from it.

        Raises:
            ApiError: The request breaks a rule.
        """
        raise NotImplementedError

    def _decode(self, body: bytes) -> tuple[JsonValue, str | None]:
        if len(body) > self.MAX_BODY:
            return None, None
        try:
            decoded: JsonValue = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            return None, str(error)
        return decoded, None

    async def _turn(self, view: ModelView) -> FakeTurn:
        return await self._player.turn(view)

    def _script_failed(self, error: Exception) -> ApiError:
        """Keeps what went wrong in the script for the test, and returns what the caller of the API is told of it."""
        self.script_errors.append(error)
        message = f"The fake's script failed: {type(error).__name__}: {error}"
        return self._error(500, message, {"x-should-retry": "false"})

    def _streamed(
        self, events: list[bytes], fault: Fault, request_id: str, delivered: Callable[[], None]
    ) -> WireAnswer:
        """Returns an answer that streams these events."""
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            self.REQUEST_ID: request_id,
        }
        chunks = self._chunks(fault.events(events))
        return WireAnswer(200, headers, deliver(chunks, fault, self._on_chunk, delivered))

    def _faulty(self, answer: WireAnswer, fault: Fault, delivered: Callable[[], None] = lambda: None) -> WireAnswer:
        """Returns a plain answer, as an iterator of chunks where a fault or a hook needs to come between."""
        if not isinstance(answer.body, bytes):
            return answer
        if fault.cut_after is None and fault.stall_after is None and self._on_chunk is None:
            delivered()
            return answer
        chunks = self._chunks([answer.body])
        return WireAnswer(answer.status, answer.headers, deliver(chunks, fault, self._on_chunk, delivered))

    def _record(self, request: WireRequest, body: JsonValue) -> RecordedRequest:
        headers = {name: "[redacted]" if name in SECRET_HEADERS else v for name, v in request.headers.items()}
        record = RecordedRequest(
            self._received, request.method, request.path, headers, as_dict(body), len(request.body)
        )
        self.requests.append(record)
        while len(self.requests) > 1 and sum(kept.size for kept in self.requests) > KEPT_BYTES:
            self.requests.popleft()
        return record


Route = Callable[[WireRequest, Json, str, Fault], Awaitable[WireAnswer]]
"""Answers the requests of one endpoint: the request, its body, the request's id, the fault planned for it."""
