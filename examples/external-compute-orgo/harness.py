"""Loops that are there already: give one a computer and a goal."""

from deskhand.sync import (
    ClaudeComputerUseHarness,
    Harness,
    OpenAIComputerUseHarness,
    OpenAIFunctionHarness,
    ProbeHarness,
)

__all__ = [
    "ClaudeComputerUseHarness",
    "Harness",
    "OpenAIComputerUseHarness",
    "OpenAIFunctionHarness",
    "ProbeHarness",
]
