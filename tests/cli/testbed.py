"""A provider for programs under test: its computer has a screen of one colour and a real shell, and needs no X server.

The variable ``TESTBED`` changes how it behaves: ``gone`` is a computer that dies after its first screenshot, ``slow``
one whose creation never ends, ``stuck`` one whose commands cannot be cancelled, ``blocked`` one whose commands hold the
event loop, ``bug`` one whose adapter is broken; ``away`` is that what was created once is not found any more.
``TESTBED_NAME`` is the computer's name.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import anyio
from PIL import Image

from deskhand.errors import ComputerGoneError, NotFoundError
from deskhand.providers import (
    ComputeProvider,
    ComputerInfo,
    ComputerSpec,
    ComputerStatus,
    ExecResult,
    ExternalComputer,
    InputAction,
    Region,
    Screen,
)
from tests.tools.recording import SCREEN, RecordingComputer


class TestbedComputer(RecordingComputer):
    """Takes input, shows one colour, runs commands on this machine."""

    __test__ = False

    def __init__(self, screen: Screen = SCREEN) -> None:
        super().__init__(screen)
        self._size = screen
        self._looked = False
        self._destroyed = False

    @property
    def info(self) -> ComputerInfo:
        status = ComputerStatus.DESTROYED if self._destroyed else ComputerStatus.RUNNING
        created = datetime.now(UTC) - timedelta(minutes=5, seconds=1)
        name = os.environ.get("TESTBED_NAME", "a box")
        return ComputerInfo("box", name, "testbed", "local", status, screen=self._size, created_at=created)

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        await self._hang()
        began = time.monotonic()
        with anyio.move_on_after(timeout or 120):
            ended = await anyio.run_process(["bash", "-c", command], input=stdin or b"", check=False)
            out, err = ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
            return ExecResult(out + err, out, err, ended.returncode, duration=time.monotonic() - began)
        return ExecResult("", "", "", None, f"timed out after {timeout:g} s")

    async def _hang(self) -> None:
        """Do what no adapter should: never end, whoever cancels it."""
        how = os.environ.get("TESTBED")
        if how in {"stuck", "blocked"}:
            await anyio.Path("hanging").touch()
        if how == "stuck":
            with anyio.CancelScope(shield=True):
                await anyio.sleep_forever()
        if how == "blocked":
            time.sleep(1000)  # noqa: ASYNC251 (that is the point)

    async def perform(self, action: InputAction) -> None:
        if os.environ.get("TESTBED") == "gone" and self._looked:
            raise ComputerGoneError("the testbed computer box is gone: its machine was switched off")
        await super().perform(action)

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        self._looked = True
        if os.environ.get("TESTBED") == "bug":
            raise ZeroDivisionError("division by zero")
        buffer = io.BytesIO()
        Image.new("RGB", (self._size.width, self._size.height), "navy").save(
            buffer, "PNG" if format == "auto" else format
        )
        return buffer.getvalue()

    async def destroy(self) -> None:
        self._destroyed = True


class TestbedProvider(ComputeProvider):
    """Has one computer, ``testbed:box``."""

    __test__ = False
    name = "testbed"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object
    ) -> ExternalComputer:
        if os.environ.get("TESTBED") == "slow":
            await anyio.Path("creating").touch()
            await anyio.sleep_forever()
        size = spec.screen if spec is not None else None
        return TestbedComputer(Screen(*size) if size else SCREEN)

    async def get(self, computer_id: str) -> ExternalComputer:
        if computer_id != "box" or os.environ.get("TESTBED") == "away":
            raise NotFoundError(f"no testbed computer is called {computer_id!r}", hint="deskhand ls testbed")
        return TestbedComputer()

    async def list(self) -> list[ComputerInfo]:
        return [TestbedComputer().info]
