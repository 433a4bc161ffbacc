"""Drives a computer with Orgo's own package, as its users do; run by the Python of the judge's environment.

``python orgo_program.py BASE_URL KEY`` prints what each call returned, as one JSON object.
"""

from __future__ import annotations

import json
import sys
import types
from typing import Any

if sys.version_info < (3, 12):  # its module of prompts is no Python 3.11, and is not needed here
    prompt: Any = types.ModuleType("orgo.prompt")
    prompt.get_provider = lambda *_words, **_options: None
    sys.modules["orgo.prompt"] = prompt

from orgo import Computer, Project

WHERE = "xdotool getmouselocation --shell | head -n 2 | cut -d= -f2 | paste -sd,"


def refused(call: Any) -> str:
    """Return what a call is refused with."""
    try:
        call()
    except Exception as error:  # (the package raises nothing more special)
        return str(error)
    return "not refused"


def main(base_url: str, key: str) -> dict[str, Any]:
    """Make a project and a computer, do everything that the package can do, and end them."""
    options = {"api_key": key, "base_api_url": base_url, "verbose": False}
    computer = Computer(project="judged", name="box", ram=4, cpu=1, **options)
    told: dict[str, Any] = {"id": computer.computer_id}
    told["bash"] = computer.bash("echo out; echo err >&2; printf made > note")
    told["exec"] = computer.exec("print(6 * 7)")
    told["raised"] = computer.exec("1 / 0")
    told["size"] = computer.screenshot().size
    told["base64"] = computer.screenshot_base64()[:8]
    computer.left_click(300, 200)
    told["left"] = computer.bash(WHERE)
    computer.right_click(310, 210)
    computer.key("Escape")
    computer.double_click(320, 220)
    told["double"] = computer.bash(WHERE)
    computer.drag(100, 100, 400, 300)
    told["drag"] = computer.bash(WHERE)
    computer.scroll("down", 2)
    told["scroll"] = computer.bash(WHERE)
    told["type"] = computer.type("grüße")["success"]
    told["key"] = computer.key("ctrl+shift+Tab")["success"]
    computer.wait(0.1)
    told["stream"] = [computer.start_stream("mine"), computer.stream_status(), computer.stop_stream()]
    again = Computer(computer_id=computer.computer_id, **options)
    again.scroll("up", 1)
    told["status"] = again.status()["status"]
    project = Project("judged", api_key=key, base_api_url=base_url)
    told["listed"] = [found["name"] for found in project.list_computers()]
    told["project"] = project.status()["name"]
    stranger = Computer(computer_id="00000000-0000-0000-0000-000000000000", **options)
    told["missing"] = refused(stranger.status)
    wrong = Computer(computer_id=computer.computer_id, api_key="sk_live_no", base_api_url=base_url, verbose=False)
    told["wrong key"] = refused(wrong.status)
    told["restart"] = computer.restart()
    told["destroy"] = computer.destroy()
    project.destroy()
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
