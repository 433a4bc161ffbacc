"""A computer that only records what it is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from deskhand.providers import (
    Capability,
    ComputerInfo,
    ComputerStatus,
    ExecResult,
    ExternalComputer,
    FileInfo,
    InputAction,
    Region,
    Screen,
)

SCREEN = Screen(1280, 800)


class RecordingComputer(ExternalComputer):
    """Takes every input action and remembers it; its shell and files are dictionaries."""

    def __init__(self, screen: Screen | None = SCREEN, *, without: frozenset[Capability] = frozenset()) -> None:
        self.performed: list[InputAction] = []
        self.files: dict[str, bytes] = {}
        self.commands: dict[str, ExecResult] = {}
        self.regions: list[Region | None] = []
        self.image = b""
        self._screen = screen
        self._without = without

    @property
    def info(self) -> ComputerInfo:
        return ComputerInfo("cmp_1", "box", "recording", "local", ComputerStatus.RUNNING, screen=self._screen)

    @property
    def capabilities(self) -> frozenset[Capability]:
        return super().capabilities - self._without

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        return self.commands.get(command, ExecResult(f"{command}\n", f"{command}\n", "", 0))

    async def perform(self, action: InputAction) -> None:
        self.performed.append(action)

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        self.regions.append(region)
        return self.image

    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        return 0.0

    async def cursor_position(self) -> tuple[int, int]:
        return 3, 4

    async def read_bytes(self, path: str) -> bytes:
        return self.files[path]

    async def write_file(self, path: str, content: str | bytes) -> None:
        self.files[path] = content.encode() if isinstance(content, str) else content

    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        return [FileInfo(name, "file", len(data)) for name, data in sorted(self.files.items())]

    async def preview_url(self, port: int, path: str = "/") -> str:
        return f"http://127.0.0.1:{port}{path}"

    async def destroy(self) -> None:
        return None
