"""The same through the vendor's own package, which blocks."""

from __future__ import annotations

import asyncio
import base64
import sys
import types
from typing import Any

from hosting import COMMAND, serve
from measuring import arguments

if sys.version_info < (3, 12):  # its module of prompts is no Python 3.11, and is not needed here
    prompt: Any = types.ModuleType("orgo.prompt")
    prompt.get_provider = lambda *_words, **_options: None
    sys.modules["orgo.prompt"] = prompt

from orgo import Computer


async def main() -> None:
    """Measure; nothing else has to be done meanwhile, so that blocking costs nothing here."""
    given = arguments()
    computer = Computer(
        computer_id=given["computer_id"],
        api_key=given["options"]["api_key"],
        base_api_url=given["options"]["base_url"],
        verbose=False,
    )

    async def command() -> str:
        return str(computer.bash(COMMAND))

    async def screenshot() -> bytes:
        return base64.b64decode(computer.screenshot_base64())

    await serve(command, screenshot)


if __name__ == "__main__":
    asyncio.run(main())
