"""From what the script says to the response that the Responses API answers with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from deskhand.testing.models.script import (
    Block,
    ComputerCall,
    FakeTurn,
    RedactedThinking,
    Refusal,
    ScriptError,
    StopReason,
    Text,
    Thinking,
    ToolUse,
)
from deskhand.testing.models.wire import as_dict, as_text

from .items import Conversation, Json
from .profiles import COMPUTER_PREVIEW
from .reasoning import Sealed, seal, unseal
from .usage import Measured, spoken_tokens

__all__ = ["Answer", "check_turn", "compose", "ends_of", "written"]

INCOMPLETE: Mapping[StopReason, str] = {"max_tokens": "max_output_tokens", "content_filter": "content_filter"}
ENDS = frozenset({"end_turn", "tool_use", "failed", *INCOMPLETE})
FAILED: Json = {"code": "server_error", "message": "The model produced an error while it answered."}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the model."""

    response: Json
    output: list[Json]


def compose(turn: FakeTurn, conversation: Conversation, measured: Measured, number: int, now: float) -> Answer:
    """Returns the response for a turn of the script.

    Args:
        turn: What the script says.
        conversation: What it answers.
        measured: What the request cost.
        number: Tells this answer from every other of this fake.
        now: The time in seconds since the epoch.

    Raises:
        ScriptError: The model, or the request, does not have what the turn says.
    """
    check_turn(turn, conversation)
    output = _Output(turn, conversation, f"{measured.digest[:24]}{number:06d}").items()
    response = _response(conversation, output, measured, now)
    response["id"] = f"resp_{measured.digest[:24]}{number:06d}"
    _end(response, output, turn)
    return Answer(response, output)


def check_turn(turn: FakeTurn, conversation: Conversation) -> None:
    """Checks a turn against the request that it answers.

    Raises:
        ScriptError: The model, or the request, does not have what the turn says.
    """
    params = conversation.params
    if turn.reason not in ENDS:
        raise ScriptError(f"OpenAI's API has no stop reason {turn.reason!r}; it has {', '.join(sorted(ENDS))}")
    for call in turn.calls:
        if isinstance(call, ToolUse) and call.toolset_name is not None:
            raise ScriptError(
                f"the script uses {call.name!r} of Claude's toolset; OpenAI's has computer_call(action())"
            )
        if isinstance(call, ComputerCall):
            _check_computer(call, conversation)
    choice = params.get("tool_choice")
    if choice == "none" and turn.calls:
        raise ScriptError("the script calls a tool, and the request's tool_choice is none")
    forced = choice == "required" or as_dict(choice).get("type") in {"function", "computer", "computer_use_preview"}
    if forced and not turn.calls and turn.stop_reason is None:
        raise ScriptError("the script calls no tool, and the request's tool_choice asks for one")
    if params.get("parallel_tool_calls") is False and len(turn.calls) > 1:
        raise ScriptError(f"the script calls {len(turn.calls)} tools, and the request disables parallel tool calls")


def _check_computer(call: ComputerCall, conversation: Conversation) -> None:
    offered = {as_text(tool.get("type")) for tool in conversation.tools}
    if conversation.profile.computer not in offered:
        raise ScriptError("the script calls the computer tool, and the request offers none")
    if conversation.profile.computer == COMPUTER_PREVIEW and len(call.actions) != 1:
        raise ScriptError(f"{COMPUTER_PREVIEW} calls one action at a time, the script {len(call.actions)}")


def ends_of(turn: FakeTurn) -> tuple[str, JsonValue]:
    """Returns the status of a turn's response and its ``incomplete_details``."""
    if turn.reason == "failed":
        return "failed", None
    if turn.reason in INCOMPLETE:
        return "incomplete", {"reason": INCOMPLETE[turn.reason]}
    return "completed", None


def written(call: ToolUse) -> str:
    """Returns the arguments of a call as the model writes them."""
    if call.raw_input is not None:
        return call.raw_input
    return json.dumps(dict(call.input), separators=(",", ":"), ensure_ascii=False)


