"""The shape of a request to Chat Completions: which fields exist, and what each may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, JsonValue, Tag, TypeAdapter

from .item_shapes import CacheBreakpoint, ImageUrl, Name, Shape, Text, text_or_list
from .problems import first_problem
from .shapes import RequestShape, StreamOptions

__all__ = ["check_chat_shape"]


class TextPart(Shape):
    type: Literal["text"]
    text: Text
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class ImageAddress(Shape):
    url: ImageUrl
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Shape):
    type: Literal["image_url"]
    image_url: ImageAddress
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class RefusalPart(Shape):
    type: Literal["refusal"]
    refusal: Text


def _part_tag(value: object) -> str:
    return f"~{value.get('type')}" if isinstance(value, dict) else "~text"


# The images of a tool's answer have a rule of their own, with a better message than "unknown type".
Part = Annotated[Annotated[TextPart, Tag("~text")] | Annotated[ImagePart, Tag("~image_url")], Discriminator(_part_tag)]
AssistantPart = Annotated[
    Annotated[TextPart, Tag("~text")] | Annotated[RefusalPart, Tag("~refusal")], Discriminator(_part_tag)
]
Content = Annotated[
    Annotated[Text, Tag("~text")] | Annotated[list[Part], Field(min_length=1), Tag("~list")],
    Discriminator(text_or_list),
]
AssistantContent = Annotated[
    Annotated[Text, Tag("~text")] | Annotated[list[AssistantPart], Field(min_length=1), Tag("~list")],
    Discriminator(text_or_list),
]


class SystemMessage(Shape):
    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(Shape):
    role: Literal["user"]
    content: Content
    name: str | None = None


class CalledFunction(Shape):
    name: Name
    arguments: Text


class ToolCall(Shape):
    id: Annotated[str, Field(min_length=1, max_length=64)]
    type: Literal["function"]
    function: CalledFunction


class AssistantMessage(Shape):
    role: Literal["assistant"]
    content: AssistantContent | None = None
    refusal: Text | None = None
    tool_calls: Annotated[list[ToolCall], Field(min_length=1)] | None = None
    name: str | None = None
    annotations: list[JsonValue] | None = None
    audio: None = None
    function_call: None = None


class ToolMessage(Shape):
    role: Literal["tool"]
    tool_call_id: str
    content: Content


def _role_tag(value: object) -> str:
    role = value.get("role") if isinstance(value, dict) else None
    return "~system" if role == "developer" else f"~{role}"


Message = Annotated[
    Annotated[SystemMessage, Tag("~system")]
    | Annotated[UserMessage, Tag("~user")]
    | Annotated[AssistantMessage, Tag("~assistant")]
    | Annotated[ToolMessage, Tag("~tool")],
    Discriminator(_role_tag),
]


class FunctionDefinition(Shape):
    name: Name
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None


class ChatTool(Shape):
    type: Literal["function"]
    function: FunctionDefinition


class ChatStreamOptions(StreamOptions):
    include_usage: bool | None = None


class ChatRequest(RequestShape):
    """What ``POST /chat/completions`` takes."""

    messages: Annotated[list[Message], Field(min_length=1)]
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[str, int] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    modalities: list[Literal["text"]] | None = None
    n: Literal[1] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    response_format: dict[str, JsonValue] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stream_options: ChatStreamOptions | None = None
    tool_choice: str | dict[str, JsonValue] | None = None
    tools: Annotated[list[ChatTool], Field(min_length=1, max_length=128)] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


_CHAT = TypeAdapter(ChatRequest)


def check_chat_shape(body: JsonValue) -> None:
    """Checks that a body has the fields of ``POST /chat/completions`` and no others.

    Raises:
        OpenAIError: 400, with the first thing that is wrong and where it stands.
    """
    first_problem(_CHAT.validate_python, body, variants=frozenset())
