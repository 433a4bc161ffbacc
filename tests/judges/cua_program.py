"""Drives a computer server with Cua's own package, as its users do; run by the Python of the judge's environment.

``python cua_program.py BASE_URL NAME KEY`` prints what each call returned, as one JSON object. The package has the
port of a server written into it, so that its two addresses are overridden.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import Any

from computer.interface.linux import LinuxComputerInterface
from PIL import Image


class Interface(LinuxComputerInterface):  # type: ignore[misc,unused-ignore]
    """The package's interface, at another address.

    Attributes:
        base_url: Where the server is.
        only_socket: Whether its other route is out of order.
    """

    base_url = ""
    only_socket = False

    @property
    def rest_uri(self) -> str:
        """Where commands go."""
        return f"{self.base_url}/{'out-of-order' if self.only_socket else 'cmd'}"

    @property
    def ws_uri(self) -> str:
        """Where the WebSocket is."""
        return f"ws{self.base_url.removeprefix('http')}/ws"


async def main(base_url: str, name: str, key: str) -> dict[str, Any]:
    """Do everything that the package can do."""
    Interface.base_url = base_url
    computer = Interface("127.0.0.1", api_key=key, vm_name=name)
    told: dict[str, Any] = {}
    await computer.wait_for_ready(timeout=20)
    told["size"] = await computer.get_screen_size()
    await computer.left_click(300, 200)
    told["left"] = await computer.get_cursor_position()
    await computer.right_click(310, 210)
    await computer.press_key("escape")
    await computer.double_click(320, 220)
    await computer.move_cursor(5, 6)
    await computer.mouse_down(40, 50, button="middle")
    await computer.mouse_up(40, 50, button="middle")
    await computer.drag_to(400, 300)
    told["dragged"] = await computer.get_cursor_position()
    await computer.scroll(0, -2)
    await computer.scroll_up(1)
    await computer.key_down("shift")
    await computer.key_up("shift")
    await computer.hotkey("ctrl", "shift", "x")
    await computer.type_text("typed")
    told["picture"] = Image.open(io.BytesIO(await computer.screenshot())).size
    ran = await computer.run_command("echo out; echo err >&2; exit 3")
    told["ran"] = [ran.stdout, ran.stderr, ran.returncode]
    data = bytes(range(256)) * 24_000  # so large that the package sends it in parts
    await computer.create_dir("judged/deep")
    await computer.write_bytes("judged/deep/data", data)
    told["bytes"] = await computer.read_bytes("judged/deep/data") == data
    told["file size"] = await computer.get_file_size("judged/deep/data") == len(data)
    await computer.write_text("judged/note", "grüße\n")
    told["text"] = await computer.read_text("judged/note")
    told["listed"] = sorted(await computer.list_dir("judged"))
    told["exist"] = [await computer.file_exists("judged/note"), await computer.directory_exists("judged/deep")]
    await computer.delete_file("judged/deep/data")
    await computer.delete_dir("judged/deep")
    told["gone"] = [await computer.file_exists("judged/deep/data"), await computer.directory_exists("judged/deep")]
    try:
        await computer.read_bytes("judged/missing")
    except Exception as error:  # (the package raises nothing more special)
        told["missing"] = str(error)
    Interface.only_socket = True
    told["by socket"] = await computer.get_cursor_position()
    computer.close()
    return told


if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(asyncio.run(main(*sys.argv[1:]))))
