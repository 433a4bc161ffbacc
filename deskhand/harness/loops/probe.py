"""A loop without a model: looks, asks the shell who it is, clicks the middle, and says that it is done."""

from __future__ import annotations

from deskhand.harness.base import Harness
from deskhand.harness.context import RunContext

__all__ = ["ProbeHarness"]


class ProbeHarness(Harness[str]):
    """Tries out whatever a computer can do: the quickest way to see that one works."""

    async def drive(self, run: RunContext) -> str:
        """Use each of the basic tools that there are, and return what the shell said."""
        said = "no shell"
        if "exec" in run.tools:
            said = (await run.act("exec", command="uname -sm", check=True)).text
        if "screenshot" in run.tools:
            frame = await run.look()
            if "left_click" in run.tools:
                await run.act("left_click", x=frame.width // 2, y=frame.height // 2, check=True)
        if "exec" in run.tools:
            await run.act("exec", command="echo done", check=True)
        return said
