"""On one display: screenshots, clicks and typing, by deskhand, by bare X requests, and by the tools that people use."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bare_x import BareX
from measuring import arguments, report

from deskhand.providers import Click, Screen, Type
from deskhand.providers.local.display import Display, open_display

_HERE = Path(__file__).parent
_SCREEN = Screen(1280, 800)
_TEXT = "the quick brown fox jumps over the lazy dog 0123456789 pack my box with five dozen liquor jugs 98765"
_AT = (640, 400)
_REST = 0.4  # seconds in which the screen comes to rest


class _Receiver:
    """The window that says when it received what."""

    def __init__(self, output: IO[str]) -> None:
        self._output = output

    def released(self) -> int:
        """Return when the next release of a button was received."""
        while not (line := self._output.readline()).startswith("up "):
            pass
        return int(line.split()[1])

    def text(self, length: int) -> str:
        """Return the next characters that were typed."""
        typed = ""
        while len(typed) < length:
            line = self._output.readline().rstrip("\n")
            typed += line.split(" ", 2)[2] if line.startswith("key ") else ""
        return typed


@contextmanager
def _receiver() -> Iterator[_Receiver]:
    with subprocess.Popen([sys.executable, str(_HERE / "receiver.py")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield _Receiver(process.stdout)
        finally:
            process.kill()


@contextmanager
def _text_on_screen() -> Iterator[None]:
    """Fill the screen with text, as a terminal shows it."""
    command = ["xterm", "-geometry", "100x30+100+100", "-e", "seq -s ' ' 1 3000; sleep 600"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        time.sleep(2)
        try:
            yield
        finally:
            process.kill()


def _plain_cookie(display: Display, folder: Path) -> Path:
    """Write the display's cookie under this host's name: python-xlib does not know one that fits all displays."""
    cookie = display.xauthority.read_bytes()[-16:]
    fields = (os.uname().nodename.encode(), display.name[1:].encode(), b"MIT-MAGIC-COOKIE-1", cookie)
    path = folder / "plain-xauthority"
    path.write_bytes(struct.pack(">H", 256) + b"".join(struct.pack(">H", len(part)) + part for part in fields))
    return path


class _Bench:
    def __init__(self, display: Display, given: dict[str, Any]) -> None:
        self.display = display
        self.bare = BareX(*_SCREEN)
        self.times = given["times"]
        self.pyautogui = given.get("pyautogui")
        self.values: dict[str, float] = {}

    async def timed(self, name: str, do: Callable[[], Awaitable[object] | object], times: int) -> None:
        """Time something that is asked for when the screen is at rest; keep the middle."""
        took = []
        for _ in range(times):
            await asyncio.sleep(0.01)
            began = time.monotonic_ns()
            waited = do()
            if isinstance(waited, Awaitable):
                await waited
            took.append((time.monotonic_ns() - began) / 1e9)
        self.values[name] = statistics.median(took)

    def peer(self, do: str, times: int) -> dict[str, Any] | None:
        """Have pyautogui do something, where it can be had."""
        if self.pyautogui is None:
            return None
        given = json.dumps({"do": do, "times": times, "text": _TEXT})
        program = [self.pyautogui, str(_HERE / "peer_pyautogui.py"), given]
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            raise RuntimeError(done.stderr[-1500:])
        values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return values

    async def screenshots(self) -> None:
        """Time screenshots of a screen full of text."""
        with _text_on_screen(), tempfile.TemporaryDirectory() as folder:
            await self._shot()
            await asyncio.sleep(_REST)
            await self.timed("screenshot.ours", self._shot, self.times)
            await self.timed("screenshot.floor", self.bare.screenshot, self.times)
            target = str(Path(folder) / "shot.png")
            scrot = ["scrot", "--overwrite", target]
            await self.timed("screenshot.scrot", lambda: subprocess.run(scrot, check=True), self.times // 4 + 1)
            found = self.peer("screenshot", self.times // 4 + 1)
            if found:
                self.values["screenshot.pyautogui"] = statistics.median(found["took"])

    async def _shot(self) -> None:
        await self.display.settle()
        await self.display.capture()

    async def clicks(self) -> None:
        """Time clicks until the window has received the release."""
        with _receiver() as receiver:
            await self._received(receiver, "click.ours", lambda: self.display.perform(Click(*_AT)), self.times)
            await self._received(receiver, "click.floor", lambda: self.bare.click(*_AT), self.times)
            move = ["xdotool", "mousemove", *map(str, _AT), "click"]
            fast, plain = [*move, "--delay", "0", "1"], [*move, "1"]
            few = self.times // 4 + 1
            await self._received(receiver, "click.xdotool --delay 0", lambda: subprocess.run(fast, check=True), few)
            await self._received(receiver, "click.xdotool", lambda: subprocess.run(plain, check=True), few)
            found = self.peer("click", few)
            if found:
                receiver.released()
                took = [receiver.released() - began for began in found["began"]]
                self.values["click.pyautogui"] = statistics.median(took) / 1e9

    async def _received(
        self, receiver: _Receiver, name: str, do: Callable[[], Awaitable[object] | object], times: int
    ) -> None:
        took = []
        for _ in range(times + 1):
            await asyncio.sleep(0.005)
            began = time.monotonic_ns()
            waited = do()
            if isinstance(waited, Awaitable):
                await waited
            took.append((await asyncio.to_thread(receiver.released) - began) / 1e9)
        self.values[name] = statistics.median(took[1:])

    async def typing(self) -> None:
        """Time 100 characters until they are sent, and check that they arrive as they are."""
        with _receiver() as receiver:
            few = self.times // 10 + 1
            await self._typed(receiver, "type.ours", lambda: self.display.perform(Type(_TEXT)), few * 2)
            await self._typed(receiver, "type.floor", lambda: self.bare.type(_TEXT), few * 2)
            typing = ["xdotool", "type"]
            fast, plain = [*typing, "--delay", "0", _TEXT], [*typing, _TEXT]
            await self._typed(receiver, "type.xdotool --delay 0", lambda: subprocess.run(fast, check=True), few)
            await self._typed(receiver, "type.xdotool", lambda: subprocess.run(plain, check=True), few)
            found = self.peer("type", few)
            if found:
                for _ in range(few + 1):
                    assert receiver.text(len(_TEXT)) == _TEXT
                self.values["type.pyautogui"] = statistics.median(found["took"])

    async def _typed(
        self, receiver: _Receiver, name: str, do: Callable[[], Awaitable[object] | object], times: int
    ) -> None:
        took = []
        for _ in range(times):
            began = time.monotonic_ns()
            waited = do()
            if isinstance(waited, Awaitable):
                await waited
            took.append((time.monotonic_ns() - began) / 1e9)
            typed = await asyncio.to_thread(receiver.text, len(_TEXT))
            assert typed == _TEXT, (name, typed)
        self.values[name] = statistics.median(took)


async def main() -> None:
    """Measure on one display."""
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        async with open_display(_SCREEN, Path(folder)) as display:
            os.environ |= {"DISPLAY": display.name, "XAUTHORITY": str(_plain_cookie(display, Path(folder)))}
            bench = _Bench(display, given)
            await bench.screenshots()
            await bench.clicks()
            await bench.typing()
    report(**bench.values)


if __name__ == "__main__":
    asyncio.run(main())
