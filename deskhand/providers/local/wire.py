"""What the owner of a local computer and those attached to it say to each other.

Text frames are control, one JSON object each. Binary frames are payload: the number of the call that they belong to, a
tag, then bytes that nobody interprets. Whatever a computer's programs write travels in binary frames or in values of
JSON strings, so that no output can pass for a message.
"""

from __future__ import annotations

import json
import struct
from typing import Annotated, ClassVar, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from deskhand import errors
from deskhand.errors import DeskhandError, Effect, InvalidInputError, PayloadTooLargeError, ProtocolError, ProviderError
from deskhand.providers.actions import InputAction
from deskhand.providers.contract import Capability, ComputerInfo

__all__ = [
    "CHUNK",
    "HEADER",
    "LONGEST_MESSAGE",
    "LONGEST_PAYLOAD",
    "MOST_CALLS",
    "STDERR",
    "STDOUT",
    "WINDOW",
    "Call",
    "Cancel",
    "Cancelled",
    "Credit",
    "Ended",
    "Failed",
    "Failure",
    "FromOwner",
    "Hello",
    "Opened",
    "Result",
    "ToOwner",
    "decode_action",
    "decode_from_owner",
    "decode_to_owner",
    "encode",
    "encode_action",
    "pack",
    "pieces",
    "unpack",
]

VERSION: Final = 2
"""The version of what is said; both sides must speak the same, as both are parts of one installed package."""

LONGEST_MESSAGE: Final = 16 * 1024 * 1024
"""Bytes of one frame."""

LONGEST_PAYLOAD: Final = 100 * 1024 * 1024
"""Bytes that a call may carry beside its message, in either direction: the largest file that is read or written."""

CHUNK: Final = 256 * 1024
"""Bytes of payload in one binary frame."""

WINDOW: Final = 1024 * 1024
"""Bytes of output that may be under way and not yet read by whoever follows a command or terminal."""

MOST_CALLS: Final = 256
"""Calls that one connection may have open at a time."""

HEADER: Final = struct.Struct(">QB")
PAYLOAD, STDOUT, STDERR = 0, 1, 2


class _Message(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, allow_inf_nan=False)


class Call(_Message):
    """Asks for an operation; ``on`` names the open call it concerns, ``payload`` the bytes that follow it."""

    type: Literal["call"] = "call"
    id: int = Field(ge=1, lt=2**63)
    operation: str
    arguments: dict[str, JsonValue] = {}
    payload: int | None = Field(default=None, ge=0)
    on: int | None = None


class Cancel(_Message):
    """Ends a call, or closes what it opened."""

    type: Literal["cancel"] = "cancel"
    id: int


class Credit(_Message):
    """Lets the owner send so many more bytes of output."""

    type: Literal["credit"] = "credit"
    id: int
    size: int = Field(ge=1, le=WINDOW)


class Hello(_Message):
    """The owner's first word."""

    type: Literal["hello"] = "hello"
    version: int
    info: ComputerInfo
    capabilities: frozenset[Capability]


class Opened(_Message):
    """A command, terminal, shell or lease is open."""

    type: Literal["opened"] = "opened"
    id: int


class Ended(_Message):
    """What a call opened has ended by itself; its output is complete."""

    type: Literal["ended"] = "ended"
    id: int
    exit_code: int | None


class Result(_Message):
    """A call's result; ``payload`` counts the bytes that came before it, ``info`` is there when it has changed."""

    type: Literal["result"] = "result"
    id: int
    value: JsonValue = None
    payload: int | None = None
    info: ComputerInfo | None = None


class Failure(_Message):
    """An error with all its data."""

    kind: str
    message: str
    code: str
    hint: str | None = None
    effect: Effect
    retryable: bool
    provider: str | None = None
    request_id: str | None = None
    retry_at: float | None = None

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Describe an error; one that is not ours is the owner's failure."""
        if not isinstance(error, DeskhandError):
            error = ProviderError(f"the computer's owner failed: {type(error).__name__}: {error}", provider="local")
        return cls(
            kind=next((base.__name__ for base in type(error).__mro__ if base.__name__ in _ERRORS), "DeskhandError"),
            message=error.message,
            code=error.code,
            hint=error.hint,
            effect=error.effect,
            retryable=error.retryable,
            provider=error.provider,
            request_id=error.request_id,
            retry_at=error.retry_at,
        )

    def error(self) -> DeskhandError:
        """Return the error, of the class that it had."""
        return _ERRORS.get(self.kind, DeskhandError)(
            self.message,
            hint=self.hint,
            effect=self.effect,
            retryable=self.retryable,
            provider=self.provider,
            request_id=self.request_id,
            retry_at=self.retry_at,
            code=self.code,
        )


