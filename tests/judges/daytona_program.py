"""Drives a sandbox with Daytona's own package, as its users do; run by the Python of the judge's environment.

``python daytona_program.py BASE_URL KEY`` prints what each call returned, as one JSON object.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from typing import Any

from daytona import AsyncDaytona, CreateSandboxFromSnapshotParams, DaytonaConfig, SessionExecuteRequest
from daytona.common.pty import PtySize


async def refused(call: Any) -> str:
    """Return what a call is refused with."""
    try:
        await call
    except Exception as error:  # (the package has a class for each status)
        return f"{type(error).__name__}: {error}"
    return "not refused"


async def shell(sandbox: Any) -> dict[str, Any]:
    """Run commands in each way that there is."""
    told: dict[str, Any] = {}
    done = await sandbox.process.exec("echo out; echo err >&2; exit 3", env={"A": "b"})
    told["exec"] = [done.exit_code, done.result]
    told["variable"] = (await sandbox.process.exec("printf %s $A", env={"A": "b"})).result
    told["late"] = await refused(sandbox.process.exec("sleep 30", timeout=1))
    await sandbox.process.create_session("s")
    await sandbox.process.execute_session_command("s", SessionExecuteRequest(command="cd /tmp; export B=c"))
    kept = await sandbox.process.execute_session_command("s", SessionExecuteRequest(command="pwd; echo $B >&2"))
    told["session"] = [kept.exit_code, kept.stdout, kept.stderr]
    run = SessionExecuteRequest(command="echo one; sleep 0.3; echo two >&2; exit 4", run_async=True)
    begun = await sandbox.process.execute_session_command("s", run)
    out: list[str] = []
    err: list[str] = []
    await sandbox.process.get_session_command_logs_async("s", begun.cmd_id, out.append, err.append)
    told["followed"] = ["".join(out), "".join(err)]
    told["code"] = (await sandbox.process.get_session_command("s", begun.cmd_id)).exit_code
    told["twice"] = await refused(sandbox.process.create_session("s"))
    told["sessions"] = [one.session_id for one in await sandbox.process.list_sessions()]
    await sandbox.process.delete_session("s")
    return told


async def terminal(sandbox: Any) -> dict[str, Any]:
    """Type in a terminal."""
    seen = bytearray()
    pty = await sandbox.process.create_pty_session(id="p", on_data=seen.extend, pty_size=PtySize(cols=90, rows=20))
    await pty.wait_for_connection()
    resized = await pty.resize(PtySize(cols=70, rows=15))
    await pty.send_input("stty size; exit 7\n")
    ended = await pty.wait()
    return {"code": ended.exit_code, "size": b"15 70" in seen, "resized": [resized.cols, resized.rows]}


async def files(sandbox: Any) -> dict[str, Any]:
    """Move files."""
    content = bytes(range(256)) * 1000
    await sandbox.fs.create_folder("work", "755")
    await sandbox.fs.upload_file(content, "work/file")
    told: dict[str, Any] = {"same": await sandbox.fs.download_file("work/file") == content}
    told["listed"] = [[one.name, one.size] for one in await sandbox.fs.list_files("work")]
    told["info"] = (await sandbox.fs.get_file_info("work/file")).size
    told["missing"] = (await refused(sandbox.fs.download_file("nowhere"))).partition(":")[0]
    await sandbox.fs.delete_file("work/file")
    return told


async def desktop(sandbox: Any) -> dict[str, Any]:
    """See and use the screen."""
    desk = sandbox.computer_use
    started = await desk.start()
    told: dict[str, Any] = {"started": sorted(started.status), "status": (await desk.get_status()).status}
    [display] = (await desk.display.get_info()).displays
    told["size"] = [display.width, display.height]
    told["picture"] = base64.b64decode((await desk.screenshot.take_full_screen(True)).screenshot)[:4].hex()
    moved = await desk.mouse.move(300, 200)
    clicked = await desk.mouse.click(310, 210, "right")
    await desk.keyboard.press("Escape")
    await desk.mouse.click(320, 220, double=True)
    dragged = await desk.mouse.drag(100, 100, 400, 300)
    told["places"] = [[one.x, one.y] for one in (moved, clicked, dragged, await desk.mouse.get_position())]
    told["scroll"] = await desk.mouse.scroll(50, 60, "down", 2)
    await desk.keyboard.type("grüße")
    await desk.keyboard.hotkey("ctrl+shift+t")
    told["unknown"] = await refused(desk.keyboard.press("nonsense"))
    return told


async def main(base_url: str, key: str) -> dict[str, Any]:
    """Make a sandbox, do what the package can do, and end it."""
    async with AsyncDaytona(DaytonaConfig(api_key=key, api_url=base_url, target="us")) as daytona:
        made = CreateSandboxFromSnapshotParams(name="judged", labels={"a": "b"}, auto_stop_interval=30)
        sandbox = await daytona.create(made)
        told: dict[str, Any] = {"state": sandbox.state.value, "name": sandbox.name}
        for part in (shell, terminal, files, desktop):
            told[part.__name__] = await part(sandbox)
        link = await sandbox.get_preview_link(3000)
        told["preview"] = [link.url.startswith("http"), bool(link.token)]
        access = await sandbox.create_ssh_access(expires_in_minutes=60)
        told["ssh"] = [access.sandbox_id == sandbox.id, access.ssh_command == f"ssh -p 2222 {access.token}@localhost"]
        told["listed"] = [one.name async for one in daytona.list()]
        told["home"] = await sandbox.get_user_home_dir()
        await sandbox.fs.upload_file(b"before", "saved")
        await sandbox.create_snapshot("judged-files")
        again = await daytona.create(CreateSandboxFromSnapshotParams(name="restored", snapshot="judged-files"))
        told["snapshot"] = (await again.fs.download_file("saved")).decode()
        await again.delete()
        none = CreateSandboxFromSnapshotParams(name="none", snapshot="no-such")
        told["no snapshot"] = (await refused(daytona.create(none))).partition(":")[0]
        await sandbox.stop()
        told["off"] = (await refused(sandbox.process.exec("true"))).partition(":")[0]
        await sandbox.start()
        told["again"] = (await daytona.get("judged")).state.value
        told["nobody"] = (await refused(daytona.get("nobody"))).partition(":")[0]
        await sandbox.delete()
    async with AsyncDaytona(DaytonaConfig(api_key="dtn_wrong", api_url=base_url, target="us")) as wrong:
        told["wrong key"] = (await refused(wrong.get("judged"))).partition(":")[0]
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(*sys.argv[1:]))))
