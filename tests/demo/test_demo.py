"""The demonstration: what its script finds, where it plays, and that a wrong outcome is told."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anthropic import AsyncAnthropic
from PIL import Image

import deskhand.demo
from deskhand import ClaudeComputerUseHarness, ExternalComputer, RunResult
from deskhand.cli.exits import Exit
from deskhand.cli.invoke import invoke
from deskhand.demo import GOAL, DemoModel, Verdict, demo_computer, verify
from deskhand.demo.pretend import PretendDesktop
from deskhand.demo.script import CONTENT, FILE
from deskhand.demo.targets import Box, find_editor, find_entry, find_first_line, find_launcher, find_title, selection
from deskhand.providers import ComputerSpec, InputAction, open_computer
from deskhand.testing import FakeAnthropic, FakeComputer, FakeScreen
from tests.cli.program import Program
from tests.cli.test_local import poorer_path

RESOLUTIONS = {"1024x768": (1024, 768), "1280x800": (1280, 800), "1920x1080": (1920, 1080)}
resolutions = pytest.mark.parametrize(
    "screen",
    [
        pytest.param(size, id=name, marks=[pytest.mark.slow] if name == "1920x1080" else [])
        for name, size in RESOLUTIONS.items()
    ],
)


async def play(
    computer: ExternalComputer, prepare: Callable[[FakeAnthropic], object] = lambda _: None
) -> tuple[RunResult[str], Verdict]:
    """Play the demonstration on a computer, over a socket, and look at what it left."""
    fake = FakeAnthropic(DemoModel())
    prepare(fake)
    with anyio.fail_after(60):
        async with fake.serve() as base_url, AsyncAnthropic(api_key=fake.api_key, base_url=base_url) as client:
            result = await ClaudeComputerUseHarness(client=client).run(computer, GOAL)
    fake.raise_script_errors()
    return result, await verify(computer)


async def picture(computer: ExternalComputer) -> Image.Image:
    """Return what a computer's screen shows."""
    return Image.open(io.BytesIO(await computer.screenshot())).convert("RGB")


async def until_seen(computer: ExternalComputer, find: Callable[[Image.Image], Box | None]) -> Box:
    """Look at a screen until something is found on it."""
    with anyio.fail_after(10):
        while (found := find(await picture(computer))) is None:  # noqa: ASYNC110 (a screen has no event for it)
            await anyio.sleep(0.05)
    return found


@pytest.mark.needs_x
@resolutions
@pytest.mark.parametrize("is_crowded", [False, True], ids=["alone", "beside-a-terminal"])
async def test_demo_works_wherever_the_window_is(screen: tuple[int, int], is_crowded: bool) -> None:
    """At three sizes of the screen, and with the editor in the middle or beside another window, the file is right."""
    async with open_computer("local", spec=ComputerSpec(screen=screen)) as computer:
        if is_crowded:
            launcher = await until_seen(computer, find_launcher)
            await computer.left_click(launcher.left - 40, launcher.middle[1])
            await until_seen(computer, find_title)
        result, verdict = await play(computer)
        assert result.outcome == "completed"
        assert str(result.output).startswith("Done: greeting.txt")
        assert verdict.ok, str(verdict)
        assert (await computer.read_bytes(FILE)).decode() == CONTENT


@pytest.mark.needs_x
async def test_command_shows_everything_and_ends_with_the_verified_outcome(tmp_path: Path) -> None:
    """``deskhand demo`` says what is scripted, each action, where the frames are, what was verified, how to go on."""
    ended = await Program(tmp_path).run("demo")
    assert (ended.code, ended.err) == (Exit.COMPLETED, "")
    said = ended.out
    assert said.splitlines()[0].startswith("the model of this demo is scripted")
    for action in ("left_click x=", "type text=", "key key='ctrl+s'", "exec command=", "scroll ", "left_click_drag "):
        assert f"  {action}" in said
    assert "verified on the machine:\n  ✓ greeting.txt holds the 40 lines, byte for byte" in said
    assert "export ANTHROPIC_API_KEY=" in said
    assert "make-believe" not in said
    folder = next(line.removeprefix("frames: ") for line in said.splitlines() if line.startswith("frames: "))
    assert len(os.listdir(folder)) >= 10


@pytest.mark.slow
async def test_command_without_an_x_server_plays_on_a_make_believe_desktop_and_says_so(tmp_path: Path) -> None:
    """Where no desktop can be had the same script runs on a fake computer, which is told, with the reason."""
    program = Program(tmp_path, {"PATH": poorer_path(tmp_path, "Xvnc", "Xvfb")})
    ended = await program.run("demo", "--screen", "1024x768")
    assert ended.code == Exit.COMPLETED, ended.err
    assert "no real desktop can be had here: the local computer has no " in ended.out
    assert "make-believe" in ended.out
    assert "verified on the machine:" in ended.out


@resolutions
async def test_demo_works_on_the_make_believe_desktop(screen: tuple[int, int]) -> None:
    """The same script does the same where the desktop is drawn in memory."""
    async with PretendDesktop(screen) as computer:
        result, verdict = await play(computer)
        assert str(result.output).startswith("Done: ")
        assert verdict.ok, str(verdict)
        assert computer.files[FILE].decode() == CONTENT


async def test_demo_goes_on_where_the_api_fails_meanwhile() -> None:
    """A request that is made again gets the same answer: nothing of the script is left out or played twice."""

    def overloaded(fake: FakeAnthropic) -> None:
        fake.fail(529, retry_after=0)
        fake.fail(500, retry_after=0)

    async with PretendDesktop() as computer:
        result, verdict = await play(computer, overloaded)
        assert result.outcome == "completed"
        assert verdict.ok, str(verdict)


