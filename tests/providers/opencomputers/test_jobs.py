"""Jobs of a host: started once, found again, followed, waited for, ended; and what is told where that fails."""

from __future__ import annotations

from typing import Literal

import anyio
import pytest

from deskhand.errors import (
    ComputerGoneError,
    ConnectionLostError,
    DeadlineExceededError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    UnsupportedError,
)
from deskhand.providers import Capability
from deskhand.providers.opencomputers import OpenComputersProvider
from deskhand.testing.simulators import OpenComputersDialect
from tests.providers.behind import shell_only
from tests.providers.opencomputers.parts import opencomputers


async def test_job_outlives_whoever_started_it() -> None:
    """Another program finds it by its id, and learns how it ended."""
    async with opencomputers(shell_only) as hosted:
        async with OpenComputersProvider(api_key=hosted.simulator.key, base_url=hosted.simulator.base_url) as provider:
            host = await hosted.simulator.add_host("box")
            first = await provider.get(host.id)
            await first.exec("mkfifo gate")
            job = await first.start_job("read go < gate; exit 5", timeout=60)
            assert not job.is_over
        computer = await hosted.provider.get(host.id)
        again = await computer.job(job.id)
        assert (again.id, again.host_id, again.state, again.exit_code) == (job.id, host.id, "running", None)
        await computer.exec("echo go > gate")
        assert await again.wait() == "failed"
        assert again.exit_code == 5


async def test_job_is_started_with_its_folder_variables_and_time() -> None:
    """How it ended is told, and what it printed is not kept."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        await computer.exec("mkdir -p work")
        home = (await computer.exec("pwd")).output.strip()
        job = await computer.start_job(
            'pwd > where; echo "$WORD" >> where; exit 5', cwd=f"{home}/work", env={"WORD": "ü"}
        )
        assert await job.wait() == "failed"
        assert (job.is_over, job.exit_code) == (True, 5)
        assert await computer.read_file("work/where") == f"{home}/work\nü\n"
        [body] = [request.body for request in hosted.simulator.asked("start_job")]
        assert isinstance(body, dict)
        assert (body["env"], body["timeout"]) == ([{"name": "WORD", "value": "ü"}], 3600)


async def test_job_is_followed_to_its_end_and_left_running() -> None:
    """What it prints is data alone; leaving the block in the middle leaves it as it is."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        await computer.exec("mkfifo gate")
        job = await computer.start_job("cat gate; echo err >&2; exit 3", timeout=60)
        async with job.follow():
            pass
        assert await job.refresh() == "running"
        line = "event: exec_result\ndata: {}\n\n"
        printed = {"stdout": b"", "stderr": b""}
        async with job.follow() as chunks, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: computer.exec("cat > gate", stdin=line.encode()))
            async for chunk in chunks:
                printed[chunk.stream] += chunk.data
        assert printed == {"stdout": line.encode(), "stderr": b"err\n"}
        assert (job.state, job.exit_code) == ("failed", 3)
        async with job.follow() as chunks:
            assert [chunk async for chunk in chunks] == []


async def test_following_that_breaks_off_is_no_end() -> None:
    """It can be followed again."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        job = await computer.start_job("sleep 60")
        hosted.simulator.respond(b": nothing\n\n", content_type="text/event-stream", route="follow_job")
        async with job.follow() as chunks:
            with pytest.raises(ConnectionLostError, match="follow it again") as caught:
                await anext(chunks)
        assert caught.value.effect == "no"
        with pytest.raises(DeadlineExceededError):
            await job.wait(0.01)
        await job.cancel()
        assert (job.state, job.exit_code) == ("canceled", None)
        await job.cancel()
        assert len(hosted.simulator.asked("cancel_job")) == 2


async def test_job_whose_time_is_up_says_so() -> None:
    """The vendor ends it."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        job = await computer.start_job("sleep 60", timeout=0.2)
        assert await job.wait() == "timeout"


@pytest.mark.parametrize("rows", ["states", "events"])
async def test_jobs_are_listed_newest_first_each_once(rows: Literal["states", "events"]) -> None:
    """The vendor lists what happened to them; of one whose state it does not say so, that is asked for."""
    async with opencomputers(shell_only, dialect=OpenComputersDialect(rows=rows)) as hosted:
        computer = await hosted.borrow()
        first, second = await computer.start_job("true"), await computer.start_job("sleep 60")
        await first.wait()
        asked = len(hosted.simulator.asked("get_job"))
        listed = await computer.jobs(3)
        assert [(job.id, job.state) for job in listed] == [(second.id, "running"), (first.id, "succeeded")]
        assert len(hosted.simulator.asked("get_job")) - asked == {"states": 0, "events": 2}[rows]
        await listed[0].cancel()
        with pytest.raises(InvalidInputError):
            await computer.jobs(101)


async def test_job_whose_answer_was_lost_is_unknown_and_started_once() -> None:
    """Nobody can tell whether it runs."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        with pytest.raises(InvalidInputError, match="empty"):
            await computer.start_job("  ")
        hosted.simulator.drop(route="start_job", after_effect=True)
        with pytest.raises(OutcomeUnknownError) as caught:
            await computer.start_job("true")
        assert caught.value.effect == "unknown"
        assert len(hosted.simulator.asked("start_job")) == 1


async def test_unknown_job_is_not_found_and_no_capability_is_lost() -> None:
    """A host that was revoked is gone; a vendor without jobs says so."""
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        job = await computer.start_job("sleep 60")
        with pytest.raises(NotFoundError, match="no job nobody"):
            await computer.job("nobody")
        with pytest.raises(InvalidInputError):
            await computer.job("")
        assert Capability.EXEC in computer.capabilities
        hosted.simulator.remove("start_job")
        hosted.simulator.remove("list_jobs")
        with pytest.raises(UnsupportedError):
            await computer.start_job("true")
        assert (await computer.exec("echo on")).stdout == "on\n"
        await hosted.simulator.vanish(computer.info.id)
        with pytest.raises(ComputerGoneError):
            await job.refresh()


async def test_listed_job_is_followed_no_longer_than_it_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lists jobs does not tell how long each may take: that is asked for before it is followed."""
    monkeypatch.setattr("deskhand.providers.opencomputers.jobs._MARGIN", 0.3)
    async with opencomputers(shell_only) as hosted:
        computer = await hosted.borrow()
        await computer.start_job("sleep 60", timeout=0.5)
        [job] = await computer.jobs(1)
        hosted.simulator.stall(route="follow_job", after=0)
        with anyio.fail_after(10):
            async with job.follow() as chunks:
                with pytest.raises(DeadlineExceededError):
                    await anext(chunks)
        assert len(hosted.simulator.asked("get_job")) == 1
        [job] = await computer.jobs(1)
        assert await job.wait() == "timeout"
