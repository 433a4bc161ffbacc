"""The folder of blocking programs does what the page of external compute providers says, word for word.

Its snippets stand here as the page prints them: the indentation is lost, and prose runs on after a statement. They run
in the example's folder with nothing but that mended, against the simulated vendor with a real desktop behind it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from deskhand import open_computer
from deskhand.providers import ComputerSpec, ExternalComputer
from deskhand.testing import FakeAnthropic, FakeOpenAI, FakeTurn, action, computer_call, member, text, tool_use
from deskhand.testing.simulators import MiosaSimulator, OrgoSimulator

FOLDER = Path(__file__).parents[2] / "examples" / "external-compute-orgo"
PATIENCE = 90


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of the page.

    Attributes:
        page: As the page prints it.
        program: As it runs.
        prose: What runs on behind its last statement.
    """

    page: str
    program: str
    prose: str


CONTRACT = Snippet(
    page="""class ExternalComputer(abc.ABC):
@property
def info(self) -> ComputerInfo: ...
def exec(self, command, *, timeout=None) -> ExecResult: ...
def shell_endpoint(self) -> ShellEndpoint: ... # interactive shell/PTY
def screenshot(self) -> bytes: ... # optional
def left_click(self, x, y): ... # optional
def write_file(self, path, content): ... # optional
def preview_url(self, port, path="/") -> str: ... # optional (port ingress)
def stop(self): ...
def destroy(self): ... Provider mapping example""",
    program="""class ExternalComputer(abc.ABC):
    @property
    def info(self) -> ComputerInfo: ...
    def exec(self, command, *, timeout=None) -> ExecResult: ...
    def shell_endpoint(self) -> ShellEndpoint: ... # interactive shell/PTY
    def screenshot(self) -> bytes: ... # optional
    def left_click(self, x, y): ... # optional
    def write_file(self, path, content): ... # optional
    def preview_url(self, port, path="/") -> str: ... # optional (port ingress)
    def stop(self): ...
    def destroy(self): ...""",
    prose="Provider mapping example",
)
OWN_LOOP = Snippet(
    page="""from external_compute import OrgoProvider
from tools import TOOL_SCHEMAS, dispatch
computer = OrgoProvider().create(name="agent-box")
# advertise the tools to your model (OpenAI-style; tools.anthropic_tools() for Anthropic)
resp = your_llm.create(model=..., tools=TOOL_SCHEMAS, messages=[...])
for call in resp.tool_calls:
result = dispatch(computer, call.name, call.arguments) # runs on the box Tools provided: exec, screenshot, \
left_click, type, key, write_file, read_file — the same primitives the built-in harnesses use. A \
ClaudeComputerUseHarness (Anthropic computer-use loop) ships in harness.py.""",
    program="""from external_compute import OrgoProvider
from tools import TOOL_SCHEMAS, dispatch
computer = OrgoProvider().create(name="agent-box")
# advertise the tools to your model (OpenAI-style; tools.anthropic_tools() for Anthropic)
resp = your_llm.create(model=..., tools=TOOL_SCHEMAS, messages=[...])
for call in resp.tool_calls:
    result = dispatch(computer, call.name, call.arguments) # runs on the box""",
    prose="Tools provided: exec, screenshot, left_click, type, key, write_file, read_file — the same primitives the "
    "built-in harnesses use. A ClaudeComputerUseHarness (Anthropic computer-use loop) ships in harness.py.",
)
SET_UP = Snippet(
    page="""from external_compute import OrgoProvider
provider = OrgoProvider(api_key=user.orgo_key) # or ORGO_API_KEY env
computer = provider.create(name=f"user-{user.id}-box")
result = computer.exec("uname -a") # drives the Orgo box
print(result.output, result.exit_code)
computer.destroy() Benchmarks""",
    program="""from external_compute import OrgoProvider
provider = OrgoProvider(api_key=user.orgo_key) # or ORGO_API_KEY env
computer = provider.create(name=f"user-{user.id}-box")
result = computer.exec("uname -a") # drives the Orgo box
print(result.output, result.exit_code)
computer.destroy()""",
    prose="Benchmarks",
)
COMPARE = Snippet(
    page="MIOSA_API_KEY=msk_... python benchmark.py --runs 12 --json Get the code",
    program="MIOSA_API_KEY=msk_... python benchmark.py --runs 12 --json",
    prose="Get the code",
)
SEVEN = ["exec", "screenshot", "left_click", "type", "key", "write_file", "read_file"]

