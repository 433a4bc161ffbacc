"""Uses a host with MIOSA's own package, as its users do; run by the Python of the judge's environment.

``python opencomputers_program.py BASE_URL KEY`` prints what each call returned, as one JSON object.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from miosa import Miosa
from miosa.resources.open_computers.types import (
    AgentDispatchParams,
    HostCreateParams,
    JobEnvVar,
    JobRunParams,
    TunnelCreateParams,
)


def refused(call: Any) -> list[Any]:
    """Return what a call is refused with: the error's class, status and code."""
    try:
        call()
    except Exception as error:  # (told as it is)
        return [type(error).__name__, getattr(error, "status_code", None), getattr(error, "code", None)]
    return ["not refused"]


def shell(script: str, **more: Any) -> JobRunParams:
    """Return a command of a shell."""
    return JobRunParams(cmd="bash", args=["-c", script], **more)


def main(base_url: str, key: str) -> dict[str, Any]:
    """Register a host, do everything that a harness may want of it, and revoke it."""
    client = Miosa(api_key=key, base_url=base_url, timeout=30, max_retries=0)
    api = client.open_computers
    host = api.hosts.create(HostCreateParams(name="judged", labels={"team": "red"}))
    told: dict[str, Any] = {"key": (host.host_key or "")[:3], "status": host.status.value, "labels": host.labels}
    told["listed"] = [one.name for one in api.hosts.list().data]
    again = api.hosts.get(host.id)
    told["got"] = [again.name, again.host_key]
    env = [JobEnvVar(name="WORD", value="a b")]
    done = api.jobs.run(host.id, shell('echo "$WORD"; pwd >&2; exit 3', env=env, cwd="/"))
    told["run"] = [done.exit_code, done.stdout, done.stderr]
    events = [*api.jobs.run_stream(host.id, shell("echo out; echo err >&2; exit 4"))]
    told["streamed"] = sorted([one.stream, one.data] for one in events if one.type == "exec_chunk")
    told["stream ends"] = [events[-1].type, events[-1].exit_code]
    late = [*api.jobs.run_stream(host.id, shell("sleep 30", timeout_ms=300))]
    told["late"] = [late[-1].type, late[-1].reason]
    started = api.jobs.start(host.id, "bash", args=["-c", "sleep 0.3; echo later; exit 5"], timeout=20)["job"]
    told["followed"] = [one.type for one in api.jobs.stream(host.id, started["id"])]
    job = api.jobs.get(host.id, started["id"])
    told["job"] = [job.state.value, job.exit_code]
    told["followed after its end"] = [*api.jobs.stream(host.id, job.id)]
    endless = api.jobs.start(host.id, "sleep", args=["60"])["job"]["id"]
    api.jobs.cancel(host.id, endless)
    told["canceled"] = api.jobs.get(host.id, endless).state.value
    told["canceled twice"] = refused(lambda: api.jobs.cancel(host.id, endless))
    told["audit"] = [row.kind for row in api.jobs.list(host.id, limit=2).jobs]
    api.files.mkdir(host.id, "/tmp/judged/deep")
    content = bytes(range(256)) * 512
    told["uploaded"] = api.files.upload(host.id, "/tmp/judged/deep/file", content).size
    told["downloaded"] = api.files.download(host.id, "/tmp/judged/deep/file") == content
    told["files"] = [[entry.name, entry.is_dir] for entry in api.files.list(host.id, "/tmp/judged").entries]
    told["stat"] = api.files.stat(host.id, "/tmp/judged/deep/file").size
    api.files.delete(host.id, "/tmp/judged", recursive=True)
    told["deleted"] = refused(lambda: api.files.stat(host.id, "/tmp/judged"))
    told["tickets"] = [api.terminal.ticket(host.id).ws_url[:5], api.desktop.ticket(host.id).ticket[:4]]
    tunnel = api.tunnels.create(host.id, TunnelCreateParams(target_port=3000))
    told["tunnel"] = [tunnel.public_url == f"https://{tunnel.slug}.tunnel.miosa.ai", tunnel.target_port]
    told["tunnels"] = [one.id == tunnel.id for one in api.tunnels.list(host.id).data]
    api.tunnels.delete(host.id, tunnel.id)
    told["closed"] = refused(lambda: api.tunnels.get(host.id, tunnel.id))
    session = api.agents.dispatch(host.id, AgentDispatchParams(task="look around"))
    told["agent tells"] = [one.type for one in api.agents.events(host.id, session.id)]
    session = api.agents.get(host.id, session.id)
    told["agent"] = [session.status.value, (session.result_summary or "")[-11:]]
    told["sessions"] = [one.id == session.id for one in api.agents.list(host.id).data]
    told["no command"] = refused(lambda: api.jobs.run(host.id, JobRunParams(cmd="")))
    stranger = Miosa(api_key="msk_no", base_url=base_url, max_retries=0)
    told["wrong key"] = refused(stranger.open_computers.hosts.list)
    api.hosts.revoke(host.id)
    told["after"] = refused(lambda: api.jobs.run(host.id, JobRunParams(cmd="true")))
    return told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
