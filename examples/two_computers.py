"""Two computers under one goal: each has a loop of its own, both at once, in one run with one stream of events."""

import asyncio

from deskhand import FleetHarness, Harness, RunContext, open_computer


class Asker(Harness[str]):
    """Asks its computer what it is; a model's harness stands here as well."""

    async def drive(self, run: RunContext) -> str:
        """Look, ask the shell, and return what it said."""
        await run.look()
        said = await run.act("exec", command="echo $(uname -s), up and running", check=True)
        return said.text.strip()


async def main() -> None:
    """Drive two local desktops."""
    async with open_computer("local") as left, open_computer("local") as right:
        async with FleetHarness(Asker()).start({"left": left, "right": right}, "say what you are") as run:
            async for event in run.events(types=["action.started", "custom", "run.finished"]):
                print(event.computer_id or "the run", event.summary)
            result = await run.result()
        result.raise_for_outcome()
        for said in (result.output or {}).values():
            print(said)


asyncio.run(main())
