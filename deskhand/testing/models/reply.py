"""From what the script says to the message that the API answers with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from .conversation import Conversation, Json, PrefixDigest, Prompt, canonical
from .profiles import BINDING_BETA, ModelProfile
from .script import ComputerCall, FakeTurn, RedactedThinking, Refusal, ScriptError, Text, Thinking, ToolUse
from .thinking import active_thinking, sign
from .tool_rules import older_computer
from .usage import InputUsage, output_tokens, text_tokens
from .wire import as_dict, as_text

__all__ = ["CheckedRequest", "Reply", "compose"]

OPENAI_REASONS = frozenset({"content_filter", "failed"})


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A request that keeps all rules.

    Attributes:
        conversation: The request, joined with its thread.
        profile: The model that it goes to.
        prompt: What the model reads.
        transformations: What became of its thinking blocks.
    """

    conversation: Conversation
    profile: ModelProfile
    prompt: Prompt
    transformations: Sequence[Json] = ()

    @property
    def dropped(self) -> frozenset[str]:
        """The places of the blocks that the model does not get to see."""
        return frozenset(as_text(e["path"]) for e in self.transformations if e["type"] == "thinking_dropped")


@dataclass(frozen=True, slots=True)
class Reply:
    """A message of the model, and the broken arguments that some of its calls are streamed with."""

    message: Json
    content: list[Json]
    raw_inputs: dict[int, str]


def compose(turn: FakeTurn, request: CheckedRequest, usage: InputUsage, message_id: str) -> Reply:
    """Returns the message for a turn of the script, and adds it to the digest of the request's prompt.

    Args:
        turn: What the script says.
        request: What it answers.
        usage: What the request cost.
        message_id: The id of the answer.

    Raises:
        ScriptError: The request forbids what the turn does.
    """
    conversation, profile, digest = request.conversation, request.profile, request.prompt.digest
    _check_turn(turn, conversation)
    settings = active_thinking(conversation.params, profile)
    content: list[Json] = []
    raw_inputs: dict[int, str] = {}
    thought = 0
    made: Json
    for block in turn.blocks:
        if isinstance(block, Thinking | RedactedThinking):
            if settings is None:
                continue
            made = _signed(block, profile, digest, shown=_shows(settings, profile))
            thought += text_tokens(block.text) if isinstance(block, Thinking) else 0
        elif isinstance(block, Text):
            made = {"type": "text", "text": block.text}
        elif isinstance(block, ToolUse):
            made = _call(block, digest, older=older_computer(conversation.tools) is not None)
            if block.raw_input is not None:
                raw_inputs[len(content)] = block.raw_input
        digest.add("assistant", canonical(made, conversation.digests))
        content.append(made)
    answered = output_tokens([block for block in content if block["type"] != "thinking"]) + thought
    message = _message(turn, conversation, content, message_id)
    message["usage"] = {
        **usage.fields(),
        "output_tokens": answered,
        "output_tokens_details": {"thinking_tokens": thought},
        "service_tier": "standard",
    }
    if BINDING_BETA in conversation.betas:
        entries: list[JsonValue] = list(request.transformations)
        message["input_transformations"] = entries
    return Reply(message, content, raw_inputs)


def _check_turn(turn: FakeTurn, conversation: Conversation) -> None:
    foreign = next((block for block in turn.blocks if isinstance(block, ComputerCall | Refusal)), None)
    if foreign is not None or turn.reason in OPENAI_REASONS:
        told = type(foreign).__name__ if foreign is not None else f"stop reason {turn.reason!r}"
        raise ScriptError(f"the script says what only OpenAI's API has: {told}")
    choice = as_dict(conversation.params.get("tool_choice"))
    if choice.get("type") == "none" and turn.calls:
        raise ScriptError("the script calls a tool, and the request's tool_choice is none")
    if choice.get("disable_parallel_tool_use") is True and len(turn.calls) > 1:
        raise ScriptError(f"the script calls {len(turn.calls)} tools, and the request disables parallel tool use")


def _shows(settings: Json, profile: ModelProfile) -> bool:
    display = as_text(settings.get("display"))
    return display != "omitted" if display else profile.shows_thinking


def _signed(block: Thinking | RedactedThinking, profile: ModelProfile, digest: PrefixDigest, *, shown: bool) -> Json:
    if isinstance(block, RedactedThinking):
        return {"type": "redacted_thinking", "data": sign(profile.name, digest.value, "")}
    text = block.text if shown else ""
    return {"type": "thinking", "thinking": text, "signature": sign(profile.name, digest.value, text)}


def _call(block: ToolUse, digest: PrefixDigest, *, older: bool) -> Json:
    # Made from all that was said before, an id is unique in its conversation, also where two fakes play parts of it.
    made: Json = {
        "type": "tool_use",
        "id": block.id if block.id is not None else f"toolu_{digest.value[:24]}",
        "name": block.name,
        "input": dict(block.input),
    }
    if older and block.toolset_name == "computer":  # the same script plays to whichever computer tool a request offers
        made["name"], made["input"] = "computer", {"action": block.name, **block.input}
    elif block.toolset_name is not None:
        made["toolset_name"] = block.toolset_name
    return made


def _message(turn: FakeTurn, conversation: Conversation, content: list[Json], message_id: str) -> Json:
    blocks: list[JsonValue] = list(content)
    message: Json = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": conversation.model,
        "content": blocks,
        "stop_reason": turn.reason,
        "stop_sequence": turn.stop_sequence,
    }
    if turn.stop_details is not None:
        message["stop_details"] = dict(turn.stop_details)
    if conversation.params.get("context_management") is not None:
        message["context_management"] = {"applied_edits": []}
    return message
