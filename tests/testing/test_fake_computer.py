"""The fake computer's own ways; what every computer must do, the conformance suite tests."""

from __future__ import annotations

import io
import sys

import anyio
import pytest
from PIL import Image

from deskhand import computer_tools
from deskhand.errors import ComputerGoneError, ConflictError, FileMissingError, InvalidInputError, UnsupportedError
from deskhand.providers import Capability, Click, ExecResult, Move, Screen
from deskhand.testing import Button, CommandScript, FakeCommand, FakeComputer, FakeScreen, ListBox, TextField

FIELD = TextField("note", (100, 100, 700, 300))
ROWS = ListBox("rows", (100, 400, 400, 520), tuple(f"row {n}" for n in range(50)))


async def test_button_shows_another_screen() -> None:
    """A click on a button, pressed and released there, shows the screen it names."""
    screens = {
        "first": FakeScreen((Button("go", (10, 50, 110, 90), "Go", on_click="second"),)),
        "second": FakeScreen(title="There"),
    }
    async with FakeComputer(screens) as computer:
        before = await computer.screenshot()
        await computer.drag((60, 70), (600, 600))
        assert computer.shown == "first"
        await computer.left_click(60, 70)
        assert (computer.shown, computer.clicked) == ("second", ["go"])
        assert await computer.screenshot() != before
        with pytest.raises(InvalidInputError, match="'third'; there are 'first', 'second'"):
            computer.show("third")


async def test_text_field_takes_what_is_typed_and_a_chord_saves_it() -> None:
    """Typed text goes to the field that was clicked, and a reaction may use the computer as it likes."""

    def save(computer: FakeComputer) -> None:
        computer.files["note.txt"] = computer.texts["note"].encode()

    async with FakeComputer(FakeScreen((FIELD,), keys={"ctrl+s": save})) as computer:
        await computer.type("lost")
        await computer.left_click(200, 200)
        await computer.type("Grüße\nzwei!")
        await computer.key("backspace")
        await computer.key("ctrl+s")
        assert computer.typed == "lostGrüße\nzwei!"
        assert await computer.read_file("note.txt") == "Grüße\nzwei"
        assert (await computer.exec("cat note.txt")).output == "Grüße\nzwei"
        await computer.key("ctrl+a")
        await computer.type("new")
        assert computer.texts == {"note": "new"}


async def test_list_is_scrolled_by_the_wheel_and_selected_by_a_click() -> None:
    """A notch moves a row, and a click selects the row that is shown there."""
    async with FakeComputer(FakeScreen((ROWS,))) as computer:
        await computer.scroll(200, 450, dy=7)
        await computer.left_click(200, 430)
        assert (computer.scrolled, computer.selected) == ({"rows": 7}, {"rows": "row 8"})
        await computer.scroll(200, 450, dy=100)
        assert computer.scrolled == {"rows": 45}


async def test_screen_shows_a_picture_and_the_pointer() -> None:
    """A background picture is scaled to the screen; the pointer is drawn on it unless unwanted."""
    picture = Image.new("RGB", (64, 40), "red")
    async with FakeComputer(FakeScreen(image=picture), size=(640, 400)) as computer:
        await computer.move(300, 200)
        bare = Image.open(io.BytesIO(await computer.screenshot(cursor=False)))
        assert bare.size == (640, 400)
        assert bare.getcolors() == [(640 * 400, (255, 0, 0))]
        assert len(Image.open(io.BytesIO(await computer.screenshot())).getcolors() or []) == 3


async def test_screens_are_the_same_every_time() -> None:
    """The same screen and the same input give the same bytes."""
    pictures = set()
    for _ in range(2):
        async with FakeComputer(FakeScreen((FIELD, ROWS), title="Same")) as computer:
            await computer.left_click(200, 200)
            await computer.type("abc")
            pictures.add(await computer.screenshot())
    assert len(pictures) == 1


async def test_commands_are_answered_as_scripted() -> None:
    """A whole line, or a program that takes part in the shell like the built-in ones, sync or async."""

    async def double(command: FakeCommand) -> ExecResult:
        await command.computer.write_file("seen", command.stdin)
        return ExecResult(command.stdin.decode() * 2, None, None, 5)

    commands: dict[str, CommandScript] = {
        "git log --oneline": "abc first\n",
        "double": double,
        "greet": lambda command: f"hello {command.arguments[1]} from {command.cwd}\n",
    }
    async with FakeComputer(commands=commands, files={"/srv/x": "in"}) as computer:
        assert (await computer.exec("git log --oneline")).output == "abc first\n"
        assert (await computer.exec("git status")).exit_code == 127
        doubled = await computer.exec("double < /srv/x", cwd="/srv")
        assert (doubled.stdout, doubled.exit_code) == ("inin", 5)
        assert await computer.read_file("seen") == "in"
        greeted = await computer.exec('greet "$USER" | cat', cwd="/srv")
        assert greeted.output == "hello agent from /srv\n"
        assert computer.files["/srv/x"] == b"in"


