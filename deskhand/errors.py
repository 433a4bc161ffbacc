"""Every error that deskhand raises, as one tree.

Each error carries data, not only text: ``code`` (stable, for programs), ``hint`` (what to do, often a command to copy),
``retryable``, ``effect`` (did it happen: ``yes``, ``no`` or ``unknown``), ``provider``, ``request_id`` and ``retry_at``
(Unix seconds, where the other side named a time). What a caller would catch anyway is inherited too.

========================= ===================== ========= ======= ======================================================
error                     code                  retryable effect  raised when
========================= ===================== ========= ======= ======================================================
``DeskhandError``         ``error``             no        unknown never itself: the root to catch them all
``ConfigError``           ``config``            no        no      a setting, key, extra or program is missing or wrong
``AuthError``             ``auth``              no        no      the other side refused the key
``PermissionDeniedError`` ``permission_denied`` no        no      the key or user is valid but may not do this
``QuotaError``            ``quota``             no        no      the account's plan or balance allows no more
``NotFoundError``         ``not_found``         no        no      the named computer, run, model or tool is not there
``FileMissingError``      ``file_not_found``    no        no      a path on a computer is not there
``ConflictError``         ``conflict``          no        no      it is in use, or in a state that does not allow this
``InvalidInputError``     ``invalid_input``     no        no      arguments are wrong: says which, and what is allowed
``UnsupportedError``      ``unsupported``       no        no      this computer lacks the capability
``RateLimitedError``      ``rate_limited``      yes       no      the other side asks to slow down (see ``retry_at``)
``OverloadedError``       ``overloaded``        yes       no      the other side is over capacity
``DeadlineExceededError`` ``deadline``          no        unknown a deadline passed
``ConnectionLostError``   ``connection_lost``   yes       unknown the connection broke
``ProtocolError``         ``protocol``          no        unknown the other side broke its own protocol
``TruncatedStreamError``  ``truncated_stream``  yes       no      a model's answer ended before its terminal event
``PayloadTooLargeError``  ``payload_too_large`` no        no      a message, file or image passed its limit
``UnsafeContentError``    ``unsafe_content``    no        yes     an image or message could harm whoever decodes it
``ProviderError``         ``provider``          no        unknown a vendor failed in a way that has no class of its own
``ComputerGoneError``     ``computer_gone``     no        unknown the computer ended or was destroyed
``OutcomeUnknownError``   ``outcome_unknown``   no        unknown the request may have taken effect and got no answer
``ToolError``             ``tool``              no        unknown a tool failed; its text is meant for the model
``RefusedError``          ``refused``           no        no      the model declined the goal
``BudgetExceededError``   ``budget_exceeded``   no        no      a run used up what it was given
``RunStoppedError``       ``stopped``           no        no      the run was stopped; nothing further may act in it
``QuarantinedError``      ``quarantined``       no        no      a run died too often to be taken up once more
``JournalError``          ``journal``           no        no      the event log cannot be written
``FencedError``           ``fenced``            no        no      a newer epoch owns this run (also a ``JournalError``)
``CorruptJournalError``   ``corrupt_journal``   no        no      the event log is damaged (also a ``JournalError``)
========================= ===================== ========= ======= ======================================================
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "AuthError",
    "BudgetExceededError",
    "ComputerGoneError",
    "ConfigError",
    "ConflictError",
    "ConnectionLostError",
    "CorruptJournalError",
    "DeadlineExceededError",
    "DeskhandError",
    "Effect",
    "FencedError",
    "FileMissingError",
    "InvalidInputError",
    "JournalError",
    "NotFoundError",
    "OutcomeUnknownError",
    "OverloadedError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderError",
    "QuarantinedError",
    "QuotaError",
    "RateLimitedError",
    "RefusedError",
    "RunStoppedError",
    "StalledError",
    "ToolError",
    "TruncatedStreamError",
    "UnsafeContentError",
    "UnsupportedError",
]

Effect = Literal["yes", "no", "unknown"]
"""Whether something happened out there: it did, it did not, or nobody can tell."""


class DeskhandError(Exception):
    """The root of all errors of this package.

    Args:
        message: What happened and why, one or two sentences.
        hint: What to do about it, a command where there is one; the class's default where not given.
        effect: Whether the request took effect; the class's default where not given.
        retryable: Whether the same request may succeed later; the class's default where not given.
        provider: The provider or model vendor concerned.
        request_id: The other side's name for the request.
        retry_at: When to try again, in Unix seconds.
        code: A stable name for programs; the class's default where not given.
    """

    code: str = "error"
    hint: str | None = None
    retryable: bool = False
    effect: Effect = "unknown"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        effect: Effect | None = None,
        retryable: bool | None = None,
        provider: str | None = None,
        request_id: str | None = None,
        retry_at: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        if effect is not None:
            self.effect = effect
        if retryable is not None:
            self.retryable = retryable
        if code is not None:
            self.code = code
        self.provider = provider
        self.request_id = request_id
        self.retry_at = retry_at

    def __str__(self) -> str:
        """The message, with the request id and the hint on it where there are any."""
        request = f" (request {self.request_id})" if self.request_id else ""
        hint = f" — {self.hint}" if self.hint else ""
        return f"{self.message}{request}{hint}"


class ConfigError(DeskhandError):
    """Raised when a setting, key, extra or program is missing or wrong."""

    code = "config"
    hint: str | None = "deskhand doctor tells what is missing"
    effect: Effect = "no"


class AuthError(DeskhandError):
    """Raised when the other side refused the key."""

    code = "auth"
    hint: str | None = "give a key that the other side knows"
    effect: Effect = "no"


class PermissionDeniedError(DeskhandError, PermissionError):
    """Raised when the key or user is valid but may not do this."""

    code = "permission_denied"
    hint: str | None = "see what this key or user may do"
    effect: Effect = "no"


class QuotaError(PermissionDeniedError):
    """Raised when the plan or the balance of the other side's account allows no more."""

    code = "quota"
    hint: str | None = "see the plan and the balance of this key's account"


