"""The screenshot, in each of the shapes that are known of it, and the storage that it may go to."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable

from deskhand.errors import DeskhandError
from deskhand.providers import Capability, ExternalComputer
from deskhand.testing.simulators.wire import Answer, ApiError, Json, json_answer

from .account import Account, StoredFile, timestamp
from .actions import desktop_failed
from .computer import SimulatedComputer
from .dialect import OrgoDialect
from .wire import OrgoCall

__all__ = ["Screenshots"]

FORMATS = ("base64", "url")


class Screenshots:
    """The routes of screenshots and of stored files.

    Args:
        account: Whose computers they show.
        dialect: The shape of the answer.
        port: Tells the simulator's port, for addresses.
    """

    def __init__(self, account: Account, dialect: OrgoDialect, port: Callable[[], int]) -> None:
        self._account = account
        self._dialect = dialect
        self._port = port

    async def take(self, call: OrgoCall) -> Answer:
        """Captures the screen."""
        computer = self._account.computer(call.caller, call.path["id"])
        wanted = call.query.get("response_format", "url")
        if wanted not in FORMATS:
            raise ApiError(400, f"response_format must be one of {', '.join(FORMATS)}")
        image = await _capture(computer.on())
        dialect = self._dialect.screenshot
        if dialect == "base64" and wanted == "base64":
            return json_answer({"success": True, "mime_type": "image/png", **_inline(image, computer)})
        if dialect == "dataurl":
            return json_answer({"image": f"data:image/png;base64,{base64.b64encode(image).decode()}"})
        if dialect == "direct":
            inline = _inline(image, computer)
            encoded = str(inline["image"]).rstrip("=")
            lines = [encoded[start : start + 76] for start in range(0, len(encoded), 76)]
            return json_answer({**inline, "image": "\n".join([*lines, ""])})
        return self._stored(computer, image, absolute=dialect == "absolute")

    async def stored(self, call: OrgoCall) -> Answer:
        """Gives a stored file to whoever has a key."""
        file = self._account.files.get(call.path["file"])
        if file is None:
            raise ApiError(404, "File not found")
        self._account.check_scope(call.caller, file.workspace_id)
        return Answer(200, file.content, file.content_type)

    async def signed(self, call: OrgoCall) -> Answer:
        """Gives a stored file to whoever has its signature."""
        file = self._account.files.get(self._account.signatures.get(call.path["signature"], ""))
        if file is None:
            raise ApiError(403, "The signature is not valid")
        return Answer(200, file.content, file.content_type)

    def address(self, file: StoredFile) -> str:
        """Returns a signed address of a file, on another host than the API's."""
        return f"http://localhost:{self._port()}/signed/{self._account.sign(file)}/{file.filename}"

    def _stored(self, computer: SimulatedComputer, image: bytes, *, absolute: bool) -> Answer:
        file = self._account.store(
            StoredFile(
                str(uuid.uuid4()),
                f"screenshot-{int(time.time() * 1000)}.png",
                image,
                "image/png",
                computer.workspace_id,
                computer.id,
                "screenshot",
            )
        )
        path = f"/api/storage/{file.id}"
        metadata: Json = {"id": file.id, "timestamp": timestamp(), "size": len(image), "storage_path": path}
        address = self.address(file) if absolute else path
        return json_answer({"success": True, "image": address, "metadata": metadata})


async def _capture(machine: ExternalComputer) -> bytes:
    if Capability.SCREENSHOT not in machine.capabilities:
        raise ApiError(500, "The desktop has no screen", upstream_status=500)
    try:
        return await machine.screenshot()
    except DeskhandError as error:
        raise desktop_failed(error) from error


def _inline(image: bytes, computer: SimulatedComputer) -> Json:
    screen = computer.settings.screen
    return {"image": base64.b64encode(image).decode(), "width": screen.width, "height": screen.height}
