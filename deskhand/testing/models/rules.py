"""Rules about the parameters and messages of a request."""

from __future__ import annotations

from collections.abc import Mapping

from .conversation import Conversation, Json, PlacedBlock, Turn, blocks_of
from .images import ImageReader, PlacedImage, check_limits
from .profiles import BINDING_BETA, HALT_TEXT, KNOWN_BETAS, PARAMETER_BETAS, ModelProfile
from .tool_rules import TOOLSETS
from .wire import ApiError, as_dict, as_list, as_text, invalid

__all__ = ["check_betas", "check_cache_marks", "check_images", "check_messages", "check_parameters"]

MAX_CACHE_MARKS = 4
RESULT_HINT = "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
UNEXPECTED_HINT = "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."


def check_betas(params: Mapping[str, object], betas: frozenset[str]) -> None:
    """Checks the beta header, and that parameters of a beta come with theirs.

    Raises:
        ApiError: 400 for an unknown beta, or a parameter whose beta is missing.
    """
    unknown = sorted(betas - KNOWN_BETAS)
    if unknown:
        raise invalid("", f"Unexpected value(s) `{'`, `'.join(unknown)}` for the `anthropic-beta` header.")
    for name, needed in PARAMETER_BETAS.items():
        if params.get(name) is not None and not needed & betas:
            raise invalid(name, "Extra inputs are not permitted")


def check_parameters(conversation: Conversation, profile: ModelProfile) -> None:
    """Checks the parameters that one model accepts and another refuses.

    Raises:
        ApiError: 400 at the first parameter that the model refuses.
    """
    params = conversation.params
    max_tokens = params.get("max_tokens")
    if isinstance(max_tokens, int) and max_tokens > profile.max_output:
        raise invalid(
            "max_tokens",
            f"{max_tokens} > {profile.max_output}, which is the maximum allowed number of output tokens for "
            f"{profile.name}",
        )
    for name in ("temperature", "top_p", "top_k"):
        if params.get(name) is not None and not profile.sampling:
            raise invalid("", f"`{name}` is deprecated for this model.")
    if params.get("compaction") is not None:
        raise invalid("compaction", "this server does not serve compaction requests")
    thinking = as_dict(params.get("thinking"))
    kind = as_text(thinking.get("type"))
    if not kind:
        return
    if kind not in profile.thinking:
        allowed = ", ".join(f"'{name}'" for name in sorted(profile.thinking))
        raise invalid("thinking.type", f"'{kind}' is not supported for '{profile.name}'; use one of {allowed}")
    budget = thinking.get("budget_tokens")
    if kind == "enabled" and not isinstance(budget, int):
        raise invalid("thinking.enabled.budget_tokens", "Field required")
    if kind != "enabled" and budget is not None:
        raise invalid(f"thinking.{kind}.budget_tokens", "Extra inputs are not permitted")
    if isinstance(budget, int) and isinstance(max_tokens, int) and budget >= max_tokens:
        raise invalid("", "`max_tokens` must be greater than `thinking.budget_tokens`.")
    if thinking.get("block_binding") is not None and BINDING_BETA not in conversation.betas:
        raise invalid(f"thinking.{kind}.block_binding", "Extra inputs are not permitted")


