"""What a vendor's answer holds, read without trusting it: a text, a number, a time, that it was done, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pydantic import JsonValue

from deskhand.errors import DeskhandError, OutcomeUnknownError, ProtocolError, ProviderError

__all__ = ["JsonObject", "check_done", "moment", "no_result", "number", "text"]

JsonObject: TypeAlias = dict[str, JsonValue]
_SHOWN: Final = 500
"""Characters of a vendor's words that are repeated."""


def text(value: JsonValue) -> str | None:
    """Return a text that is not empty."""
    return value if isinstance(value, str) and value else None


def number(value: JsonValue, *, most: float = 1e15) -> float | None:
    """Return a number from 0 to ``most``: no machine has more, whatever somebody says."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        return None
    return float(value)


def moment(value: JsonValue) -> datetime | None:
    """Return a time, which is UTC where it does not say."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return read if read is None or read.tzinfo is not None else read.replace(tzinfo=UTC)


def check_done(
    provider: str,
    operation: str,
    answer: Mapping[str, JsonValue],
    *,
    told: Collection[str] = (),
    foreign: Collection[str] = (),
) -> None:
    """Refuse an answer of success that says in its body that it is none, or that is nobody's who could have done it.

    Args:
        provider: Whose answer it is.
        operation: What was asked.
        answer: The answer.
        told: Fields of which the vendor's answer holds one; it may hold anything where there are none.
        foreign: Fields that the vendor's answer does not hold unless it says ``success``.

    Raises:
        ProviderError: If it says that it was not done, or names an error.
        ProtocolError: If it is not the vendor's.
    """
    if (why := _failure_in(answer)) is not None:
        raise _failed(provider, operation, why)
    is_foreign = "success" not in answer and not answer.keys().isdisjoint(foreign)
    if is_foreign or (told and answer.keys().isdisjoint(told)):
        raise _no_answer(provider, operation, answer)


def no_result(provider: str, operation: str, answer: Mapping[str, JsonValue]) -> DeskhandError:
    """Return what it means that an answer holds no result of what was run: it failed, or the answer is no vendor's."""
    why = _failure_in(answer)
    return _no_answer(provider, operation, answer) if why is None else _failed(provider, operation, why)


def _failed(provider: str, operation: str, why: str) -> ProviderError:
    said = f"{provider} failed to {operation}: {why}"
    return ProviderError(said, hint=OutcomeUnknownError.hint, effect="unknown", provider=provider)


def _no_answer(provider: str, operation: str, answer: Mapping[str, JsonValue]) -> ProtocolError:
    said = text(answer.get("message")) or text(answer.get("detail"))
    return ProtocolError(
        f"{provider} was asked to {operation}, and its answer does not tell that or what came of it"
        + (f": {said[:_SHOWN]}" if said else ""),
        hint=f"{OutcomeUnknownError.hint}; see that base_url is the vendor's API, and what stands before it",
        effect="unknown",
        provider=provider,
    )


def _failure_in(answer: Mapping[str, JsonValue]) -> str | None:
    """Return why something was not done, as an answer says it; ``None`` where it does not say that."""
    error = answer.get("error")
    if answer.get("success", True) is True and answer.get("ok") is not False and not error:
        return None
    within = error.get("message") if isinstance(error, dict) else error
    said = next((one for one in (within, answer.get("message"), answer.get("detail")) if text(one) is not None), None)
    return str(said)[:_SHOWN] if said is not None else "it does not say why"
