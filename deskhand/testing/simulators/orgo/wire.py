"""What is Orgo's own in the shape of what comes and what goes."""

from __future__ import annotations

from typing import TypeAlias

from deskhand.testing.simulators.wire import ApiError, Call, Json

from .account import Key

__all__ = ["NestedApiError", "OrgoCall"]

OrgoCall: TypeAlias = Call[Key]


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
