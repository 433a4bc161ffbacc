"""Rules about the tools of a request and its ``tool_choice``."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from deskhand.testing.models.wire import as_dict, as_list, as_text

from .errors import OpenAIError, refused
from .items import Json
from .profiles import COMPUTER, COMPUTER_PREVIEW, OpenAIModel

__all__ = ["check_choice", "check_format", "check_function", "check_tools"]

COMPUTERS = frozenset({COMPUTER, COMPUTER_PREVIEW})
TYPES = frozenset({"string", "number", "boolean", "integer", "object", "array", "null"})
STRICT_KEYWORDS = frozenset(
    {
        "$defs",
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "definitions",
        "default",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
    }
)
"""The JSON Schema keywords of strict schemas, from the vendor's guide to structured outputs."""

MAX_DEPTH = 10
MAX_PROPERTIES = 5000


def tool_names(tools: Sequence[Json]) -> set[str]:
    """Returns the names of the function tools."""
    return {as_text(tool.get("name")) for tool in tools if tool.get("type") == "function"}


def check_tools(tools: Sequence[Json], profile: OpenAIModel) -> None:
    """Checks every tool of a request to the Responses API, and all of them together.

    Raises:
        OpenAIError: 400 at the first that is wrong.
    """
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        kind = as_text(tool.get("type"))
        name = as_text(tool.get("name")) or kind
        if kind in COMPUTERS and kind != profile.computer:
            message = f"Hosted tool '{kind}' is not supported with {profile.name}."
            if profile.computer is not None:
                message += f" Use the tool '{profile.computer}' instead."
            raise refused("tools", message)
        if name in seen:
            raise refused("tools", f"Duplicate tool '{name}' found in tools.", "invalid_value")
        seen.add(name)
        if kind == "function":
            check_function(f"tools[{index}].parameters", name, tool)


def check_function(param: str, name: str, function: Json) -> None:
    """Checks the schema of a function tool.

    Raises:
        OpenAIError: 400 at the first place that is wrong.
    """
    schema = as_dict(function.get("parameters"))
    if schema:
        strict = function.get("strict") is True
        _Schema(param, f"function '{name}'", "invalid_function_parameters", schema, strict=strict).check()


def check_format(param: str, form: Json) -> None:
    """Checks the schema of an answer's format; an empty one is none.

    Raises:
        OpenAIError: 400 at the first place that is wrong.
    """
    if not form:
        return
    name, schema = as_text(form.get("name")), as_dict(form.get("schema"))
    if not name:
        raise refused(f"{param}.name", f"Missing required parameter: '{param}.name'.", "missing_required_parameter")
    strict = form.get("strict") is True
    _Schema(param, f"response_format '{name}'", "invalid_json_schema", schema, strict=strict).check()


