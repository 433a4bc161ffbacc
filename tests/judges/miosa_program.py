"""Drives a cloud computer and a sandbox with MIOSA's own package, as its users do; run by the judge's Python.

``python miosa_program.py BASE_URL KEY MODELS_KEY`` prints what each call returned, as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from miosa import AsyncMiosa, Miosa


def until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something."""
    ends = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > ends:
            raise TimeoutError(f"it is not so after {seconds:g} s")
        time.sleep(0.05)


def refused(call: Any) -> str:
    """Return the kind of error that a call is refused with."""
    try:
        call()
    except Exception as error:  # (each has a class of its own)
        return type(error).__name__
    return "not refused"


async def spawned(base_url: str, key: str, computer_id: str) -> dict[str, Any]:
    """Run programs over the package's socket, in a terminal and with pipes."""
    async with AsyncMiosa(api_key=key, base_url=base_url, max_retries=0) as client:
        computer = await client.computers.get(computer_id)
        shell = await computer.exec.spawn("bash", rows=24, cols=80)
        await shell.resize(30, 100)
        await shell.write("stty size; exit 3\n")
        shown = "".join([text async for text in shell.stdout()])
        code = await shell.wait()
        await shell.close()
        piped = await computer.exec.spawn("cat")
        await piped.write("through a pipe")
        await piped.close_stdin()
        through = "".join([text async for text in piped.stdout()])
        ended = await piped.wait()
        await piped.close()
    return {"terminal": "30 100" in shown, "terminal code": code, "pipe": through, "pipe code": ended}


def asked(base_url: str, key: str) -> dict[str, Any]:
    """Ask a model, with a function that it may call, and answer the call."""
    client = Miosa(api_key=key, base_url=base_url, timeout=30, max_retries=0)
    function = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    settings: dict[str, Any] = {"model": "glm-5.2:cloud", "tools": [{"type": "function", "function": function}]}
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Rain in Bonn?"}]
    first = client.completions.chat(messages=messages, **settings)["choices"][0]
    messages.append(first["message"])
    unanswered = refused(lambda: client.completions.chat(messages=messages, **settings))
    [call] = first["message"]["tool_calls"]
    messages.append({"role": "tool", "tool_call_id": call["id"], "content": "rain"})
    last = client.completions.chat(messages=messages, **settings)
    return {
        "called": [first["finish_reason"], call["function"]["name"], json.loads(call["function"]["arguments"])],
        "unanswered": unanswered,
        "said": last["choices"][0]["message"]["content"],
        "counted": last["usage"]["total_tokens"] > 0,
        "listed": client.models.get("glm-5.2:cloud").get("id"),
        "unknown": refused(lambda: client.completions.chat(model="no-such", messages=messages)),
        "computers": refused(client.computers.list),
    }


def main(base_url: str, key: str, models_key: str) -> dict[str, Any]:
    """Make a computer, do with it what the package can do, and end it."""
    client = Miosa(api_key=key, base_url=base_url, timeout=30, max_retries=0)
    computer = client.computers.create(
        "box", metadata={"for": "the judge"}, workspace_id="w1", external_workspace_id="theirs"
    )
    told: dict[str, Any] = {"id": computer.id, "created": computer.status}
    told["models"] = asked(base_url, models_key)
    told["models by another key"] = refused(client.models.list)
    computer.wait_until_ready(poll_interval=0.2)
    told["page"] = computer.wait_for_desktop(poll_interval=0.2)["url"][:8]
    told["listed"] = [(one.name, one.data.workspace_id) for one in client.computers.list(workspace_id="w1")]
    told["unlisted"] = len(client.computers.list(workspace_id="other"))
    done = computer.bash("echo out; echo err >&2; exit 2")
    told["bash"] = [done.output, done.stderr, done.exit_code, done.success]
    told["python"] = computer.python("print(6 * 7)").output
    size = computer.screen_size()
    told["size"] = [size.width, size.height]
    told["screenshot"] = computer.screenshot()[1:4].decode()
    told["region"] = computer.screenshot_region(0, 0, 10, 10)[1:4].decode()
    computer.left_click(300, 200)
    told["cursor"] = [computer.cursor().x, computer.cursor().y]
    for done in (
        computer.double_click(310, 210),
        computer.right_click(320, 220),
        computer.key("Escape"),
        computer.move_cursor(100, 100),
        computer.mouse_down(100, 100),
        computer.mouse_up(100, 100),
        computer.drag(100, 100, 200, 200),
        computer.scroll("right", 2, x=150, y=150),
        computer.type("grüße"),
        computer.hotkey("ctrl", "a"),
        computer.key_down("shift"),
        computer.key_up("shift"),
        computer.wait(0.1),
    ):
        assert done.success, done
    told["act"] = [computer.act(*act).ok for act in ACTS]
    computer.write_file("/tmp/judged", b"\x00\xff")
    told["file"] = list(computer.files.download("/tmp/judged"))
    told["stat"] = computer.files.stat("/tmp/judged").size
    computer.files.mkdir("/tmp/judged-folder")
    computer.files.rename("/tmp/judged", "/tmp/judged-folder/one")
    told["folder"] = [entry.name for entry in computer.files.readdir("/tmp/judged-folder")]
    computer.files.delete("/tmp/judged-folder")
    told["port"] = computer.ports.create(8123)["port"]
    told["auto stop"] = computer.auto_stop.update(600)["seconds"]
    told["spawned"] = asyncio.run(spawned(base_url, key, computer.id))
    progress: list[str] = []
    snapshot = computer.checkpoints.create(comment="mine", on_progress=lambda event: progress.append(event.status))
    told["snapshot"] = [snapshot.status.value, progress[-1]]
    restored = computer.checkpoints.restore(snapshot.id)
    told["restored"] = restored.id != computer.id
    restored.wait_until_ready(poll_interval=0.2).destroy()
    clone = computer.clone(name="twin")
    told["clone"] = clone.name
    clone.destroy()
    session = computer.agent.run("look around")

    def is_over() -> bool:
        nonlocal session
        session = computer.agent.get(session.id)
        return session.status.value not in {"pending", "running"}

    until(is_over)
    told["agent"] = [session.status.value, session.result]
    told["balance"] = client.get_balance().balance
    told["missing"] = refused(lambda: client.computers.get("no-such"))
    told["wrong key"] = refused(Miosa(api_key="msk_no", base_url=base_url, max_retries=0).computers.list)
    told["destroy"] = computer.destroy().success
    told["left"] = len(client.computers.list())
    told["sandboxes"] = sandboxes(base_url, key)
    return told


