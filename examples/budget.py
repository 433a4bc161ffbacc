"""Budgets: caps of a run's own, and an allowance that all runs of a user share."""

import asyncio

from deskhand import Allowance, Budget, Harness, RunContext, open_computer


class Counter(Harness[str]):
    """Counts aloud, an action for each number."""

    async def drive(self, run: RunContext) -> str:
        """Count to four."""
        for number in range(1, 5):
            await run.act("exec", command=f"echo {number}", check=True)
        return "counted to four"


async def main() -> None:
    """Three runs of one user, who may do ten actions in all."""
    ann = Allowance(Budget(actions=10), name="user ann")
    async with open_computer("local") as computer:
        for number in range(1, 4):
            result = await Counter().run(computer, "count", budget=[Budget(time=60), ann])
            why = f" ({result.error.message})" if result.error else ""
            print(f"run {number}: {result.outcome} after {result.actions} actions{why}")


asyncio.run(main())
