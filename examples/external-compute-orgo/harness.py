"""Loops that are there already: give one a computer and a goal."""

from deskhand.sync import ClaudeComputerUseHarness, Harness, ProbeHarness

__all__ = ["ClaudeComputerUseHarness", "Harness", "ProbeHarness"]
