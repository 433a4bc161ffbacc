"""Computers behind one contract, whoever runs them. Every name is deskhand's own, in its blocking form."""

from external_compute.orgo_provider import OrgoProvider
from external_compute.provider import (
    ComputeProvider,
    ComputerInfo,
    ComputerSpec,
    ExecResult,
    ExternalComputer,
    ShellEndpoint,
)

__all__ = [
    "ComputeProvider",
    "ComputerInfo",
    "ComputerSpec",
    "ExecResult",
    "ExternalComputer",
    "OrgoProvider",
    "ShellEndpoint",
]