class NotFoundError(DeskhandError, LookupError):
    """Raised when the named computer, run, model or tool is not there."""

    code = "not_found"
    hint: str | None = "check the name"
    effect: Effect = "no"


class FileMissingError(NotFoundError, FileNotFoundError):
    """Raised when a path on a computer is not there."""

    code = "file_not_found"
    hint: str | None = "list the folder to see what is there"


class ConflictError(DeskhandError):
    """Raised when something is in use, or in a state that does not allow this."""

    code = "conflict"
    hint: str | None = "wait until it is free, or use another"
    effect: Effect = "no"


class InvalidInputError(DeskhandError, ValueError):
    """Raised when arguments are wrong; says which, and what is allowed."""

    code = "invalid_input"
    hint: str | None = "correct the input and try again"
    effect: Effect = "no"


class UnsupportedError(DeskhandError, NotImplementedError):
    """Raised when a computer lacks the capability that a call needs."""

    code = "unsupported"
    hint: str | None = "ask for its capabilities first, or use another computer"
    effect: Effect = "no"


class RateLimitedError(DeskhandError):
    """Raised when the other side asks to slow down; ``retry_at`` says until when."""

    code = "rate_limited"
    hint: str | None = "wait a while, then try again"
    retryable = True
    effect: Effect = "no"


class OverloadedError(DeskhandError):
    """Raised when the other side is over capacity."""

    code = "overloaded"
    hint: str | None = "wait some minutes, then ask again"
    retryable = True
    effect: Effect = "no"


class DeadlineExceededError(DeskhandError, TimeoutError):
    """Raised when a deadline passed before the answer."""

    code = "deadline"
    hint: str | None = "give it more time, or find out what holds it up"


class ConnectionLostError(DeskhandError, ConnectionError):
    """Raised when the connection to a computer or model broke."""

    code = "connection_lost"
    hint: str | None = "check the network and the address, then try again"
    retryable = True


class ProtocolError(DeskhandError):
    """Raised when the other side broke its own protocol."""

    code = "protocol"
    hint: str | None = "ask again; if it stays, another version of deskhand may know better"


class TruncatedStreamError(ProtocolError):
    """Raised when a model's answer ended before its terminal event; nothing of that answer is acted on."""

    code = "truncated_stream"
    hint: str | None = "ask again"
    retryable = True
    effect: Effect = "no"


class PayloadTooLargeError(DeskhandError):
    """Raised when a message, file or image passed its limit."""

    code = "payload_too_large"
    hint: str | None = "send less at once"
    effect: Effect = "no"


class UnsafeContentError(DeskhandError):
    """Raised when an image or message could harm whoever decodes it."""

    code = "unsafe_content"
    hint: str | None = "take it anew; if it stays, do not trust where it comes from"
    effect: Effect = "yes"


class ProviderError(DeskhandError):
    """Raised when a vendor failed in a way that has no class of its own."""

    code = "provider"
    hint: str | None = "ask again later, or see the status page of the vendor"


class ComputerGoneError(DeskhandError):
    """Raised when the computer ended or was destroyed."""

    code = "computer_gone"
    hint: str | None = "open another computer"


class OutcomeUnknownError(DeskhandError):
    """Raised when a request may have taken effect and got no answer; it is never sent again by itself."""

    code = "outcome_unknown"
    hint: str | None = "look whether it happened before it is done again"


class ToolError(DeskhandError):
    """Raised by a tool to tell the model what went wrong; its message is what the model reads."""

    code = "tool"


class RefusedError(DeskhandError):
    """Raised when the model declined the goal."""

    code = "refused"
    hint: str | None = "say the goal in other words, or leave out what the model may not do"
    effect: Effect = "no"


class BudgetExceededError(DeskhandError):
    """Raised when a run used up what it was given; ``reason`` names the budget (turns, actions, ...)."""

    code = "budget_exceeded"
    hint: str | None = "raise the budget, or set a smaller goal"
    effect: Effect = "no"

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class RunStoppedError(DeskhandError):
    """Raised inside a run that was stopped: no further action may start; ``reason`` says by whom."""

    code = "stopped"
    hint: str | None = "start another run"
    effect: Effect = "no"

    def __init__(self, message: str, *, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class QuarantinedError(DeskhandError):
    """Raised when a run has died too often to be taken up once more."""

    code = "quarantined"
    hint: str | None = "see what it did last: deskhand events RUN; then start another run"
    effect: Effect = "no"


class StalledError(DeskhandError):
    """Raised inside a run that goes in circles, whatever it was told."""

    code = "stalled"
    hint: str | None = "look at its last frames, and set a smaller goal"
    effect: Effect = "no"


class JournalError(DeskhandError):
    """Raised when the event log cannot be written or read; no effect is sent without a durable intent.

    It is ``retryable`` where only space lacks.
    """

    code = "journal"
    hint: str | None = "see that the log's folder has space and can be written"
    effect: Effect = "no"


class FencedError(JournalError):
    """Raised when a newer epoch owns this run, so that this writer may neither act nor write."""

    code = "fenced"
    hint: str | None = "leave the run to the process that took it over"


class CorruptJournalError(JournalError):
    """Raised when the event log is damaged."""

    code = "corrupt_journal"
    hint: str | None = "restore the file from a copy, or move it away"
