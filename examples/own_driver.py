"""A driver of your own: one method that acts through its run, so that everything is checked, recorded and stoppable."""

import asyncio

from deskhand import Harness, RunContext, open_computer


class Housekeeper(Harness[str]):
    """Opens the menu of the desktop, looks at it, and counts the files at home."""

    async def drive(self, run: RunContext) -> str:
        """Act, look, and return the output."""
        before = await run.look()
        await run.act("right_click", x=before.width // 2, y=before.height // 3, check=True)
        after = await run.look()
        await run.act("key", key="escape", check=True)
        changed = "came up" if after.sha256 != before.sha256 else "did not come up"
        files = await run.act("exec", command="ls -A | wc -l", check=True)
        return f"the menu {changed}; {files.text.strip()} files at home"


async def main() -> None:
    """Drive a local desktop."""
    async with open_computer("local") as computer:
        result = await Housekeeper().run(computer, "see to the house")
        result.raise_for_outcome()
        print(result.output)


asyncio.run(main())
