"""Uses sandboxes with E2B's own packages, as their users do; run by the Python of the judge's environment.

``python e2b_program.py URL KEY`` prints what each call returned, as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from e2b import AsyncSandbox, CommandExitException, NotFoundException, PtySize, SandboxQuery
from e2b_desktop import Sandbox as Desktop


async def shell(options: dict[str, str]) -> dict[str, Any]:
    """Do with a sandbox what its package can do, and end it."""
    told: dict[str, Any] = {}
    sandbox = await AsyncSandbox.create(
        "base", timeout=120, metadata={"is": "judged"}, envs={"FROM": "creation"}, **options
    )
    told["id"] = sandbox.sandbox_id
    ran = await sandbox.commands.run('echo "$FROM"; echo err >&2', envs={"MORE": "1"})
    told["run"] = [ran.stdout, ran.stderr, ran.exit_code]
    try:
        await sandbox.commands.run("exit 3")
    except CommandExitException as error:
        told["code"] = error.exit_code
    running = await sandbox.commands.run("sleep 60", background=True)
    told["listed"] = [one.pid == running.pid for one in await sandbox.commands.list()]
    told["killed"] = [await sandbox.commands.kill(running.pid), await sandbox.commands.kill(99)]
    fed = await sandbox.commands.run("cat", background=True, stdin=True)
    await sandbox.commands.send_stdin(fed.pid, "given")
    await sandbox.commands.close_stdin(fed.pid)
    told["fed"] = (await fed.wait()).stdout
    await sandbox.files.write("folder/note.txt", "written")
    told["read"] = await sandbox.files.read("folder/note.txt")
    told["entries"] = [(one.name, one.type.value) for one in await sandbox.files.list("folder")]
    told["exists"] = [await sandbox.files.exists("folder"), await sandbox.files.exists("nowhere")]
    told["made"] = [await sandbox.files.make_dir("other"), await sandbox.files.make_dir("other")]
    await sandbox.files.rename("folder/note.txt", "other/moved.txt")
    told["moved"] = await sandbox.files.read("other/moved.txt")
    await sandbox.files.remove("other/moved.txt")
    try:
        await sandbox.files.read("other/moved.txt")
    except NotFoundException:
        told["removed"] = True
    shown = bytearray()
    terminal = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=shown.extend)
    await sandbox.pty.resize(terminal.pid, PtySize(rows=30, cols=101))
    await sandbox.pty.send_stdin(terminal.pid, b"stty size; exit\n")
    await terminal.wait()
    told["terminal"] = b"30 101" in shown
    told["running"] = [await sandbox.is_running()]
    told["paused"] = [await sandbox.pause(), await sandbox.pause()]
    told["running"].append(await sandbox.is_running())
    await sandbox.connect(timeout=60)
    told["again"] = (await sandbox.commands.run("echo again")).stdout
    await sandbox.set_timeout(90)
    await sandbox.files.write("saved.txt", "before")
    saved = await sandbox.create_snapshot(name="judged")
    await sandbox.files.write("saved.txt", "after")
    again = await AsyncSandbox.create(saved.snapshot_id, timeout=60, **options)
    told["snapshot"] = [saved.snapshot_id, saved.names, await again.files.read("saved.txt")]
    told["snapshot ended"] = [
        await again.kill(),
        await AsyncSandbox.delete_snapshot(saved.snapshot_id, **options),
        await AsyncSandbox.delete_snapshot(saved.snapshot_id, **options),
    ]
    info = await sandbox.get_info()
    told["info"] = [info.sandbox_id == sandbox.sandbox_id, info.metadata, info.state.value]
    pages = AsyncSandbox.list(query=SandboxQuery(metadata={"is": "judged"}), limit=1, **options)
    told["page"] = [one.sandbox_id == sandbox.sandbox_id for one in await pages.next_items()]
    told["host"] = sandbox.get_host(80) == f"80-{sandbox.sandbox_id}.e2b.app"
    told["ended"] = [await sandbox.kill(), await sandbox.kill()]
    return told


def desktop(options: dict[str, str]) -> dict[str, Any]:
    """Use a screen with the package for that."""
    told: dict[str, Any] = {}
    sandbox = Desktop.create(resolution=(1280, 800), **options)
    told["picture"] = bytes(sandbox.screenshot()[:4]).hex()
    sandbox.left_click(300, 200)
    told["clicked"] = sandbox.get_cursor_position()
    sandbox.drag((10, 20), (400, 300))
    told["dragged"] = sandbox.get_cursor_position()
    sandbox.scroll("down", 1)
    sandbox.write("text")
    sandbox.press(["ctrl", "a"])
    sandbox.stream.start(require_auth=True)
    told["stream"] = sandbox.stream.get_url(auth_key=sandbox.stream.get_auth_key()).startswith("https://6080-")
    sandbox.stream.stop()
    told["ended"] = sandbox.kill()
    return told


def main(url: str, key: str) -> dict[str, Any]:
    """Use both packages."""
    options = {"api_key": key, "api_url": url, "sandbox_url": url}
    return {"shell": asyncio.run(shell(options)), "desktop": desktop(options)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
