"""Follow a run: leave in the middle, and come back at the next number without a hole."""

import asyncio

from deskhand import ProbeHarness, open_computer


async def main() -> None:
    """Follow a run in two parts."""
    async with open_computer("local") as computer, ProbeHarness().start(computer, "look around") as run:
        seen = 0
        async for event in run.events(types=["run.*", "action.*"]):
            print(event.seq, event.summary)
            seen = event.seq or seen
            if event.type == "action.finished":
                break  # leaving stops nothing
        print("... back again, from", seen + 1)
        async for event in run.events(after=seen):
            print(event.seq, event.summary)
        print((await run.result()).outcome)


asyncio.run(main())
