"""A desktop from a shell: what is found, what is sent, what a failure says, and what is left behind."""

from __future__ import annotations

import base64
import logging
import random
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO

import anyio
import anyio.lowlevel
import pytest
from PIL import Image

from deskhand.errors import (
    DeskhandError,
    FileMissingError,
    PayloadTooLargeError,
    ProtocolError,
    ProviderError,
    UnsupportedError,
)
from deskhand.providers import (
    INPUT,
    Capability,
    Click,
    Drag,
    ExecResult,
    ExternalComputer,
    HoldKey,
    InputAction,
    Key,
    MouseDown,
    MouseUp,
    Move,
    Region,
    Screen,
    Scroll,
    Type,
    Wait,
)
from deskhand.providers.local import LocalProvider
from deskhand.testing import FakeComputer
from deskhand.testing.received import typed_text
from deskhand.testing.x_ground_truth import x_ground_truth
from tests.providers.shell_machines import (
    ExactMachine,
    FilesMachine,
    ShellMachine,
    StreamMachine,
    a_bare_machine,
    a_machine,
    left_keymaps,
    symbols,
    without_xvfb_skipped,
)

SEEN = {Capability.SCREENSHOT, Capability.REGION}
USED = INPUT | {Capability.CURSOR}
ACTIONS: list[InputAction] = [
    Click(1, 2),
    Click(count=3, button="back", modifiers=("ctrl", "shift")),
    Move(3, 4),
    MouseDown("right"),
    MouseUp("right"),
    Drag(tuple((n % 700, n % 500) for n in range(1000))),
    Scroll(1, 2, dx=-400, dy=600, modifiers=("alt",)),
    Key("ctrl+plus", repeat=100),
    HoldKey("shift+Ñ", 300),
    Type("-n $HOME 'ü'\n漢"),
]


def said(output: str, code: int | None = 0, error: str | None = None) -> ExecResult:
    """Return what a command gave."""
    return ExecResult(output, None, None, code, error)


@asynccontextmanager
async def told(
    found: str = "desktop :7 800 600 xdotool scrot base64\n", kind: type[ShellMachine] = ShellMachine
) -> AsyncIterator[ShellMachine]:
    """Open a computer on which looking for a desktop gives this, and xdotool always works."""
    async with FakeComputer() as behind:
        machine = kind(behind)
        machine.instead = lambda command: said("" if "xdotool getdisplaygeometry" not in command else found)
        await machine.find_desktop()
        machine.asked.clear()
        yield machine


@pytest.mark.parametrize(
    ("found", "more"),
    [
        ("desktop :7 800 600 xdotool scrot base64\n", SEEN | USED),
        ("motd\ndesktop :7 800 600 xdotool base64\n", USED),
        ("desktop :7 800 600 scrot base64\n", SEEN),
        ("desktop :7 800 600 scrot\n", set()),
        ("desktop :7 800 600\n", set()),
        ("", set()),
    ],
)
async def test_capabilities_are_what_was_found(found: str, more: set[Capability]) -> None:
    """Without a program that it needs, a capability is absent, and the hint says which programs there must be."""
    async with told(found) as machine:
        assert machine.capabilities == {Capability.EXEC} | more
        assert machine.screen == (Screen(800, 600) if found else None)
        for capability in (SEEN | USED) - more:
            with pytest.raises(UnsupportedError, match="apt-get install xdotool scrot"):
                machine.require(capability)