async def in_terminal(base_url: str, key: str, sandbox_id: str) -> dict[str, Any]:
    """Use a sandbox's terminal over the package's socket, which leaves the frames to its users."""
    async with AsyncMiosa(api_key=key, base_url=base_url, max_retries=0) as client:
        socket = await client.ws.connect_terminal(sandbox_id, subprotocols=["miosa-pty-v1"])
        for message in ({"type": "resize", "cols": 100, "rows": 30}, {"type": "input", "data": "stty size; exit 3\r"}):
            await socket.send(json.dumps(message))
        shown = ""
        async for frame in socket:
            told = json.loads(frame)
            shown += told.get("data", "")
        return {"size": "30 100" in shown, "last": told}


def sandboxes(base_url: str, key: str) -> dict[str, Any]:
    """Make a sandbox, do with it what the package can do, and end it."""
    client = Miosa(api_key=key, base_url=base_url, timeout=30, max_retries=0)
    asked: dict[str, Any] = {"name": "box", "idempotency_key": "k1", "cpu_count": 2, "memory_mb": 4096}
    asked |= {"env": {"A": "b"}, "timeout_sec": 600, "external_user_id": "u1", "tags": ["t"]}
    sandbox = client.sandboxes.create(**asked)
    told: dict[str, Any] = {"first state": sandbox.state, "ready": sandbox.wait_until_ready(timeout=20)}
    told["polled"] = sandbox.wait_until_ready(timeout=20, stream=False)
    told["again"] = client.sandboxes.create(**asked).id == sandbox.id
    told["state"] = [sandbox.state, sandbox.cpu_count, sandbox.memory_mb, sandbox.external_user_id]
    done = sandbox.exec.run('echo "$A"; pwd; echo err >&2; exit 2', {"cwd": "/usr", "env": {"A": "c"}, "timeout": 9})
    told["exec"] = [done.stdout, done.stderr, done.exit_code]
    told["stream"] = [[one.type, one.data] for one in sandbox.exec_stream("echo one; sleep 0.1; echo two >&2; exit 4")]
    sandbox.write_file("/tmp/judged", b"\x00\xff\r\n")
    told["file"] = list(sandbox.download("/tmp/judged"))
    told["stat"] = sandbox.stat_file("/tmp/judged")["size"]
    told["listed file"] = "judged" in [one["name"] for one in sandbox.list_files("/tmp")["entries"]]
    told["url"] = sandbox.get_url(8123, "/a")[-2:]
    told["terminal"] = asyncio.run(in_terminal(base_url, key, sandbox.id))
    told["extended"] = sandbox.extend(900).timeout_sec
    snapshot = sandbox.create_snapshot("mine")["id"]
    until(lambda: ("ready", snapshot) in [(one["status"], one["id"]) for one in sandbox.list_snapshots()])
    told["snapshot"] = bool(sandbox.snapshot())
    restored = sandbox.restore_snapshot(snapshot)
    told["restored"] = [restored.id != sandbox.id, restored.wait_until_ready(timeout=20)]
    twin = sandbox.fork(name="twin", idempotency_key="k2")
    told["fork"] = [twin.name, sandbox.fork(name="twin", idempotency_key="k2").id == twin.id]
    told["names"] = sorted(one.name for one in client.sandboxes.list(external_user_id="u1"))
    told["by name"] = client.sandboxes.get_by_name("twin").id == twin.id
    for one in (restored, twin):
        one.wait_until_ready(timeout=20)
        one.destroy()
    told["paused"] = sandbox.pause().state
    told["checkpoint"] = sandbox.wait_for_checkpoint(timeout=20, interval=0.05)
    until(lambda: sandbox.refresh().state == "paused")
    told["paused exec"] = refused(lambda: client.sandboxes.get(sandbox.id).exec.run("true"))
    sandbox.resume()
    told["resumed"] = sandbox.wait_until_ready(timeout=20)
    told["missing"] = refused(lambda: client.sandboxes.get("no-such"))
    sandbox.destroy()
    told["left"] = len(client.sandboxes.list())
    return told


ACTS: list[tuple[str, dict[str, Any]]] = [
    ("left_click", {"coordinate": [50, 60]}),
    ("triple_click", {"coordinate": [50, 60]}),
    ("left_click_drag", {"coordinate": [90, 90]}),
    ("hold_key", {"text": "shift", "duration": 0.1}),
    ("zoom", {"region": [0, 0, 20, 20]}),
    ("scroll", {"coordinate": [50, 60], "scroll_direction": "down", "scroll_amount": 2}),
]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
