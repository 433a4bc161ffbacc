"""A computer as tools for any model: schemas to advertise, and one dispatcher for what the model calls."""

from deskhand.sync import TOOL_SCHEMAS, anthropic_tools, dispatch

__all__ = ["TOOL_SCHEMAS", "anthropic_tools", "dispatch"]