CONTRACT_NAMES = """
import abc, inspect
from external_compute import ComputerInfo, ExecResult, ShellEndpoint
"""
CONTRACT_KEPT = """
from external_compute import provider
for name, member in vars(ExternalComputer).items():
    if name.startswith("_"):
        continue
    real = getattr(provider.ExternalComputer, name)
    if isinstance(member, property):
        assert isinstance(real, property), name
        continue
    takes = inspect.signature(real).parameters
    for parameter in inspect.signature(member).parameters.values():
        assert takes[parameter.name].kind is parameter.kind, (name, parameter)
        assert parameter.default in (parameter.empty, takes[parameter.name].default), (name, parameter)
    print(name)
"""
YOUR_LLM = """
import json
from types import SimpleNamespace

class your_llm:
    @staticmethod
    def create(*, model, tools, messages):
        calls = {
            "exec": {"command": "echo hi"},
            "screenshot": {},
            "left_click": {"x": 640, "y": 360},
            "type": {"text": "hello"},
            "key": {"key": "ctrl+a"},
            "write_file": {"path": "note.txt", "content": "kept"},
            "read_file": '{"path": "note.txt"}',
        }
        assert [tool["function"]["name"] for tool in tools] == list(calls)
        return SimpleNamespace(tool_calls=[SimpleNamespace(name=n, arguments=a) for n, a in calls.items()])
"""
USER = """
import os
from types import SimpleNamespace

user = SimpleNamespace(id=7, orgo_key=os.environ.pop("KEPT_KEY"))
"""
MAPPING = """
from external_compute import OrgoProvider
with OrgoProvider() as provider:
    computer = provider.create(name="mapped")
    computer.exec("true")
    computer.python("print(1)")
    print(computer.shell_endpoint().kind)
    computer.screenshot()
    computer.left_click(1, 2)
    computer.type("a")
    computer.key("escape")
    computer.scroll(5, 6, dy=1)
    computer.write_file("f", "x")
    assert computer.read_file("f") == "x"
    try:
        computer.preview_url(8080)
    except NotImplementedError as error:
        print(error)
    computer.stop()
    computer.destroy()
"""


@asynccontextmanager
async def hosted() -> AsyncIterator[tuple[OrgoSimulator, ExternalComputer]]:
    """Serve the simulated vendor, whose computers all are one desktop that outlives them; none may be left behind."""
    async with (
        open_computer("local", spec=ComputerSpec(screen=(1280, 720))) as desktop,
        OrgoSimulator(behind=lambda: nullcontext(desktop)) as simulator,
    ):
        yield simulator, desktop
        assert not simulator.computers
        assert not simulator.errors


def environment(folder: Path, simulator: OrgoSimulator | None = None, **variables: str) -> dict[str, str]:
    """Return the whole environment of a program: a home, and where the vendor is."""
    found = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
    }
    if simulator is not None:
        found |= {"ORGO_API_BASE": simulator.base_url, "ORGO_API_KEY": simulator.key}
    return found | variables


async def done(command: list[str], variables: dict[str, str], *, code: int = 0, told: str | None = "") -> str:
    """Run a program in the example's folder to its end and return what it printed.

    Args:
        command: The program.
        variables: Its environment.
        code: The exit code that it must have.
        told: What it must say on stderr; anything where ``None``.
    """
    with anyio.fail_after(PATIENCE):
        ended = await anyio.run_process(command, cwd=FOLDER, env=variables, check=False)
    said = ended.stderr.decode()
    assert ended.returncode == code, said
    assert told is None or said == told
    return ended.stdout.decode()


def python(*words: str) -> list[str]:
    return [sys.executable, "-W", "error", *words]


@pytest.mark.parametrize(
    "snippet",
    [
        pytest.param(CONTRACT, id="contract"),
        pytest.param(OWN_LOOP, id="own loop"),
        pytest.param(SET_UP, id="set up"),
        pytest.param(COMPARE, id="compare"),
    ],
)
def test_snippet_runs_as_the_page_has_it(snippet: Snippet) -> None:
    """What runs is the page's text with its indentation back and without the prose behind it."""
    lines = [line.lstrip() for line in snippet.program.splitlines()]
    assert "\n".join(lines) + " " + snippet.prose == snippet.page


def test_folder_has_the_files_that_the_page_names() -> None:
    """Where the page sends its readers, there is something."""
    named = [
        "external_compute/provider.py",
        "external_compute/orgo_provider.py",
        "tools.py",
        "harness.py",
        "drivers.py",
        "demo.py",
        "benchmark.py",
    ]
    assert [name for name in named if not (FOLDER / name).is_file()] == []


