"""The demonstration: a scripted model drives a real desktop through the very code that a live model would drive.

The model is a script on a strict fake of the vendor's API, over the wire; it acts on what it finds in the frames it is
shown. Everything else is what runs with a key: the client, the loop, the executor, the computer. ::

    async with scripted_claude() as client, demo_computer(None, print) as computer:
        result = await ClaudeComputerUseHarness(client=client).run(computer, GOAL)
        print(await verify(computer))
"""

from __future__ import annotations

from deskhand.demo.clients import scripted_claude, scripted_openai, scripted_openai_functions
from deskhand.demo.outcome import Check, Verdict, verify
from deskhand.demo.place import demo_computer
from deskhand.demo.script import GOAL, DemoModel

__all__ = [
    "GOAL",
    "Check",
    "DemoModel",
    "Verdict",
    "demo_computer",
    "scripted_claude",
    "scripted_openai",
    "scripted_openai_functions",
    "verify",
]
