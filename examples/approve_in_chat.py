"""Approval in a chat: what may do harm waits for a person's word, here a line of standard input; none is a no."""

import asyncio
import sys

import anyio.to_thread

from deskhand import Harness, Policy, Rule, RunContext, open_computer
from deskhand.harness import ApprovalRequest, Decision


class Cleaner(Harness[str]):
    """Wants to do two things, of which one deletes files."""

    async def drive(self, run: RunContext) -> str:
        """Act; what a person denies is an observation like any other."""
        listed = await run.act("exec", command="touch a.tmp b.tmp; ls")
        deleted = await run.act("exec", command="rm -v *.tmp")
        return f"listed: {listed.outcome}, deleted: {deleted.outcome}"


async def ask_in_chat(request: ApprovalRequest) -> Decision:
    """Post the whole call to whoever decides, and wait for the answer."""
    print(f"agent: may I run {dict(request.arguments)}? ({request.reason}) yes/no")
    answer = await anyio.to_thread.run_sync(sys.stdin.readline)
    return Decision("approved" if answer.strip() == "yes" else "denied", actor="ann", reason=answer.strip())


async def main() -> None:
    """Ask about commands that delete; let all others run."""
    policy = Policy([Rule(verdict="ask", tool="exec", arguments={"command": "*rm *"}, reason="it deletes files")])
    async with open_computer("local") as computer:
        result = await Cleaner().run(computer, "clean up", policy=policy, on_approval=ask_in_chat)
        print(result.output)


asyncio.run(main())