async def test_demo_gives_up_where_it_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a launcher in the frame the model says so, and the machine agrees that nothing was done."""
    monkeypatch.setattr("deskhand.demo.script.PATIENCE", 2)
    async with FakeComputer(FakeScreen(title="nothing here")) as computer:
        result, verdict = await play(computer)
        assert result.output == "I give up: I do not see the editor's launcher in the panel"
        assert not verdict.ok
        assert str(verdict).startswith("NOT as it should be on the machine:\n  ✗ there is no greeting.txt")


class TamperingDesktop(PretendDesktop):
    """Loses a letter each time that a file is saved."""

    async def perform(self, action: InputAction) -> None:
        """Perform an input action, badly."""
        await super().perform(action)
        if FILE in self.files:
            self.files[FILE] = self.files[FILE].replace("Ω".encode(), b"O", 1)


async def test_model_notices_a_file_that_is_not_what_it_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check by a command is one: where the file differs, the model does not say that it is done."""
    monkeypatch.setattr("deskhand.demo.script.READINGS", 1)
    async with TamperingDesktop() as computer:
        result, verdict = await play(computer)
        assert result.output == "I give up: greeting.txt does not hold every letter that I typed"
        assert not verdict.ok


async def test_verdict_notices_what_changed_after_the_report() -> None:
    """The outcome is looked up on the machine; the model's report alone makes nothing true."""
    async with PretendDesktop() as computer:
        result, verdict = await play(computer)
        assert str(result.output).startswith("Done: ")
        assert verdict.ok
        await computer.write_file(FILE, CONTENT.replace("40 €", "41 €"))
        assert "differs from byte" in str(await verify(computer))
        await computer.write_file(FILE, CONTENT[:-1])
        assert "differs in its length" in str(await verify(computer))
        await computer.write_file(FILE, CONTENT)
        await computer.drag((200, 90), (400, 300))
        assert "✗ the drag by the title bar left the window at 277,290" in str(await verify(computer))


@pytest.mark.slow
def test_command_fails_where_the_outcome_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong outcome is a failure of the command, whatever the model reported."""
    import typer

    from deskhand.cli.demo import show

    @asynccontextmanager
    async def tampered(*_: object) -> AsyncIterator[PretendDesktop]:
        async with TamperingDesktop() as computer:
            yield computer

    monkeypatch.setenv("DESKHAND_HOME", str(tmp_path))
    monkeypatch.setattr(deskhand.demo, "demo_computer", tampered)
    monkeypatch.setattr("deskhand.demo.script.READINGS", 1)
    with pytest.raises(typer.Exit) as left:
        invoke(lambda terminal, stopper: show(terminal, stopper, None), json=False, debug=False)
    assert left.value.exit_code == Exit.FAILED
    assert "✗ greeting.txt differs from byte" in capsys.readouterr().out


@pytest.mark.parametrize("scale", [1.0, 0.78, 0.6])
async def test_targets_are_found_in_a_frame_that_was_scaled_down(scale: float) -> None:
    """Large screens are scaled for the model; what is found there is where it is on the screen."""

    async def seen() -> Image.Image:
        frame = await picture(computer)
        return frame.resize((round(frame.width * scale), round(frame.height * scale)), Image.Resampling.LANCZOS)

    async with PretendDesktop((1920, 1080)) as computer:
        launcher = find_launcher(await seen())
        assert launcher is not None
        assert find_editor(await seen()) is None
        x, y = launcher.middle
        await computer.left_click(round(x / scale), round(y / scale))
        editor = find_editor(await seen())
        assert editor is not None
        assert editor.title.left / scale == pytest.approx((1920 - 600) / 2, abs=4)
        assert find_entry(await seen()) is None
        await computer.type("first\nsecond\n")
        line = find_first_line(await seen(), editor.page)
        assert line is not None
        assert line.height / scale < 19
        assert selection(await seen(), editor.page) is None
        height = round(line.middle[1] / scale)
        await computer.drag((round(line.left / scale), height), (round((line.right + 40) / scale), height))
        assert selection(await seen(), editor.page) is not None
        await computer.key("ctrl+s")
        assert find_entry(await seen()) is not None
        assert find_editor(await seen()) is None


async def test_targets_are_not_found_where_there_are_none() -> None:
    """Pictures of nothing, of one colour and of noise hold no launcher, window or field."""
    for frame in (
        Image.new("RGB", (1280, 800), "#1f2933"),
        Image.new("RGB", (1280, 800), "white"),
        Image.new("RGB", (300, 20), "#8cafdb"),
        Image.effect_noise((640, 400), 90).convert("RGB"),
    ):
        assert find_launcher(frame) is None
        assert find_editor(frame) is None
        assert find_entry(frame) is None


async def test_demo_computer_says_why_it_is_a_make_believe_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the desktop's programs are missing, the reason names them, and the screen has the size that was asked."""
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    async with demo_computer((1024, 768), said.append) as computer:
        assert isinstance(computer, PretendDesktop)
        assert computer.info.screen == (1024, 768)
    assert said[0].startswith("no real desktop can be had here: ")
    assert "make-believe" in said[1]


async def test_model_without_a_screen_writes_by_a_command() -> None:
    """On a computer that has a shell alone the script does what can be done there, and reads it back."""
    async with open_computer("local", desktop=False) as computer:
        fake = FakeAnthropic(DemoModel())
        async with fake.client() as client:
            result = await ClaudeComputerUseHarness(client=client).run(computer, GOAL)
        fake.raise_script_errors()
        assert result.outcome == "completed"
        assert "There was no screen" in (result.output or "")
        assert await computer.read_file(FILE) == CONTENT
