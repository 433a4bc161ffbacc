"""Thinking blocks are signed, and the signature covers everything before the block.

A block that was edited, or whose conversation was edited, pruned or rebuilt, is thereby found out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from pydantic import JsonValue

from .conversation import Conversation, Json, Segment
from .profiles import ModelProfile
from .wire import ApiError, as_dict, as_text, invalid

__all__ = ["SignedBlocks", "active_thinking", "sign", "verify"]

_KEY = b"deskhand fake"


def active_thinking(params: Json, profile: ModelProfile) -> Json | None:
    """Returns the thinking settings of a request, None where the model will not think."""
    thinking = as_dict(params.get("thinking"))
    kind = as_text(thinking.get("type"))
    if kind == "disabled" or (not kind and not profile.thinks_by_default):
        return None
    return thinking


def sign(model: str, before: str, shown: str) -> str:
    """Returns the signature of a thinking block.

    Args:
        model: The model that thinks.
        before: The digest of everything in front of the block.
        shown: The text of the block as it is returned.
    """
    fields = f"{model}|{before}|{_digest(shown)}"
    return base64.b64encode(f"{fields}|{_digest(fields)}".encode()).decode()


def _digest(value: str) -> str:
    return hashlib.blake2b(value.encode(errors="surrogatepass"), key=_KEY, digest_size=12).hexdigest()


def _read(signature: str) -> tuple[str, str, str] | None:
    try:
        fields = base64.b64decode(signature, validate=True).decode().split("|")
    except (binascii.Error, ValueError):
        return None
    if len(fields) != 4 or _digest("|".join(fields[:3])) != fields[3]:
        return None
    return fields[0], fields[1], fields[2]


def verify(conversation: Conversation, profile: ModelProfile, prompt: Sequence[Segment]) -> list[Json]:
    """Checks the signature of every thinking block of a conversation.

    Returns:
        What the API reports as ``input_transformations``: the blocks that were left out, or let pass unbound.

    Raises:
        ApiError: 400 for a block that was changed, or whose prefix was, on a model that is bound to it.
    """
    binding = as_dict(as_dict(conversation.params.get("thinking")).get("block_binding"))
    drops = binding.get("prefix_mismatch_behavior") == "drop_block"
    report: list[Json] = []
    for segment in prompt:
        kind = segment.raw.get("type")
        if kind not in {"thinking", "redacted_thinking"}:
            continue
        field = "signature" if kind == "thinking" else "data"
        signed = _read(as_text(segment.raw.get(field)))
        shown = as_text(segment.raw.get("thinking"))
        if signed is None or signed[2] != _digest(shown):
            raise invalid(segment.path, f"Invalid `{field}` in `{kind}` block")
        model, before, _ = signed
        if model != profile.name:
            report.append(_entry("thinking_dropped", segment.path, "model_binding_mismatch"))
        elif before != segment.before:
            if profile.prefix_bound and not drops:
                raise invalid(
                    segment.path,
                    f"`{kind}` block does not belong to this conversation: the messages, tools or system prompt before "
                    "it have changed since it was created. Send the conversation exactly as it was.",
                )
            outcome = "thinking_dropped" if profile.prefix_bound else "thinking_mismatch_allowed"
            report.append(_entry(outcome, segment.path, "prefix_binding_mismatch"))
    return report


def _entry(kind: str, path: str, reason: str) -> Json:
    return {"type": kind, "path": path, "reason": reason}


class SignedBlocks:
    """Remembers which thinking blocks went out with which tool calls, to notice when the latest ones come back missing.

    Args:
        remember: How many turns are remembered.
    """

    def __init__(self, *, remember: int = 4096) -> None:
        self._remember = remember
        self._by_call: OrderedDict[str, tuple[str, list[JsonValue]]] = OrderedDict()

    def add(self, model: str, content: Sequence[Json]) -> None:
        """Remembers one answer of the model."""
        call = next((as_text(block.get("id")) for block in content if block.get("type") == "tool_use"), None)
        marks = _marks(content)
        if call is None or not marks:
            return
        self._by_call[call] = (model, marks)
        if len(self._by_call) > self._remember:
            self._by_call.popitem(last=False)

    def check(self, conversation: Conversation, profile: ModelProfile) -> None:
        """Checks that the latest assistant message still has its thinking blocks.

        Raises:
            ApiError: 400 where one is missing.
        """
        turn = next((turn for turn in reversed(conversation.turns()) if turn.role == "assistant"), None)
        calls = turn.of_type("tool_use") if turn else []
        if turn is None or not calls or active_thinking(conversation.params, profile) is None:
            return
        model, marks = self._by_call.get(as_text(calls[0].raw.get("id")), ("", []))
        found = _marks([block.raw for block in turn.blocks])
        if model == profile.name and not _holds(found, marks):
            raise ApiError(
                400,
                f"{turn.path}.content: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot "
                "be modified. These blocks must remain as they were in the original response.",
            )


def _holds(found: list[JsonValue], marks: list[JsonValue]) -> bool:
    # A turn that was paused and resumed is one message with the thinking of both halves.
    return any(found[start : start + len(marks)] == marks for start in range(len(found)))


def _marks(content: Sequence[Json]) -> list[JsonValue]:
    fields = {"thinking": "signature", "redacted_thinking": "data"}
    return [block.get(fields[as_text(block["type"])]) for block in content if block.get("type") in fields]