@pytest.mark.slow
async def test_contract_of_the_page_is_the_contract_that_there_is(tmp_path: Path) -> None:
    """Every method that the page shows is there, and takes what it shows."""
    program = CONTRACT_NAMES + CONTRACT.program + CONTRACT_KEPT
    said = await done(python("-c", program), environment(tmp_path))
    methods = ["exec", "shell_endpoint", "screenshot", "left_click", "write_file", "preview_url", "stop", "destroy"]
    assert said.split() == methods


@pytest.mark.slow
async def test_tools_are_those_that_the_page_names(tmp_path: Path) -> None:
    """In both formats, in the page's order; and the loop that it promises is there."""
    said = await done(
        python(
            "-c",
            "import harness, json, tools\n"
            "chat = [tool['function']['name'] for tool in tools.TOOL_SCHEMAS]\n"
            "messages = [tool['name'] for tool in tools.anthropic_tools()]\n"
            "print(json.dumps([chat, messages, harness.ClaudeComputerUseHarness.__name__]))",
        ),
        environment(tmp_path),
    )
    assert json.loads(said) == [SEVEN, SEVEN, "ClaudeComputerUseHarness"]
    assert f"Tools provided: {', '.join(SEVEN)} " in OWN_LOOP.page


@pytest.mark.needs_x
async def test_loop_of_ones_own_drives_the_box(tmp_path: Path) -> None:
    """All seven tools arrive at the desktop itself; the computer that nobody destroyed is gone with the program."""
    async with hosted() as (simulator, desktop):
        program = YOUR_LLM + OWN_LOOP.program + "\nprint(json.dumps(result), computer.info.name)"
        said = await done(python("-c", program), environment(tmp_path, simulator))
        assert said.startswith('{"content": "kept"} agent-box')
        assert await desktop.cursor_position() == (640, 360)
        assert await desktop.read_file("note.txt") == "kept"
        asked = [request.route for request in simulator.requests]
        assert [route for route in asked if route in {"screenshot", "click", "type", "key"}][-4:] == [
            "screenshot",
            "click",
            "type",
            "key",
        ]
        assert len(simulator.asked("delete")) == 1


@pytest.mark.needs_x
async def test_key_of_a_user_drives_that_users_box(tmp_path: Path) -> None:
    """The key comes as an argument; the computer is gone when it is destroyed."""
    async with hosted() as (simulator, _):
        variables = environment(tmp_path, simulator, KEPT_KEY=simulator.key)
        del variables["ORGO_API_KEY"]
        said = await done(python("-c", USER + SET_UP.program), variables)
        assert said.startswith("Linux ")
        assert said.endswith("\n 0\n")
        [created] = simulator.asked("create")
        assert isinstance(created.body, dict)
        assert str(created.body["name"]).startswith("user-7-box")


@pytest.mark.needs_x
async def test_benchmark_has_the_columns_that_can_be_had(tmp_path: Path) -> None:
    """Both vendors whose keys are set are measured side by side, in every row of the page's table."""
    async with hosted() as (simulator, _), MiosaSimulator() as miosa:
        command = COMPARE.program.replace("msk_...", miosa.key)
        where = environment(tmp_path, simulator, MIOSA_BASE_URL=miosa.base_url)
        told = await done(["bash", "-c", command], where, told=None)
    lines = [json.loads(line) for line in told.splitlines()]
    assert lines[-1]["providers"] == ["miosa", "orgo", "local"]
    orgo = {line["metric"]: line for line in lines if line.get("provider") == "orgo"}
    assert {name: record["n"] for name, record in orgo.items() if "n" in record} == {
        "boot_warm": 2,
        "boot_cold": 1,
        "ready": 3,
        "exec": 12,
        "python": 12,
        "file_write": 12,
        "click": 12,
        "screenshot": 12,
        "clone": 1,
    }
    assert orgo["reported"]["text"] == "1 vCPU / 4 GB / 1280x720"
    assert "cores" in orgo["measured"]["text"]
    assert "orgo" in lines[-1]["providers"]


@pytest.mark.needs_x
async def test_contract_is_mapped_as_the_page_says(tmp_path: Path) -> None:
    """Commands and files go by the shell's route, Python by its own, each action by its name; ports are refused."""
    async with hosted() as (simulator, _):
        said = (await done(python("-c", MAPPING), environment(tmp_path, simulator))).splitlines()
        assert said[0] == "websocket"
        assert "has no ports" in said[1]
        for route in ("bash", "exec", "screenshot", "click", "type", "key", "scroll", "stop", "delete"):
            assert any(request.status == 200 for request in simulator.asked(route)), route
        assert not [request for request in simulator.requests if "/files" in request.path]


