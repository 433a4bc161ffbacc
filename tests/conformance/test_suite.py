"""The suite itself: a computer with a fault must fail the case that is about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from deskhand.errors import ComputerGoneError, FileMissingError
from deskhand.providers import (
    Capability,
    Click,
    ComputerInfo,
    Drag,
    ExecResult,
    ExecStream,
    FileInfo,
    HoldKey,
    InputAction,
    Key,
    Region,
    Screen,
    Scroll,
    Shell,
    Type,
)
from deskhand.testing import FakeComputer
from deskhand.testing.conformance import CASES, Case, ConformanceError, Target, Verdict

BY_NAME = {case.name: case for case in CASES}
Faulty = type[FakeComputer]
FAULTS: list[tuple[str, Faulty]] = []


def caught_by(*names: str) -> Callable[[Faulty], Faulty]:
    """Name the cases that must notice a fault."""

    def register(faulty: Faulty) -> Faulty:
        FAULTS.extend((name, faulty) for name in names)
        return faulty

    return register


class Acting(FakeComputer):
    """Performs what `instead` makes of an action."""

    def instead(self, action: InputAction) -> list[InputAction]:
        return [action]

    async def perform(self, action: InputAction) -> None:
        for made in self.instead(action):
            await super().perform(made)


@caught_by("click_presses_and_releases_at_the_point", "click_reaches_every_corner")
class OffByOne(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [replace(action, x=action.x - 1)] if isinstance(action, Click) and action.x else [action]


@caught_by("click_presses_and_releases_at_the_point")
class LeftOnly(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [replace(action, button="left")] if isinstance(action, Click) else [action]


@caught_by("click_counts_are_fast_enough")
class SingleClicks(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [replace(action, count=1)] if isinstance(action, Click) else [action]


@caught_by("click_counts_are_fast_enough")
class SlowClicks(FakeComputer):
    async def perform(self, action: InputAction) -> None:
        for _ in range(action.count - 1 if isinstance(action, Click) else 0):
            await super().perform(replace(action, count=1))  # type: ignore[arg-type]
            await anyio.sleep(0.45)
        await super().perform(replace(action, count=1) if isinstance(action, Click) else action)


@caught_by("click_holds_its_modifiers", "drag_holds_its_modifiers", "scroll_goes_far_and_holds_its_modifiers")
class NoModifiers(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [replace(action, modifiers=())] if isinstance(action, (Click, Drag, Scroll)) else [action]


@caught_by("drag_moves_with_the_button_down")
class ShortCut(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [replace(action, path=(action.path[0], action.path[-1]))] if isinstance(action, Drag) else [action]


@caught_by("scroll_turns_the_wheel_notch_by_notch", "scroll_goes_far_and_holds_its_modifiers")
class UpsideDown(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [replace(action, dy=-action.dy)] if isinstance(action, Scroll) else [action]


@caught_by("points_off_the_screen_are_refused")
class Clamped(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        if isinstance(action, Click) and action.x is not None and action.y is not None:
            return [replace(action, x=max(0, min(action.x, 1279)), y=max(0, min(action.y, 799)))]
        return [action]


@caught_by("key_strikes_chords_in_order")
class BareKeys(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [Key(action.keys[-1:])] if isinstance(action, Key) else [action]


@caught_by("key_repeats")
class NoRepeats(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [replace(action, repeat=1)] if isinstance(action, Key) else [action]


@caught_by("hold_key_holds_as_long_as_asked")
class Impatient(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [Key(action.keys)] if isinstance(action, HoldKey) else [action]


@caught_by(
    "type_letters_of_many_scripts",
    "type_emoji_with_joiners",
    "type_right_to_left",
    "type_combining_marks",
    "type_many_different_characters",
    "type_in_turn",
)
class AsciiOnly(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [Type(action.text.encode("ascii", "ignore").decode())] if isinstance(action, Type) else [action]


@caught_by("type_what_would_hurt_a_shell", "type_ascii")
class Expanding(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [Type(action.text.replace("$", ""))] if isinstance(action, Type) else [action]


@caught_by("type_five_hundred_characters")
class ShortBreath(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [Type(action.text[:400])] if isinstance(action, Type) else [action]


@caught_by("type_newlines_and_tabs")
class Spaces(Acting):
    def instead(self, action: InputAction) -> list[InputAction]:
        return [Type(action.text.replace("\t", "    "))] if isinstance(action, Type) else [action]


@caught_by("cursor_position_follows_the_pointer")
class LostPointer(FakeComputer):
    async def cursor_position(self) -> tuple[int, int]:
        return 0, 0


@caught_by("screenshot_of_a_region_equals_its_part_of_the_whole")
class WholeScreen(FakeComputer):
    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        return await super().screenshot(cursor=cursor, format=format)


@caught_by("screenshot_is_an_image_of_the_whole_screen")
class OtherSize(FakeComputer):
    @property
    def info(self) -> ComputerInfo:
        return replace(super().info, screen=Screen(9, 800))


@caught_by("screenshot_shows_the_pointer_where_it_is")
class NoPointer(FakeComputer):
    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        return await super().screenshot(region=region, cursor=False, format=format)


@caught_by("settle_is_bounded")
class Restless(FakeComputer):
    async def settle(self, *, quiet: float = 0.15, limit: float = 2.0) -> float:
        await anyio.sleep(2.1)
        return 2.1


@caught_by("resize_changes_what_is_seen")
class FixedSize(FakeComputer):
    async def resize(self, width: int, height: int) -> None:
        return None


class Executing(FakeComputer):
    """Lets `after` change results, and `arguments` what is asked for."""

    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return given

    def after(self, result: ExecResult) -> ExecResult:
        return result

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        given = self.arguments({"timeout": timeout, "cwd": cwd, "env": env, "stdin": stdin})
        return self.after(await super().exec(command, **given))


@caught_by("exec_returns_output_and_exit_code", "exec_tells_an_unknown_command")
class AlwaysWell(Executing):
    def after(self, result: ExecResult) -> ExecResult:
        return replace(result, exit_code=0)


@caught_by("exec_keeps_stdout_and_stderr_apart")
class MergedInStdout(Executing):
    def after(self, result: ExecResult) -> ExecResult:
        return replace(result, stdout=result.output)


@caught_by("exec_hands_over_stdin_and_its_end")
class NoStdin(Executing):
    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return {**given, "stdin": None}


@caught_by("exec_starts_where_it_is_told")
class NoDirectory(Executing):
    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return {**given, "cwd": None}


@caught_by("exec_sets_variables_for_one_command")
class NoVariables(Executing):
    def arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        return {**given, "env": None}


@caught_by("exec_timeout_kills_the_whole_tree", "exec_cancelled_ends_the_command")
class SurvivingChildren(Executing):
    async def exec(self, command: str, **given: Any) -> ExecResult:
        try:
            return await super().exec(command, **given)
        finally:
            if "late" in command and "test" not in command:
                self.files["conformance-late"] = b"late"


@caught_by("exec_bounds_what_it_keeps")
class OnlyTheBeginning(Executing):
    def after(self, result: ExecResult) -> ExecResult:
        return replace(result, output=result.output[: len(result.output) // 2])


@caught_by("exec_runs_several_at_once")
class OneAtATime(FakeComputer):
    def __init__(self) -> None:
        super().__init__()
        self._turn = anyio.Lock()

    async def exec(self, command: str, **given: Any) -> ExecResult:
        async with self._turn:
            return await super().exec(command, **given)


@caught_by("exec_starts_afresh")
class OneShell(FakeComputer):
    async def exec(self, command: str, **given: Any) -> ExecResult:
        result = await super().exec(command, **given)
        return replace(result, output="[1]") if "CONFORMANCE]" in command else result


@caught_by("exec_stream_ends_with_its_block", "exec_stream_can_be_killed_and_times_out")
class Undying(FakeComputer):
    def exec_stream(self, command: str, **given: Any) -> AbstractAsyncContextManager[ExecStream]:
        self.files["conformance-late"] = b"late"
        return super().exec_stream("echo begun; exit 0", **given)


@caught_by("shell_keeps_directory_and_variables")
class ForgetfulShell(FakeComputer):
    def shell(self) -> AbstractAsyncContextManager[Shell]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Shell]:
            yield _Fresh(self)

        return opened()


class _Fresh(Shell):
    def __init__(self, computer: FakeComputer) -> None:
        self._computer = computer

    async def run(self, command: str, *, timeout: float | None = None) -> ExecResult:
        return await self._computer.exec(command, timeout=timeout)


@caught_by("files_come_back_byte_for_byte")
class UnixNewlines(FakeComputer):
    async def read_bytes(self, path: str) -> bytes:
        return (await super().read_bytes(path)).replace(b"\r\n", b"\n")


@caught_by("files_that_are_not_there_are_missing", "files_are_deleted")
class NothingIsMissing(FakeComputer):
    async def read_bytes(self, path: str) -> bytes:
        try:
            return await super().read_bytes(path)
        except FileMissingError:
            return b""


@caught_by("files_and_folders_are_told_apart")
class FoldersAreFiles(FakeComputer):
    async def read_bytes(self, path: str) -> bytes:
        return b"" if self.files.is_folder(path) else await super().read_bytes(path)


@caught_by("files_have_any_name", "files_are_listed_and_described")
class Unsorted(FakeComputer):
    async def list_dir(self, path: str = ".") -> list[FileInfo]:
        return (await super().list_dir(path))[::-1]


@caught_by("capabilities_are_told_truly")
class Boasting(FakeComputer):
    @property
    def capabilities(self) -> frozenset[Capability]:
        return super().capabilities | {Capability.LIVE_VIEW}


@caught_by("capabilities_are_told_truly")
class Modest(FakeComputer):
    @property
    def capabilities(self) -> frozenset[Capability]:
        return super().capabilities - {Capability.TERMINAL}

    def require(self, *capabilities: Capability) -> None:
        return None


@caught_by("use_after_destroy_is_refused", "destroy_twice_is_no_error")
class Immortal(FakeComputer):
    async def destroy(self) -> None:
        return None


@caught_by("destroy_twice_is_no_error")
class DiesOnce(FakeComputer):
    async def destroy(self) -> None:
        if self.info.status == "destroyed":
            raise ComputerGoneError("it is gone")
        await super().destroy()


def _parameter(name: str, faulty: Faulty) -> Any:
    marks = [pytest.mark.slow] if faulty in {SurvivingChildren, OneAtATime, Undying, Restless} else []
    return pytest.param(name, faulty, id=f"{faulty.__name__}-{name}", marks=marks)


@pytest.mark.parametrize(("name", "faulty"), [_parameter(name, faulty) for name, faulty in FAULTS])
async def test_suite_notices_the_fault(name: str, faulty: Faulty) -> None:
    """A computer with one fault fails the case that is about it, with an error that is the suite's own."""
    computer = faulty()
    with pytest.raises(ConformanceError):
        await BY_NAME[name].run(Target(computer, computer.ground_truth))


def test_cases_have_names_and_promises() -> None:
    """Every case has a name of its own and says in a sentence what it promises."""
    assert len(BY_NAME) == len(CASES)
    assert all(case.says.endswith(".") for case in CASES)
    assert {case.name for case in CASES} >= {name for name, _ in FAULTS}


async def test_input_without_a_ground_truth_is_unverified() -> None:
    """Where nobody can tell what arrived, the verdict says so."""
    case: Case = BY_NAME["click_reaches_every_corner"]
    async with FakeComputer() as computer:
        assert await case.run(Target(computer)) is Verdict.UNVERIFIED
