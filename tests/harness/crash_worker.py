"""A program that clicks for ever and is made to be killed: what its computer does is written down by somebody else.

    python -m tests.harness.crash_worker LOG LEDGER

The ledger stands for the world outside: one line for each effect, on the disk before the call returns.
"""

from __future__ import annotations

import os
import sys

import anyio
import anyio.lowlevel

from deskhand import RunContext, SqliteLog
from deskhand.providers import Click, InputAction
from tests.harness.driving import Driver, computer_with_screen
from tests.tools.recording import RecordingComputer


class LedgerComputer(RecordingComputer):
    """Writes each click into the ledger."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.image = computer_with_screen().image
        self._ledger = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def perform(self, action: InputAction) -> None:
        """Do it for good."""
        assert isinstance(action, Click)
        os.write(self._ledger, f"{action.x}\n".encode())
        os.fdatasync(self._ledger)


async def drive(run: RunContext) -> None:
    """Click on one point after the other, and look now and then."""
    for x in range(1000):
        await run.act("left_click", x=x, y=1, check=True)
        if x % 5 == 0:
            await run.look()
        os.write(1, b".")


async def main(log: str, ledger: str) -> None:
    """Run until killed."""
    async with SqliteLog(log) as opened:
        await Driver(drive).run(LedgerComputer(ledger), "click", log=opened)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
