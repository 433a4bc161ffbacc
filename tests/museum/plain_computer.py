"""A small adapter as somebody else would write it, without a defect: commands, pictures and the pointer over HTTP."""

from __future__ import annotations

import base64
import io
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Self

import anyio.to_thread
from PIL import Image
from pydantic import SecretStr

from deskhand.errors import InvalidInputError, ProtocolError, UnsafeContentError
from deskhand.providers import Capability, Click, ComputerInfo, ExecResult, ExternalComputer, InputAction, Region
from deskhand.providers.contract import ComputerStatus, Screen
from deskhand.providers.http import HttpClient, Operation

CLICK = Operation("click")
RUN = Operation("run a command")
LOOK = Operation("take a screenshot", "GET", "read", limit=32 << 20)
TIMEOUT = 60.0
MARGIN = 15.0


class PlainComputer(ExternalComputer):
    """One computer of a vendor.

    Args:
        base_url: Where the vendor's API begins.
        key: The key.
        computer_id: Which computer.
    """

    provider: ClassVar[str] = "plain"
    most_pixels: ClassVar[int] = 50_000_000

    def __init__(self, base_url: str, key: str, computer_id: str) -> None:
        self.base_url = f"{base_url}/computers/{computer_id}"
        self._key = key
        self._http = HttpClient(provider=self.provider, base_url=self.base_url, key=SecretStr(key))
        self._info = ComputerInfo(
            computer_id, "box", self.provider, "external", ComputerStatus.RUNNING, screen=Screen(1280, 800)
        )

    @classmethod
    @asynccontextmanager
    async def opened(cls, base_url: str, key: str, computer_id: str) -> AsyncIterator[Self]:
        """Connect for the length of a block."""
        computer = cls(base_url, key, computer_id)
        async with computer._http:
            yield computer

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do: of all input, it clicks."""
        return frozenset({Capability.EXEC, Capability.SCREENSHOT, Capability.REGION, Capability.POINTER})

    @property
    def info(self) -> ComputerInfo:
        """What is known of it."""
        return self._info

    async def ask(
        self, operation: Operation, path: str, body: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> dict[str, Any]:
        """Send one request and return the object that answers it."""
        return await self._http.call(operation, path, body, deadline=deadline)

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command."""
        began = time.monotonic()
        answer = await self.ask(RUN, "/bash", {"command": command}, (timeout or TIMEOUT) + MARGIN)
        return ExecResult(answer["output"], None, None, answer["exit_code"], None, time.monotonic() - began)

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Take a picture."""
        answer = await self.ask(LOOK, "/screenshot?response_format=base64")
        image = base64.b64decode(answer["image"])
        return await anyio.to_thread.run_sync(self.converted, image, region, format)

    def converted(self, image: bytes, region: Region | None, form: str) -> bytes:
        """Cut a picture and give it the form that is wanted, once its header says that it is none too large."""
        if not image.startswith(b"\x89PNG"):
            raise ProtocolError("the screenshot is no PNG", provider=self.provider, effect="no")
        width, height = struct.unpack(">II", image[16:24])
        if width * height > self.most_pixels:
            raise UnsafeContentError(f"the screenshot claims to be {width}x{height} pixels", provider=self.provider)
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(image)) as picture:
            picture.crop(region or (0, 0, width, height)).convert("RGB").save(buffer, form)
        return buffer.getvalue()

    async def perform(self, action: InputAction) -> None:
        """Click."""
        if not isinstance(action, Click):
            raise InvalidInputError("this computer knows clicks alone")
        await self.ask(CLICK, "/click", {"x": action.x, "y": action.y})

    async def destroy(self) -> None:
        """Leave it: whoever opened it ends it."""
