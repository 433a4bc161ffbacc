"""The contract: a provider creates, gets and lists computers; a computer has a shell, files, a screen and input.

An adapter for another vendor is written against the asynchronous contract in `deskhand.providers`, and appears here by
itself.
"""

from deskhand.sync import ComputeProvider, ComputerInfo, ComputerSpec, ExecResult, ExternalComputer, ShellEndpoint

__all__ = ["ComputeProvider", "ComputerInfo", "ComputerSpec", "ExecResult", "ExternalComputer", "ShellEndpoint"]
