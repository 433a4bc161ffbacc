"""The seven tools every agent loop wants first, in the shape of plain functions: schemas and one dispatcher."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import JsonValue

from deskhand.errors import ToolError
from deskhand.providers.contract import Capability, ExternalComputer
from deskhand.tools.computer import computer_tools
from deskhand.tools.registry import ToolOutput, ToolRegistry

__all__ = ["TOOL_SCHEMAS", "anthropic_tools", "dispatch"]

_SEVEN: Final = ("exec", "screenshot", "left_click", "type", "key", "write_file", "read_file")
_ALL: Final = computer_tools(frozenset(Capability))
_REGISTRY: Final = ToolRegistry(_ALL.get(name) for name in _SEVEN)

TOOL_SCHEMAS: Final[list[dict[str, JsonValue]]] = _REGISTRY.openai_tools("chat")
"""The seven tools as OpenAI's Chat Completions API takes them."""


def anthropic_tools() -> list[dict[str, JsonValue]]:
    """Return the seven tools as Anthropic's Messages API takes them."""
    return _REGISTRY.anthropic_tools()


def _screenshot(output: ToolOutput) -> dict[str, JsonValue]:
    if output.image is None:
        raise ToolError("the computer gave no image")
    return {"image_base64": base64.b64encode(output.image).decode()}


def _data(output: ToolOutput) -> dict[str, JsonValue]:
    return dict(output.data) if isinstance(output.data, dict) else {}


def _done(output: ToolOutput) -> dict[str, JsonValue]:
    del output
    return {"ok": True}


_RESULTS: Final[Mapping[str, Callable[[ToolOutput], dict[str, JsonValue]]]] = {
    "exec": _data,
    "screenshot": _screenshot,
    "read_file": _data,
}


async def dispatch(
    computer: ExternalComputer, name: str, arguments: Mapping[str, JsonValue] | str
) -> dict[str, JsonValue]:
    """Do one of the seven tools' calls on a computer.

    A direct library call, in no run and in no log; ``open_run`` gives the same with events, order and control.

    Args:
        computer: The computer.
        name: exec, screenshot, left_click, type, key, write_file or read_file.
        arguments: A mapping, or the JSON text that a model gave.

    Returns:
        exec: ``{"output", "exit_code", "error"}``; screenshot: ``{"image_base64"}``; read_file: ``{"content"}``; the
        others: ``{"ok": True}``.

    Raises:
        NotFoundError: If there is no such tool.
        InvalidInputError: If the arguments are wrong.
        DeskhandError: Whatever the computer raises.
    """
    output = await _REGISTRY.dispatch(computer, name, arguments)
    return _RESULTS.get(name, _done)(output)
