"""Server-held threads: the server keeps a conversation, and a request brings only what is new."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from pydantic import JsonValue

from .conversation import Conversation, Json
from .wire import ApiError, as_dict, as_list, as_text, invalid

__all__ = ["Threads"]

BLOCK_HOLDERS = frozenset({"content"})


@dataclass(slots=True)
class HeldThread:
    """A conversation up to one answer, and whether that answer has been continued."""

    model: str
    system: JsonValue
    tools: list[Json]
    messages: list[Json]
    continued: bool = False
    in_flight: bool = False


class Threads:
    """The conversations that the server holds, by the id of the answer that each ends with.

    Args:
        remember: How many are kept; the oldest are forgotten, as the API forgets them in time.
    """

    def __init__(self, *, remember: int = 1024) -> None:
        self._remember = remember
        self._held: OrderedDict[str, HeldThread] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def forget(self) -> None:
        """Forgets every thread, as a server does that lost its state."""
        self._held.clear()

    def join(self, params: Json, betas: frozenset[str]) -> Conversation:
        """Returns the whole conversation that a request stands for.

        Raises:
            ApiError: 404 where the thread is not held; 400 where it was continued before, or a field is repeated.
        """
        thread = as_dict(params.get("thread"))
        messages = [as_dict(message) for message in as_list(params.get("messages"))]
        if thread.get("type") != "continue":
            tools = [as_dict(tool) for tool in as_list(params.get("tools"))]
            return Conversation(params, betas, params.get("system"), tools, messages)
        for field in ("system", "tools"):
            if params.get(field) is not None:
                raise invalid(field, 'is taken from the thread and cannot be sent with `thread.type` "continue"')
        held = self._open(as_text(thread.get("previous_message_id")))
        if held.model != params.get("model"):
            raise _thread_error(
                400, "thread_fingerprint_mismatch", "model differs from the value stored with the Thread"
            )
        return Conversation(
            params, betas, held.system, held.tools, [*held.messages, *messages], held=len(held.messages)
        )

    def _open(self, message_id: str) -> HeldThread:
        held = self._held.get(message_id)
        if held is None:
            raise _thread_error(
                404, "thread_not_found", f"No usable Thread state was found for `previous_message_id` {message_id!r}"
            )
        if held.continued:
            raise _thread_error(400, "thread_already_continued", f"{message_id} has already been continued")
        if held.in_flight:
            raise _thread_error(400, "thread_continue_in_flight", f"Another request is still continuing {message_id}")
        return held

    def begin(self, conversation: Conversation) -> None:
        """Marks the thread that a request continues as being continued."""
        held = self._held.get(_previous(conversation))
        if held is not None:
            held.in_flight = True

    def end(self, conversation: Conversation) -> None:
        """Takes that mark back, whatever became of the request."""
        held = self._held.get(_previous(conversation))
        if held is not None:
            held.in_flight = False

    def store(self, conversation: Conversation, message_id: str, content: list[Json]) -> None:
        """Keeps the conversation under its newest answer, where the request asked for a thread."""
        if conversation.params.get("thread") is None:
            return
        previous = self._held.get(_previous(conversation))
        if previous is not None:
            previous.continued = True
        blocks: list[JsonValue] = list(content)
        messages = [as_dict(_unmarked(message)) for message in conversation.messages]
        answer: Json = {"role": "assistant", "content": blocks}
        self._held[message_id] = HeldThread(
            conversation.model, conversation.system, conversation.tools, [*messages, answer]
        )
        if len(self._held) > self._remember:
            self._held.popitem(last=False)


def _previous(conversation: Conversation) -> str:
    return as_text(as_dict(conversation.params.get("thread")).get("previous_message_id"))


def _unmarked(value: JsonValue) -> JsonValue:
    """Returns a block or message without cache marks: each was meant for the request that brought it."""
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if isinstance(value, dict):
        return {
            key: _unmarked(item) if key in BLOCK_HOLDERS else item
            for key, item in value.items()
            if key != "cache_control"
        }
    return value


def _thread_error(status: int, code: str, message: str) -> ApiError:
    return ApiError(status, message, details={"error_code": code})