class Photographer(ShellMachine):
    """Has a way of its own to take pictures."""

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Take one."""
        return b"mine"


async def test_way_of_ones_own_needs_no_program() -> None:
    """What a class overrides it can do, whatever is found."""
    async with FakeComputer() as behind:
        machine = Photographer(behind)
        assert machine.capabilities == {Capability.EXEC} | SEEN
        assert await machine.screenshot() == b"mine"


async def test_computer_that_was_not_looked_at_has_no_desktop() -> None:
    """Nothing is promised before it was asked for."""
    async with FakeComputer() as behind:
        machine = ShellMachine(behind)
        assert machine.capabilities == {Capability.EXEC}
        assert machine.screen is None
        with pytest.raises(UnsupportedError):
            await machine.left_click(1, 1)
        assert machine.asked == []


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action)[:40])
async def test_action_is_one_command(action: InputAction) -> None:
    """Nothing comes in between, whatever the action; a command line can hold it."""
    async with told() as machine:
        await machine.perform(action)
        (command,) = machine.asked
        assert command.startswith("exec xdotool ")
        assert len(command.encode()) < 100_000


async def test_long_text_is_several_commands_none_too_long() -> None:
    """However much of it has to be quoted."""
    async with told() as machine:
        await machine.type("'漢" * 20_000)
        assert len(machine.asked) > 1
        assert max(len(command.encode()) for command in machine.asked) < 100_000


async def test_waiting_and_typing_nothing_send_nothing() -> None:
    """There is nothing to be done on the computer."""
    async with told() as machine:
        await machine.perform(Wait(0))
        await machine.type("")
        assert machine.asked == []


@pytest.mark.parametrize(
    ("result", "effect"),
    [
        (said("bash: xdotool: command not found", 127), "no"),
        (said("Error: Can't open display: :7", 1), "no"),
        (said("X Error of failed request", 1), "unknown"),
        (said("", None, "timed out after 30 s"), "unknown"),
    ],
)
async def test_failed_action_says_what_is_certain(result: ExecResult, effect: str) -> None:
    """What did not start has done nothing; of what ended in its midst nobody knows, and what it held is let go of."""
    async with told() as machine:
        machine.instead = lambda command: said("") if "keyup" in command.split("keydown")[0] else result
        with pytest.raises(ProviderError, match="xdotool failed") as caught:
            await machine.left_click(1, 1, modifiers=("ctrl",))
        assert caught.value.effect == effect
        assert caught.value.hint
        wanted = [] if effect == "no" else ["exec xdotool mouseup 1 keyup Control_L"]
        assert machine.asked[1:] == wanted


async def test_part_of_a_text_that_was_typed_is_told() -> None:
    """That the second command did not start does not mean that nothing was typed."""
    async with told() as machine:
        machine.instead = lambda _: said("") if len(machine.asked) < 3 else said("not found", 127)
        with pytest.raises(ProviderError) as caught:
            await machine.type("'漢" * 20_000)
        assert (caught.value.effect, caught.value.retryable) == ("yes", False)


async def test_error_of_exec_is_passed_on() -> None:
    """What the computer's own class knows of a failure is not made another."""
    async with told() as machine:

        def refuse(_: str) -> ExecResult:
            raise DeskhandError("the line is cut", effect="unknown")

        machine.instead = refuse
        with pytest.raises(DeskhandError, match="the line is cut") as caught:
            await machine.left_click(1, 1)
        assert caught.value.effect == "unknown"
        assert machine.asked[-1] == "exec xdotool mouseup 1"


async def test_cancelled_action_lets_go() -> None:
    """Although nobody waits any more."""
    async with told() as machine:
        with anyio.CancelScope() as scope:
            began = len(machine.asked)

            def cancel(_: str) -> None:
                if len(machine.asked) == began + 1:
                    scope.cancel()

            machine.instead = cancel
            await machine.hold_key("ctrl+a", 60)
        assert scope.cancelled_caught
        assert machine.asked[-1] == "exec xdotool keyup a keyup Control_L"


@pytest.mark.parametrize(
    ("output", "error", "text"),
    [
        ("", ProtocolError, "no size"),
        ("picture of 3\nAAA\n", ProtocolError, "of 3 bytes"),
        ("picture of 4\nAA*=\n", ProtocolError, "of 4 bytes"),
        (f"picture of 4\n{base64.b64encode(b'html').decode()}\n", ProtocolError, "neither PNG nor JPEG"),
        (f"picture of {2**40}\n", PayloadTooLargeError, "bytes"),
    ],
)
async def test_answer_that_is_no_picture_is_an_error(output: str, error: type[DeskhandError], text: str) -> None:
    """Nothing broken is passed on, and nothing that is too large is fetched."""
    async with told() as machine:
        machine.instead = lambda _: said(output)
        with pytest.raises(error, match=text):
            await machine.screenshot()
        assert len(machine.asked) <= 2