class _Output:
    """The items of an answer, made from the last to the first: reasoning says which item follows it."""

    def __init__(self, turn: FakeTurn, conversation: Conversation, key: str) -> None:
        self._turn = turn
        self._conversation = conversation
        self._key = key

    def items(self) -> list[Json]:
        made: list[Json] = []
        for index, block in reversed(list(enumerate(self._turn.blocks))):
            if isinstance(block, Thinking | RedactedThinking) and not self._reasons():
                continue
            item = self._item(index, block, as_text(made[-1]["id"]) if made else "")
            made.append(item)
        made.reverse()
        if made and self._turn.reason in INCOMPLETE and "status" in made[-1]:
            made[-1]["status"] = "incomplete"
        return made

    def _reasons(self) -> bool:
        effort = as_dict(self._conversation.params.get("reasoning")).get("effort")
        return self._conversation.profile.reasons and effort != "none"

    def _item(self, index: int, block: Block, follower: str) -> Json:
        item_key = f"{self._key}{index:02d}"
        if isinstance(block, Text | Refusal):
            return self._message(f"msg_{item_key}", index, block)
        if isinstance(block, ToolUse):
            return {
                "id": f"fc_{item_key}",
                "type": "function_call",
                "status": "completed",
                "arguments": written(block),
                "call_id": block.id if block.id is not None else f"call_{item_key}",
                "name": block.name,
            }
        if isinstance(block, ComputerCall):
            return self._computer_call(f"cu_{item_key}", f"call_{item_key}", block)
        return self._reasoning(f"rs_{item_key}", block, follower)

    def _message(self, item_id: str, index: int, block: Text | Refusal) -> Json:
        part: Json = {"type": "refusal", "refusal": block.text}
        if isinstance(block, Text):
            part = {"type": "output_text", "annotations": [], "logprobs": [], "text": block.text}
        item: Json = {"id": item_id, "type": "message", "status": "completed", "role": "assistant", "content": [part]}
        if self._conversation.profile.phases:
            more = any(isinstance(later, ToolUse | ComputerCall) for later in self._turn.blocks[index + 1 :])
            item["phase"] = "commentary" if more else "final_answer"
        return item

    def _computer_call(self, item_id: str, call_id: str, block: ComputerCall) -> Json:
        item: Json = {
            "id": item_id,
            "type": "computer_call",
            "status": "completed",
            "call_id": block.call_id if block.call_id is not None else call_id,
            "pending_safety_checks": [
                {"code": None, "message": None, **check} for check in block.pending_safety_checks
            ],
        }
        actions: list[JsonValue] = [dict(action) for action in block.actions]
        if self._conversation.profile.computer == COMPUTER_PREVIEW:
            return {**item, "action": actions[0]}
        return {**item, "actions": actions}

    def _reasoning(self, item_id: str, block: Thinking | RedactedThinking, follower: str) -> Json:
        text = block.text if isinstance(block, Thinking) else ""
        settings = as_dict(self._conversation.params.get("reasoning"))
        shown = bool(text) and (settings.get("summary") or settings.get("generate_summary"))
        sealed = Sealed(self._conversation.profile.name, item_id, follower, text)
        summary: list[JsonValue] = [{"type": "summary_text", "text": text}] if shown else []
        return {"id": item_id, "type": "reasoning", "encrypted_content": seal(sealed), "summary": summary}


def _end(response: Json, output: Sequence[Json], turn: FakeTurn) -> None:
    response["status"], response["incomplete_details"] = ends_of(turn)
    response["completed_at"] = response["created_at"] if response["status"] == "completed" else None
    if response["status"] == "failed":
        response["error"] = {**FAILED, **(turn.stop_details or {})}
        response["usage"] = None


def _response(conversation: Conversation, output: list[Json], measured: Measured, now: float) -> Json:
    params = conversation.params
    items: list[JsonValue] = list(output)
    reasoning = as_dict(params.get("reasoning"))
    text = as_dict(params.get("text"))
    return {
        "id": "",
        "object": "response",
        "created_at": int(now),
        "status": "completed",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": params.get("instructions"),
        "input_transformations": _removed(conversation),
        "max_output_tokens": params.get("max_output_tokens"),
        "max_tool_calls": params.get("max_tool_calls"),
        "model": conversation.profile.name,
        "output": items,
        "parallel_tool_calls": params.get("parallel_tool_calls") is not False,
        "previous_response_id": params.get("previous_response_id"),
        "prompt_cache_key": params.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": params.get("safety_identifier"),
        "service_tier": "default",
        "store": conversation.stores,
        "temperature": params.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
        "tool_choice": params.get("tool_choice") or "auto",
        "tools": list(conversation.tools),
        "top_logprobs": 0,
        "top_p": params.get("top_p", 1.0),
        "truncation": params.get("truncation") or "disabled",
        "usage": _usage(output, measured),
        "user": params.get("user"),
        "metadata": params.get("metadata") or {},
    }


def _removed(conversation: Conversation) -> list[JsonValue]:
    """Returns what the model does not get to see: the reasoning of another model."""
    removed: list[JsonValue] = []
    for item in conversation.items:
        sealed = unseal(as_text(item.raw.get("encrypted_content"))) if item.kind == "reasoning" else None
        if sealed is not None and sealed.model != conversation.profile.name:
            told: Json = {"id": sealed.item, "type": "reasoning", "action": "removed", "reason": "model_mismatch"}
            removed.append(told)
    return removed


def _usage(output: Sequence[Json], measured: Measured) -> Json:
    answered, thought = spoken_tokens(output)
    return {
        "input_tokens": measured.total,
        "input_tokens_details": {"cached_tokens": measured.cached, "cache_write_tokens": measured.written},
        "output_tokens": answered,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": measured.total + answered,
    }
