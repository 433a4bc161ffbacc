"""The shape of what comes and what goes: bodies, errors, answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import JsonValue

if TYPE_CHECKING:
    from .account import Key

__all__ = ["Answer", "ApiError", "Call", "Field", "Json", "NestedApiError", "json_answer", "read_fields"]

Json: TypeAlias = dict[str, JsonValue]
Kind: TypeAlias = Literal["string", "integer", "number", "boolean"]


class ApiError(Exception):
    """An error of the API.

    Args:
        status: The HTTP status.
        message: The text of the field ``error``.
        **extra: Further fields.
    """

    def __init__(self, status: int, message: str, **extra: JsonValue) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.extra: Json = extra

    def body(self, request_id: str) -> Json:
        """Returns the body of the answer."""
        return {"error": self.message, "request_id": request_id, **self.extra}


class NestedApiError(ApiError):
    """An error of the chat completions, which have another shape than the rest."""

    def __init__(self, status: int, code: str, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(status, message)
        self.code = code
        self.kind = kind

    def body(self, request_id: str) -> Json:
        """Returns the body of the answer."""
        del request_id
        return {"error": {"type": self.kind, "message": self.message, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as a route gets it.

    Attributes:
        key: Whose request it is.
        path: The variable parts of the path by name.
        query: The query's parameters.
        body: The JSON object that came; empty where none did.
        form: The fields of a form; a file is its name and bytes.
        request_id: What the answer calls the request.
    """

    key: Key
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Json = field(default_factory=dict)
    form: Mapping[str, str | tuple[str, str, bytes]] = field(default_factory=dict)
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(
    body: Mapping[str, JsonValue], status: int = 200, *, headers: Mapping[str, str] = MappingProxyType({})
) -> Answer:
    """Returns an answer with a JSON object."""
    return Answer(status, json.dumps(body).encode(), headers=headers)


@dataclass(frozen=True, slots=True)
class Field:
    """What a field of a body may be.

    Attributes:
        kind: Its JSON type.
        required: Whether it must be there.
        choices: Its allowed values; any where empty.
        low: The smallest allowed number.
        high: The largest allowed number.
    """

    kind: Kind
    required: bool = False
    choices: tuple[object, ...] = ()
    low: float | None = None
    high: float | None = None

    def problem(self, name: str, value: JsonValue) -> str | None:
        """Returns what is wrong with a value, if anything is."""
        if not _is(self.kind, value):
            return f"{name} must be {'an' if self.kind == 'integer' else 'a'} {self.kind}"
        if self.choices and value not in self.choices:
            return f"{name} must be one of {', '.join(map(str, self.choices))}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.low is not None and value < self.low:
                return f"{name} must be at least {self.low:g}"
            if self.high is not None and value > self.high:
                return f"{name} must be at most {self.high:g}"
        return None


def _is(kind: Kind, value: JsonValue) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "boolean":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, int) if kind == "integer" else isinstance(value, int | float)


def read_fields(body: Json, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Returns the fields of a body.

    Raises:
        ApiError: If one is missing, unknown or wrong.
    """
    for name in body:
        if name not in fields:
            raise ApiError(400, f"Unknown field: {name}")
    for name, wanted in fields.items():
        if name not in body:
            if wanted.required:
                raise ApiError(400, f"{name} is required")
            continue
        problem = wanted.problem(name, body[name])
        if problem is not None:
            raise ApiError(400, problem)
    return dict(body)