class _Schema:
    """One schema under check."""

    def __init__(self, param: str, owner: str, code: str, schema: Json, *, strict: bool) -> None:
        self._param = param
        self._owner = owner
        self._code = code
        self._schema = schema
        self._strict = strict
        self._properties = 0

    def check(self) -> None:
        kind = self._schema.get("type")
        if kind != "object":
            raise self._refused(f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'")
        if self._strict and "anyOf" in self._schema:
            raise self._error((), "schema must not have 'anyOf' at the top level")
        self._check((), self._schema, 0)

    def _error(self, context: tuple[str, ...], why: str) -> OpenAIError:
        return self._refused(f"In context={context!r}, {why}")

    def _refused(self, why: str) -> OpenAIError:
        return refused(self._param, f"Invalid schema for {self._owner}: {why}.", self._code)

    def _check(self, context: tuple[str, ...], value: JsonValue, depth: int) -> None:
        if isinstance(value, bool) and not self._strict:
            return
        if not isinstance(value, dict):
            raise self._error(context, "schema must be an object")
        self._check_types(context, value)
        if self._strict:
            self._check_strict(context, value, depth)
        properties = as_dict(value.get("properties"))
        for key, part in properties.items():
            self._check((*context, "properties", key), part, depth + 1)
        for group in ("$defs", "definitions"):
            for key, part in as_dict(value.get(group)).items():
                self._check((*context, group, key), part, depth)
        if "items" in value:
            self._check((*context, "items"), value["items"], depth + 1)
        for index, part in enumerate(as_list(value.get("anyOf"))):
            self._check((*context, "anyOf", str(index)), part, depth)

    def _check_types(self, context: tuple[str, ...], schema: Json) -> None:
        kinds = schema.get("type")
        named = kinds if isinstance(kinds, list) else [kinds] if "type" in schema else []
        for kind in named:
            if not isinstance(kind, str) or kind not in TYPES:
                raise self._error(context, f"'{kind}' is not valid under any of the given schemas")
        if "array" in named and "items" not in schema:
            raise self._error(context, "array schema missing items")

    def _check_strict(self, context: tuple[str, ...], schema: Json, depth: int) -> None:
        foreign = sorted(schema.keys() - STRICT_KEYWORDS)
        if foreign:
            raise self._error(context, f"'{foreign[0]}' is not permitted")
        if not schema.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
            raise self._error(context, "schema must have a 'type' key")
        kinds = schema.get("type")
        if kinds == "object" or (isinstance(kinds, list) and "object" in kinds):
            self._check_strict_object(context, schema)
        if depth > MAX_DEPTH:
            raise self._error(context, f"schema nests deeper than {MAX_DEPTH} levels")

    def _check_strict_object(self, context: tuple[str, ...], schema: Json) -> None:
        if schema.get("additionalProperties") is not False:
            raise self._error(context, "'additionalProperties' is required to be supplied and to be false")
        properties = as_dict(schema.get("properties"))
        required = [as_text(key) for key in as_list(schema.get("required"))]
        needed = "'required' is required to be supplied and to be an array including every key in properties"
        missing = [key for key in properties if key not in required]
        if missing:
            raise self._error(context, f"{needed}. Missing '{missing[0]}'")
        extra = [key for key in required if key not in properties]
        if extra:
            raise self._error(context, f"{needed}. Extra required key '{extra[0]}' supplied")
        self._properties += len(properties)
        if self._properties > MAX_PROPERTIES:
            raise self._error(context, f"schema has more than {MAX_PROPERTIES} properties")


def check_choice(choice: JsonValue, tools: Sequence[Json]) -> None:
    """Checks ``tool_choice`` of the Responses API against the tools.

    Raises:
        OpenAIError: 400 where it is none, or names a tool that is not there.
    """
    if choice is None:
        return
    if isinstance(choice, str):
        if choice not in {"none", "auto", "required"}:
            message = f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
            raise refused("tool_choice", message, "invalid_value")
        if choice == "required" and not tools:
            raise refused("tool_choice", "Tool choice 'required' must be specified with 'tools' parameter.")
        return
    fields = as_dict(choice)
    kind = as_text(fields.get("type"))
    if kind == "allowed_tools":
        if fields.get("mode") not in {"auto", "required"}:
            raise refused("tool_choice.mode", "Invalid value: 'tool_choice.mode'.", "invalid_value")
        for tool in as_list(fields.get("tools")):
            _check_named(as_dict(tool), tools)
        return
    _check_named(fields, tools)


def _check_named(named: Json, tools: Sequence[Json]) -> None:
    kind, name = as_text(named.get("type")), as_text(named.get("name"))
    if kind == "function":
        if name not in tool_names(tools):
            raise refused("tool_choice", f"Tool choice 'function' '{name}' not found in 'tools' parameter.")
        return
    wanted = {"computer", "computer_use", "computer_use_preview"} if kind == "computer_use" else {kind}
    if not any(tool.get("type") in wanted for tool in tools):
        raise refused("tool_choice", f"Tool choice '{kind}' not found in 'tools' parameter.")
