"""Orgo's one route for commands, and what its answers mean."""

from __future__ import annotations

from collections.abc import Mapping

from deskhand.errors import ProtocolError
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
        return Ran(_printed(answer), exit_code_of(answer), _error_of(answer))

    return run


def output_of(answer: Mapping[str, object]) -> tuple[str, int]:
    """Return a command's output, within bounds, and the bytes that were not kept."""
    return kept(_printed(answer))


def _printed(answer: Mapping[str, object]) -> str:
    output = answer.get("output", "")
    if not isinstance(output, str):
        raise ProtocolError("orgo's answer holds no output", provider=NAME, effect="yes")
    return output


def exit_code_of(answer: Mapping[str, object]) -> int:
    """Return the exit code; where the server names none, ``success`` tells no more than whether it was 0."""
    code = answer.get("exit_code")
    if isinstance(code, int) and not isinstance(code, bool):
        return code
    return 0 if answer.get("success") is True else 1


def _error_of(answer: Mapping[str, object]) -> str | None:
    """Return why there is no plain result, where the server has one: with an exit code there is."""
    if answer.get("exit_code") is not None or answer.get("success") is True:
        return None
    error = answer.get("error")
    return error[:500] if isinstance(error, str) and error else "the command could not be run"
