"""A strict fake of the Anthropic Messages API, in this process or as a loopback server."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
from pydantic import JsonValue
from pydantic_core import from_json

from .conversation import Json, read_prompt
from .delivery import ChunkHook, deliver
from .faults import Fault, FaultControls
from .images import ImageReader
from .profiles import API_VERSIONS, MODELS, ModelProfile
from .reply import CheckedRequest, Reply, compose
from .rules import check_betas, check_cache_marks, check_images, check_messages, check_parameters
from .script import ModelView, Player, Script
from .server import serve_loopback
from .shapes import check_shape
from .stream import encode_events
from .thinking import SignedBlocks, verify
from .threads import Threads
from .tool_rules import check_tool_choice, check_tools
from .usage import PromptCache
from .wire import ApiError, ConnectionCutError, WireAnswer, WireRequest, as_dict, as_text, invalid, json_answer

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["FakeAnthropic", "RecordedRequest"]

MAX_BODY = 32 * 1024 * 1024
KEPT_BYTES = 64 * 1024 * 1024
SECRET_HEADERS = frozenset({"x-api-key", "authorization", "cookie"})


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


class FakeAnthropic(FaultControls):
    """A strict fake of the Anthropic Messages API.

    It answers with what a script says, over the real wire format, and refuses what the API refuses, with the API's
    error bodies: a program that works against it keeps the rules. ::

        fake = FakeAnthropic([FakeTurn([member("screenshot")]), FakeTurn("Done.")])
        client = fake.client()

    Args:
        script: The turns to play, or a function that answers each :class:`ModelView` with a turn.
        api_key: The key that requests must bring.
        models: The models that it serves, by name.
        on_chunk: Awaited before each chunk of a body is sent, to hold a stream at a chosen place.
        keep_requests: How many requests are kept in :attr:`requests`.

    Attributes:
        api_key: The key that requests must bring.
        requests: The newest requests, at most ``keep_requests`` and 64 MB of them.
        script_errors: What went wrong in the script itself. The program under test saw a status 500 for each.
    """

    def __init__(
        self,
        script: Script,
        *,
        api_key: str = "sk-ant-fake",
        models: Mapping[str, ModelProfile] = MODELS,
        on_chunk: ChunkHook | None = None,
        keep_requests: int = 256,
    ) -> None:
        super().__init__()
        self.api_key = api_key
        self.requests: deque[RecordedRequest] = deque(maxlen=keep_requests)
        self.script_errors: deque[Exception] = deque(maxlen=100)
        self._models = dict(models)
        self._on_chunk = on_chunk
        self._player = Player(script)
        self._reader = ImageReader()
        self._cache = PromptCache(self._reader)
        self._threads = Threads()
        self._signed = SignedBlocks()
        self._paused: deque[str] = deque(maxlen=256)
        self._received = 0
        self._composed = 0
        self._routes: dict[str, Callable[[WireRequest, Json, str, Fault], Awaitable[WireAnswer]]] = {
            "/v1/messages": self._create,
            "/v1/messages/count_tokens": self._count,
        }

    def __repr__(self) -> str:
        return f"FakeAnthropic({self._player!r}, requests={self._received})"

    @property
    def played(self) -> int:
        """How many turns have been delivered to the end."""
        return self._player.played

    def client(
        self,
        *,
        api_key: str | None = None,
        max_retries: int = 2,
        timeout: float | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> AsyncAnthropic:
        """Returns the vendor's own client, connected to this fake without a socket.

        Args:
            api_key: The key to send, where it is not the right one.
            max_retries: How often the client repeats a failed request.
            timeout: How long it waits, in seconds; None is its own default.
            default_headers: Headers to send with every request.
        """
        import httpx2
        from anthropic import AsyncAnthropic, not_given

        from .transport import FakeTransport

        return AsyncAnthropic(
            api_key=api_key if api_key is not None else self.api_key,
            base_url="https://anthropic.invalid",
            max_retries=max_retries,
            timeout=timeout if timeout is not None else not_given,
            default_headers=default_headers,
            http_client=httpx2.AsyncClient(transport=FakeTransport(self.handle)),
        )

    def serve(self) -> AbstractAsyncContextManager[str]:
        """Serves on a free port of 127.0.0.1 for as long as the block lasts; gives the base URL."""
        return serve_loopback(self.handle)

    def forget_threads(self) -> None:
        """Forgets every server-held thread, as a server does that lost its state."""
        self._threads.forget()

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
        body, problem = _decode(request.body)
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
                headers = {"request-id": request_id, **fault.answer.headers}
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
        route = self._routes.get(request.path)
        if route is None:
            raise ApiError(404, "Not Found")
        if request.method != "POST":
            raise ApiError(405, "Method Not Allowed")
        self._check_headers(request.headers)
        if len(request.body) > MAX_BODY:
            raise ApiError(413, "Request exceeds the maximum size")
        if problem is not None:
            raise invalid("", f"The request body is not valid JSON: {problem}")
        if not isinstance(body, dict):
            raise invalid("", "Input should be an object")
        return await route(request, body, request_id, fault)

    def _check_headers(self, headers: Mapping[str, str]) -> None:
        # Newer clients send the key as a bearer token, older ones in a header of its own; the API takes both.
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = headers.get("x-api-key") or (token if scheme.lower() == "bearer" else "")
        if not key:
            raise ApiError(401, "x-api-key header is required")
        if key != self.api_key:
            raise ApiError(401, "invalid x-api-key")
        version = headers.get("anthropic-version")
        if not version:
            raise invalid("anthropic-version", "header is required")
        if version not in API_VERSIONS:
            raise invalid("anthropic-version", f'"{version}" is not a valid version')

    def _read(self, request: WireRequest, body: Json, *, counting: bool) -> CheckedRequest:
        """Checks everything about a request that does not depend on the script."""
        betas = frozenset(part.strip() for part in request.headers.get("anthropic-beta", "").split(",") if part.strip())
        check_shape(body, counting=counting)
        profile = self._models.get(as_text(body.get("model")))
        if profile is None:
            raise ApiError(404, f"model: {as_text(body.get('model'))}")
        check_betas(body, betas)
        conversation = self._threads.join(body, betas)
        check_parameters(conversation, profile)
        check_tools(conversation, profile)
        check_tool_choice(conversation, profile)
        prompt = read_prompt(conversation)
        check_messages(conversation, profile, resumes=prompt.digest.value in self._paused)
        check_cache_marks(conversation)
        check_images(conversation, profile, self._reader)
        self._signed.check(conversation, profile)
        return CheckedRequest(conversation, profile, prompt, verify(conversation, profile, prompt.segments))

    async def _count(self, request: WireRequest, body: Json, request_id: str, fault: Fault) -> WireAnswer:
        checked = self._read(request, body, counting=True)
        tokens = self._cache.count(checked.conversation, checked.profile, checked.prompt.segments)
        return self._faulty(json_answer(200, {"input_tokens": tokens}, request_id), fault)

    async def _create(self, request: WireRequest, body: Json, request_id: str, fault: Fault) -> WireAnswer:
        checked = self._read(request, body, counting=False)
        self._threads.begin(checked.conversation)
        try:
            reply = await self._play(checked)
        finally:
            self._threads.end(checked.conversation)

        def delivered() -> None:
            self._player.played += 1
            self._signed.add(checked.profile.name, reply.content)
            self._threads.store(checked.conversation, as_text(reply.message["id"]), reply.content)
            if reply.message["stop_reason"] == "pause_turn":
                self._paused.append(checked.prompt.digest.value)

        if body.get("stream") is True:
            chunks = self._chunks(fault.events(encode_events(reply.message, reply.raw_inputs)))
            headers = {
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-cache",
                "request-id": request_id,
            }
            return WireAnswer(200, headers, deliver(chunks, fault, self._on_chunk, delivered))
        return self._faulty(json_answer(200, reply.message, request_id), fault, delivered)

    async def _play(self, checked: CheckedRequest) -> Reply:
        try:
            turn = await self._player.turn(ModelView(checked.conversation, checked.profile))
            usage = self._cache.measure(checked.conversation, checked.profile, checked.prompt.segments, checked.dropped)
            self._composed += 1
            message_id = f"msg_{checked.prompt.digest.value[:12]}{self._composed:08d}"
            return compose(turn, checked, usage, message_id)
        except Exception as error:  # whatever a script raises is told to both sides: the caller of the API and the test
            self.script_errors.append(error)
            message = f"The fake's script failed: {type(error).__name__}: {error}"
            raise ApiError(500, message, headers={"x-should-retry": "false"}) from error

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


def _decode(body: bytes) -> tuple[JsonValue, str | None]:
    if len(body) > MAX_BODY:
        return None, None
    try:
        decoded: JsonValue = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        return None, str(error)
    return decoded, None
