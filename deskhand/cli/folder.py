"""A run's folder: an export of the log for people, written while the run goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import anyio
import anyio.to_thread

from deskhand.cli.home import private_file, private_folder
from deskhand.errors import DeskhandError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import JsonValue

    from deskhand.harness.blobs import BlobStore
    from deskhand.harness.events import EventBase, FrameCapturedData

__all__ = ["RunFolder"]

_SUFFIXES = {"image/png": "png", "image/jpeg": "jpg"}


class RunFolder:
    """``meta.json``, ``events.jsonl`` with the durable events, ``frames/`` with one image a frame.

    It is an export, not a second truth: where it cannot be written, that is told once and the run goes on.

    Args:
        path: The folder; made, with its parents, at the first event.
        blobs: Where the frames are.
        warn: Tells the person what could not be written.
    """

    def __init__(self, path: Path, blobs: BlobStore, warn: Callable[[str], None]) -> None:
        self.path = path
        self._blobs = blobs
        self._warn = warn
        self._events: BinaryIO | None = None
        self._broken = False
        self._lacks = False
        self._meta: dict[str, JsonValue] = {}

    def __repr__(self) -> str:
        """The state at a glance."""
        return f"<RunFolder {self.path}{' broken' if self._broken else ''}>"

    @property
    def broken(self) -> bool:
        """Whether something could not be written, so that it lacks all that came from there on."""
        return self._broken

    async def add(self, events: Sequence[EventBase]) -> None:
        """Write events, and the images that they tell of."""
        from deskhand.harness.events import FrameCaptured

        durable = [event for event in events if event.durable]
        if self._broken or not durable:
            return
        try:
            frames = [event.data for event in durable if isinstance(event, FrameCaptured)]
            images = [image for frame in frames if (image := await self._image(frame)) is not None]
            await anyio.to_thread.run_sync(self._write, durable, images)
        except (OSError, DeskhandError) as error:
            self._give_up(error)

    def _give_up(self, error: OSError | DeskhandError) -> None:
        """Tell once that no more is written."""
        if not self._broken:
            self._broken = True
            why = error.strerror if isinstance(error, OSError) else str(error)
            self._warn(f"the run folder {self.path} is incomplete from here on: {why}; the log is what counts")

    async def aclose(self) -> None:
        """Close the file of events."""
        if self._events is None:
            return
        with anyio.CancelScope(shield=True):
            try:
                await anyio.to_thread.run_sync(self._events.close)
            except OSError as error:  # what was not yet written goes out on closing
                self._give_up(error)

    async def _image(self, frame: FrameCapturedData) -> tuple[str, bytes] | None:
        """Return the name of an image's file and its bytes; none where it is no longer kept."""
        try:
            data = await self._blobs.get(frame.sha256)
        except NotFoundError:
            if not self._lacks:
                self._lacks = True
                self._warn(f"the run folder {self.path} lacks frames that are no longer kept")
            return None
        return f"{frame.frame_id}.{_SUFFIXES.get(frame.mime, 'img')}", data

    def _write(self, events: Sequence[EventBase], images: Sequence[tuple[str, bytes]]) -> None:
        from deskhand.harness.events import RunFinished, RunStarted

        if self._events is None:
            private_folder(self.path / "frames")
            self._events = private_file(self.path / "events.jsonl")
        for name, image in images:
            with private_file(self.path / "frames" / name) as file:
                file.write(image)
        self._events.writelines(event.to_json() + b"\n" for event in events)
        self._events.flush()
        for event in events:
            if isinstance(event, RunStarted | RunFinished):
                self._describe(event)

    def _describe(self, event: EventBase) -> None:
        """Keep what is worth knowing of the run as a whole in one file."""
        from deskhand import __version__

        whole: dict[str, JsonValue] = json.loads(event.to_json())
        data = whole["data"]
        assert isinstance(data, dict)  # noqa: S101 (every event's data is an object)
        if not self._meta:
            self._meta = {"run_id": event.run_id, "deskhand": __version__, "started_at": whole["time"]}
        else:
            self._meta["finished_at"] = whole["time"]
        self._meta |= data
        with private_file(self.path / "meta.json") as file:
            file.write((json.dumps(self._meta, indent=2) + "\n").encode())
