"""The shape of a request to the Responses API: which fields exist, and what each may hold.

The models refuse every field they do not declare, as the API does. They only check; the rules read the JSON itself, so
that nothing is lost or reordered between what was sent and what is judged.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, JsonValue, Tag, TypeAdapter

from .item_shapes import Item, Name, Shape, Text, text_or_list
from .problems import first_problem

__all__ = ["RequestShape", "StreamOptions", "check_responses_shape"]

Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]
Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]


class FunctionTool(Shape):
    type: Literal["function"]
    name: Name
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None
    description: str | None = None
    defer_loading: bool | None = None
    output_schema: dict[str, JsonValue] | None = None
    allowed_callers: list[Literal["direct", "programmatic"]] | None = None
    asynchronous: bool | None = Field(None, alias="async")


class ComputerTool(Shape):
    type: Literal["computer"]


class ComputerPreviewTool(Shape):
    type: Literal["computer_use_preview"]
    display_width: Annotated[int, Field(gt=0)]
    display_height: Annotated[int, Field(gt=0)]
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]


Tool = Annotated[FunctionTool | ComputerTool | ComputerPreviewTool, Field(discriminator="type")]


class ReasoningConfig(Shape):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class TextConfig(Shape):
    format: dict[str, JsonValue] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class StreamOptions(Shape):
    """How an answer is streamed."""

    include_obfuscation: bool | None = None


class ContextManagement(Shape):
    type: Literal["compaction"]
    compact_threshold: Annotated[int, Field(ge=1000)] | None = None


class ImageConfig(Shape):
    context_compression: Literal["auto", "enabled", "disabled"] | None = None


class CacheOptions(Shape):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None
    prewarm: bool | None = None
    comparison_response_id: str | None = None


class ConversationParam(Shape):
    id: str


class RequestShape(Shape):
    """What both endpoints take."""

    model: Annotated[str, Field(min_length=1)]
    metadata: Metadata | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: CacheOptions | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    safety_identifier: str | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    stream: bool | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    user: str | None = None


class ResponsesRequest(RequestShape):
    """What ``POST /responses`` takes."""

    input: (
        Annotated[Annotated[Text, Tag("~text")] | Annotated[list[Item], Tag("~list")], Discriminator(text_or_list)]
        | None
    ) = None
    instructions: Text | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, JsonValue] | None = None
    background: Literal[False] | None = None
    context_management: list[ContextManagement] | None = None
    conversation: str | ConversationParam | None = None
    image: ImageConfig | None = None
    include: list[Includable] | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    max_tool_calls: int | None = None
    previous_response_id: str | None = None
    reasoning: ReasoningConfig | None = None
    stream_options: StreamOptions | None = None
    text: TextConfig | None = None
    truncation: Literal["auto", "disabled"] | None = None


_RESPONSES = TypeAdapter(ResponsesRequest)


def check_responses_shape(body: JsonValue) -> None:
    """Checks that a body has the fields of ``POST /responses`` and no others.

    Raises:
        OpenAIError: 400, with the first thing that is wrong and where it stands.
    """
    first_problem(_RESPONSES.validate_python, body)
