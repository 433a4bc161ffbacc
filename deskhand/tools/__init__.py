"""The dispatch registry: what models may call, in every vendor's format."""

from deskhand.tools.calls import ErrorInfo, Frame, Observation, SafetyCheck, ToolCall
from deskhand.tools.computer import computer_tools
from deskhand.tools.formats import observations_to_openai
from deskhand.tools.openai_actions import OPENAI_ACTION_TOOLS, calls_from_openai
from deskhand.tools.registry import (
    Arguments,
    ScreenPoint,
    ScreenX,
    ScreenY,
    Tool,
    ToolContext,
    ToolOutput,
    ToolRegistry,
)
from deskhand.tools.seed import TOOL_SCHEMAS, anthropic_tools, dispatch

__all__ = [
    "OPENAI_ACTION_TOOLS",
    "TOOL_SCHEMAS",
    "Arguments",
    "ErrorInfo",
    "Frame",
    "Observation",
    "SafetyCheck",
    "ScreenPoint",
    "ScreenX",
    "ScreenY",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolOutput",
    "ToolRegistry",
    "anthropic_tools",
    "calls_from_openai",
    "computer_tools",
    "dispatch",
    "observations_to_openai",
]
