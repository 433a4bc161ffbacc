"""Printing a tool's schema in each vendor's format."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import Final, Literal, cast

from pydantic import BaseModel, JsonValue

from deskhand.tools.registry import Tool

__all__ = ["answer_schema", "anthropic_tool", "openai_tool", "plain_tool"]

JsonDict = dict[str, JsonValue]

_NOISE: Final = ("title", "default")
_NOT_STRICT: Final = ("minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties")
"""Keywords that OpenAI's strict mode refuses; the registry still checks them."""


@lru_cache(maxsize=512)
def _schema(parameters: type[BaseModel]) -> JsonDict:
    """Return the model's schema with references put in place and without what says nothing to a model."""
    raw = cast("JsonDict", parameters.model_json_schema())
    definitions = cast("dict[str, JsonDict]", raw.pop("$defs", {}))
    schema = cast("JsonDict", _tidy(raw, definitions))
    schema.setdefault("properties", {})
    schema.pop("description", None)
    schema["additionalProperties"] = False
    return schema


def _tidy(node: JsonValue, definitions: dict[str, JsonDict]) -> JsonValue:
    if isinstance(node, list):
        return [_tidy(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[str(node["$ref"]).rsplit("/", 1)[-1]]
        return _tidy({**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    tidy: JsonDict = {}
    for key, value in node.items():
        if key == "properties" and isinstance(value, dict):
            tidy[key] = {name: _tidy(item, definitions) for name, item in value.items()}
        elif key not in _NOISE:
            tidy[key] = _tidy(value, definitions)
    return _without_null(tidy)


def _without_null(node: JsonDict) -> JsonDict:
    """Fold ``anyOf: [X, null]`` to X: an optional argument is left out, not null."""
    options = node.get("anyOf")
    if not isinstance(options, list):
        return node
    left = [option for option in options if option != {"type": "null"}]
    if len(left) == 1 and len(options) == 2 and isinstance(left[0], dict):
        return {**left[0], **{key: value for key, value in node.items() if key != "anyOf"}}
    return node


def _strict(node: JsonDict) -> JsonDict:
    """Return an object schema as strict mode wants it: every property required, optional ones nullable."""
    required = cast("list[str]", node.get("required", []))
    properties = cast("dict[str, JsonDict]", node.get("properties", {}))
    strict: JsonDict = {key: value for key, value in node.items() if key not in _NOT_STRICT}
    strict["properties"] = {
        name: _strict_part(item) if name in required else _nullable(_strict_part(item))
        for name, item in properties.items()
    }
    strict["required"] = list(properties)
    strict["additionalProperties"] = False
    return strict


def _strict_part(node: JsonDict) -> JsonDict:
    if node.get("type") == "object":
        return _strict(node)
    strict: JsonDict = {key: value for key, value in node.items() if key not in _NOT_STRICT}
    if isinstance(strict.get("items"), dict):
        strict["items"] = _strict_part(cast("JsonDict", strict["items"]))
    if isinstance(strict.get("anyOf"), list):
        strict["anyOf"] = [
            _strict_part(cast("JsonDict", option)) for option in cast("list[JsonValue]", strict["anyOf"])
        ]
    return strict


def _nullable(node: JsonDict) -> JsonDict:
    kind = node.get("type")
    if isinstance(kind, str) and "enum" not in node:
        return {**node, "type": [kind, "null"]}
    return {"anyOf": [node, {"type": "null"}]}


def _free_form(node: JsonValue) -> bool:
    """Whether a schema holds an object without declared properties, which strict mode cannot express."""
    if isinstance(node, list):
        return any(_free_form(item) for item in node)
    if not isinstance(node, dict):
        return False
    if node.get("type") == "object" and node.get("additionalProperties") is not False:
        return True
    return any(_free_form(value) for value in node.values())


def plain_tool(tool: Tool) -> JsonDict:
    """Print a tool as name, description and JSON Schema."""
    return {"name": tool.name, "description": tool.description, "parameters": copy.deepcopy(_schema(tool.parameters))}


def openai_tool(tool: Tool, api: Literal["chat", "responses"]) -> JsonDict:
    """Print a tool for OpenAI; strict, but where its schema holds a free-form object."""
    schema = copy.deepcopy(_schema(tool.parameters))
    strict = not _free_form(schema)
    function: JsonDict = {
        "name": tool.name,
        "description": tool.description,
        "parameters": _strict(schema) if strict else schema,
        "strict": strict,
    }
    return {"type": "function", "function": function} if api == "chat" else {"type": "function", **function}


def answer_schema(answer: type[BaseModel]) -> JsonDict:
    """Print what a final answer must be, as OpenAI takes it; strict, but where it holds a free-form object."""
    schema = copy.deepcopy(_schema(answer))
    strict = not _free_form(schema)
    return {"name": answer.__name__[:64], "schema": _strict(schema) if strict else schema, "strict": strict}


def anthropic_tool(tool: Tool) -> JsonDict:
    """Print a tool for Anthropic."""
    return {"name": tool.name, "description": tool.description, "input_schema": copy.deepcopy(_schema(tool.parameters))}
