"""The blocking twins: calls, blocks and loops without a word of `await`, and nothing left behind by any way out."""

from __future__ import annotations

import ast
import asyncio
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

import deskhand
from deskhand import sync
from deskhand.errors import ConflictError, FileMissingError, InvalidInputError, UnsupportedError
from deskhand.harness import RunContext
from deskhand.sync.blocking import blocking_function
from deskhand.testing import FakeComputer

ROOT = Path(__file__).parents[1]
STUB = ROOT / "deskhand" / "sync" / "__init__.pyi"
PATIENCE = 45

PROVIDER = """
import sys, anyio
from tests.cli.testbed import TestbedComputer, TestbedProvider
from deskhand import sync

class Box(TestbedComputer):
    async def exec(self, command, **options):
        print("started", flush=True)
        try:
            return await super().exec(command, **options)
        except anyio.get_cancelled_exc_class():
            print("command cancelled", flush=True)
            raise

class Boxes(TestbedProvider):
    async def __aenter__(self):
        self.made = []
        return self
    async def __aexit__(self, exc_type, exc, traceback):
        for box in self.made:
            await anyio.to_thread.run_sync(print, "destroyed")
            if "FAIL" in box.called:
                raise RuntimeError("the vendor refused")
    async def create(self, *, name, spec=None, **options):
        box = Box()
        box.called = name
        self.made.append(box)
        return box

def create(name="box"):
    return sync.blocking(Boxes()).create(name=name)
"""


def program(body: str) -> list[str]:
    """Return the command line of a program that has `create`."""
    return [sys.executable, "-W", "error", "-c", PROVIDER + body]