async def test_failed_picture_says_what_scrot_said() -> None:
    """It has done nothing and may be taken again."""
    async with told() as machine:
        machine.instead = lambda _: said("giblib error: Can't open X display", 2)
        with pytest.raises(ProviderError, match="giblib error") as caught:
            await machine.screenshot()
        assert (caught.value.effect, caught.value.retryable) == ("no", True)


# With a real shell behind


class BrokenFiles(FilesMachine):
    """Loses the line while it reads a file."""

    async def read_bytes(self, path: str) -> bytes:
        """Fail."""
        raise DeskhandError(f"the line is cut at {path}")


def noise(width: int = 400, height: int = 300) -> bytes:
    """Return a picture that cannot be packed."""
    packed = BytesIO()
    Image.frombytes("RGB", (width, height), random.Random(7).randbytes(width * height * 3)).save(packed, "PNG")
    return packed.getvalue()


GIVEN = 'scrot() { cp ~/picture.png "${@: -1}"; }'


@asynccontextmanager
async def photographed(
    picture: bytes, kind: type[ShellMachine] = ShellMachine, *, setup: str = GIVEN
) -> AsyncIterator[ShellMachine]:
    """Open a real machine whose scrot gives this picture, unless told otherwise; no picture may be left on it."""
    async with LocalProvider() as provider:
        behind = await provider.create(name="behind", desktop=False)
        await behind.write_file("picture.png", picture)
        machine = kind(behind, setup=f"{setup}\n")
        machine.instead = lambda _: said("desktop :7 400 300 scrot base64\n") if not machine.asked[1:] else None
        await machine.find_desktop()
        yield machine
        paths = set(re.findall(r"/tmp/deskhand-[0-9a-f]{16}[.]png", "\n".join(machine.asked)))
        assert paths
        for path in paths:
            with pytest.raises(FileMissingError):
                await behind.stat(path)


@pytest.mark.parametrize(
    ("kind", "commands"), [(ShellMachine, 11), (FilesMachine, 2), (StreamMachine, 1), (ExactMachine, 1)]
)
async def test_large_picture_comes_whole(kind: type[ShellMachine], commands: int) -> None:
    """In parts that each fit into a command's output, as a file, or in what one command writes; it is removed."""
    picture = noise()
    async with photographed(picture, kind) as machine:
        machine.asked[1:] = []
        assert await machine.screenshot() == picture
        assert len(machine.asked[1:]) == commands
        assert machine.screen == Screen(400, 300)


async def test_small_picture_is_one_command() -> None:
    """Which removes the file too."""
    picture = noise(40, 30)
    async with photographed(picture) as machine:
        assert await machine.screenshot() == picture
        assert len(machine.asked[1:]) == 1
        assert machine.screen == Screen(40, 30)


@pytest.mark.parametrize(
    ("setup", "text"),
    [
        ("scrot() { echo 'Cannot open display' >&2; exit 2; }", "Cannot open display"),
        ('scrot() { printf html > "${@: -1}"; }', "neither PNG nor JPEG"),
        ('scrot() { truncate -s 40M "${@: -1}"; }', "41943040 bytes"),
        (
            f"{GIVEN}\ncat() {{ head -c 99 ~/picture.png; }}\nbase64() {{ cat | command base64; }}",
            "bytes of a picture 99",
        ),
        (f"{GIVEN}\ncat() {{ yes; }}\nbase64() {{ yes; }}", "has no end"),
    ],
    ids=["fails", "is none", "is too large", "is cut off", "has no end"],
)
@pytest.mark.parametrize("kind", [StreamMachine, ExactMachine])
async def test_followed_picture_that_is_none_is_an_error(kind: type[ShellMachine], setup: str, text: str) -> None:
    """As where a command's output comes at once."""
    async with photographed(noise(), kind, setup=setup) as machine:
        with pytest.raises(DeskhandError, match=text) as caught:
            await machine.screenshot()
        assert caught.value.effect != "yes"


