"""What runs in a sandbox: commands, terminals, and the programs of the template for a screen."""

from __future__ import annotations

import base64
import re
import shlex
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
import anyio.abc

from deskhand.errors import DeskhandError, FileMissingError, InvalidInputError
from deskhand.providers import Capability, ExecStream, ExternalComputer, Screen, Terminal
from deskhand.testing.simulators.wire import ApiError, Json

__all__ = ["Process", "Processes"]

LONGEST = 86_400.0
BUFFER = 64
SHELL = ("/bin/bash", ["-l", "-c"])
TERMINAL = ("/bin/bash", ["-i", "-l"])

_XVFB = re.compile(r"Xvfb (?P<display>:\d+) .*-screen 0 (?P<width>\d+)x(?P<height>\d+)x24\b.*")
_XDPYINFO = re.compile(r"xdpyinfo -display (?P<display>:\d+)")
_SESSION = "pgrep -x xfce4-session >/dev/null && pgrep -x xfwm4 >/dev/null && pgrep -x xfdesktop >/dev/null"
_PROGRAMS = re.compile(r"(?:cd /opt/noVNC/utils && \./)?(?P<name>Xvfb|startxfce4|x11vnc|novnc_proxy)\b.*", re.S)
_HAS = re.compile(r"command -v (?P<name>x11vnc)")
_ENDS = re.compile(r"pkill x11vnc(; pkill -f novnc_proxy)?")
_RUNNING = re.compile(r"pgrep -x (?P<name>x11vnc)")
_LISTENS = re.compile(r'netstat -tuln \| grep ":(?P<port>\d+) "')
_PORT = re.compile(r"--listen (\d+)")


class Events:
    """What a process tells one who follows it: as much as is held, the rest when that was taken."""

    def __init__(self) -> None:
        self._held: deque[Json] = deque()
        self._changed = anyio.Event()
        self._is_over = False

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def put(self, event: Json) -> None:
        """Hold an event, once there is room; nothing where nobody follows any more."""
        while len(self._held) >= BUFFER and not self._is_over:
            await self._changed.wait()
        if not self._is_over:
            self._held.append(event)
            self._change()

    def close(self) -> None:
        """Say that nothing more comes, or that nobody follows any more."""
        self._is_over = True
        self._change()

    async def told(self, silence: Callable[[], float | None]) -> AsyncIterator[Json | None]:
        """Yields events as they come, and nothing where there was none for so many seconds."""
        while self._held or not self._is_over:
            if self._held:
                yield self._held.popleft()
                self._change()
                continue
            with anyio.move_on_after(silence()) as waited:
                await self._changed.wait()
            if waited.cancelled_caught:
                yield None


@dataclass(eq=False, slots=True)
class Process:
    """One process of a sandbox.

    Attributes:
        pid: Its number.
        config: What was asked for.
        tag: What its starter calls it.
        is_terminal: Whether it has a terminal.
        started: Set when it runs, or cannot be started.
        ended: Set when it has ended.
    """

    pid: int
    config: Json
    tag: str | None = None
    is_terminal: bool = False
    started: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    refusal: ApiError | None = None
    end: Json = field(default_factory=dict)
    running: ExecStream | Terminal | None = None
    is_killed: bool = False
    is_cut_off: bool = False
    killed: anyio.Event = field(default_factory=anyio.Event)
    input: bytearray = field(default_factory=bytearray)
    input_closed: anyio.Event = field(default_factory=anyio.Event)
    listeners: set[Events] = field(default_factory=set)

    @property
    def command(self) -> str:
        """The command line that a shell would run."""
        cmd, args = str(self.config["cmd"]), [str(one) for one in _list(self.config.get("args"))]
        is_shell = cmd == SHELL[0] and args[:-1] == SHELL[1]
        return args[-1] if is_shell else shlex.join([cmd, *args])

    def listen(self) -> Events:
        """Returns what it tells from now on; what nobody listens to is lost."""
        events = Events()
        self.listeners.add(events)
        if self.ended.is_set():
            events.close()
        return events

    def leave(self, events: Events) -> None:
        """Tells one no more."""
        self.listeners.discard(events)
        events.close()

    async def tell(self, event: Json) -> None:
        """Tells whoever listens, as fast as they do."""
        for events in tuple(self.listeners):
            await events.put(event)

    async def kill(self) -> None:
        """Ends it."""
        self.is_killed = True
        self.killed.set()
        self.input_closed.set()
        if self.running is not None:
            await self.running.kill()

    def conclude(self, code: int | None, refusal: ApiError | None = None) -> None:
        """Notes how it ended, and tells nobody any more."""
        self.refusal = ApiError(503, "the connection to the sandbox ended") if self.is_cut_off else refusal
        if self.is_killed or code is None:
            self.end = {"exitCode": -1, "status": "signal: killed", "error": "signal: killed"}
        else:
            self.end = {"exited": True, "status": f"exit status {code}"}
            if code:
                self.end |= {"exitCode": code, "error": f"exit status {code}"}
        self.started.set()
        self.ended.set()
        for events in self.listeners:
            events.close()
        self.listeners.clear()

    def as_json(self) -> Json:
        """Returns it as a list has it."""
        return {"config": self.config, "pid": self.pid, **({"tag": self.tag} if self.tag is not None else {})}


