"""Reading the arguments of a call strictly: what is ambiguous or unbounded is refused, never guessed."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from typing import NoReturn, cast

from pydantic import BaseModel, JsonValue, ValidationError

from deskhand.errors import InvalidInputError

__all__ = ["parse_arguments", "validate_arguments"]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 64
_SHOWN = 64


def parse_arguments(arguments: Mapping[str, JsonValue] | str) -> dict[str, JsonValue]:
    """Return the arguments as a dict.

    Refused are repeated keys, NaN and infinities, lone surrogates, nesting deeper than 64, more than 256 KiB, text
    after the end, and anything that is not an object.

    Raises:
        InvalidInputError: Says what is wrong.
    """
    if not isinstance(arguments, str):
        value: object = dict(arguments)
    elif len(arguments.encode(errors="replace")) > MAX_BYTES:
        raise InvalidInputError(f"the arguments have more than {MAX_BYTES} bytes")
    else:
        value = _load(arguments or "{}")
    if not isinstance(value, dict):
        raise InvalidInputError(f"the arguments are {_kind(value)}; they must be a JSON object")
    _check(value)
    return cast("dict[str, JsonValue]", value)


def _load(text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constants)
    except RecursionError as error:
        raise InvalidInputError(f"the arguments are nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"the arguments are not JSON: {error}") from error


def _no_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidInputError(f"the arguments name {repeated[:_SHOWN]!r} twice")
    return found


def _no_constants(name: str) -> NoReturn:
    raise InvalidInputError(f"the arguments hold {name}, which is not JSON")


def _kind(value: object) -> str:
    kinds = {str: "a string", list: "an array", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")


def _check(value: object) -> None:
    """Walk the value without recursion: depth, finite numbers, whole characters."""
    waiting: list[tuple[object, int]] = [(value, 1)]
    size = 0
    while waiting:
        item, depth = waiting.pop()
        size += len(item) if isinstance(item, str) else 1
        if size > MAX_BYTES:
            raise InvalidInputError(f"the arguments have more than {MAX_BYTES} bytes")
        if isinstance(item, str):
            _check_text(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise InvalidInputError(f"the arguments hold the number {item}, which is not finite")
        elif isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                raise InvalidInputError(f"the arguments are nested deeper than {MAX_DEPTH}")
            if isinstance(item, dict):
                for name in item:
                    if not isinstance(name, str):
                        raise InvalidInputError(f"the arguments have a key that is no text: {name!r:.80}")
                    _check_text(name)
            waiting.extend((inner, depth + 1) for inner in (item.values() if isinstance(item, dict) else item))


def _check_text(text: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError("the arguments hold a lone surrogate, which is no character") from error


def validate_arguments(name: str, model: type[BaseModel], arguments: Mapping[str, JsonValue] | str) -> BaseModel:
    """Check arguments against a tool's schema.

    Raises:
        InvalidInputError: Names every field that is wrong and what is allowed.
    """
    values = parse_arguments(arguments)
    try:
        return _validated(model, values)
    except ValidationError as error:
        problems = [
            _problem(detail["loc"], detail["msg"]) for detail in error.errors(include_url=False, include_input=False)
        ]
        allowed = ", ".join(model.model_fields) or "none"
        raise InvalidInputError(f"{name}: {'; '.join(problems[:5])}", hint=f"use its arguments: {allowed}") from None


def _validated(model: type[BaseModel], values: dict[str, JsonValue]) -> BaseModel:
    """Check values; a null in place of an argument that may be left out is none: strict schemas know no other way.

    Raises:
        ValidationError: If they are wrong.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        nulls = [detail["loc"] for detail in wrong if detail["input"] is None and detail["type"] != "missing"]
        if not nulls:
            raise
    values = copy.deepcopy(values)
    for location in nulls:
        _leave_out(values, location)
    return model.model_validate(values)


def _leave_out(values: JsonValue, location: tuple[int | str, ...]) -> None:
    """Take an argument out, however deep it is."""
    for part in location[:-1]:
        if isinstance(values, dict) and isinstance(part, str):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int):
            values = values[part]
    if isinstance(values, dict):
        values.pop(str(location[-1]), None)


def _problem(location: tuple[int | str, ...], message: str) -> str:
    where = ".".join(str(part)[:_SHOWN] for part in location)
    return f"{where}: {message[:1].lower()}{message[1:]}" if where else message
