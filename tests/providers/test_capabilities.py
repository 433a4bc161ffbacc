"""What a computer says that it can do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from deskhand.errors import UnsupportedError
from deskhand.providers import Capability, ComputerInfo, ComputerStatus, ExecResult, ExternalComputer
from deskhand.tools import computer_tools


class ShellOnly(ExternalComputer):
    """Has a shell, files, and nothing else."""

    @property
    def info(self) -> ComputerInfo:
        return ComputerInfo("cmp_1", "box", "shell", "local", ComputerStatus.RUNNING)

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        return ExecResult(command, command, "", 0)

    async def read_bytes(self, path: str) -> bytes:
        return path.encode()

    async def destroy(self) -> None:
        return None


async def test_computer_can_do_what_its_class_overrides() -> None:
    """Nothing else is told, shown to a model, or done."""
    computer = ShellOnly()
    assert computer.capabilities == {Capability.EXEC, Capability.FILES}
    assert computer_tools(computer).names == ["exec", "python", "read_file", "write_file", "list_dir"]
    with pytest.raises(UnsupportedError, match="the shell computer cmp_1 has no screenshot"):
        await computer.screenshot()
