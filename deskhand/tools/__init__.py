"""The dispatch registry: what models may call, in every vendor's format."""

from deskhand.tools.calls import ErrorInfo, Frame, Observation, SafetyCheck, ToolCall
from deskhand.tools.computer import computer_tools
from deskhand.tools.registry import Arguments, ScreenX, ScreenY, Tool, ToolContext, ToolOutput, ToolRegistry
from deskhand.tools.seed import TOOL_SCHEMAS, anthropic_tools, dispatch

__all__ = [
    "TOOL_SCHEMAS",
    "Arguments",
    "ErrorInfo",
    "Frame",
    "Observation",
    "SafetyCheck",
    "ScreenX",
    "ScreenY",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolOutput",
    "ToolRegistry",
    "anthropic_tools",
    "computer_tools",
    "dispatch",
]
