"""The routes of a sandbox's life: creation, pause, time, copies, end."""

from __future__ import annotations

import base64
import re
import time
from urllib.parse import parse_qsl, unquote

import anyio.abc

from deskhand.testing.simulators.hardware import Machine
from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer, read_fields

from .account import Account, SimulatedSandbox, SimulatedSnapshot
from .wire import API_CALL

__all__ = ["Sandboxes"]

DEFAULT_TIMEOUT = 300
MOST_LISTED = 100
MOST_COPIES = 10
KEPT_KEYS = 1_000
TEAM = "simulated-team"

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*", re.ASCII)
_TIMEOUT = Field("integer", low=0)
_CREATE = {
    "templateID": Field("string", required=True),
    "timeout": _TIMEOUT,
    "metadata": Field("object"),
    "envVars": Field("object"),
    "autoPause": Field("boolean"),
    "autoPauseMemory": Field("boolean"),
    "autoResume": Field("object"),
    "allow_internet_access": Field("boolean"),
    "secure": Field("boolean"),
    "network": Field("object"),
    "mcp": Field("object"),
    "iam": Field("object"),
    "volumeMounts": Field("array"),
}


class Sandboxes:
    """The routes ``/sandboxes`` and ``/v2/sandboxes``.

    Args:
        account: Whose they are.
        open_machine: Gives the machines behind them.
        tasks: Where what goes on in the background is done.
    """

    def __init__(self, account: Account, open_machine: Machine, tasks: anyio.abc.TaskGroup) -> None:
        self._account = account
        self._open_machine = open_machine
        self._tasks = tasks

    async def create(self, call: API_CALL) -> Answer:
        """Creates one; a creation that is repeated with its key has the answer that the first had."""
        body = read_fields(call.body, _CREATE)
        key = call.headers.get("idempotency-key")
        if key is not None and key in self._account.idempotent:
            asked, sandbox_id = self._account.idempotent[key]
            if asked != call.body:
                raise ApiError(409, "the request is another one", error_code="idempotency_request_mismatch")
            return json_answer(self._account.sandbox(sandbox_id).as_created(), 201)
        saved = self._account.snapshots.get(body["templateID"].partition(":")[0])
        template = saved.template if saved else body["templateID"].removeprefix("tpl").partition(":")[0]
        if template not in self._account.plan.templates:
            raise ApiError(404, f"template '{template}' not found")
        seconds = body.get("timeout", DEFAULT_TIMEOUT)
        self._account.check_time(seconds)
        self._account.check_room()
        texts = [_texts(body, name) for name in ("metadata", "envVars")]
        made = self._new(template, *texts, auto_pause=body.get("autoPause", False))
        if saved is not None:
            made.hardware.disk, made.screen = saved.disk, saved.screen
            made.env.update({name: value for name, value in saved.env.items() if name not in made.env})
        made.keep_for(seconds)
        await self._begin(made)
        if key is not None:
            self._account.idempotent[key] = (call.body, made.id)
            while len(self._account.idempotent) > KEPT_KEYS:
                self._account.idempotent.pop(next(iter(self._account.idempotent)))
        return json_answer(made.as_created(), 201)

    def _new(
        self, template: str, metadata: dict[str, str], env: dict[str, str], *, auto_pause: bool
    ) -> SimulatedSandbox:
        made = SimulatedSandbox(
            *(template, metadata, env, self._open_machine, self._tasks),
            auto_pause=auto_pause,
            daemon=self._account.plan.daemon,
        )
        self._account.sandboxes[made.id] = made
        return made

    async def _begin(self, made: SimulatedSandbox) -> None:
        try:
            await made.switch_on()
        except BaseException:  # cancelled too: nobody knows of it
            self._account.sandboxes.pop(made.id, None)
            raise

    async def list(self, call: API_CALL) -> Answer:
        """Lists those that match, a page at a time."""
        states = call.query.get("state", "running,paused").split(",")
        if not {*states} <= {"running", "paused"}:
            raise ApiError(400, "state must be running or paused")
        wanted = {unquote(name): unquote(value) for name, value in parse_qsl(call.query.get("metadata", ""))}
        limit = _number(call.query.get("limit", str(MOST_LISTED)))
        if not 1 <= limit <= MOST_LISTED:
            raise ApiError(400, f"limit must be between 1 and {MOST_LISTED}")
        start = (
            _number(base64.urlsafe_b64decode(call.query["nextToken"]).decode()) if call.query.get("nextToken") else 0
        )
        found = [
            one
            for one in self._account.sandboxes.values()
            if one.state in states and wanted.items() <= one.metadata.items()
        ]
        found.sort(key=lambda one: one.started_at, reverse=call.query.get("order", "desc") == "desc")
        page, rest = found[start : start + limit], found[start + limit :]
        more = {"x-next-token": base64.urlsafe_b64encode(str(start + limit).encode()).decode()} if rest else {}
        return json_answer([one.as_listed() for one in page], headers=more)

    async def get(self, call: API_CALL) -> Answer:
        """Describes one."""
        return json_answer(self._find(call).as_described())

    async def delete(self, call: API_CALL) -> Answer:
        """Ends one for good."""
        await self.discard(self._find(call))
        return Answer(204)

    async def set_timeout(self, call: API_CALL) -> Answer:
        """Says how long one is kept from now on."""
        found = self._find(call)
        seconds = read_fields(call.body, {"timeout": Field("integer", required=True, low=0)})["timeout"]
        self._account.check_time(seconds)
        if found.state != "running":
            raise ApiError(404, f"sandbox {found.id!r} is not running")
        found.keep_for(seconds)
        return Answer(204)

    async def pause(self, call: API_CALL) -> Answer:
        """Pauses one, its memory kept."""
        found = self._find(call)
        read_fields(call.body, {"memory": Field("boolean"), "requireHealthyGuest": Field("boolean")})
        if found.state == "paused":
            raise ApiError(409, f"sandbox {found.id!r} is already paused")
        found.state = "paused"
        return Answer(204)

    async def connect(self, call: API_CALL) -> Answer:
        """Lets one go on that is paused, and keeps it for longer."""
        found = self._find(call)
        body = read_fields(call.body, {"timeout": _TIMEOUT, "memory": Field("boolean"), "autoPause": Field("boolean")})
        seconds = body.get("timeout", DEFAULT_TIMEOUT)
        self._account.check_time(seconds)
        was_paused = found.state == "paused"
        if was_paused:
            self._account.check_room()
            found.state = "running"
            found.keep_for(seconds)
        elif found.ends_at < time.time() + seconds:
            found.keep_for(seconds)
        return json_answer(found.as_created(), 201 if was_paused else 200)

    async def fork(self, call: API_CALL) -> Answer:
        """Copies one with its disk."""
        found = self._find(call)
        body = read_fields(call.body, {"timeout": _TIMEOUT, "count": Field("integer", low=1, high=MOST_COPIES)})
        if found.state != "running":
            raise ApiError(409, f"sandbox {found.id!r} is not running")
        seconds = body.get("timeout", DEFAULT_TIMEOUT)
        self._account.check_time(seconds)
        disk = await found.hardware.save()
        copies: list[Json] = []
        for _ in range(body.get("count", 1)):
            try:
                self._account.check_room()
                twin = self._new(found.template, {**found.metadata}, {**found.env}, auto_pause=found.auto_pause)
                twin.hardware.disk, twin.screen = disk, found.screen
                twin.keep_for(seconds)
                await self._begin(twin)
                copies.append({"sandbox": twin.as_created()})
            except ApiError as error:
                copies.append({"error": {"code": error.status, "message": error.message}})
        return json_answer([*copies], 201)

    async def snapshot(self, call: API_CALL) -> Answer:
        """Makes a template of one as it is now; one of the same name becomes the newer version of that."""
        found = self._find(call)
        body = read_fields(call.body, {"name": Field("string"), "memory": Field("boolean")})
        name = body.get("name")
        if name is not None and not _NAME.fullmatch(name):
            raise ApiError(400, f"invalid snapshot name: {name!r}")
        if found.state != "running":
            raise ApiError(404, f"sandbox {found.id!r} is not running")
        disk = await found.hardware.save()
        full = () if name is None else (f"{TEAM}/{name}:default",)
        saved = SimulatedSnapshot(found.template, full, {**found.env}, found.screen, disk)
        for called in (saved.id, *([name, f"{TEAM}/{name}"] if name is not None else [])):
            self._account.snapshots[called] = saved
        return json_answer({"snapshotID": full[0] if full else f"{saved.id}:default", "names": [*full]}, 201)

    async def delete_template(self, call: API_CALL) -> Answer:
        """Deletes a snapshot; the templates themselves are not the customer's."""
        called = call.path["id"].partition(":")[0]
        saved = self._account.snapshots.get(called)
        if saved is None:
            raise ApiError(404, f"template '{called}' not found")
        for name in [name for name, one in self._account.snapshots.items() if one is saved]:
            del self._account.snapshots[name]
        return Answer(204)

    async def end_what_is_due(self) -> None:
        """Ends or pauses what has had its time."""
        for one in tuple(self._account.sandboxes.values()):
            if one.state == "running" and one.ends_at <= time.time():
                if one.auto_pause:
                    one.state = "paused"
                else:
                    await self.discard(one)

    async def discard(self, one: SimulatedSandbox) -> None:
        """Ends a sandbox and forgets it."""
        self._account.sandboxes.pop(one.id, None)
        await one.processes.kill_all()
        await one.hardware.discard()

    def _find(self, call: API_CALL) -> SimulatedSandbox:
        return self._account.sandbox(call.path["id"])


def _texts(body: Json, name: str) -> dict[str, str]:
    value = body.get(name, {})
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise ApiError(400, f"{name} must be a map of strings")
    return {key: str(one) for key, one in value.items()}


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ApiError(400, f"{text!r} is no number")
    return int(text)