class Processes:
    """The processes of one sandbox.

    Args:
        machine: Gives the machine that they run on.
        resize: Gives the machine a screen of another size.
        env: Variables of them all.
        tasks: Where they run.
        has_desktop: Whether the template has programs for a screen.
    """

    def __init__(
        self,
        machine: Callable[[], ExternalComputer],
        resize: Callable[[Screen], Awaitable[None]],
        env: Mapping[str, str],
        tasks: anyio.abc.TaskGroup,
        *,
        has_desktop: bool,
    ) -> None:
        self._machine = machine
        self._resize = resize
        self._env = env
        self._tasks = tasks
        self._has_desktop = has_desktop
        self._displays: set[str] = set()
        self._programs: dict[str, Process] = {}
        self._ports: set[int] = set()
        self._numbers = iter(range(300, 1 << 30))
        self.running: dict[int, Process] = {}

    async def start(self, config: Json, *, tag: str | None, takes_input: bool, size: tuple[int, int] | None) -> Process:
        """Starts a process, which goes on whoever leaves.

        Raises:
            ApiError: If it cannot be started.
        """
        process = Process(next(self._numbers), config, tag, size is not None)
        if not takes_input:
            process.input_closed.set()
        self.running[process.pid] = process
        run = self._run_terminal if size is not None else self._run_command
        self._tasks.start_soon(self._live, process, run, size or (80, 24))
        return process

    def find(self, selector: Json) -> Process:
        """Returns the process with a number or a tag.

        Raises:
            ApiError: If there is none.
        """
        for process in self.running.values():
            if process.pid == selector.get("pid") or (process.tag is not None and process.tag == selector.get("tag")):
                return process
        raise ApiError(404, f"process with pid {selector.get('pid', selector.get('tag'))} not found")

    async def kill_all(self) -> None:
        """Ends them all with the sandbox: whoever follows one is told nothing of its end."""
        for process in tuple(self.running.values()):
            process.is_cut_off = True
            await process.kill()

    async def _live(
        self, process: Process, run: Callable[[Process, tuple[int, int]], Awaitable[int | None]], size: tuple[int, int]
    ) -> None:
        code, refusal = None, None
        try:
            code = await run(process, size)
        except FileMissingError:
            refusal = ApiError(400, f"cwd '{process.config.get('cwd')}' does not exist")
        except DeskhandError as error:
            refusal = ApiError(400 if not process.started.is_set() else 500, error.message)
        except ApiError as error:
            refusal = error
        finally:
            self.running.pop(process.pid, None)
            for name in [name for name, one in self._programs.items() if one is process]:
                del self._programs[name]
            process.conclude(code, refusal)

    async def _run_command(self, process: Process, size: tuple[int, int]) -> int | None:
        del size
        if (code := await self._run_program(process)) is not None:
            return code
        if not process.input_closed.is_set():
            process.started.set()  # it gets its input when that is complete
            await process.input_closed.wait()
        if process.is_killed:
            return None
        cwd = process.config.get("cwd")
        stream = self._machine().exec_stream(
            process.command,
            timeout=LONGEST,
            cwd=str(cwd) if cwd else None,
            env=self._variables(process),
            stdin=bytes(process.input) or None,
        )
        try:
            async with stream as running:
                return await self._follow(process, running)
        except InvalidInputError as error:  # as a shell says that it cannot read a line
            await process.tell({"data": {"stderr": base64.b64encode(error.message.encode()).decode()}})
            return 2

    @staticmethod
    async def _follow(process: Process, running: ExecStream) -> int | None:
        process.running = running
        process.started.set()
        if process.is_killed:
            await running.kill()
        async for chunk in running:
            await process.tell({"data": {chunk.stream: base64.b64encode(chunk.data).decode()}})
        return running.exit_code

    def _variables(self, process: Process) -> dict[str, str]:
        """Returns a process's variables: a display that was started is the machine's own, one that was not is none."""
        given = process.config.get("envs")
        variables = {"DISPLAY": "", **self._env, **(given if isinstance(given, dict) else {})}
        if variables["DISPLAY"] in self._displays:
            del variables["DISPLAY"]
        return {name: str(value) for name, value in variables.items()}

    async def _run_terminal(self, process: Process, size: tuple[int, int]) -> int | None:
        columns, rows = size
        machine = self._machine()
        if Capability.TERMINAL not in machine.capabilities:
            raise ApiError(501, "pty is not available")
        async with machine.terminal(columns=columns, rows=rows) as terminal:
            process.running = terminal
            process.started.set()
            async for data in terminal:
                await process.tell({"data": {"pty": base64.b64encode(data).decode()}})
            return terminal.exit_code

    # The programs of the template for a screen: what they do was done when the machine was switched on

    async def _run_program(self, process: Process) -> int | None:
        """Runs what is about the screen; returns nothing for any other command."""
        command = process.command
        if (asked := _XDPYINFO.fullmatch(command)) is not None:
            process.started.set()
            return 0 if asked["display"] in self._displays else 1
        if command == _SESSION or (asked := _RUNNING.fullmatch(command)) is not None:
            process.started.set()
            return 0 if (asked["name"] if asked is not None else "startxfce4") in self._programs else 1
        if (asked := _LISTENS.fullmatch(command)) is not None:
            process.started.set()
            return await self._print(process, "listens\n") if int(asked["port"]) in self._ports else 1
        if _ENDS.fullmatch(command):
            process.started.set()
            return await self._end_programs("x11vnc", "novnc_proxy")
        found = _PROGRAMS.fullmatch(command) or _HAS.fullmatch(command)
        if found is None:
            return None
        process.started.set()
        if not (self._has_desktop and await self._is_desktop()):
            return 127
        if _HAS.fullmatch(command):
            return 0
        return await self._stay(process, found["name"], command)

    async def _stay(self, process: Process, name: str, command: str) -> int | None:
        """Lets a program run until it is killed; what goes into the background by itself ends at once."""
        if "-storepasswd" in command:
            return 0
        if name == "Xvfb":
            if (wanted := _XVFB.fullmatch(command)) is None:
                return 1
            await self._resize(Screen(int(wanted["width"]), int(wanted["height"])))
            self._displays.add(wanted["display"])
        elif name == "startxfce4" and not self._displays:
            return 1
        self._programs[name] = process
        if name == "x11vnc":
            self._programs[name] = Process(0, {})
            return 0
        if (port := _PORT.search(command)) is not None:
            self._ports.add(int(port[1]))
        await process.killed.wait()
        return None

    async def _end_programs(self, *names: str) -> int:
        found = [self._programs.pop(name) for name in names if name in self._programs]
        for process in found:
            await process.kill()
        self._ports.clear()
        return 0 if found else 1

    async def _is_desktop(self) -> bool:
        """Tells whether the machine has a screen that programs on it can use."""
        machine = self._machine()
        if Capability.SCREENSHOT not in machine.capabilities:
            return False
        with suppress(DeskhandError):
            return (await machine.exec("xdotool getdisplaygeometry")).ok
        return False

    @staticmethod
    async def _print(process: Process, text: str) -> int:
        await process.tell({"data": {"stdout": base64.b64encode(text.encode()).decode()}})
        return 0


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
