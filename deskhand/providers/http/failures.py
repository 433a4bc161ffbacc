"""What an HTTP status means: one table for all providers, with rows of a vendor's own before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from deskhand.errors import (
    AuthError,
    ConfigError,
    ConflictError,
    DeadlineExceededError,
    DeskhandError,
    Effect,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProviderError,
    QuotaError,
    RateLimitedError,
    UnsupportedError,
)
from deskhand.providers.http.operation import Operation

__all__ = ["SHOWN", "Answer", "Failure", "FailureRow", "failure_of"]

SHOWN: Final = 500
"""Characters of a foreign message that are repeated."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is an error.

    Attributes:
        status: The HTTP status.
        said: The other side's text, cut and without secrets; empty where it said nothing that can be read.
        code: The other side's code, where it has one.
        fields: The answer's JSON object; empty where it was none.
        request_id: The other side's name for the request.
        retry_at: When to try again, in Unix seconds, where it said so.
        retryable: Whether the same request may succeed later, where it said so.
    """

    status: int
    said: str = ""
    code: str = ""
    fields: Mapping[str, JsonValue] | None = None
    request_id: str | None = None
    retry_at: float | None = None
    retryable: bool | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """What an error status means.

    Attributes:
        error: The class.
        effect: Whether the request took effect; ``None`` where the status does not tell: then a read had none, and of
            anything else nobody knows.
        retryable: Whether the same request may succeed later; what the answer says, else the class's default, where not
            given.
        hint: What to do; fields of the answer may stand in it in braces. Where nobody knows the effect of what must
            not arrive twice, nothing advises to do it again: it is to look first, and ``retryable`` is false.
        is_silence: Whether this only says that whoever does the work did not answer (a gateway's timeout).
    """

    error: type[DeskhandError]
    effect: Effect | None = None
    retryable: bool | None = None
    hint: str | None = None
    is_silence: bool = False


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A row of a vendor's own: it counts where the status is this and the code or the text holds that.

    Attributes:
        status: The HTTP status.
        holds: In lower case, what the code is or the text contains; empty matches all.
        failure: What it means.
        is_bare: Whether only an answer without a JSON object is meant, as servers give that know no such path.
    """

    status: int
    holds: str
    failure: Failure
    is_bare: bool = False

    def matches(self, answer: Answer) -> bool:
        """Whether an answer is meant."""
        if self.is_bare and answer.fields:
            return False
        return answer.status == self.status and (self.holds == answer.code.lower() or self.holds in answer.said.lower())


_COMMON: Final[Mapping[int, Failure]] = {
    400: Failure(InvalidInputError, "no"),
    401: Failure(AuthError, "no"),
    402: Failure(QuotaError, "no"),
    403: Failure(PermissionDeniedError, "no"),
    404: Failure(NotFoundError, "no"),
    405: Failure(UnsupportedError, "no", hint="the other side has no such route; use another way"),
    408: Failure(DeadlineExceededError, None, True, is_silence=True),
    409: Failure(ConflictError, "no"),
    410: Failure(NotFoundError, "no"),
    413: Failure(PayloadTooLargeError, "no"),
    422: Failure(InvalidInputError, "no"),
    425: Failure(OverloadedError, "no"),
    429: Failure(RateLimitedError, "no"),
    500: Failure(ProviderError, None, True),
    501: Failure(UnsupportedError, "no"),
    502: Failure(OverloadedError, None, True, is_silence=True),
    503: Failure(OverloadedError, None, True),
    504: Failure(DeadlineExceededError, None, True, is_silence=True),
    529: Failure(OverloadedError, "no"),
}
"""What a status means where the vendor says nothing else."""


def _common(status: int) -> Failure:
    if 300 <= status < 400:
        return Failure(ConfigError, "no", hint="give the address that it names as base_url: a key is not sent after it")
    known = _COMMON.get(status)
    return known or Failure(ProviderError, "no" if status < 500 else None, status >= 500)


def failure_of(answer: Answer, operation: Operation, provider: str, rows: Sequence[FailureRow] = ()) -> DeskhandError:
    """Return the error that an answer stands for.

    Args:
        answer: What came.
        operation: What was asked.
        provider: Who was asked.
        rows: The vendor's own rows, the first that matches counts.
    """
    of_vendor = next((row.failure for row in rows if row.matches(answer)), None)
    failure = of_vendor or _common(answer.status)
    make, effect, hint = failure.error, failure.effect, failure.hint
    retryable = failure.retryable
    if answer.retryable is not None and (of_vendor is None or retryable is None):
        retryable = answer.retryable
    if effect is None:
        effect = "no" if operation.repetition == "read" else "unknown"
        if failure.is_silence and operation.repetition == "once":
            make, hint = OutcomeUnknownError, None
    if effect == "unknown" and operation.repetition == "once":
        is_to_repeat = make.retryable if failure.retryable is None else failure.retryable
        retryable, hint = False, OutcomeUnknownError.hint if is_to_repeat else hint or OutcomeUnknownError.hint
    said = f": {answer.said}" if answer.said else ""
    return make(
        f"{provider} answered {answer.status} when asked to {operation.name}{said}",
        hint=_filled(hint, answer),
        effect=effect,
        retryable=retryable if make is failure.error else None,
        provider=provider,
        request_id=answer.request_id,
        retry_at=answer.retry_at,
    )


def _filled(hint: str | None, answer: Answer) -> str | None:
    """Put fields of an answer where a hint names them."""
    if hint is None or "{" not in hint:
        return hint
    for name, value in (answer.fields or {}).items():
        hint = hint.replace("{" + name + "}", str(value)[:SHOWN])
    return hint