@pytest.mark.parametrize(
    ("line", "output", "exit_code"),
    [
        ("uname -sm", "Linux x86_64\n", 0),
        ("false && echo a || echo b; echo $?", "b\n0\n", 0),
        ("A='x  y'; echo $A \"$A\" '$A' \\$A", "x y x  y $A $A\n", 0),
        ("(cd /tmp; exit 3); echo $?; pwd", "3\n/home/agent\n", 0),
        ("seq 20 | tail -n 3 | grep 1", "18\n19\n", 0),
        ("seq 20 | tail -n 3 | grep 1 # a remark", "18\n19\n", 0),
        ("echo one > a; echo two >> a; cat a; wc -l a; rm a; ls", "one\ntwo\n2 a\n", 0),
        ("! test -e nothing && [ a = a ] && echo yes", "yes\n", 0),
        ("X=1 printenv X; printenv X", "1\n", 1),
        ("printf '%s-%d\\n' a 1 b", "a-1\nb-0\n", 0),
        ("echo lost > /dev/null; echo err 2>&1 >&2 | cat", "err\n", 0),
        ("cd nowhere", "cd: nowhere: No such file or directory\n", 1),
        ("cat ~/missing 2>&1", "cat: /home/agent/missing: No such file or directory\n", 1),
        ("nonsense", "sh: nonsense: command not found\n", 127),
        ("echo $(date)", "sh: the fake computer's shell has no command substitution\n", 2),
        ("sleep 1 &", "sh: the fake computer's shell has no &\n", 2),
        ("for x in a; do :; done", "sh: the fake computer's shell has no for\n", 2),
        ("echo 'open", "sh: unexpected end while looking for a closing '\n", 2),
        ("echo a |", "sh: syntax error near the end\n", 2),
    ],
)
async def test_shell_does_the_everyday_part_and_refuses_the_rest_by_name(
    line: str, output: str, exit_code: int
) -> None:
    """Quoting, variables, pipes and redirections do what they do elsewhere; what is missing is said."""
    async with FakeComputer() as computer:
        result = await computer.exec(line)
    assert (result.output, result.exit_code) == (output, exit_code)


async def test_poorer_machine_refuses_what_it_lacks() -> None:
    """With fewer capabilities the rest raises and its tools are gone; the fake cannot be asked for more than it has."""
    async with FakeComputer(capabilities={Capability.EXEC, Capability.FILES}) as computer:
        assert computer.info.screen is None
        assert "screenshot" not in computer_tools(computer)
        with pytest.raises(UnsupportedError, match="has no screenshot"):
            await computer.screenshot()
        with pytest.raises(UnsupportedError, match="has no terminal"):
            computer.terminal()
    with pytest.raises(InvalidInputError, match="has no snapshot"):
        FakeComputer(capabilities={Capability.SNAPSHOT})


async def test_scripted_failures_come_once_each() -> None:
    """The next operations fail as told, and the computer is as before."""
    async with FakeComputer() as computer:
        computer.fail(ComputerGoneError("the machine is gone"), ConflictError("busy"))
        with pytest.raises(ComputerGoneError, match="gone"):
            await computer.left_click(1, 1)
        with pytest.raises(ConflictError, match="busy"):
            await computer.exec("true")
        await computer.perform(Move(5, 6))
        assert computer.performed == [Move(5, 6)]


async def test_destroying_ends_what_runs() -> None:
    """A command in flight ends with an error when the computer is destroyed under it."""
    async with FakeComputer() as computer:
        started = anyio.Event()

        async def use() -> None:
            async with computer.exec_stream("echo on; sleep 60") as stream:
                output = aiter(stream)
                await anext(output)
                started.set()
                with pytest.raises(ComputerGoneError):
                    await anext(output)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(use)
            with anyio.fail_after(5):
                await started.wait()
                await computer.destroy()


async def test_files_are_a_mapping() -> None:
    """The files can be read, compared and written in place; folders are made as needed."""
    async with FakeComputer(files={"a.txt": "x", "/srv/b": b"\0"}) as computer:
        assert dict(computer.files) == {"/home/agent/a.txt": b"x", "/srv/b": b"\0"}
        computer.files["deep/down/c"] = b"c"
        assert [entry.path for entry in await computer.list_dir("deep")] == ["/home/agent/deep/down"]
        del computer.files["a.txt"]
        assert "a.txt" not in computer.files
        assert computer.files.get("a.txt") is None
        with pytest.raises(FileMissingError):
            await computer.read_bytes("a.txt")


async def test_two_computers_have_ids_of_their_own() -> None:
    """Ids differ unless given, so that two fakes can be in one run."""
    async with FakeComputer() as one, FakeComputer() as two, FakeComputer(computer_id="cmp_mine") as mine:
        assert one.info.id != two.info.id
        assert mine.info.id == "cmp_mine"
        assert one.info.screen == Screen(1280, 800)
        await one.perform(Click(1, 1))
        assert two.performed == []


async def test_importing_the_helpers_is_lazy() -> None:
    """Importing ``deskhand.testing`` loads neither Pillow nor a vendor's client."""
    code = "import sys, deskhand.testing; print(sorted({'PIL', 'anthropic', 'pytest'} & set(sys.modules)))"
    result = await anyio.run_process([sys.executable, "-c", code])
    assert result.stdout == b"[]\n"