def check_messages(conversation: Conversation, profile: ModelProfile, *, resumes: bool) -> None:
    """Checks roles, empty content, and that every tool use is answered once, in order, in the next turn.

    Args:
        conversation: The whole conversation.
        profile: The model that it goes to.
        resumes: Whether the conversation may end with an assistant message, because that turn was paused.

    Raises:
        ApiError: 400 at the first message that breaks a rule.
    """
    turns = conversation.turns()
    if not turns:
        raise invalid("messages", "at least one message is required")
    if turns[0].role != "user" or conversation.messages[0].get("role") == "system":
        raise invalid("messages", 'first message must use the "user" role')
    _check_contents(conversation, turns)
    last = turns[-1]
    if last.role == "assistant" and not resumes and not profile.prefill:
        raise invalid(
            "",
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    families = {TOOLSETS[as_text(t.get("type"))] for t in conversation.tools if as_text(t.get("type")) in TOOLSETS}
    seen: set[str] = set()
    calls: list[PlacedBlock] = []
    for turn in turns:
        if turn.role == "user":
            _check_results(turn, calls)
            calls = []
        else:
            calls = turn.of_type("tool_use")
            _check_calls(calls, seen, families)
    if calls and not resumes:
        raise invalid(
            last.path,
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {_ids(calls)}. {RESULT_HINT}",
        )


def _check_contents(conversation: Conversation, turns: list[Turn]) -> None:
    for index, message in enumerate(conversation.messages):
        if not blocks_of(message) and index < len(conversation.messages) - 1:
            raise invalid(
                f"messages.{index - conversation.held}",
                "all messages must have non-empty content except for the optional final assistant message",
            )
    allowed = {
        "user": {"text", "image", "tool_result"},
        "assistant": {"text", "thinking", "redacted_thinking", "tool_use"},
    }
    for turn in turns:
        if turn.role == "user" and not turn.blocks:
            raise invalid(turn.path, "user messages must have non-empty content")
        for block in turn.blocks:
            if block.type not in allowed[turn.role]:
                raise invalid(block.path, f"`{block.type}` blocks can only be in `{_other(turn.role)}` messages")
            if block.type == "text":
                _check_text("messages", as_text(block.raw.get("text")))
    for part in as_list(conversation.system):
        _check_text("system", as_text(as_dict(part).get("text")))


def _check_text(path: str, text: str) -> None:
    if not text:
        raise invalid(path, "text content blocks must be non-empty")
    if not text.strip():
        raise invalid(path, "text content blocks must contain non-whitespace text")


def _other(role: str) -> str:
    return "assistant" if role == "user" else "user"


def _check_calls(calls: list[PlacedBlock], seen: set[str], families: set[str]) -> None:
    for call in calls:
        call_id = as_text(call.raw.get("id"))
        if call_id in seen:
            raise invalid("messages", "`tool_use` ids must be unique")
        seen.add(call_id)
        family = call.raw.get("toolset_name")
        if family is not None and family not in families:
            raise invalid(call.path, f"toolset_name '{family}' does not name a toolset of this request")


def _check_results(turn: Turn, calls: list[PlacedBlock]) -> None:
    results = turn.of_type("tool_result")
    by_id = {as_text(call.raw.get("id")): call for call in calls}
    answered: list[str] = []
    for result in results:
        call_id = as_text(result.raw.get("tool_use_id"))
        if call_id not in by_id:
            raise invalid(
                result.path, f"unexpected `tool_use_id` found in `tool_result` blocks: {call_id}. {UNEXPECTED_HINT}"
            )
        if call_id in answered:
            raise invalid(
                result.path,
                f"each tool_use must have a single result. Found multiple `tool_result` blocks with id: {call_id}",
            )
        answered.append(call_id)
        _check_result(result, by_id[call_id])
    missing = [call for call_id, call in by_id.items() if call_id not in answered]
    if missing:
        raise invalid(
            turn.path,
            f"`tool_use` ids were found without `tool_result` blocks immediately after: {_ids(missing)}. {RESULT_HINT}",
        )
    if answered != list(by_id):
        raise invalid(turn.path, "`tool_result` blocks must be in the order of their `tool_use` blocks")
    if calls and turn.blocks[: len(results)] != results:
        raise invalid(turn.path, "`tool_result` blocks must come before other content")
    _check_halt(results)


def _ids(calls: list[PlacedBlock]) -> str:
    return ", ".join(as_text(call.raw.get("id")) for call in calls)


def _check_result(result: PlacedBlock, call: PlacedBlock) -> None:
    expected, given = call.raw.get("toolset_name"), result.raw.get("toolset_name")
    if expected != given:
        raise invalid(
            f"{result.path}.tool_result.toolset_name",
            f"must match the toolset_name of the paired tool_use: expected {expected!r}, found {given!r}",
        )
    blocks = blocks_of(result.raw)
    texts = [as_text(block.get("text")) for block in blocks if block.get("type") == "text"]
    if result.raw.get("is_error") is True:
        if len(texts) < len(blocks):
            raise invalid(f"{result.path}.tool_result", 'all content must be type "text" if is_error is true')
        if not any(text.strip() for text in texts):
            raise invalid(f"{result.path}.tool_result", "content cannot be empty if `is_error` is true")
    if isinstance(result.raw.get("content"), list) and "" in texts:
        raise invalid("messages", "text content blocks must be non-empty")


def _check_halt(results: list[PlacedBlock]) -> None:
    failed: set[str] = set()
    for result in results:
        family = as_text(result.raw.get("toolset_name"))
        if family not in HALT_TEXT:
            continue
        if family in failed:
            text = "".join(as_text(block.get("text")) for block in blocks_of(result.raw))
            if result.raw.get("is_error") is not True or text != HALT_TEXT[family]:
                raise invalid(
                    f"{result.path}.tool_result",
                    f"follows a failed {family} action of the same turn and must be an error with the text: "
                    f"{HALT_TEXT[family]}",
                )
        elif result.raw.get("is_error") is True:
            failed.add(family)


def check_images(conversation: Conversation, profile: ModelProfile, reader: ImageReader) -> None:
    """Checks that every image decodes to its media type and fits the model's limits.

    Raises:
        ApiError: 400 at the first image that does not.
    """
    images: list[PlacedImage] = []
    for turn in conversation.turns():
        for block in turn.blocks:
            if block.type == "image":
                images.append(_placed(block, conversation, reader, strict=False))
            elif block.type == "tool_result":
                strict = block.raw.get("toolset_name") is not None
                for index, child in enumerate(blocks_of(block.raw)):
                    if child.get("type") == "image":
                        placed = PlacedBlock(f"{block.path}.content.{index}", child)
                        images.append(_placed(placed, conversation, reader, strict=strict))
    check_limits(images, profile.images)


def _placed(block: PlacedBlock, conversation: Conversation, reader: ImageReader, *, strict: bool) -> PlacedImage:
    wish = as_dict(block.raw.get("transformations")).get("oversized_image")
    sent = reader.read(block.path, block.raw.get("source"), conversation.digests)
    return PlacedImage(block.path, sent, strict or wish == "error")


def check_cache_marks(conversation: Conversation) -> None:
    """Checks the number and the order of cache breakpoints.

    Raises:
        ApiError: 400 where there are more than four, one stands on empty text, or a long one follows a short one.
    """
    marks = 0
    short_at = ""
    for path, holder in _marked(conversation):
        marks += 1
        if holder.get("type") == "text" and not as_text(holder.get("text")):
            raise invalid(path, "cache_control cannot be set for empty text blocks")
        ttl = as_text(as_dict(holder.get("cache_control")).get("ttl")) or "5m"
        if ttl == "1h" and short_at:
            raise invalid(
                f"{path}.cache_control.ttl",
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block",
            )
        short_at = short_at or (path if ttl == "5m" else "")
    if conversation.params.get("cache_control") is not None:
        marks += 1
    if marks > MAX_CACHE_MARKS:
        raise ApiError(400, f"A maximum of {MAX_CACHE_MARKS} blocks with cache_control may be provided. Found {marks}.")


def _marked(conversation: Conversation) -> list[tuple[str, Json]]:
    holders = [(f"tools.{i}", t) for i, t in enumerate(conversation.tools)]
    holders += [(f"system.{i}", as_dict(b)) for i, b in enumerate(as_list(conversation.system))]
    for turn in conversation.turns():
        for block in turn.blocks:
            holders.append((block.path, block.raw))
            if block.type == "tool_result":
                holders += [(f"{block.path}.content.{i}", c) for i, c in enumerate(blocks_of(block.raw))]
    return [(path, holder) for path, holder in holders if holder.get("cache_control") is not None]
