"""The examples run as they are, in a process of their own; those that ask a model ask the fake, over a socket."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import anyio
import pytest

from deskhand.testing import FakeAnthropic, FakeTurn, text, tool_use

EXAMPLES = Path(__file__).parents[2] / "examples"


async def run(name: str, folder: Path, *, stdin: bytes = b"", **variables: str) -> str:
    """Run an example to its end and return what it printed."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **variables}
    with anyio.fail_after(60):
        ended = await anyio.run_process(
            [sys.executable, "-W", "error", str(EXAMPLES / name)],
            cwd=folder,
            env=environment,
            input=stdin,
            check=False,
        )
    assert (ended.returncode, ended.stderr.decode()) == (0, ""), ended.stderr.decode()
    return ended.stdout.decode()


@pytest.mark.needs_x
async def test_quickstart_runs_a_command_and_takes_a_picture(tmp_path: Path) -> None:
    """The README's first program does what it says."""
    kernel, _, picture = (await run("quickstart.py", tmp_path)).splitlines()
    assert kernel.startswith("Linux")
    assert picture.endswith("bytes of PNG")


@pytest.mark.slow
async def test_own_loop_asks_its_model_and_acts_through_a_run(tmp_path: Path) -> None:
    """A loop of one's own with the vendor's client: two requests, one command between them."""
    fake = FakeAnthropic(
        [FakeTurn([text("I ask."), tool_use("exec", command="uname -s")]), FakeTurn([text("It runs Linux.")])]
    )
    async with fake.serve() as base_url:
        said = await run("own_loop.py", tmp_path, ANTHROPIC_BASE_URL=base_url, ANTHROPIC_API_KEY=fake.api_key)
    assert said == "It runs Linux. (completed, 1 actions)\n"
    assert len(fake.requests) == 2
    assert "Linux" in str(fake.requests[1].body["messages"])


@pytest.mark.slow
async def test_follow_events_resumes_without_a_hole(tmp_path: Path) -> None:
    """What was followed in two parts has every number from where it was taken up again."""
    said = (await run("follow_events.py", tmp_path)).splitlines()
    back = next(place for place, line in enumerate(said) if line.startswith("... back again"))
    numbers = [int(line.split()[0]) for line in said[back + 1 : -1] if line.split()[0].isdigit()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert said[back] == f"... back again, from {numbers[0]}"
    assert said[-1] == "completed"


@pytest.mark.needs_x
async def test_own_driver_sees_the_menu_that_it_opened(tmp_path: Path) -> None:
    """A driver looks, acts, looks again, and returns its output."""
    assert (await run("own_driver.py", tmp_path)).startswith("the menu came up; ")


@pytest.mark.needs_x
async def test_two_computers_are_driven_at_once(tmp_path: Path) -> None:
    """Each has a loop of its own, and both say what they are."""
    said = (await run("two_computers.py", tmp_path)).splitlines()
    assert said[-2:] == ["Linux, up and running"] * 2
    assert sum("exec command=" in line for line in said) == 2


def test_every_example_is_run() -> None:
    """An example that no test runs would rot."""
    tested = Path(__file__).read_text(encoding="utf-8")
    assert all(f'run("{path.name}"' in tested for path in EXAMPLES.glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "outcome"), [(b"yes\n", "ok"), (b"no\n", "denied"), (b"", "denied")])
async def test_approve_in_chat_runs_what_deletes_only_with_a_yes(tmp_path: Path, answer: bytes, outcome: str) -> None:
    """The question has the whole command and why it is asked."""
    question, output = (await run("approve_in_chat.py", tmp_path, stdin=answer)).splitlines()
    assert "rm -v *.tmp" in question
    assert "it deletes files" in question
    assert output == f"listed: ok, deleted: {outcome}"


@pytest.mark.slow
async def test_take_over_tells_the_agent_what_a_person_did(tmp_path: Path) -> None:
    """Under the person's name, and the agent goes on with what they left."""
    said = await run("take_over.py", tmp_path)
    assert "ann had the computer" in said
    assert "write_file → ok" in said
    assert "ann says: I signed in" in said
    assert "The badge says visitor 7." in said
    assert "taken over by ann" in said


@pytest.mark.slow
async def test_budget_of_a_user_ends_the_run_that_would_pass_it(tmp_path: Path) -> None:
    """Ten actions for three runs of four."""
    said = (await run("budget.py", tmp_path)).splitlines()
    assert said[:2] == ["run 1: completed after 4 actions", "run 2: completed after 4 actions"]
    assert said[2].startswith("run 3: budget_exceeded after 2 actions (the user ann's budget of 10 actions")


@pytest.mark.needs_x
async def test_recover_goes_on_behind_the_last_checkpoint(tmp_path: Path) -> None:
    """The worker was killed behind its third chapter or some later one; each is there in the end."""
    first, *book = (await run("recover.py", tmp_path)).splitlines()
    assert 3 <= int(first.removeprefix("began behind chapter ")) < 6
    assert book == [f"chapter {number}" for number in range(1, 7)]
