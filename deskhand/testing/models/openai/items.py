"""A request to the Responses API joined with what the server keeps of the conversation."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from deskhand.testing.models.wire import as_dict, as_list, as_text

from .errors import OpenAIError, refused
from .images import SentImage
from .profiles import OpenAIModel

__all__ = [
    "Conversation",
    "Json",
    "PlacedImage",
    "PlacedItem",
    "Stored",
    "fingerprint",
    "images_of",
    "input_items",
    "kind_of",
    "parts_of",
]

Json = dict[str, JsonValue]
MODEL_ITEMS = frozenset({"reasoning", "function_call", "computer_call", "compaction"})


def kind_of(item: Json) -> str:
    """Returns the type of an input item; a message need not say that it is one."""
    return as_text(item.get("type")) or "message"


def parts_of(content: JsonValue) -> list[Json]:
    """Returns the parts of a content; a string counts as one part of text."""
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [as_dict(part) for part in as_list(content)]


@dataclass(frozen=True, slots=True)
class PlacedItem:
    """An item and where it stands: ``param`` is empty for an item that the server kept."""

    param: str
    raw: Json

    @property
    def kind(self) -> str:
        """The type of the item."""
        return kind_of(self.raw)

    @property
    def of_model(self) -> bool:
        """Whether the model said it."""
        return self.kind in MODEL_ITEMS or (self.kind == "message" and self.raw.get("role") == "assistant")


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image of an item and where it stands.

    Attributes:
        param: Where the part stands that holds it.
        part: That part.
    """

    param: str
    part: Json

    @property
    def url(self) -> str:
        """Its URL; empty where there is none."""
        return as_text(self.part.get("image_url"))

    @property
    def detail(self) -> str:
        """How closely the model looks at it; ``auto`` where nothing is said."""
        return as_text(self.part.get("detail")) or "auto"


def images_of(item: PlacedItem) -> list[PlacedImage]:
    """Returns the images of an item in order."""
    if item.kind == "computer_call_output":
        return [PlacedImage(f"{item.param}.output", as_dict(item.raw.get("output")))]
    field = "output" if item.kind == "function_call_output" else "content"
    parts = enumerate(parts_of(item.raw.get(field)))
    return [PlacedImage(f"{item.param}.{field}[{i}]", part) for i, part in parts if part.get("type") == "input_image"]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request of the right shape, with the items that the server kept before those that it brings.

    Attributes:
        params: The body as it was sent.
        profile: The model that it goes to.
        items: The whole conversation.
        sent: What its images turned out to be, by the identity of the part that holds each.
    """

    params: Json
    profile: OpenAIModel
    items: Sequence[PlacedItem]
    sent: dict[int, SentImage] = field(default_factory=dict)

    @property
    def tools(self) -> list[Json]:
        """The tools as they were sent."""
        return [as_dict(tool) for tool in as_list(self.params.get("tools"))]

    @property
    def stores(self) -> bool:
        """Whether the answer is kept."""
        return self.params.get("store") is not False


def input_items(value: JsonValue) -> list[PlacedItem]:
    """Returns the items of ``input``; a string is one user message."""
    if isinstance(value, str):
        return [PlacedItem("input", {"role": "user", "content": value})]
    return [PlacedItem(f"input[{index}]", as_dict(item)) for index, item in enumerate(as_list(value))]


class Stored:
    """The answers that the server keeps, and the items that it has issued.

    Args:
        remember: How many answers are kept.
    """

    def __init__(self, *, remember: int = 4096) -> None:
        self._remember = remember
        self._responses: OrderedDict[str, list[Json]] = OrderedDict()
        self._items: OrderedDict[str, bytes] = OrderedDict()
        self._reasons: dict[str, str] = {}

    def forget(self) -> None:
        """Forgets every answer."""
        self._responses.clear()
        self._reasons.clear()

    def history(self, response_id: JsonValue) -> list[PlacedItem]:
        """Returns the conversation up to an answer and with it.

        Raises:
            OpenAIError: 400 where no such answer is kept.
        """
        if response_id is None:
            return []
        kept = self._responses.get(as_text(response_id))
        if kept is None:
            message = f"Previous response with id '{response_id}' not found."
            raise OpenAIError(400, message, param="previous_response_id", code="previous_response_not_found")
        return [PlacedItem("", item) for item in kept]

    def keep(self, response_id: str, history: Sequence[PlacedItem], output: Sequence[Json], *, whole: bool) -> None:
        """Keeps an answer.

        Args:
            response_id: Its id.
            history: The conversation that it answers.
            output: Its items.
            whole: Whether the request asked to have it kept; else only what was issued is remembered.
        """
        for item in output:
            self._items[as_text(item.get("id"))] = fingerprint(item)
        while len(self._items) > self._remember * 8:
            self._items.popitem(last=False)
        if not whole:
            return
        self._responses[response_id] = [*(item.raw for item in history), *output]
        for before, after in itertools.pairwise(output):
            if before.get("type") == "reasoning":
                self._reasons[as_text(after.get("id"))] = as_text(before.get("id"))
        while len(self._responses) > self._remember:
            self._responses.popitem(last=False)

    def issued(self, item_id: str) -> bytes | None:
        """Returns the fingerprint of an item that was issued under this id."""
        return self._items.get(item_id)

    def reasoning_of(self, item_id: str) -> str | None:
        """Returns the id of the reasoning that an item followed, where the server keeps both."""
        return self._reasons.get(item_id)

    def keeps(self, item_id: str) -> bool:
        """Whether the server keeps the item with its answer."""
        return self._kept(item_id) is not None

    def resolve(self, item: PlacedItem) -> PlacedItem:
        """Returns the item that a reference stands for, and any other item as it is.

        Raises:
            OpenAIError: 400 where no such item is kept.
        """
        if item.kind != "item_reference":
            return item
        item_id = as_text(item.raw.get("id"))
        kept = self._kept(item_id)
        if kept is None:
            raise refused("input", f"Item with id '{item_id}' not found.")
        return PlacedItem("", kept)

    def _kept(self, item_id: str) -> Json | None:
        kept = (item for items in reversed(self._responses.values()) for item in reversed(items))
        return next((item for item in kept if item.get("id") == item_id), None)


def fingerprint(item: Json) -> bytes:
    """Returns what must be the same when an item comes back: everything that the model said."""
    told = {
        key: value
        for key, value in item.items()
        if value is not None and key not in {"status", "type", "encrypted_content"}
    }
    if kind_of(item) == "message":
        told["content"] = [
            {key: value for key, value in part.items() if key in {"type", "text", "refusal"}}
            for part in parts_of(item.get("content"))
        ]
    if not told.get("pending_safety_checks"):
        told.pop("pending_safety_checks", None)
    data = json.dumps(told, sort_keys=True, ensure_ascii=False).encode(errors="surrogatepass")
    return hashlib.blake2b(data, digest_size=16).digest()
