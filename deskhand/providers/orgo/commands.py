"""Orgo's one route for commands, and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from deskhand.providers.answers import no_result
from deskhand.providers.orgo.api import NAME, OrgoApi
from deskhand.providers.shell_commands import Line, Ran, kept

__all__ = ["exit_code_of", "line_to", "output_of"]


def line_to(api: OrgoApi, computer_id: str) -> Line:
    """Return what runs scripts on a computer."""

    async def run(
        operation: str, script: str, *, seconds: int, deadline: float | None = None, is_urgent: bool = False
    ) -> Ran:
        body = {"command": script, "timeout": seconds}
        answer = await api.act(operation, computer_id, "bash", body, deadline=deadline, is_urgent=is_urgent)
        return Ran(_printed(operation, answer), exit_code_of(operation, answer), _error_of(answer))

    return run


def output_of(operation: str, answer: Mapping[str, JsonValue]) -> tuple[str, int]:
    """Return a command's output, within bounds, and the bytes that were not kept."""
    return kept(_printed(operation, answer))


def _printed(operation: str, answer: Mapping[str, JsonValue]) -> str:
    output = answer.get("output", "")
    if not isinstance(output, str):
        raise no_result(NAME, operation, answer)
    return output


def exit_code_of(operation: str, answer: Mapping[str, JsonValue]) -> int:
    """Return the exit code; where the server names none, ``success`` tells no more than whether it was 0.

    Raises:
        ProviderError: If there is neither, and the answer says that it failed.
        ProtocolError: If there is neither, and it does not.
    """
    code, success = answer.get("exit_code"), answer.get("success")
    if isinstance(code, int) and not isinstance(code, bool):
        return code
    if not isinstance(success, bool):
        raise no_result(NAME, operation, answer)
    return 0 if success else 1


def _error_of(answer: Mapping[str, JsonValue]) -> str | None:
    """Return why there is no plain result, where the server has one: with an exit code there is."""
    if answer.get("exit_code") is not None or answer.get("success") is True:
        return None
    error = answer.get("error")
    return error[:500] if isinstance(error, str) and error else "the command could not be run"
