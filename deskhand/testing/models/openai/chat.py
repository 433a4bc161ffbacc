"""Requests to Chat Completions: the rules of their messages, and the same conversation in items."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from deskhand.testing.models.wire import as_dict, as_list, as_text

from .errors import OpenAIError, refused
from .items import Conversation, Json, PlacedItem
from .profiles import OpenAIModel
from .tools import check_choice, check_format, check_function

__all__ = ["chat_conversation", "chat_tools", "check_chat_messages", "check_chat_parameters"]


def chat_tools(params: Json) -> list[Json]:
    """Returns the functions that a request offers, each with its type as the Responses API has it."""
    offered = [as_dict(as_dict(tool).get("function")) for tool in as_list(params.get("tools"))]
    return [{"type": "function", **function} for function in offered]


def check_chat_parameters(params: Json, profile: OpenAIModel) -> None:
    """Checks the parameters against each other and against the model.

    Raises:
        OpenAIError: 400 or 404 at the first that is wrong.
    """
    if not profile.chat:
        message = "This model is only supported in v1/responses and not in v1/chat/completions."
        raise OpenAIError(404, message, param="model")
    tools = chat_tools(params)
    for name in ("tool_choice", "parallel_tool_calls"):
        if params.get(name) is not None and not tools:
            raise refused(name, f"'{name}' is only allowed when 'tools' are specified.")
    if params.get("stream_options") is not None and params.get("stream") is not True:
        raise refused("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if profile.reasons:
        _check_reasoning_model(params)
    elif params.get("reasoning_effort") is not None:
        raise _unsupported("reasoning_effort", "")
    for limit in ("max_completion_tokens", "max_tokens"):
        wanted = params.get(limit)
        if isinstance(wanted, int) and wanted > profile.max_output:
            message = f"{limit} is too large: {wanted}. This model supports at most {profile.max_output} output tokens."
            raise refused(limit, message, "invalid_value")
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        name = as_text(tool.get("name"))
        if name in seen:
            raise refused("tools", f"Duplicate tool '{name}' found in tools.", "invalid_value")
        seen.add(name)
        check_function(f"tools[{index}].function.parameters", name, tool)
    check_choice(_flat_choice(params.get("tool_choice")), tools)
    form = as_dict(params.get("response_format"))
    check_format("response_format", as_dict(form.get("json_schema")) if form.get("type") == "json_schema" else {})


def _check_reasoning_model(params: Json) -> None:
    if params.get("max_tokens") is not None:
        raise _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    if params.get("stop") is not None:
        raise _unsupported("stop", "")
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        usual = 0 if name.endswith("penalty") else 1
        value = params.get(name)
        if value is not None and value != usual:
            message = (
                f"Unsupported value: '{name}' does not support {value} with this model. Only the default is supported."
            )
            raise refused(name, message, "unsupported_value")


def _unsupported(param: str, hint: str) -> OpenAIError:
    message = f"Unsupported parameter: '{param}' is not supported with this model.{hint}"
    return refused(param, message, "unsupported_parameter")


def _flat_choice(choice: JsonValue) -> JsonValue:
    fields = as_dict(choice)
    if fields.get("type") == "function":
        return {"type": "function", "name": as_dict(fields.get("function")).get("name")}
    if fields.get("type") == "allowed_tools":
        allowed = as_dict(fields.get("allowed_tools"))
        return {
            **allowed,
            "type": "allowed_tools",
            "tools": [_flat_choice(tool) for tool in as_list(allowed.get("tools"))],
        }
    return choice


def check_chat_messages(messages: Sequence[Json]) -> None:
    """Checks that every tool call is answered once, right behind it, and that images are where they may be.

    Raises:
        OpenAIError: 400 at the first message that is wrong.
    """
    owed: list[str] = []
    asked: set[str] = set()
    for index, message in enumerate(messages):
        role = message.get("role")
        if role == "tool":
            _check_answer(index, message, owed, asked)
            continue
        if owed:
            raise _unanswered(index, owed)
        asked = set()
        if role == "assistant":
            owed = _check_assistant(index, message)
            asked = set(owed)
        if role != "user" and _has_image(message):
            raise _misplaced_image(index, as_text(role))
    if owed:
        raise _unanswered(len(messages) - 1, owed)


def _check_answer(index: int, message: Json, owed: list[str], asked: set[str]) -> None:
    call_id = as_text(message.get("tool_call_id"))
    if call_id not in asked:
        told = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
        raise refused(f"messages.[{index}].role", f"Invalid parameter: {told}")
    if call_id not in owed:
        told = f"Duplicate value for 'tool_call_id' of '{call_id}' in message[{index}]."
        raise refused(f"messages.[{index}].tool_call_id", told)
    if _has_image(message):
        raise _misplaced_image(index, "tool")
    owed.remove(call_id)


def _check_assistant(index: int, message: Json) -> list[str]:
    calls = [as_text(as_dict(call).get("id")) for call in as_list(message.get("tool_calls"))]
    twice = next((call for call in calls if calls.count(call) > 1), None)
    if twice is not None:
        told = f"Duplicate value for 'id' of '{twice}' in the tool calls of message[{index}]."
        raise refused(f"messages.[{index}].tool_calls", told)
    if not calls and message.get("content") is None and message.get("refusal") is None:
        told = "Invalid value for 'content': expected a string, got null."
        raise refused(f"messages.[{index}].content", told)
    return calls


def _unanswered(index: int, owed: Sequence[str]) -> OpenAIError:
    told = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(owed)}"
    )
    return refused(f"messages.[{index}].role", told)


def _has_image(message: Json) -> bool:
    return any(as_dict(part).get("type") == "image_url" for part in as_list(message.get("content")))


def _misplaced_image(index: int, role: str) -> OpenAIError:
    told = (
        f"Invalid 'messages[{index}]'. Image URLs are only allowed for messages with role 'user', but this message "
        f"with role '{role}' contains an image URL."
    )
    return refused(f"messages[{index}]", told, "invalid_value")


def chat_items(messages: Sequence[Json]) -> list[PlacedItem]:
    """Returns the conversation as the Responses API would have it, each item with its place among the messages."""
    items: list[PlacedItem] = []
    for index, message in enumerate(messages):
        param, role = f"messages[{index}]", as_text(message.get("role"))
        content = _content(message.get("content"))
        if role == "tool":
            call_id = message.get("tool_call_id")
            items.append(PlacedItem(param, {"type": "function_call_output", "call_id": call_id, "output": content}))
            continue
        if role != "assistant" or content:
            items.append(PlacedItem(param, {"type": "message", "role": role, "content": content}))
        for number, call in enumerate(map(as_dict, as_list(message.get("tool_calls")))):
            made: Json = {"type": "function_call", "call_id": call.get("id"), **as_dict(call.get("function"))}
            items.append(PlacedItem(f"{param}.tool_calls[{number}]", made))
    return items


def _content(content: JsonValue) -> list[JsonValue]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [_part(as_dict(part)) for part in as_list(content)]


def _part(part: Json) -> Json:
    kept = {key: part[key] for key in ("prompt_cache_breakpoint",) if key in part}
    if part.get("type") == "image_url":
        address = as_dict(part.get("image_url"))
        detail = {"detail": address["detail"]} if address.get("detail") is not None else {}
        return {"type": "input_image", "image_url": address.get("url"), **detail, **kept}
    return {"type": "input_text", "text": part.get("text") or part.get("refusal"), **kept}


def chat_conversation(params: Json, profile: OpenAIModel) -> Conversation:
    """Returns a request of the right shape as a conversation."""
    messages = [as_dict(message) for message in as_list(params.get("messages"))]
    return Conversation(params, profile, chat_items(messages))
