"""What Anthropic's Messages API is asked with besides the history: settings, tools, and the betas that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import JsonValue

from deskhand.errors import ConfigError
from deskhand.harness.models.adapter import Json
from deskhand.harness.models.profiles import BINDING_CONTROLS, COMPUTER_TOOLSET, TOOL_BETAS, ModelProfile
from deskhand.providers.contract import Screen
from deskhand.tools.formats import TOOLSET
from deskhand.tools.registry import ToolRegistry

__all__ = ["MEMBERS", "Offer", "Settings", "offer"]

MEMBERS: Final = (
    "screenshot",
    "cursor_position",
    "left_mouse_down",
    "left_mouse_up",
    "left_click",
    "right_click",
    "middle_click",
    "double_click",
    "triple_click",
    "left_click_drag",
    "mouse_move",
    "scroll",
    "type",
    "key",
    "hold_key",
    "wait",
    "zoom",
)
"""The members of the computer toolset; the registry's tools and the older tools' actions bear the same names."""

ZOOMING: Final = frozenset({COMPUTER_TOOLSET, "computer_20251124"})
"""The computer tools that can show a part of the screen enlarged."""

CLEAR_ABOVE: Final = 100_000
"""Input tokens above which the server drops old tool results."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a harness asks of the model besides the goal.

    Attributes:
        model: The model's name as it is sent.
        profile: What is known of it.
        instructions: The system prompt.
        max_tokens: The most that one answer may have.
        effort: How much thought it should take; the model's default where not given.
        schema: The JSON Schema of the final answer; free text where not given.
        native: Whether it gets the vendor's computer tool; functions alone where not.
    """

    model: str
    profile: ModelProfile
    instructions: str
    max_tokens: int
    effort: str | None = None
    schema: Json | None = None
    native: bool = True


@dataclass(frozen=True, slots=True)
class Offer:
    """What stays the same from request to request.

    Attributes:
        params: The parameters, the messages left out.
        betas: The beta headers.
        members: What the model may do with the computer.
        functions: The function tools that it may call.
    """

    params: Json
    betas: Sequence[str]
    members: frozenset[str]
    functions: frozenset[str]

    def unbound(self) -> Offer:
        """Return the same for a history that was changed: thinking that is bound to it is left out, not refused."""
        given = self.params.get("thinking")
        thinking: Json = {**(given if isinstance(given, dict) else {"type": "adaptive"})}
        thinking["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
        return replace(self, params={**self.params, "thinking": thinking}, betas=[*self.betas, BINDING_CONTROLS])


def offer(settings: Settings, tools: ToolRegistry, display: Screen) -> Offer:
    """Build the part of a request that stays the same for a whole run; its last block ends the cached prefix.

    Args:
        settings: What is asked of the model.
        tools: What it may call.
        display: The size of the screenshots that it is shown; older computer tools are told it.

    Raises:
        ConfigError: If a tool has a name that the API keeps for itself.
    """
    kind = settings.profile.computer_tool
    able = frozenset(name for name in MEMBERS if settings.native and name in tools and tools.get(name).on_screen)
    members = able if kind in ZOOMING else able - {"zoom"}
    betas: list[str] = []
    entries: list[JsonValue] = []
    if members and kind is not None:
        if TOOLSET in tools:
            raise ConfigError(f"a tool may not be called {TOOLSET!r} beside the computer toolset", hint="rename it")
        entries.append(_toolset(members) if kind == COMPUTER_TOOLSET else _older(kind, members, display))
        if kind in TOOL_BETAS:
            betas.append(TOOL_BETAS[kind])
    functions = ToolRegistry(tool for tool in tools if tool.name not in able)
    entries.extend(functions.anthropic_tools())
    params = _parameters(settings, entries)
    if settings.profile.clears is not None and entries:
        params["context_management"] = {"edits": [_clearing()]}
        betas.append(settings.profile.clears)
    return Offer(params, betas, members, frozenset(functions.names))


def _toolset(members: frozenset[str]) -> Json:
    entry: Json = {"type": COMPUTER_TOOLSET}
    missing = [name for name in MEMBERS if name not in members]
    if missing:
        entry["configs"] = {name: {"enabled": False} for name in missing}
    return entry


def _older(kind: str, members: frozenset[str], display: Screen) -> Json:
    """Describe one of the older computer tools: it knows the display, and no way to offer a part of its actions."""
    entry: Json = {
        "type": kind,
        "name": TOOLSET,
        "display_width_px": display.width,
        "display_height_px": display.height,
    }
    if "zoom" in members:
        entry["enable_zoom"] = True
    return entry


def _parameters(settings: Settings, entries: list[JsonValue]) -> Json:
    mark: Json = {"type": "ephemeral"}
    params: Json = {"model": settings.model, "max_tokens": settings.max_tokens, "stream": True}
    if entries:
        params["tools"] = entries
    params["system"] = [{"type": "text", "text": settings.instructions, "cache_control": mark}]
    if settings.profile.thinking is not None:
        params["thinking"] = dict(settings.profile.thinking)
    output: Json = {}
    if settings.effort is not None:
        output["effort"] = settings.effort
    if settings.schema is not None:
        output["format"] = {"type": "json_schema", "schema": settings.schema}
    if output:
        params["output_config"] = output
    return params


def _clearing() -> Json:
    """Let the server drop old results: dropping them here would part the model's thinking from what it saw."""
    return {
        "type": "clear_tool_uses_20250919",
        "trigger": {"type": "input_tokens", "value": CLEAR_ABOVE},
        "keep": {"type": "tool_uses", "value": 20},
        "clear_at_least": {"type": "input_tokens", "value": CLEAR_ABOVE // 4},
    }
