"""Rules about the ``tools`` of a request and its ``tool_choice``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import JsonValue

from .conversation import Conversation, Json
from .profiles import (
    BROWSER_TOOLSET,
    COMPUTER_ACTIONS,
    COMPUTER_BETAS,
    COMPUTER_TOOLSET,
    FINE_GRAINED_BETA,
    TOOLSET_MEMBERS,
    ModelProfile,
)
from .wire import as_dict, as_list, as_text, invalid

__all__ = ["check_tool_choice", "check_tools", "enabled_members", "older_computer"]

TOOLSETS = {COMPUTER_TOOLSET: "computer", BROWSER_TOOLSET: "browser"}
JSON_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
PROPERTY_KEY = re.compile(r"^[a-zA-Z0-9_.-]{1,64}$")
COMBINERS = ("oneOf", "anyOf", "allOf")


def enabled_members(tools: list[Json]) -> frozenset[str]:
    """Returns the members of the computer toolset, or the actions of an older computer tool, that the tools offer."""
    older = older_computer(tools)
    if older is not None:
        return COMPUTER_ACTIONS[as_text(older["type"])] | ({"zoom"} if older.get("enable_zoom") is True else set())
    for tool in tools:
        if tool.get("type") == COMPUTER_TOOLSET:
            configs = as_dict(tool.get("configs"))
            return frozenset(m for m in TOOLSET_MEMBERS if as_dict(configs.get(m)).get("enabled") is not False)
    return frozenset()


def older_computer(tools: list[Json]) -> Json | None:
    """Returns the entry of an older computer tool, None where there is none."""
    return next((tool for tool in tools if tool.get("type") in COMPUTER_ACTIONS), None)


def check_tools(conversation: Conversation, profile: ModelProfile) -> None:
    """Checks every entry of ``tools`` by itself and all of them together.

    Raises:
        ApiError: 400 at the first entry that is wrong.
    """
    tools = conversation.tools
    _check_supported(tools, profile)
    for index, tool in enumerate(tools):
        kind = as_text(tool.get("type"))
        path = f"tools.{index}"
        if kind == COMPUTER_TOOLSET:
            _check_toolset(path, tool)
        if kind in TOOLSETS and FINE_GRAINED_BETA in conversation.betas:
            raise invalid(path, f"{kind} cannot be used with the beta header {FINE_GRAINED_BETA}")
        beta = COMPUTER_BETAS.get(kind)
        if beta is not None and beta not in conversation.betas:
            raise invalid(path, f"{kind} requires the beta header {beta}")
        if kind in {"", "custom"}:
            _check_schema(f"{path}.custom.input_schema", tool)
    _check_names(tools)


def _check_supported(tools: list[Json], profile: ModelProfile) -> None:
    families = {COMPUTER_TOOLSET, *COMPUTER_BETAS}
    types = dict.fromkeys(as_text(tool.get("type")) for tool in tools)
    refused = [kind for kind in types if kind in families and kind not in profile.computer_tools]
    if BROWSER_TOOLSET in types and COMPUTER_TOOLSET not in profile.computer_tools:
        refused.append(BROWSER_TOOLSET)
    if refused:
        raise invalid(
            "",
            f"'{profile.name}' does not support tool types: {', '.join(refused)}. Did you mean one of "
            f"{', '.join(sorted(profile.computer_tools))}?",
        )


def _check_toolset(path: str, tool: Json) -> None:
    configs = as_dict(tool.get("configs"))
    unknown = sorted(set(configs) - set(TOOLSET_MEMBERS))
    if unknown:
        raise invalid(f"{path}.{COMPUTER_TOOLSET}.configs.{unknown[0]}", "Extra inputs are not permitted")
    enabled = enabled_members([tool])
    if not enabled:
        raise invalid(f"{path}.{COMPUTER_TOOLSET}.configs", "at least one member must be enabled")
    deferred = {bool(as_dict(configs.get(member)).get("defer_loading")) for member in enabled}
    if len(deferred) > 1:
        raise invalid(
            f"{path}.{COMPUTER_TOOLSET}.configs", "defer_loading must resolve to the same value on every enabled member"
        )


def _check_names(tools: list[Json]) -> None:
    for kind in TOOLSETS:
        if sum(1 for tool in tools if tool.get("type") == kind) > 1:
            raise invalid("tools", f"only one {kind} entry is allowed")
    names = [as_text(tool.get("name")) for tool in tools if "name" in tool]
    if len(set(names)) < len(names):
        raise invalid("tools", "Tool names must be unique.")
    for kind, family in TOOLSETS.items():
        if family in names and any(tool.get("type") == kind for tool in tools):
            raise invalid("tools", f"a tool named '{family}' cannot be combined with {kind}")


def _check_schema(path: str, tool: Json) -> None:
    schema = as_dict(tool.get("input_schema"))
    if schema.get("type") != "object":
        raise invalid(f"{path}.type", "Input should be 'object'")
    for combiner in COMBINERS:
        if combiner in schema:
            raise invalid(path, "input_schema does not support oneOf, allOf, or anyOf at the top level")
    for place, part in _subschemas(path, schema):
        _check_subschema(place, part, strict=tool.get("strict") is True)


def _subschemas(path: str, schema: Json) -> Iterator[tuple[str, Json]]:
    yield path, schema
    for group in ("properties", "$defs", "definitions"):
        for key, part in as_dict(schema.get(group)).items():
            yield from _subschema(f"{path}.{group}.{key}", part)
    for key in ("items", "additionalProperties", "not"):
        if key in schema:
            yield from _subschema(f"{path}.{key}", schema[key])
    for key in (*COMBINERS, "prefixItems"):
        for index, part in enumerate(as_list(schema.get(key))):
            yield from _subschema(f"{path}.{key}.{index}", part)


def _subschema(path: str, part: JsonValue) -> Iterator[tuple[str, Json]]:
    if isinstance(part, bool):
        return
    if not isinstance(part, dict):
        raise invalid(path, "JSON schema is invalid. It must match JSON Schema draft 2020-12")
    yield from _subschemas(path, part)


def _check_subschema(path: str, schema: Json, *, strict: bool) -> None:
    kinds = schema.get("type")
    named = kinds if isinstance(kinds, list) else [kinds] if "type" in schema else []
    wrong_type = any(not isinstance(kind, str) or kind not in JSON_TYPES for kind in named)
    required = schema.get("required", [])
    wrong_required = not isinstance(required, list) or any(not isinstance(key, str) for key in required)
    wrong_enum = "enum" in schema and not as_list(schema["enum"])
    wrong_properties = not isinstance(schema.get("properties") or {}, dict)
    if wrong_type or wrong_required or wrong_enum or wrong_properties:
        raise invalid(path, "JSON schema is invalid. It must match JSON Schema draft 2020-12")
    for key in as_dict(schema.get("properties")):
        if not PROPERTY_KEY.match(key):
            raise invalid(f"{path}.properties", f"Property keys should match pattern '{PROPERTY_KEY.pattern}'")
    if strict and kinds == "object" and schema.get("additionalProperties") is not False:
        raise invalid(path, "For 'object' type, 'additionalProperties' must be explicitly set to false")


def check_tool_choice(conversation: Conversation, profile: ModelProfile) -> None:
    """Checks ``tool_choice`` against the tools and against what the model allows.

    Raises:
        ApiError: 400 where it names no offered tool, or forces one on a model that cannot be forced.
    """
    if conversation.params.get("tool_choice") is None:
        return
    choice = as_dict(conversation.params["tool_choice"])
    kind, name = as_text(choice.get("type")), as_text(choice.get("name"))
    if not conversation.tools:
        raise invalid("tool_choice", "tool_choice may only be specified while providing tools")
    if kind == "tool":
        names = {as_text(tool.get("name")) for tool in conversation.tools if "name" in tool}
        families = {TOOLSETS[as_text(t.get("type"))] for t in conversation.tools if as_text(t.get("type")) in TOOLSETS}
        if name in families - names:
            raise invalid("tool_choice", f"tool_choice cannot name the toolset '{name}'")
        if name not in names:
            raise invalid("tool_choice", f"Tool '{name}' not found in provided tools")
    if kind not in {"any", "tool"}:
        return
    if not profile.forced_choice:
        raise invalid("tool_choice", f"'{profile.name}' does not support tool_choice of type '{kind}'")
    if as_dict(conversation.params.get("thinking")).get("type") == "enabled":
        raise invalid("", "Thinking may not be enabled when tool_choice forces tool use.")