def run(body: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(program(body), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


@contextmanager
def started(body: str) -> Iterator[subprocess.Popen[str]]:
    """Start a program; it is killed on leaving where it has not ended."""
    process = subprocess.Popen(program(body), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def computer() -> Iterator[sync.ExternalComputer]:
    """Return a blocking computer."""
    twin = sync.blocking(FakeComputer())
    with twin:  # type: ignore[attr-defined]
        yield twin


def test_computer_does_what_it_is_told_when_the_call_returns(computer: sync.ExternalComputer) -> None:
    """Results are values, not awaitables; properties too."""
    computer.write_file("notes.txt", "hello")
    assert computer.read_file("notes.txt") == "hello"
    assert computer.exec("echo hello").output == "hello\n"
    assert computer.info.provider == "fake"
    assert computer.screenshot().startswith(b"\x89PNG")
    assert repr(computer).startswith("<FakeComputer")


def test_twins_are_of_the_classes_that_their_originals_are_of(computer: sync.ExternalComputer) -> None:
    """`isinstance` says what a reader of the contract expects."""
    assert isinstance(computer, sync.ExternalComputer)
    assert not isinstance(computer, sync.ComputeProvider)
    assert issubclass(sync.LocalProvider, sync.ComputeProvider)
    assert sync.ExecResult is deskhand.ExecResult


def test_streams_are_blocks_and_loops(computer: sync.ExternalComputer) -> None:
    """`with` enters what needs entering, `for` iterates over what comes, and both can be left early."""
    with computer.exec_stream("echo one; echo two") as stream:
        assert b"".join(chunk.data for chunk in stream) == b"one\ntwo\n"
        assert stream.exit_code == 0
    with computer.exec_stream("echo one; echo two") as stream:
        for _chunk in stream:
            break
    with computer.shell() as shell:
        shell.run("cd /tmp")
        assert shell.run("pwd").output == "/tmp\n"


def test_dispatch_takes_a_blocking_computer(computer: sync.ExternalComputer) -> None:
    """The seed's dispatcher, with a mapping or with the text that a model gave."""
    assert sync.dispatch(computer, "exec", {"command": "echo hi"}) == {"output": "hi\n", "exit_code": 0, "error": None}
    assert sync.dispatch(computer, "left_click", '{"x": 1, "y": 2}') == {"ok": True}
    with pytest.raises(InvalidInputError):
        sync.dispatch(computer, "left_click", {"x": "here"})


def test_harness_runs_and_its_events_are_iterated(computer: sync.ExternalComputer) -> None:
    """One call for the whole run, or a block with the events as they come; the log too is a blocking one."""
    assert sync.ProbeHarness().run(computer, "probe").ok
    with sync.MemoryLog() as log:
        with sync.ProbeHarness().start(computer, "probe", log=log) as run:
            seen = [event.type for event in run.events()]
            assert run.result().outcome == "completed"
        assert [summary.run_id for summary in log.runs()] == [run.id]
    assert (seen[0], seen[-1]) == ("run.started", "run.finished")


def test_loop_of_ones_own_acts_through_a_run(computer: sync.ExternalComputer) -> None:
    """`open_run` gives its block a blocking context."""
    with sync.open_run(computer, goal="ask the shell") as mine:
        said = mine.act("exec", command="echo yes").text
        with mine.turn() as turn:
            turn.record("done")
        mine.finish(said)
    assert mine.result().output == "yes"


def test_driver_of_ones_own_is_run_by_its_twin(computer: sync.ExternalComputer) -> None:
    """An asynchronous driver is passed to `blocking`; deriving from a twin is refused with what to do."""

    class Asker(deskhand.Harness[str]):
        async def drive(self, run: RunContext) -> str:
            return (await run.act("exec", command="echo asked")).text

    assert sync.blocking(Asker()).run(computer, "ask").output == "asked"
    with pytest.raises(TypeError, match="blocking"):
        type("Mine", (sync.Harness,), {})


def test_errors_keep_their_type_and_begin_at_the_call(computer: sync.ExternalComputer) -> None:
    """The traceback goes from the caller into the adapter, not through the machinery of the loop."""
    with pytest.raises(FileMissingError) as caught:
        computer.read_file("nothing")
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files[0] == __file__
    assert not [name for name in files if "/anyio/" in name or "/asyncio/" in name or "/concurrent/" in name]
    with pytest.raises(UnsupportedError):
        computer.snapshot("now")


def test_error_of_a_block_comes_out_as_it_is() -> None:
    """The context sees the block's error, may replace or swallow it, and what it lets pass is the same object."""
    left: list[str] = []

    @asynccontextmanager
    async def place(how: str) -> AsyncIterator[str]:
        try:
            yield how
        except KeyError as error:
            left.append(how)
            if how == "replace":
                raise ValueError("replaced") from error
            if how == "pass":
                raise

    enter = blocking_function(place)
    cause = KeyError("mine")
    with pytest.raises(KeyError) as caught, enter("pass"):  # type: ignore[attr-defined]
        raise cause
    assert caught.value is cause
    assert [Path(frame.filename).name for frame in traceback.extract_tb(cause.__traceback__)] == ["test_sync.py"]
    with pytest.raises(ValueError, match="replaced"), enter("replace"):  # type: ignore[attr-defined]
        raise KeyError
    with enter("swallow"):  # type: ignore[attr-defined]
        raise KeyError
    assert left == ["pass", "replace", "swallow"]


def test_interrupt_in_a_block_is_a_cancellation_in_the_loop() -> None:
    """Thrown into the loop, an interrupt would end it; as a cancellation it cleans up, and comes out unchanged."""
    seen: list[type[BaseException]] = []

    @asynccontextmanager
    async def place() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(type(error))
            raise

    with pytest.raises(SystemExit), blocking_function(place)():  # type: ignore[attr-defined]
        raise SystemExit(3)
    assert seen == [asyncio.CancelledError]
    assert sync.provider("local").name == "local"  # the loop lives


def test_threads_share_a_computer(computer: sync.ExternalComputer) -> None:
    """Calls of several threads go on at once in the one loop."""
    said: list[str] = []
    threads = [threading.Thread(target=lambda n=n: said.append(computer.exec(f"echo {n}").output)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(said) == [f"{n}\n" for n in range(8)]


async def test_call_inside_a_running_loop_is_refused_with_what_to_do() -> None:
    """A blocking call would stop the loop that it is made in: the error names the asynchronous way."""
    with pytest.raises(ConflictError, match="event loop") as caught:
        sync.LocalProvider()
    assert "await" in (caught.value.hint or "")


def test_what_was_made_outside_a_block_ends_with_the_interpreter() -> None:
    """A script that forgets its computer leaves none behind, though ending it takes threads and awaits."""
    ended = run("print(create().exec('echo used').output, end='')\nprint('end')")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "started\nused\nend\ndestroyed\n"


def test_what_was_made_outside_a_block_ends_after_an_error() -> None:
    """An exception that ends the program ends its computers too, and stays what it is."""
    ended = run("create()\nraise LookupError('my own')")
    assert (ended.returncode, ended.stdout) == (1, "destroyed\n")
    assert ended.stderr.endswith("LookupError: my own\n")


def test_failure_to_end_something_at_exit_is_shown() -> None:
    """A computer that could not be destroyed costs money: it is told, and the others end all the same."""
    ended = run("create('FAIL')\ncreate()")
    assert ended.stdout == "destroyed\ndestroyed\n"
    assert "RuntimeError: the vendor refused" in ended.stderr


def test_closed_provider_ends_at_once() -> None:
    """`close` does now what the exit would do, once."""
    ended = run("boxes = sync.blocking(Boxes())\nboxes.create(name='a')\nboxes.close()\nboxes.close()\nprint('end')")
    assert (ended.stdout, ended.stderr) == ("destroyed\nend\n", "")


def test_ctrl_c_cancels_the_call_and_cleans_up() -> None:
    """The command is cancelled before the interrupt is raised; the program goes on."""
    body = """
box = create()
try:
    box.exec("sleep 60")
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(box.exec("echo again").output, end="")
"""
    with started(body) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert out == "command cancelled\ninterrupted\nstarted\nagain\ndestroyed\n"
    assert (process.returncode, err) == (0, "")


def test_ctrl_c_that_nobody_catches_destroys_what_there_is() -> None:
    """The program ends by the interrupt as any other, and leaves nothing behind."""
    with started("create().exec('sleep 60')") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert out == "command cancelled\ndestroyed\n"
    assert err.endswith("KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT


def test_fork_begins_anew_and_leaves_the_parents_things_alone() -> None:
    """A forked child is told that a computer is its parent's, makes its own, and ends its own alone."""
    body = """
import os
box = create("parent")
sys.stdout.flush()
child = os.fork()
if child == 0:
    try:
        box.exec("true")
    except Exception as error:
        print(type(error).__name__, flush=True)
    print(create("child").exec("echo mine").output, end="", flush=True)
    sys.exit(0)
os.waitpid(child, 0)
print("parent:", box.exec("echo still").output, end="", flush=True)
"""
    ended = run(body)
    assert ended.stderr == ""
    assert ended.stdout == "ConflictError\nstarted\nmine\ndestroyed\nstarted\nparent: still\ndestroyed\n"


@pytest.mark.needs_x
def test_local_computer_outside_a_block_ends_with_its_program() -> None:
    """The seed's first lines on a real desktop: no `with`, and no process is left."""
    body = """
from deskhand.sync import LocalProvider
computer = LocalProvider().create(name="agent-box")
result = computer.exec("uname -s")
print(result.output, result.exit_code, computer.screenshot()[1:4])
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", body], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "Linux\n 0 b'PNG'\n")
    listed = subprocess.run(
        [sys.executable, "-m", "deskhand.cli", "ls", "local", "--json"], capture_output=True, text=True, check=True
    )
    assert listed.stdout == ""


def test_what_checkers_read_is_up_to_date() -> None:
    """The printed page is what the asynchronous classes' source gives."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "blocking", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_checkers_read_is_there() -> None:
    """Every class, method and property of the page exists at run time."""
    missing = []
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name in sync.__all__:
            cls = getattr(sync, node.name)
            names = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            missing += [f"{node.name}.{name}" for name in names if not hasattr(cls, name)]
    assert not missing


def test_import_starts_nothing() -> None:
    """The thread comes with the first use, and the import loads neither a harness nor a provider."""
    body = "import sys, threading\nfrom deskhand import sync\nprint(threading.active_count(), *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True)
    count, *modules = done.stdout.split()
    assert count == "1"
    assert not {"deskhand.harness", "deskhand.providers", "pydantic", "anthropic"} & {*modules}