class Failed(_Message):
    """A call has failed, or what it opened has."""

    type: Literal["failed"] = "failed"
    id: int
    failure: Failure


class Cancelled(_Message):
    """A call was ended as asked, and has cleaned up."""

    type: Literal["cancelled"] = "cancelled"
    id: int


ToOwner = Annotated[Call | Cancel | Credit, Field(discriminator="type")]
FromOwner = Annotated[Hello | Opened | Ended | Result | Failed | Cancelled, Field(discriminator="type")]

_TO_OWNER: TypeAdapter[Call | Cancel | Credit] = TypeAdapter(ToOwner)
_FROM_OWNER: TypeAdapter[Hello | Opened | Ended | Result | Failed | Cancelled] = TypeAdapter(FromOwner)
_T = TypeVar("_T")

_ERRORS: dict[str, type[DeskhandError]] = {
    kind.__name__: kind
    for kind in (getattr(errors, name) for name in errors.__all__)
    if isinstance(kind, type)
    and issubclass(kind, DeskhandError)
    and kind.__init__ is DeskhandError.__init__  # the others belong to runs and have more data
}


def encode(message: BaseModel) -> str:
    """Encode a control message.

    Raises:
        PayloadTooLargeError: If it is longer than a frame may be.
    """
    # The standard library's JSON carries lone surrogates, which is how Python names files that are not UTF-8.
    text = json.dumps(message.model_dump(mode="json"))
    if len(text) > LONGEST_MESSAGE - HEADER.size:
        raise PayloadTooLargeError(
            f"a message of {len(text)} bytes is longer than {LONGEST_MESSAGE}", hint="use a file for what is so large"
        )
    return text


def decode_to_owner(text: str) -> Call | Cancel | Credit:
    """Decode a message to the owner.

    Raises:
        ProtocolError: If it is none.
    """
    return _decode(_TO_OWNER, text)


def decode_from_owner(text: str) -> Hello | Opened | Ended | Result | Failed | Cancelled:
    """Decode a message from the owner.

    Raises:
        ProtocolError: If it is none.
    """
    return _decode(_FROM_OWNER, text)


def _decode(adapter: TypeAdapter[_T], text: str) -> _T:
    try:
        return adapter.validate_python(json.loads(text))
    except ValidationError as error:
        raise ProtocolError(f"no message of this protocol: {error.errors(include_url=False)[0]['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a text frame holds no JSON object") from error


def pack(call_id: int, tag: int, data: bytes | memoryview) -> bytes:
    """Make a binary frame."""
    return b"".join((HEADER.pack(call_id, tag), data))


def unpack(frame: bytes) -> tuple[int, int, memoryview]:
    """Return the call, tag and data of a binary frame.

    Raises:
        ProtocolError: If it is too short to be one.
    """
    if len(frame) < HEADER.size:
        raise ProtocolError(f"a binary frame of {len(frame)} bytes has no header")
    call_id, tag = HEADER.unpack_from(frame)
    return call_id, tag, memoryview(frame)[HEADER.size :]


def pieces(data: bytes) -> list[memoryview]:
    """Cut a payload into the pieces that go into one binary frame each."""
    view = memoryview(data)
    return [view[start : start + CHUNK] for start in range(0, len(view), CHUNK)]


_ACTIONS: dict[str, TypeAdapter[InputAction]] = {cls.__name__: TypeAdapter(cls) for cls in InputAction.__args__}


def encode_action(action: InputAction) -> dict[str, JsonValue]:
    """Encode an input action."""
    kind = type(action).__name__
    return {"kind": kind, **_ACTIONS[kind].dump_python(action, mode="json")}


def decode_action(fields: dict[str, JsonValue]) -> InputAction:
    """Decode an input action.

    Raises:
        InvalidInputError: If there is none of that kind, or its fields are wrong.
    """
    adapter = _ACTIONS.get(str(fields.get("kind")))
    if adapter is None:
        kinds = ", ".join(_ACTIONS)
        raise InvalidInputError(f"no input action is called {fields.get('kind')!r}", hint=f"one of {kinds}")
    try:
        return adapter.validate_python({name: value for name, value in fields.items() if name != "kind"})
    except ValidationError as error:
        raise InvalidInputError(f"{fields['kind']}: {error.errors(include_url=False)[0]['msg']}") from error
