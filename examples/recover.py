"""Recovery: a worker process is killed in the middle of its run, and another process goes on from the log."""

import asyncio
import sys
import tempfile
from pathlib import Path

from deskhand import Engine, Harness, RunContext, SqliteLog, attach, open_computer
from deskhand.harness.events import RunCheckpoint


class Writer(Harness[str]):
    """Writes six chapters, a file each: to write one again changes nothing."""

    async def drive(self, run: RunContext) -> str:
        """Go on behind the last checkpoint; in a fresh run there is none."""
        done = run.restored if isinstance(run.restored, int) else 0
        for number in range(done + 1, 7):
            await run.act("write_file", path=f"{number}.txt", content=f"chapter {number}\n", check=True)
            await run.checkpoint(number)  # durable once it returns
            await run.act("wait", duration=1)
        return f"began behind chapter {done}"


async def work(log: str, computer_id: str) -> None:
    """Be the worker: start the run on a computer that another process holds."""
    async with attach(f"local:{computer_id}") as computer, SqliteLog(log) as opened:
        await Writer().run(computer, "write a book", log=opened)


async def killed_worker(engine: Engine, *arguments: str) -> str:
    """Start the worker, kill it behind its third checkpoint, and return its run's id."""
    worker = await asyncio.create_subprocess_exec(sys.executable, __file__, *arguments)
    async for entry in engine.events(types=[RunCheckpoint]):
        if isinstance(entry.event, RunCheckpoint) and entry.event.data.value == 3:
            worker.kill()  # SIGKILL: it can put nothing in order
            break
    await worker.wait()
    return entry.event.run_id


async def main(log: str) -> None:
    """Lose the worker, and go on with its run."""
    async with open_computer("local") as computer, SqliteLog(log) as opened, Engine(log=opened) as engine:
        run_id = await killed_worker(engine, log, computer.info.id)
        run = await engine.recover(run_id, harness=Writer(), computer=computer)
        print((await run.result()).output)
        print((await computer.exec("cat *.txt")).output, end="")


if len(sys.argv) > 1:
    asyncio.run(work(sys.argv[1], sys.argv[2]))
else:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(str(Path(folder) / "log.db")))
