"""``deskhand tools``: the computer's tools in every vendor's format."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from deskhand.cli.exits import Exit
from deskhand.cli.options import DebugOption
from deskhand.cli.terminal import Terminal

if TYPE_CHECKING:
    from deskhand.cli.stopping import Stopper

__all__ = ["register"]


class Format(enum.StrEnum):
    """Whose format."""

    OPENAI = "openai"
    OPENAI_RESPONSES = "openai-responses"
    ANTHROPIC = "anthropic"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tools")(tools)


def tools(
    format: Annotated[
        Format,
        typer.Option("--format", help="openai: Chat Completions; anthropic: function tools; json: plain JSON Schema."),
    ] = Format.JSON,
    json: Annotated[bool, typer.Option("--json", help="Print one tool a line.")] = False,
    debug: DebugOption = False,
) -> None:
    """Print the computer's tools as a model API takes them."""
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        return print_tools(terminal, format)

    invoke(body, json=json, debug=debug)


def print_tools(terminal: Terminal, format: Format) -> int:
    """Print every tool that some computer can back: a list, or with ``--json`` one a line."""
    import json

    from deskhand.providers.contract import Capability
    from deskhand.tools.computer import computer_tools

    registry = computer_tools(frozenset(Capability))
    schemas = {
        Format.OPENAI: lambda: registry.openai_tools("chat"),
        Format.OPENAI_RESPONSES: lambda: registry.openai_tools("responses"),
        Format.ANTHROPIC: registry.anthropic_tools,
        Format.JSON: registry.json_schemas,
    }[format]()
    if terminal.json:
        for schema in schemas:
            terminal.line(schema)
    else:
        terminal.result(json.dumps(schemas, indent=2))
    return Exit.COMPLETED
