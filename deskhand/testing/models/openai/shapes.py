"""The shape of a request to the Responses API: which fields exist, and what each may hold.

The models refuse every field they do not declare, as the API does. They only check; the rules read the JSON itself, so
that nothing is lost or reordered between what was sent and what is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag, TypeAdapter, ValidationError

from deskhand.testing.models.script import ACTION_FIELDS

from .errors import OpenAIError, refused

__all__ = [
    "CacheBreakpoint",
    "ImageUrl",
    "Name",
    "RequestShape",
    "Shape",
    "StreamOptions",
    "Text",
    "check_responses_shape",
    "first_problem",
    "text_or_list",
]

MAX_TEXT = 10_485_760
"""The longest string of a request, in characters, as the API's own error says."""

MAX_IMAGE_URL = 20_971_520
"""The longest image URL, in characters, as the API's own error says."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]
ImageUrl = Annotated[str, Field(max_length=MAX_IMAGE_URL)]
Identifier = Annotated[str, Field(min_length=1, max_length=64)]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)]
Metadata = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]
Status = Literal["in_progress", "completed", "incomplete"]
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


class Shape(BaseModel):
    """A JSON object with exactly the declared fields."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)


def text_or_list(value: object) -> str:
    """Tells a string from a list. The tags begin with ``~``: they are no places in a request."""
    return "~text" if isinstance(value, str) else "~list"


