"""A takeover: a person does a part by hand, on the same computer, while the agent waits and is told afterwards."""

import asyncio

from deskhand import Harness, RunContext, open_computer


class Visitor(Harness[str]):
    """Waits for somebody to sign in, and goes on from there."""

    async def drive(self, run: RunContext) -> str:
        """Wait for what is told after the takeover, then look at what it left."""
        told = await run.inbox.wait()
        badge = await run.act("read_file", path="badge.txt", check=True)
        return f"{told[0]}\nThe badge says {badge.text.strip()}."


async def main() -> None:
    """Take the computer over, leave something on it, and hand it back."""
    async with open_computer("local") as computer, Visitor().start(computer, "go in") as run:
        async with await run.takeover("ann", reason="only I know the way in") as hands:
            await hands.act("write_file", path="badge.txt", content="visitor 7\n")
            await hands.hand_back("I signed in")
        print((await run.result()).output)
        async for event in run.events(types=["control.*", "action.started"]):
            print(event.seq, event.summary)


asyncio.run(main())