async def test_picture_that_cannot_be_read_is_removed() -> None:
    """Whatever goes wrong in between."""
    async with photographed(noise(), BrokenFiles) as machine:
        with pytest.raises(DeskhandError, match="the line is cut"):
            await machine.screenshot()


async def test_picture_that_nobody_waits_for_is_removed() -> None:
    """Cancelled in the midst of its parts."""
    async with photographed(noise()) as machine:
        with anyio.CancelScope() as scope:
            before = machine.instead

            def cancel(command: str) -> ExecResult | None:
                if command.startswith("tail -c +90001 "):
                    scope.cancel()
                return before(command)

            machine.instead = cancel
            await machine.screenshot()
        assert scope.cancelled_caught


@pytest.mark.parametrize("text", ["--help", "-n", "key Return", "--args 2 -- x", "$(x) `y` %s", "ÀÑÞßÿ ÑÑ", "\t\n\n"])
@pytest.mark.needs_x
async def test_text_that_looks_like_something_else_is_typed(text: str) -> None:
    """Options, commands, expansions and letters that X pairs are text."""
    async with a_machine() as (machine, behind):
        assert behind.x_access is not None
        async with x_ground_truth(*behind.x_access) as truth:
            await machine.type(text)
            assert typed_text(await truth.events()) == text


LETTERS = (
    "Καλημέρα, κόσμε! Ñandú grüßt ÀÉ; 漢字かな交じり文を打つ、速く。 😀🎉 'and' @BOUND@ {plain} ASCII\n"
    + "".join(chr(0x4E00 + 7 * number) for number in range(40))
    + "漢字漢字 Привет, мир. ÑñÑñ\n"
)
"""Of many scripts, with letters that come twice, and more of them than a keyboard has spare keys for."""


@pytest.mark.needs_x
@without_xvfb_skipped
async def test_many_letters_without_a_key_are_bound_at_once_and_typed_exactly() -> None:
    """On a bare X server, twice; the keymap is as it was, and nothing is left."""
    async with a_bare_machine() as (machine, display), x_ground_truth(display) as truth:
        before = symbols(display)
        assert len({letter for letter in LETTERS if not letter.isascii()}) > 60
        for _ in range(2):
            await truth.clear()
            await machine.type(LETTERS)
            assert typed_text(await truth.events()) == LETTERS
            assert (symbols(display), await left_keymaps(machine)) == (before, [])


@pytest.mark.needs_x
@without_xvfb_skipped
@pytest.mark.parametrize("after", [1, 20, 60])
async def test_cancelled_typing_leaves_the_keymap_as_it_was(after: int) -> None:
    """Wherever in the text it is, what was typed is its beginning, and nothing more comes."""
    async with a_bare_machine() as (machine, display), x_ground_truth(display) as truth:
        before = symbols(display)
        async with anyio.create_task_group() as group:
            group.start_soon(machine.type, LETTERS * 3)
            with anyio.fail_after(30):
                while len(typed_text(await truth.events())) < after:
                    await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        typed = typed_text(await truth.events())
        assert (LETTERS * 3).startswith(typed)
        assert after <= len(typed) < len(LETTERS * 3)
        assert (symbols(display), await left_keymaps(machine)) == (before, [])
        await machine.type("so")
        assert typed_text(await truth.events()) == f"{typed}so"


@pytest.mark.needs_x
@pytest.mark.parametrize("broken", ["return 127", '[ "$1" != -w ] && command xkbcomp "$@"'], ids=["missing", "refused"])
async def test_letters_are_typed_one_by_one_where_the_keymap_cannot_be_sent(broken: str) -> None:
    """Without the program, and with a server that takes no keymap."""
    async with a_machine(setup=f"xkbcomp() {{ {broken}; }}\n") as (machine, behind):
        assert behind.x_access is not None
        async with x_ground_truth(*behind.x_access) as truth:
            await machine.type("漢字かな交じり文")
            assert typed_text(await truth.events()) == "漢字かな交じり文"


