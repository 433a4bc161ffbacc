"""The vendor's error bodies."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from deskhand.testing.models.wire import ApiError, WireAnswer, json_answer

__all__ = ["REQUEST_ID", "OpenAIError", "refused"]

REQUEST_ID = "x-request-id"

ERROR_TYPES: Mapping[int, str] = {
    408: "server_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}
"""The ``error.type`` of each status; every other status is an ``invalid_request_error``."""

ERROR_CODES: Mapping[int, str] = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
"""The ``error.code`` of a status where nothing else is said."""


class OpenAIError(ApiError):
    """A request that the API refuses.

    Args:
        status: The HTTP status.
        message: The text in ``error.message``.
        param: The parameter that is wrong, as in ``input[2].call_id``.
        code: The ``error.code``; None stands for the status's usual one, an empty one for none.
        kind: The ``error.type``; None stands for the status's usual one.
        headers: Headers besides the usual ones.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers=headers)
        self.param = param
        self.code: str | None = (code or None) if code is not None else ERROR_CODES.get(status)
        self.kind: str = kind if kind is not None else ERROR_TYPES.get(status, "invalid_request_error")

    def answer(self, request_id: str) -> WireAnswer:
        """Returns the answer that tells of this error."""
        error: dict[str, JsonValue] = {
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        }
        return json_answer(self.status, {"error": error}, request_id, self.headers, id_header=REQUEST_ID)


def refused(param: str, message: str, code: str | None = None) -> OpenAIError:
    """Returns the 400 that names the parameter and what is wrong with it."""
    return OpenAIError(400, message, param=param or None, code=code)
