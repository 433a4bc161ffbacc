"""What the model sees of a request to the Messages API."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from .conversation import Conversation, Json, Turn, blocks_of
from .profiles import ModelProfile
from .script import ModelView, SeenImage, SeenResult
from .tool_rules import enabled_members
from .wire import as_dict, as_text

__all__ = ["view_of"]


def view_of(conversation: Conversation, profile: ModelProfile) -> ModelView:
    """Returns what the model sees of a request that keeps all rules."""
    turns = conversation.turns()
    last = turns[-1].blocks if turns[-1].role == "user" else []
    return ModelView(
        model=conversation.model,
        params=dict(conversation.params),
        system="\n".join(as_text(b.get("text")) for b in blocks_of({"content": conversation.system})),
        tools={as_text(tool.get("name")) or as_text(tool.get("type")): tool for tool in conversation.tools},
        members=enabled_members(conversation.tools),
        messages=tuple(conversation.messages),
        turn=sum(1 for turn in turns if turn.role == "assistant"),
        text="\n".join(as_text(block.raw.get("text")) for block in last if block.type == "text"),
        results=tuple(_result(block.raw, turns, profile) for block in last if block.type == "tool_result"),
        frame=_frame(turns, profile),
    )


def _frame(turns: Sequence[Turn], profile: ModelProfile) -> SeenImage | None:
    for turn in reversed(turns):
        for block in reversed(turn.blocks):
            inner = blocks_of(block.raw) if block.type == "tool_result" else [block.raw]
            for child in reversed(inner):
                if child.get("type") == "image":
                    return _image(child, profile)
    return None


def _image(block: Json, profile: ModelProfile) -> SeenImage:
    source = as_dict(block.get("source"))
    data = base64.b64decode(as_text(source.get("data")))
    return SeenImage(as_text(source.get("media_type")), data, profile.images.fit)


def _result(raw: Json, turns: Sequence[Turn], profile: ModelProfile) -> SeenResult:
    call_id = as_text(raw.get("tool_use_id"))
    blocks = blocks_of(raw)
    images = [block for block in blocks if block.get("type") == "image"]
    return SeenResult(
        call_id,
        next((name for known, name in _calls(turns) if known == call_id), ""),
        "\n".join(as_text(block.get("text")) for block in blocks if block.get("type") == "text"),
        raw.get("is_error") is True,
        _image(images[-1], profile) if images else None,
    )


def _calls(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    called = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    blocks = called.of_type("tool_use") if called else []
    return [(as_text(block.raw.get("id")), _name(block.raw)) for block in blocks]


def _name(call: Json) -> str:
    """The member or tool that is called; of an older computer tool, the action."""
    name = as_text(call.get("name"))
    action = as_text(as_dict(call.get("input")).get("action"))
    return action if name == "computer" and action else name