@pytest.mark.needs_x
@without_xvfb_skipped
async def test_texts_typed_at_once_do_not_mix_and_leave_the_keymap_as_it_was() -> None:
    """The keymap that the second saves is the one that was there, not the one that the first bound its letters to."""
    async with a_bare_machine() as (machine, display), x_ground_truth(display) as truth:
        before = symbols(display)
        async with anyio.create_task_group() as group:
            group.start_soon(machine.type, "абвгдежзик" * 6)
            group.start_soon(machine.type, "λμνξοπρστυ" * 3)
        assert typed_text(await truth.events()) == "абвгдежзик" * 6 + "λμνξοπρστυ" * 3
        assert (symbols(display), await left_keymaps(machine)) == (before, [])


class HoldingMachine(ShellMachine):
    """Comes to no end of a command that holds a key."""

    def __init__(self, machine: ExternalComputer) -> None:
        super().__init__(machine)
        self.is_held = anyio.Event()

    async def exec(
        self,
        command: str,
        *,
        timeout: float | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
    ) -> ExecResult:
        """Run a command."""
        result = await super().exec(command, timeout=timeout, cwd=cwd, env=env, stdin=stdin)
        if "keydown" in command:
            self.is_held.set()
            await anyio.sleep_forever()
        return result


async def test_action_waits_until_another_has_let_go() -> None:
    """What is held for one is not held for the next, also where the first is cancelled."""
    async with told(kind=HoldingMachine) as machine:
        assert isinstance(machine, HoldingMachine)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group, anyio.create_task_group() as held:
                held.start_soon(machine.hold_key, "a", 60)
                await machine.is_held.wait()
                group.start_soon(machine.left_click, 1, 1)
                await anyio.wait_all_tasks_blocked()
                assert len(machine.asked) == 1
                held.cancel_scope.cancel()
        assert machine.asked[1] == "exec xdotool keyup a"
        assert "click" in machine.asked[2]


@pytest.mark.needs_x
@pytest.mark.parametrize(
    ("broken", "is_told"),
    [
        ('[ "${3%.xkb}" != "$3" ] && return 1; command xkbcomp "$@"', True),
        ('[ "$1" != -w ] && command xkbcomp "$@"', False),
    ],
    ids=["not put back", "never changed"],
)
async def test_keymap_that_is_not_put_back_is_told(
    broken: str, is_told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The text is typed, which is no error; one that the server never took needs no putting back."""
    caplog.set_level(logging.WARNING)
    async with a_machine(setup=f"xkbcomp() {{ {broken}; }}\n") as (machine, behind):
        assert behind.x_access is not None
        async with x_ground_truth(*behind.x_access) as truth:
            await machine.type("漢字かな交じり文")
            assert typed_text(await truth.events()) == "漢字かな交じり文"
        assert await left_keymaps(machine) == []
    assert ("keymap" in caplog.text) is is_told


async def test_keymap_that_nobody_can_put_back_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Because the line is cut, say."""
    async with told() as machine:

        def cut(command: str) -> ExecResult:
            if command.startswith("umask 077\nxkbcomp"):
                return said("<AD01> = 24;\n")
            raise DeskhandError("the line is cut", effect="unknown")

        machine.instead = cut
        with pytest.raises(DeskhandError, match="the line is cut"):
            await machine.type("漢字かな交じり文")
    assert "the keymap of" in caplog.text


async def test_few_letters_without_a_key_are_one_command() -> None:
    """Binding them at once would take longer."""
    async with told() as machine:
        await machine.type("héllö")
        assert len(machine.asked) == 1
        await machine.type("漢字かな交じり文")
        assert [command.split()[0] for command in machine.asked[1:]] == ["umask", "exec", "["]


@pytest.mark.needs_x
async def test_display_is_found_by_its_name() -> None:
    """The named one alone is looked at, and forgotten where it is none."""
    async with a_machine() as (machine, behind):
        assert behind.x_access is not None
        assert await machine.find_desktop(behind.x_access[0]) == machine.screen == behind.info.screen
        for name in (":9876", f":9876 {behind.x_access[0]}", "$(exit)"):
            assert await machine.find_desktop(name) is None
            assert machine.capabilities == {Capability.EXEC}
