"""A conversation as the rules read it: messages grouped into turns, and one canonical form of every block.

The canonical form is what signatures and the prompt cache compare. It leaves out what changes no meaning: cache marks,
absent fields sent as null, text sent as a string instead of as a block.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import JsonValue

from .images import ImageDigests
from .wire import as_dict, as_list, as_text

__all__ = [
    "Conversation",
    "PlacedBlock",
    "PrefixDigest",
    "Prompt",
    "Segment",
    "Turn",
    "blocks_of",
    "canonical",
    "read_prompt",
]

Json = dict[str, JsonValue]


@dataclass(frozen=True)
class Conversation:
    """A request of the right shape, joined with what a server-held thread adds to it.

    Attributes:
        params: The body as it was sent.
        betas: The values of the ``anthropic-beta`` header.
        system: The system prompt, from the request or its thread.
        tools: The tools, from the request or its thread.
        messages: The whole conversation.
        held: How many of the messages came from a thread. They stand in no request, so places are counted after them.
        digests: The digests of its images.
    """

    params: Json
    betas: frozenset[str]
    system: JsonValue
    tools: list[Json]
    messages: list[Json]
    held: int = 0
    digests: ImageDigests = field(default_factory=ImageDigests)

    @property
    def model(self) -> str:
        """The model that the request names."""
        return as_text(self.params.get("model"))

    def turns(self) -> list[Turn]:
        """Returns the messages of user and assistant, neighbours of one role joined, system messages left out."""
        return self._turns

    @cached_property
    def _turns(self) -> list[Turn]:
        joined: list[Turn] = []
        for place, message in enumerate(self.messages):
            role = as_text(message.get("role"))
            if role == "system":
                continue
            path = f"messages.{place - self.held}"
            blocks = [PlacedBlock(f"{path}.content.{index}", block) for index, block in enumerate(blocks_of(message))]
            if joined and joined[-1].role == role:
                joined[-1].blocks.extend(blocks)
            else:
                joined.append(Turn(role, path, blocks))
        return joined


@dataclass(frozen=True, slots=True)
class PlacedBlock:
    """A content block and where it stands in the request."""

    path: str
    raw: Json

    @property
    def type(self) -> str:
        """The type of the block."""
        return as_text(self.raw.get("type"))


@dataclass(frozen=True, slots=True)
class Turn:
    """What one role says before the other speaks."""

    role: str
    path: str
    blocks: list[PlacedBlock]

    def of_type(self, kind: str) -> list[PlacedBlock]:
        """Returns the blocks of one type."""
        return [block for block in self.blocks if block.type == kind]


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of the prompt in the order in which a model reads it.

    ``before`` is the digest of everything in front of the piece, ``after`` the digest with it.
    """

    path: str
    raw: Json
    before: str
    after: str


def blocks_of(holder: Mapping[str, JsonValue]) -> list[Json]:
    """Returns the blocks of a message or a tool result; a string counts as one text block."""
    content = holder.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [as_dict(block) for block in as_list(content)]


def canonical(block: Json, digests: ImageDigests) -> bytes:
    """Returns the form of a block that is the same wherever its meaning is the same."""
    return json.dumps(_meaning(block, digests), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )


def _meaning(block: Json, digests: ImageDigests) -> JsonValue:
    kind = as_text(block.get("type"))
    if kind == "image":
        source = as_dict(block.get("source"))
        return ["image", source.get("media_type"), digests.of(as_text(source.get("data")))]
    if kind == "tool_result":
        inner = [_meaning(child, digests) for child in blocks_of(block)]
        return ["tool_result", block.get("tool_use_id"), block.get("toolset_name"), bool(block.get("is_error")), inner]
    return {key: value for key, value in block.items() if key not in {"cache_control", "caller"} and value is not None}


class PrefixDigest:
    """A digest that grows with the conversation, and with the answer to it."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def add(self, label: str, data: bytes) -> None:
        """Takes in one more piece."""
        self._hash.update(f"{label}:{len(data)}:".encode())
        self._hash.update(data)

    @property
    def value(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Prompt:
    """Everything a model reads, in its order: tools, system prompt, messages; and the digest that an answer adds to."""

    segments: list[Segment]
    digest: PrefixDigest


def read_prompt(conversation: Conversation) -> Prompt:
    """Returns a conversation piece by piece, with the digests around each."""
    state = PrefixDigest()
    pieces: list[Segment] = []
    for path, label, raw in _pieces(conversation):
        before = state.value
        state.add(label, canonical(raw, conversation.digests))
        pieces.append(Segment(path, raw, before, state.value))
    return Prompt(pieces, state)


def _pieces(conversation: Conversation) -> Iterator[tuple[str, str, Json]]:
    for index, tool in enumerate(conversation.tools):
        yield f"tools.{index}", "tool", tool
    system = {"content": conversation.system if conversation.system is not None else []}
    for index, block in enumerate(blocks_of(system)):
        yield f"system.{index}", "system", block
    for place, message in enumerate(conversation.messages):
        role = as_text(message.get("role"))
        for index, block in enumerate(blocks_of(message)):
            yield f"messages.{place - conversation.held}.content.{index}", role, block
