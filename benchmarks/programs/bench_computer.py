"""A computer that does nothing and shows the next frame: what is left is the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from episode import HEIGHT, WIDTH

from deskhand import ComputerInfo, ExecResult, ExternalComputer
from deskhand.providers import ComputerStatus, InputAction, Region, Screen

_INFO = ComputerInfo("cmp_1", "bench", "bench", "external", ComputerStatus.RUNNING, screen=Screen(WIDTH, HEIGHT))


class BenchComputer(ExternalComputer):
    """Takes every input at once.

    Args:
        frames: What its screen shows, one after the other.
        acted: Called at every input action.
    """

    def __init__(self, frames: Iterator[bytes], acted: Callable[[], None] = lambda: None) -> None:
        self._frames = frames
        self._acted = acted
        self.actions = 0

    @property
    def info(self) -> ComputerInfo:
        return _INFO

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        return ExecResult("", "", "", 0)

    async def perform(self, action: InputAction) -> None:
        self.actions += 1
        self._acted()

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        self.actions += 1
        return next(self._frames)

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        return 0.0  # (its screen is at rest at once)

    async def destroy(self) -> None:
        return None
