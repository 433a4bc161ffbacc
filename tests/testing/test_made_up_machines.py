"""Simulated vendors with made-up desktops behind them: a drawn screen, and a shell that runs what adapters send."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from deskhand import provider
from deskhand.cli.simulating import SIMULATED, Vendor, simulator
from deskhand.errors import FileMissingError
from deskhand.providers import Capability
from deskhand.testing.simulators import made_up_machine


@pytest.mark.parametrize("vendor", SIMULATED)
async def test_commands_run_on_a_made_up_desktop_of_every_vendor(vendor: Vendor) -> None:
    """As the adapter sends them: with a folder, variables and an input; without an X server."""
    async with (
        simulator(vendor, fake_desktop=True) as served,
        provider(vendor, **served.options()) as account,
    ):
        computer = await account.create(name="box")
        assert (await computer.exec("echo hi")).output == "hi\n"
        told = await computer.exec("cat; echo $COLOUR; pwd; exit 3", cwd="/tmp", env={"COLOUR": "red"}, stdin=b"in\n")
        assert (told.exit_code, told.output) == (3, "in\nred\n/tmp\n")
        await computer.write_file("note.txt", "grüße")
        assert (await computer.exec("cat note.txt")).output == "grüße"
        if Capability.SCREENSHOT in computer.capabilities:
            assert Image.open(BytesIO(await computer.screenshot())).size == computer.info.screen
            await computer.left_click(10, 10)
    assert not served.computers


async def test_made_up_machine_has_a_drawn_screen_and_a_real_shell() -> None:
    """What is written is there for commands, followed or kept, and ends with it."""
    async with made_up_machine() as machine:
        await machine.write_file("a/b.txt", "text")
        assert (await machine.exec("wc -c < a/b.txt & wait")).output.strip() == "4"
        assert [Path(entry.path).name for entry in await machine.list_dir("a")] == ["b.txt"]
        assert (await machine.stat("a/b.txt")).size == 4
        async with machine.exec_stream("seq 2") as stream:
            assert b"".join([chunk.data async for chunk in stream]) == b"1\n2\n"
        async with machine.shell() as shell:
            await shell.run("cd a")
            assert (await shell.run("cat b.txt")).output == "text"
        async with machine.terminal() as terminal:
            await terminal.send(b"exit 4\n")
            async for _ in terminal:
                pass
            assert terminal.exit_code == 4
        await machine.delete("a", recursive=True)
        with pytest.raises(FileMissingError):
            await machine.read_bytes("a/b.txt")
        assert (await machine.python("print(6 * 7)")).output == "42\n"
        await machine.left_click(5, 6)
        assert await machine.cursor_position() == (5, 6)
        assert Image.open(BytesIO(await machine.screenshot())).size == (1280, 800)
