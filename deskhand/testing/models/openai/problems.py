"""What is wrong with the shape of a request, in the vendor's words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from pydantic import JsonValue, ValidationError

from deskhand.testing.models.script import ACTION_FIELDS

from .errors import OpenAIError, refused

__all__ = ["first_problem"]

JSON_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    type(None): "null",
}
VARIANTS = frozenset(
    {
        "input_text",
        "input_image",
        "input_file",
        "output_text",
        "refusal",
        "summary_text",
        "reasoning_text",
        "function",
        "computer",
        "computer_use_preview",
    }
    | set(ACTION_FIELDS)
)
"""Tags of unions, which stand in pydantic's places and not in the vendor's."""

WANTED: Mapping[str, str] = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def first_problem(
    validate: Callable[[JsonValue], object], body: JsonValue, *, variants: Collection[str] = VARIANTS
) -> None:
    """Validates a body.

    Args:
        validate: Raises what is wrong.
        body: The body.
        variants: The tags of the models' unions that do not begin with ``~``.

    Raises:
        OpenAIError: 400, with the first thing that is wrong and where it stands, in the vendor's words.
    """
    try:
        validate(body)
    except ValidationError as error:
        raise _problem(error, variants) from error


def _problem(error: ValidationError, variants: Collection[str]) -> OpenAIError:
    first = error.errors(include_url=False)[0]
    param, tagged = "", False
    for part in first["loc"]:
        if isinstance(part, int):
            param += f"[{part}]"
        elif not part.startswith("~") and not (tagged and part in variants):
            param += f".{part}" if param else part
        tagged = isinstance(part, int) or part == "action"  # where pydantic puts the tag of a union
    kind, given, context = first["type"], first["input"], first.get("ctx", {})
    if kind == "extra_forbidden":
        return refused(param, f"Unknown parameter: '{param}'.", "unknown_parameter")
    if kind in {"missing", "union_tag_not_found"}:
        missing = param if kind == "missing" else f"{param}.type"
        return refused(missing, f"Missing required parameter: '{missing}'.", "missing_required_parameter")
    if kind in WANTED:
        got = JSON_NAMES.get(type(given), "something else")
        message = f"Invalid type for '{param}': expected {WANTED[kind]}, but got {got} instead."
        return refused(param, message, "invalid_type")
    if kind in {"literal_error", "union_tag_invalid"}:
        expected = str(context.get("expected") or context.get("expected_tags")).replace("~", "").replace(" or ", ", ")
        told = given.get("type") if isinstance(given, dict) else given
        return refused(param, f"Invalid value: '{told}'. Supported values are: {expected}.", "invalid_value")
    if kind == "string_too_long":
        limit = context.get("max_length")
        message = (
            f"Invalid '{param}': string too long. Expected a string with maximum length {limit}, but got a string "
            f"with length {len(str(given))} instead."
        )
        return refused(param, message, "string_above_max_length")
    return refused(param, f"Invalid '{param}': {first['msg']}.", "invalid_value")
