"""The shapes of the items of a conversation with the Responses API."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, JsonValue, Tag

__all__ = ["CacheBreakpoint", "ImageUrl", "Item", "Name", "Shape", "Text", "text_or_list"]

MAX_TEXT = 10_485_760
"""The longest string of a request, in characters, as the API's own error says."""

MAX_IMAGE_URL = 20_971_520
"""The longest image URL, in characters, as the API's own error says."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]
ImageUrl = Annotated[str, Field(max_length=MAX_IMAGE_URL)]
Identifier = Annotated[str, Field(min_length=1, max_length=64)]
Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)]
Status = Literal["in_progress", "completed", "incomplete"]


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
