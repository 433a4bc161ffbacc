"""A strict fake of OpenAI's Responses and Chat Completions APIs, in this process or as a loopback server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar

from pydantic import JsonValue

from deskhand.testing.models.delivery import ChunkHook
from deskhand.testing.models.faults import Fault, retry_headers
from deskhand.testing.models.script import FakeTurn, ModelView, Script
from deskhand.testing.models.service import FakeApi, Route
from deskhand.testing.models.wire import ApiError, WireAnswer, WireRequest, as_dict, as_list, as_text, json_answer

from .chat import chat_conversation, chat_tools, check_chat_messages, check_chat_parameters
from .chat_reply import chat_stream_error, compose_chat, encode_chat
from .chat_shapes import check_chat_shape
from .errors import REQUEST_ID, OpenAIError, refused
from .images import OpenAIImageReader
from .items import Conversation, Json, Stored, input_items
from .profiles import COMPUTER_PREVIEW, OPENAI_MODELS, OpenAIModel
from .reply import compose
from .rules import check_calls, check_images, check_parameters, check_reasoning, check_replay
from .shapes import check_responses_shape
from .stream import KEEP_ALIVE, encode_response, stream_error
from .tools import check_choice, check_tools
from .usage import Measured, OpenAICache
from .view import view_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["FakeOpenAI"]

AnswerT = TypeVar("AnswerT")
Composer: TypeAlias = Callable[[FakeTurn, Conversation, Measured, int, float], AnswerT]

MESSAGES: Mapping[int, str] = {
    408: "Request timed out.",
    409: "Conflict.",
    429: "Rate limit reached for requests. Please try again later.",
    500: "The server had an error while processing your request. Sorry about that!",
    502: "Bad gateway.",
    503: "The engine is currently overloaded, please try again later.",
    504: "Gateway timeout.",
}

KINDS = frozenset({"insufficient_quota"})
"""Codes of errors that are their types as well."""


class FakeOpenAI(FakeApi):
    """A strict fake of OpenAI's Responses and Chat Completions APIs.

    It answers with what a script says, over the real wire format, and refuses what the API refuses, with the API's
    error bodies: a program that works against it keeps the rules. ::

        fake = FakeOpenAI([FakeTurn([computer_call(action("screenshot"))]), FakeTurn("Done.")])
        client = fake.client()

    Of tools it has functions and the computer; what the vendor runs itself, it refuses to know.

    What the model said may come back in a request only as it was said: an edited item under its old id is refused,
    also where the API would not notice.

    Args:
        script: The turns to play, or a function that answers each :class:`ModelView` with a turn.
        api_key: The key that requests must bring.
        models: The models that it serves, by name.
        max_images: The most images of one request.
        screenshot_detail: Whether the screenshot in the answer to a computer call may say its ``detail``; False is an
            API that does not know the field there.
        on_chunk: Awaited before each chunk of a body is sent, to hold a stream at a chosen place.
        keep_requests: How many requests are kept in :attr:`requests`.

    Attributes:
        api_key: The key that requests must bring.
        requests: The newest requests, at most ``keep_requests`` and 64 MB of them.
        script_errors: What went wrong in the script itself. The program under test saw a status 500 for each.
    """

    MAX_BODY: ClassVar[int] = 50 * 1024 * 1024
    """The size in bytes from which on a body is refused."""

    REQUEST_ID: ClassVar[str] = REQUEST_ID
    """The header that names a request."""

    MESSAGES: ClassVar[Mapping[int, str]] = MESSAGES
    """The vendor's text for each status, where :meth:`fail` is given none."""

    PING: ClassVar[bytes] = KEEP_ALIVE
    """What keeps a stream alive."""

    def __init__(
        self,
        script: Script,
        *,
        api_key: str = "sk-fake",
        models: Mapping[str, OpenAIModel] = OPENAI_MODELS,
        max_images: int = 500,
        screenshot_detail: bool = True,
        on_chunk: ChunkHook | None = None,
        keep_requests: int = 256,
    ) -> None:
        super().__init__(script, api_key=api_key, on_chunk=on_chunk, keep_requests=keep_requests)
        self._models = dict(models)
        self._max_images = max_images
        self._screenshot_detail = screenshot_detail
        self._reader = OpenAIImageReader()
        self._cache = OpenAICache()
        self._stored = Stored()
        self._composed = 0
        self._routes: dict[str, Route] = {
            "/v1/responses": self._create_response,
            "/v1/responses/input_tokens": self._count,
            "/v1/chat/completions": self._create_completion,
        }

    def client(
        self,
        *,
        api_key: str | None = None,
        max_retries: int = 2,
        timeout: float | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> AsyncOpenAI:
        """Returns the vendor's own client, connected to this fake without a socket.

        Args:
            api_key: The key to send, where it is not the right one.
            max_retries: How often the client repeats a failed request.
            timeout: How long it waits, in seconds; None is its own default.
            default_headers: Headers to send with every request.
        """
        import httpx2
        from openai import AsyncOpenAI, not_given

        from deskhand.testing.models.transport import FakeTransport

        return AsyncOpenAI(
            api_key=api_key if api_key is not None else self.api_key,
            base_url="https://openai.invalid/v1",
            max_retries=max_retries,
            timeout=timeout if timeout is not None else not_given,
            default_headers=default_headers,
            http_client=httpx2.AsyncClient(transport=FakeTransport(self.handle)),
        )

    def serve(self) -> AbstractAsyncContextManager[str]:
        """Serves on a free port of 127.0.0.1 for as long as the block lasts; gives the base URL, with its ``/v1``."""
        return self._serve()

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[str]:
        async with super().serve() as url:
            yield f"{url}/v1"

    def forget_responses(self) -> None:
        """Forgets every stored response, as a server does whose time to keep them is over."""
        self._stored.forget()

    def fail(
        self,
        status: int,
        *,
        message: str | None = None,
        retry_after: float | str | None = None,
        retry_after_ms: float | None = None,
        should_retry: bool | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        code: str | None = None,
    ) -> None:
        """Answers with an error.

        Args:
            status: The HTTP status, such as 429, 500 or 503.
            message: The error's text.
            retry_after: The header ``retry-after``: seconds, or an HTTP date.
            retry_after_ms: The header ``retry-after-ms``, in milliseconds.
            should_retry: The header ``x-should-retry``.
            headers: Further headers.
            times: How many requests fail like this.
            code: The error's code, such as ``insufficient_quota``; None is the status's usual one.
        """
        extra = retry_headers(retry_after, retry_after_ms, should_retry, headers)
        text = message if message is not None else self.MESSAGES.get(status, f"Error {status}")
        kind = code if code in KINDS else None
        self._plan(Fault(error=OpenAIError(status, text, code=code, kind=kind, headers=extra)), times)

    def stream_error(
        self,
        kind: str = "server_error",
        *,
        message: str = MESSAGES[500],
        before: int = 2,
        times: int = 1,
        chat: bool = False,
    ) -> None:
        """Ends a stream with an error, as the API tells it in the middle of an answer.

        Args:
            kind: The code of the error.
            message: Its text.
            before: The index of the event in whose place it comes.
            times: How many requests are answered like this.
            chat: Whether it is told in the form of Chat Completions, instead of the Responses API's ``error`` event.
        """
        event = chat_stream_error(kind, message) if chat else stream_error(kind, message, before)
        self._plan(Fault(inserts={before: event}, ends_after_insert=True), times)

    def _error(self, status: int, message: str, headers: Mapping[str, str]) -> ApiError:
        return OpenAIError(status, message, headers=headers)

    async def _answer(
        self, request: WireRequest, body: JsonValue, problem: str | None, request_id: str, fault: Fault
    ) -> WireAnswer:
        route = self._routes.get(request.path)
        if route is None:
            raise OpenAIError(404, f"Invalid URL ({request.method} {request.path})")
        if request.method != "POST":
            message = f"Not allowed to {request.method} on {request.path}."
            raise OpenAIError(405, message, code="method_not_supported")
        self._check_key(request.headers)
        if len(request.body) > self.MAX_BODY:
            raise OpenAIError(413, f"Request too large. The maximum size is {self.MAX_BODY} bytes.")
        if problem is not None:
            raise OpenAIError(400, f"We could not parse the JSON body of your request: {problem}")
        if not isinstance(body, dict):
            raise refused("", "Invalid type for the request body: expected an object.", "invalid_type")
        return await route(request, body, request_id, fault)

    def _check_key(self, headers: Mapping[str, str]) -> None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            message = (
                "You didn't provide an API key. You need to provide it in an Authorization header using Bearer auth."
            )
            raise OpenAIError(401, message, code="")
        if key != self.api_key:
            shown = f"{key[:3]}***{key[-4:]}" if len(key) > 8 else "***"
            raise OpenAIError(401, f"Incorrect API key provided: {shown}.")

    def _read(self, body: Json) -> Conversation:
        """Checks everything about a request to the Responses API that does not depend on the script."""
        check_responses_shape(body)
        name = as_text(body.get("model"))
        profile = self._models.get(name)
        if profile is None:
            raise OpenAIError(
                400, f"The requested model '{name}' does not exist.", param="model", code="model_not_found"
            )
        brought = [self._stored.resolve(item) for item in input_items(body.get("input"))]
        if body.get("previous_response_id") is not None and body.get("conversation") is not None:
            raise refused("conversation", "Mutually exclusive parameters: 'previous_response_id' and 'conversation'.")
        items = [*self._stored.history(body.get("previous_response_id")), *brought]
        conversation = Conversation(body, profile, items)
        check_parameters(conversation, brought=bool(brought))
        check_tools(conversation.tools, profile)
        check_choice(body.get("tool_choice"), conversation.tools)
        check_replay(items, self._stored)
        check_calls(items, preview=profile.computer == COMPUTER_PREVIEW)
        check_reasoning(conversation, self._stored)
        check_images(conversation, self._reader, max_images=self._max_images, screenshot_detail=self._screenshot_detail)
        return conversation

    async def _count(self, request: WireRequest, body: Json, request_id: str, fault: Fault) -> WireAnswer:
        tokens = self._cache.count(self._read(body))
        counted: Json = {"object": "response.input_tokens", "input_tokens": tokens}
        return self._faulty(json_answer(200, counted, request_id, id_header=REQUEST_ID), fault)

    async def _create_response(self, request: WireRequest, body: Json, request_id: str, fault: Fault) -> WireAnswer:
        conversation = self._read(body)
        tools = {as_text(tool.get("name")) or as_text(tool.get("type")): tool for tool in conversation.tools}
        view = view_of(conversation, [item.raw for item in conversation.items], tools)
        answer = await self._play(view, conversation, compose)

        def delivered() -> None:
            self._player.played += 1
            response_id = as_text(answer.response["id"])
            self._stored.keep(response_id, conversation.items, answer.output, whole=conversation.stores)

        if body.get("stream") is True:
            obfuscates = as_dict(body.get("stream_options")).get("include_obfuscation") is not False
            events = encode_response(answer.response, obfuscates=obfuscates)
            return self._streamed(events, fault, request_id, delivered)
        return self._faulty(json_answer(200, answer.response, request_id, id_header=REQUEST_ID), fault, delivered)

    def _read_chat(self, body: Json) -> Conversation:
        """Checks everything about a request to Chat Completions that does not depend on the script."""
        check_chat_shape(body)
        name = as_text(body.get("model"))
        profile = self._models.get(name)
        if profile is None:
            message = f"The model `{name}` does not exist or you do not have access to it."
            raise OpenAIError(404, message, code="model_not_found")
        check_chat_parameters(body, profile)
        check_chat_messages([as_dict(message) for message in as_list(body.get("messages"))])
        conversation = chat_conversation(body, profile)
        check_images(conversation, self._reader, max_images=self._max_images, screenshot_detail=True)
        return conversation

    async def _create_completion(self, request: WireRequest, body: Json, request_id: str, fault: Fault) -> WireAnswer:
        conversation = self._read_chat(body)
        tools = {as_text(tool.get("name")): tool for tool in chat_tools(body)}
        view = view_of(conversation, [as_dict(message) for message in as_list(body.get("messages"))], tools)
        completion = await self._play(view, conversation, compose_chat)

        def delivered() -> None:
            self._player.played += 1

        if body.get("stream") is True:
            options = as_dict(body.get("stream_options"))
            obfuscates = options.get("include_obfuscation") is not False
            events = encode_chat(completion, usage=options.get("include_usage") is True, obfuscates=obfuscates)
            return self._streamed(events, fault, request_id, delivered)
        return self._faulty(json_answer(200, completion, request_id, id_header=REQUEST_ID), fault, delivered)

    async def _play(self, view: ModelView, conversation: Conversation, compose_as: Composer[AnswerT]) -> AnswerT:
        try:
            turn = await self._turn(view)
            self._composed += 1
            return compose_as(turn, conversation, self._cache.measure(conversation), self._composed, time.time())
        except Exception as error:  # whatever a script raises is told to both sides: the caller of the API and the test
            raise self._script_failed(error) from error
