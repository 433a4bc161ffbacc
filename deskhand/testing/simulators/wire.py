"""The shape of what comes and what goes: bodies, errors, answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import JsonValue

__all__ = ["Answer", "ApiError", "Call", "Field", "Json", "check_accepts_json", "json_answer", "read_fields"]

Json: TypeAlias = dict[str, JsonValue]
Kind: TypeAlias = Literal["string", "integer", "number", "boolean", "object", "array"]
Caller = TypeVar("Caller")

_KINDS: Mapping[Kind, tuple[type, ...]] = MappingProxyType(
    {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "object": (dict,),
        "array": (list,),
    }
)


class ApiError(Exception):
    """An error of the API. A vendor whose errors have another shape overrides `body`.

    Args:
        status: The HTTP status.
        message: The text of the field ``error``.
        headers: Further headers of the answer.
        **extra: Further fields.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        **extra: JsonValue,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.extra: Json = extra

    def body(self, request_id: str) -> Json:
        """Returns the body of the answer."""
        return {"error": self.message, "request_id": request_id, **self.extra}


@dataclass(frozen=True, slots=True)
class Call(Generic[Caller]):
    """One request, as a route gets it.

    Attributes:
        caller: Whose request it is: what the simulator's `admit` made of the key.
        path: The variable parts of the path by name.
        query: The query's parameters.
        headers: The headers, names in lower case.
        body: The JSON object that came; empty where none did, or where the route takes bytes or a form.
        form: The fields of a form; a file is its name, type and bytes.
        content: The body as it came.
        request_id: What the answer calls the request.
    """

    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json = field(default_factory=dict)
    form: Mapping[str, str | tuple[str, str, bytes]] = field(default_factory=dict)
    content: bytes = field(default=b"", repr=False)
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers.

    Attributes:
        status: The HTTP status.
        body: The body; what comes before ``stream`` where there is one.
        content_type: Its type.
        headers: Further headers.
        stream: Pieces that are sent as they come, until it ends or the client has left; it is closed in either case.
    """

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


def json_answer(
    body: JsonValue | Mapping[str, JsonValue], status: int = 200, *, headers: Mapping[str, str] = MappingProxyType({})
) -> Answer:
    """Returns an answer with JSON."""
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
            return f"{name} must be {'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}"
        if self.choices and value not in self.choices:
            return f"{name} must be one of {', '.join(map(str, self.choices))}"
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.low is not None and value < self.low:
                return f"{name} must be at least {self.low:g}"
            if self.high is not None and value > self.high:
                return f"{name} must be at most {self.high:g}"
        return None


def check_accepts_json(accepted: Sequence[str]) -> None:
    """Refuses a request whose sender takes no JSON, as Phoenix does before it looks at the key.

    Args:
        accepted: The headers ``accept``, of which the first counts.

    Raises:
        ApiError: If it takes none.
    """
    kinds = {kind.partition(";")[0].strip().lower() for kind in accepted[0].split(",")} if accepted else {"*/*"}
    if kinds.isdisjoint({"*/*", "application/*", "application/json"}):
        raise ApiError(406, "Not acceptable")


def _is(kind: Kind, value: JsonValue) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


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