class CacheBreakpoint(Shape):
    """Marks the end of a prefix to cache."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class InputText(Shape):
    type: Literal["input_text"]
    text: Text
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputImage(Shape):
    type: Literal["input_image"]
    image_url: ImageUrl | None = None
    file_id: str | None = None
    detail: Literal["low", "high", "auto", "original"] | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class InputFile(Shape):
    type: Literal["input_file"]
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


class OutputText(Shape):
    type: Literal["output_text"]
    text: Text
    annotations: list[JsonValue] | None = None
    logprobs: list[JsonValue] | None = None


class RefusalPart(Shape):
    type: Literal["refusal"]
    refusal: Text


InputPart = Annotated[InputText | InputImage | InputFile, Discriminator("type")]
OutputPart = Annotated[OutputText | RefusalPart, Discriminator("type")]
InputContent = Annotated[
    Annotated[Text, Tag("~text")] | Annotated[list[InputPart], Tag("~list")], Discriminator(text_or_list)
]
OutputContent = Annotated[
    Annotated[Text, Tag("~text")] | Annotated[list[OutputPart], Tag("~list")], Discriminator(text_or_list)
]


class InputMessage(Shape):
    type: Literal["message"] | None = None
    role: Literal["user", "system", "developer"]
    content: InputContent
    id: str | None = None
    status: Status | None = None


class AssistantMessage(Shape):
    type: Literal["message"] | None = None
    role: Literal["assistant"]
    content: OutputContent
    id: Annotated[str, Field(pattern=r"^msg")] | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class SummaryText(Shape):
    type: Literal["summary_text"]
    text: Text


class ReasoningText(Shape):
    type: Literal["reasoning_text"]
    text: Text


class Reasoning(Shape):
    type: Literal["reasoning"]
    id: Annotated[str, Field(pattern=r"^rs")] | None = None
    summary: list[SummaryText]
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


class FunctionCall(Shape):
    type: Literal["function_call"]
    call_id: Identifier
    name: Name
    arguments: Text
    id: Annotated[str, Field(pattern=r"^fc")] | None = None
    status: Status | None = None
    namespace: str | None = None
    caller: dict[str, JsonValue] | None = None


class FunctionCallOutput(Shape):
    type: Literal["function_call_output"]
    call_id: Identifier
    output: InputContent
    id: str | None = None
    name: str | None = None
    namespace: str | None = None
    caller: dict[str, JsonValue] | None = None
    status: Status | None = None


class Point(Shape):
    x: int
    y: int


class Click(Shape):
    type: Literal["click"]
    button: Literal["left", "right", "wheel", "back", "forward"]
    x: int
    y: int
    keys: list[str] | None = None


class DoubleClick(Shape):
    type: Literal["double_click"]
    x: int
    y: int
    keys: list[str] | None = None


class Drag(Shape):
    type: Literal["drag"]
    path: list[Point]
    keys: list[str] | None = None


class Keypress(Shape):
    type: Literal["keypress"]
    keys: list[str]


class Move(Shape):
    type: Literal["move"]
    x: int
    y: int
    keys: list[str] | None = None


class Scroll(Shape):
    type: Literal["scroll"]
    x: int
    y: int
    scroll_x: int
    scroll_y: int
    keys: list[str] | None = None


class TypeText(Shape):
    type: Literal["type"]
    text: Text


class Plain(Shape):
    type: Literal["screenshot", "wait"]


Action = Annotated[
    Click | DoubleClick | Drag | Keypress | Move | Scroll | TypeText | Plain, Field(discriminator="type")
]


class SafetyCheck(Shape):
    id: str
    code: str | None = None
    message: str | None = None


class ComputerCall(Shape):
    type: Literal["computer_call"]
    id: Annotated[str, Field(pattern=r"^cu")] | None = None
    call_id: Identifier
    action: Action | None = None
    actions: list[Action] | None = None
    pending_safety_checks: list[SafetyCheck] | None = None
    status: Status | None = None


class Screenshot(Shape):
    type: Literal["computer_screenshot"]
    image_url: ImageUrl | None = None
    file_id: str | None = None
    detail: Literal["low", "high", "auto", "original"] | None = None


class ComputerCallOutput(Shape):
    type: Literal["computer_call_output"]
    call_id: Identifier
    output: Screenshot
    id: str | None = None
    acknowledged_safety_checks: list[SafetyCheck] | None = None
    status: Status | None = None


class ItemReference(Shape):
    type: Literal["item_reference"]
    id: str


def _item_tag(value: object) -> str:
    if not isinstance(value, dict):
        return "~user"
    kind = value.get("type")
    if kind in (None, "message"):
        return "~assistant" if value.get("role") == "assistant" else "~user"
    return f"~{kind}"


Item = Annotated[
    Annotated[InputMessage, Tag("~user")]
    | Annotated[AssistantMessage, Tag("~assistant")]
    | Annotated[Reasoning, Tag("~reasoning")]
    | Annotated[FunctionCall, Tag("~function_call")]
    | Annotated[FunctionCallOutput, Tag("~function_call_output")]
    | Annotated[ComputerCall, Tag("~computer_call")]
    | Annotated[ComputerCallOutput, Tag("~computer_call_output")]
    | Annotated[ItemReference, Tag("~item_reference")],
    Discriminator(_item_tag),
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
JSON_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    type(None): "null",
}
VARIANTS = frozenset(
    {
        "input_text",
        "input_image",
        "input_file",
        "output_text",
        "refusal",
        "summary_text",
        "reasoning_text",
        "function",
        "computer",
        "computer_use_preview",
    }
    | set(ACTION_FIELDS)
)
"""Tags of unions, which stand in pydantic's places and not in the vendor's."""

WANTED: Mapping[str, str] = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def check_responses_shape(body: JsonValue) -> None:
    """Checks that a body has the fields of ``POST /responses`` and no others.

    Raises:
        OpenAIError: 400, with the first thing that is wrong and where it stands.
    """
    first_problem(_RESPONSES.validate_python, body)


def first_problem(
    validate: Callable[[JsonValue], object], body: JsonValue, *, variants: Collection[str] = VARIANTS
) -> None:
    """Validates a body.

    Args:
        validate: Raises what is wrong.
        body: The body.
        variants: The tags of the models' unions that do not begin with ``~``.

    Raises:
        OpenAIError: 400, with the first thing that is wrong and where it stands, in the vendor's words.
    """
    try:
        validate(body)
    except ValidationError as error:
        raise _problem(error, variants) from error


def _problem(error: ValidationError, variants: Collection[str]) -> OpenAIError:
    first = error.errors(include_url=False)[0]
    param, tagged = "", False
    for part in first["loc"]:
        if isinstance(part, int):
            param += f"[{part}]"
        elif not part.startswith("~") and not (tagged and part in variants):
            param += f".{part}" if param else part
        tagged = isinstance(part, int) or part == "action"  # where pydantic puts the tag of a union
    kind, given, context = first["type"], first["input"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return refused(param, f"Unknown parameter: '{param}'.", "unknown_parameter")
    if kind in {"missing", "union_tag_not_found"}:
        missing = param if kind == "missing" else f"{param}.type"
        return refused(missing, f"Missing required parameter: '{missing}'.", "missing_required_parameter")
    if kind in WANTED:
        got = JSON_NAMES.get(type(given), "something else")
        message = f"Invalid type for '{param}': expected {WANTED[kind]}, but got {got} instead."
        return refused(param, message, "invalid_type")
    if kind in {"literal_error", "union_tag_invalid"}:
        expected = str(context.get("expected") or context.get("expected_tags")).replace("~", "").replace(" or ", ", ")
        told = given.get("type") if isinstance(given, dict) else given
        return refused(param, f"Invalid value: '{told}'. Supported values are: {expected}.", "invalid_value")
    if kind == "string_too_long":
        limit = context.get("max_length")
        message = (
            f"Invalid '{param}': string too long. Expected a string with maximum length {limit}, but got a string "
            f"with length {len(str(given))} instead."
        )
        return refused(param, message, "string_above_max_length")
    return refused(param, f"Invalid '{param}': {first['msg']}.", "invalid_value")
