"""A strict fake of the Anthropic Messages API, in this process or as a loopback server."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import JsonValue

from .conversation import Json, read_prompt
from .delivery import ChunkHook
from .faults import Fault
from .images import ImageReader
from .profiles import API_VERSIONS, MODELS, ModelProfile
from .reply import CheckedRequest, Reply, compose
from .rules import check_betas, check_cache_marks, check_images, check_messages, check_parameters
from .script import Script
from .service import FakeApi, Route
from .shapes import check_shape
from .stream import encode_events
from .thinking import SignedBlocks, verify
from .threads import Threads
from .tool_rules import check_tool_choice, check_tools
from .usage import PromptCache
from .view import view_of
from .wire import ApiError, WireAnswer, WireRequest, as_text, invalid, json_answer

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

__all__ = ["FakeAnthropic"]


class FakeAnthropic(FakeApi):
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
        super().__init__(script, api_key=api_key, on_chunk=on_chunk, keep_requests=keep_requests)
        self._models = dict(models)
        self._reader = ImageReader()
        self._cache = PromptCache(self._reader)
        self._threads = Threads()
        self._signed = SignedBlocks()
        self._paused: deque[str] = deque(maxlen=256)
        self._composed = 0
        self._routes: dict[str, Route] = {
            "/v1/messages": self._create,
            "/v1/messages/count_tokens": self._count,
        }

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

    def forget_threads(self) -> None:
        """Forgets every server-held thread, as a server does that lost its state."""
        self._threads.forget()

    async def _answer(
        self, request: WireRequest, body: JsonValue, problem: str | None, request_id: str, fault: Fault
    ) -> WireAnswer:
        route = self._routes.get(request.path)
        if route is None:
            raise ApiError(404, "Not Found")
        if request.method != "POST":
            raise ApiError(405, "Method Not Allowed")
        self._check_headers(request.headers)
        if len(request.body) > self.MAX_BODY:
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
            return self._streamed(encode_events(reply.message, reply.raw_inputs), fault, request_id, delivered)
        return self._faulty(json_answer(200, reply.message, request_id), fault, delivered)

    async def _play(self, checked: CheckedRequest) -> Reply:
        try:
            turn = await self._turn(view_of(checked.conversation, checked.profile))
            usage = self._cache.measure(checked.conversation, checked.profile, checked.prompt.segments, checked.dropped)
            self._composed += 1
            message_id = f"msg_{checked.prompt.digest.value[:12]}{self._composed:08d}"
            return compose(turn, checked, usage, message_id)
        except Exception as error:  # whatever a script raises is told to both sides: the caller of the API and the test
            raise self._script_failed(error) from error