@pytest.mark.needs_x
async def test_demo_shows_what_a_panel_would(tmp_path: Path) -> None:
    """Connect, drive, tear down: the probe's four actions, each with its outcome."""
    async with hosted() as (simulator, desktop):
        said = (await done(python("demo.py"), environment(tmp_path, simulator))).splitlines()
        assert [line.split(" → ")[0] for line in said[1:-1]] == [
            "exec command='uname -sm'",
            "screenshot",
            "left_click x=640 y=360",
            "exec command='echo done'",
        ]
        assert said[1].startswith("exec command='uname -sm' → ok: Linux")
        assert said[3].startswith("left_click x=640 y=360 → ok")
        assert said[-1].startswith("completed: Linux")
        assert await desktop.cursor_position() == (640, 360)


@pytest.mark.needs_x
async def test_driver_of_ones_own_pursues_a_goal(tmp_path: Path) -> None:
    """The custom driver writes its goal down and reads it back."""
    async with hosted() as (simulator, desktop):
        said = await done(python("demo.py", "custom", "water the plants"), environment(tmp_path, simulator))
        assert said.splitlines()[-1] == "completed: water the plants"
        assert await desktop.read_file("goal.txt") == "water the plants"


@pytest.mark.needs_x
async def test_claude_pursues_a_goal(tmp_path: Path) -> None:
    """The model looks and clicks on the hosted desktop, and says how it went."""
    fake = FakeAnthropic(
        [
            FakeTurn([member("screenshot")]),
            FakeTurn([member("left_click", coordinate=[100, 200])]),
            FakeTurn([text("The plants have water.")]),
        ]
    )
    async with hosted() as (simulator, desktop), fake.serve() as base_url:
        variables = environment(tmp_path, simulator, ANTHROPIC_BASE_URL=base_url, ANTHROPIC_API_KEY=fake.api_key)
        said = await done(python("demo.py", "claude", "see to the plants"), variables)
        assert said.splitlines()[-1] == "completed: The plants have water."
        assert await desktop.cursor_position() == (100, 200)


@pytest.mark.needs_x
@pytest.mark.parametrize("driver", ["openai", "functions"])
async def test_model_of_openai_pursues_a_goal(tmp_path: Path, driver: str) -> None:
    """By the computer tool or by functions, the same click arrives."""
    call = (
        computer_call(action("click", button="left", x=100, y=200))
        if driver == "openai"
        else tool_use("left_click", x=100, y=200)
    )
    fake = FakeOpenAI([FakeTurn([call]), FakeTurn([text("The plants have water.")])])
    async with hosted() as (simulator, desktop), fake.serve() as base_url:
        variables = environment(tmp_path, simulator, OPENAI_BASE_URL=base_url, OPENAI_API_KEY=fake.api_key)
        said = await done(python("demo.py", driver, "see to the plants"), variables)
        assert said.splitlines()[-1] == "completed: The plants have water."
        assert await desktop.cursor_position() == (100, 200)


@pytest.mark.needs_x
async def test_computer_is_kept_from_one_command_to_the_next(tmp_path: Path) -> None:
    """What is created stays until it is removed; a computer that is gone is told in a line."""
    async with hosted() as (simulator, desktop):
        variables = environment(tmp_path, simulator)
        computer_id = (await done(python("cli.py", "create"), variables)).strip()
        assert [*simulator.computers] == [computer_id]
        assert (await done(python("cli.py", "ls"), variables)).startswith(f"{computer_id} agent-box")
        assert await done(python("cli.py", "exec", computer_id, "echo hi; exit 3"), variables, code=3) == "hi\n"
        await done(python("cli.py", "click", computer_id, "30", "40"), variables)
        assert await desktop.cursor_position() == (30, 40)
        await done(python("cli.py", "shot", computer_id, str(tmp_path / "shot.png")), variables)
        assert (tmp_path / "shot.png").read_bytes().startswith(b"\x89PNG")
        await done(python("cli.py", "rm", computer_id), variables)
        await done(python("cli.py", "rm", computer_id), variables, code=1, told=None)


@pytest.mark.slow
async def test_program_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    """No traceback: one line with the variable that is missing."""
    hint = "there is no key for orgo — export ORGO_API_KEY=sk_live_...\n"
    assert await done(python("demo.py"), environment(tmp_path), code=1, told=hint) == ""
