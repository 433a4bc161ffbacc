"""The shape of a request: which fields exist, and what each may hold.

The models refuse every field they do not declare, as the API does. They only check; the rules read the JSON itself, so
that nothing is lost or reordered between what was sent and what is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, TypeAdapter, ValidationError

from .profiles import BROWSER_TOOLSET, COMPUTER_TOOLSET
from .wire import ApiError, as_dict, as_list, as_text

__all__ = ["check_shape"]


class Shape(BaseModel):
    """A JSON object with exactly the declared fields."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


class CacheControl(Shape):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Text(Shape):
    type: Literal["text"]
    text: str
    cache_control: CacheControl | None = None
    citations: list[JsonValue] | None = None


class Base64Source(Shape):
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class Transformations(Shape):
    oversized_image: Literal["downsize", "error"] = "downsize"


class Image(Shape):
    type: Literal["image"]
    source: Base64Source
    cache_control: CacheControl | None = None
    transformations: Transformations | None = None


ResultContent = Annotated[Text | Image, Discriminator("type")]


def _content_tag(value: object) -> str:
    return "~string" if isinstance(value, str) else "~list"


class ToolResult(Shape):
    type: Literal["tool_result"]
    tool_use_id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    toolset_name: str | None = None
    content: (
        Annotated[
            Annotated[str, Tag("~string")] | Annotated[list[ResultContent], Tag("~list")], Discriminator(_content_tag)
        ]
        | None
    ) = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class ToolUse(Shape):
    type: Literal["tool_use"]
    id: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$")]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    input: dict[str, JsonValue]
    toolset_name: str | None = None
    caller: dict[str, JsonValue] | None = None
    cache_control: CacheControl | None = None


class Thinking(Shape):
    type: Literal["thinking"]
    thinking: str
    signature: str


class RedactedThinking(Shape):
    type: Literal["redacted_thinking"]
    data: str


Block = Annotated[Text | Image | ToolUse | ToolResult | Thinking | RedactedThinking, Discriminator("type")]


class Message(Shape):
    role: Literal["user", "assistant", "system"]
    content: Annotated[
        Annotated[str, Tag("~string")] | Annotated[list[Block], Tag("~list")], Discriminator(_content_tag)
    ]


class CustomTool(Shape):
    type: Literal["custom"] | None = None
    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
    description: str | None = None
    input_schema: dict[str, JsonValue]
    cache_control: CacheControl | None = None
    strict: bool | None = None
    defer_loading: bool | None = None
    allowed_callers: list[str] | None = None
    eager_input_streaming: bool | None = None
    input_examples: list[dict[str, JsonValue]] | None = None


class MemberConfig(Shape):
    enabled: bool | None = None
    defer_loading: bool | None = None


class ToolsetEntry(Shape):
    type: Literal["computer_toolset_20260801", "browser_toolset_20260801"]
    configs: dict[str, MemberConfig | None] | None = None
    cache_control: CacheControl | None = None
    allowed_callers: list[Literal["direct"]] | None = None


class OlderComputer(Shape):
    name: Literal["computer"]
    display_width_px: Annotated[int, Field(ge=1)]
    display_height_px: Annotated[int, Field(ge=1)]
    display_number: Annotated[int, Field(ge=0)] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None
    input_examples: list[dict[str, JsonValue]] | None = None
    allowed_callers: list[str] | None = None
    cache_control: CacheControl | None = None


class ComputerTool(OlderComputer):
    type: Literal["computer_20241022", "computer_20250124"]


class ZoomingComputerTool(OlderComputer):
    type: Literal["computer_20251124"]
    enable_zoom: bool | None = None


class VendorTool(Shape):
    type: Literal["bash_20250124", "text_editor_20250728"]
    name: Literal["bash", "str_replace_based_edit_tool"]
    cache_control: CacheControl | None = None
    max_characters: int | None = None
    strict: bool | None = None
    defer_loading: bool | None = None


_TOOL_TAGS = {
    COMPUTER_TOOLSET: "toolset",
    BROWSER_TOOLSET: "toolset",
    "computer_20241022": "computer",
    "computer_20250124": "computer",
    "computer_20251124": "zooming",
    "bash_20250124": "vendor",
    "text_editor_20250728": "vendor",
}


def _tool_tag(value: object) -> str:
    kind = value.get("type") if isinstance(value, dict) else None
    return "custom" if kind in (None, "custom") else _TOOL_TAGS.get(str(kind), str(kind))


Tool = Annotated[
    Annotated[CustomTool, Tag("custom")]
    | Annotated[ToolsetEntry, Tag("toolset")]
    | Annotated[ComputerTool, Tag("computer")]
    | Annotated[ZoomingComputerTool, Tag("zooming")]
    | Annotated[VendorTool, Tag("vendor")],
    Discriminator(_tool_tag),
]


class ToolChoice(Shape):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class BlockBinding(Shape):
    prefix_mismatch_behavior: Literal["error", "drop_block"] | None = None


class ThinkingConfig(Shape):
    type: Literal["adaptive", "enabled", "disabled", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None
    display: Literal["summarized", "omitted", "updates"] | None = None
    block_binding: BlockBinding | None = None


class Thread(Shape):
    type: Literal["create", "continue"]
    previous_message_id: str | None = None


class OutputConfig(Shape):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: dict[str, JsonValue] | None = None
    task_budget: dict[str, JsonValue] | None = None


class Metadata(Shape):
    user_id: Annotated[str, Field(max_length=512)] | None = None


class ContextManagement(Shape):
    edits: list[dict[str, JsonValue]] = []


class Diagnostics(Shape):
    previous_message_id: str | None = None


class CountRequest(Shape):
    """What ``count_tokens`` takes: a request without the fields that shape the answer."""

    model: Annotated[str, Field(min_length=1)]
    messages: list[Message]
    system: (
        Annotated[Annotated[str, Tag("~string")] | Annotated[list[Text], Tag("~list")], Discriminator(_content_tag)]
        | None
    ) = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    cache_control: CacheControl | None = None
    context_management: ContextManagement | None = None
    compaction: dict[str, JsonValue] | None = None
    output_config: OutputConfig | None = None
    speed: Literal["standard", "fast"] | None = None
    thread: Thread | None = None


class CreateRequest(CountRequest):
    """What ``POST /v1/messages`` takes."""

    max_tokens: Annotated[int, Field(ge=0)]
    stream: bool | None = None
    metadata: Metadata | None = None
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    inference_geo: str | None = None
    diagnostics: Diagnostics | None = None
    fallbacks: list[dict[str, JsonValue]] | Literal["default"] | None = None


_ADAPTERS: Mapping[bool, TypeAdapter[CountRequest] | TypeAdapter[CreateRequest]] = {
    False: TypeAdapter(CreateRequest),
    True: TypeAdapter(CountRequest),
}


def check_shape(body: JsonValue, *, counting: bool) -> None:
    """Checks that a body has the fields of its endpoint and no others.

    Raises:
        ApiError: 400, with the first thing that is wrong and where it stands.
    """
    try:
        _ADAPTERS[counting].validate_python(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # Tags that only steer the check itself are no places in the request.
        parts = [str(part) for part in first["loc"] if not str(part).startswith("~")]
        if parts[:1] == ["tools"] and len(parts) > 2:
            tool = as_dict(as_list(as_dict(body).get("tools"))[int(parts[1])])
            parts[2] = as_text(tool.get("type")) or "custom"
        place = ".".join(parts)
        text = first["msg"].replace("valid dictionary", "valid object").replace("_tool_tag()", "'type'")
        raise ApiError(400, f"{place}: {text}" if place else text) from error
