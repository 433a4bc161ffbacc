"""The place that a local computer's processes live in, and the way to start, end and await them there."""

from __future__ import annotations

import array
import asyncio
import errno
import json
import os
import socket
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.abc

from deskhand.errors import ComputerGoneError, ConfigError, DeskhandError, OverloadedError, ProviderError
from deskhand.providers.local.folder import ComputerFolder
from deskhand.providers.local.isolation import (
    HOME,
    SEARCH_PATH,
    SYSTEM,
    Isolation,
    link_python,
    spawner_command,
    write_system_files,
)
from deskhand.providers.local.output import PipeReader

__all__ = ["Answer", "Process", "Sandbox", "open_sandbox", "out_of_descriptors"]

_PACKET: Final = 65_536  # as in the spawner
_MAX_DESCRIPTORS = 4
_START_DEADLINE = 15.0
_END_DEADLINE = 3.0
_ADOPTED = 128  # descriptors: two a command
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS})


@dataclass(slots=True)
class Answer:
    """What the spawner answered; whoever receives it owns the descriptors."""

    fields: Mapping[str, Any]
    descriptors: list[int] = field(default_factory=list)


class Process:
    """A process that the spawner started.

    Attributes:
        exit_code: Its exit code once it has ended, negative for the signal that killed it.
        doomed: Whether it was killed from here.
    """

    def __init__(self, sandbox: Sandbox, number: int) -> None:
        self._sandbox = sandbox
        self._number = number
        self._ended = anyio.Event()
        self._callbacks: list[Callable[[], None]] = []
        self.exit_code: int | None = None
        self.doomed: bool = False

    @property
    def ended(self) -> bool:
        """Whether it has ended, or its sandbox has."""
        return self._ended.is_set()

    def kill(self) -> None:
        """Kill it and everything below it; `wait` tells when it is gone."""
        if not self.ended:
            self.doomed = True
            self._sandbox.request_nowait("kill", target=self._number)

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call something once it has ended, at once where it has."""
        if self.ended:
            callback()
        else:
            self._callbacks.append(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call something after a delay in seconds."""
        self._sandbox.loop.call_later(delay, callback)

    async def finished(self) -> None:
        """Wait for its end, or its sandbox's."""
        await self._ended.wait()

    async def wait(self) -> int:
        """Wait for its end; return its exit code, negative for the signal that killed it.

        Raises:
            ComputerGoneError: If the sandbox ended.
        """
        await self._ended.wait()
        if self.exit_code is None:
            raise _gone()
        return self.exit_code

    def _end(self, exit_code: int | None) -> None:
        self.exit_code = exit_code
        self._ended.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class Sandbox:
    """Requests to the spawner and its answers, driven by the event loop.

    Attributes:
        home: The home folder, as seen inside.
        environment: What every process gets.
        loop: The event loop that drives it.
    """

    def __init__(self, channel: socket.socket, *, home: str, environment: Mapping[str, str], log: Path) -> None:
        self.home = home
        self.environment: Mapping[str, str] = environment
        self._channel = channel
        self._log = log
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._numbers = 0
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._processes: dict[int, Process] = {}
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._adopted: deque[PipeReader] = deque()
        self._gone = anyio.Event()
        self._answers[0] = self.loop.create_future()
        channel.setblocking(False)
        self.loop.add_reader(channel, self._readable)

    @property
    def gone(self) -> anyio.Event:
        """Set once the sandbox has ended."""
        return self._gone

    async def start(
        self,
        argv: Sequence[str],
        descriptors: Mapping[int, int],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a program; cancelled, it is killed.

        Args:
            argv: Program and arguments.
            descriptors: The program's descriptor numbers, and what they shall be; the caller's stay open.
            cwd: Its working directory, relative to the home folder.
            env: Environment variables besides the sandbox's.

        Raises:
            OSError: If it cannot be started, such as for want of the directory.
            ComputerGoneError: If the sandbox has ended.
        """
        process, _ = await self._start(argv, list(descriptors.values()), cwd, env, fds=list(descriptors))
        return process

    async def start_on_terminal(
        self, argv: Sequence[str], *, columns: int, rows: int, env: Mapping[str, str] | None = None
    ) -> tuple[Process, int]:
        """Start a program on a new pseudo-terminal; return it and the descriptor of the terminal's other end."""
        process, answer = await self._start(argv, [], None, env, tty=[rows, columns])
        return process, answer.descriptors[0]

    async def _start(
        self,
        argv: Sequence[str],
        passed: Sequence[int],
        cwd: str | None,
        env: Mapping[str, str] | None,
        **how: Any,
    ) -> tuple[Process, Answer]:
        number = self._next()
        process = self._processes[number] = Process(self, number)
        environment = {**self.environment, **(env or {})}
        request = {
            "op": "run",
            "argv": list(argv),
            "cwd": os.path.join(self.home, cwd or ""),
            "env": environment,
            **how,
        }
        try:
            answer = await self._ask(number, request, passed)
        except BaseException:  # cancelled too: it may have been started
            process.kill()
            raise
        if "errno" in answer.fields:
            del self._processes[number]
            raise _os_error(answer)
        return process, answer

    async def request(self, op: str, **fields: Any) -> Answer:
        """Ask for something that takes no process.

        Raises:
            OSError: What the operating system inside answered.
            ComputerGoneError: If the sandbox has ended.
        """
        answer = await self._ask(self._next(), {"op": op, **fields}, ())
        if "errno" in answer.fields:
            raise _os_error(answer)
        return answer

    def request_nowait(self, op: str, **fields: Any) -> None:
        """Ask for something without waiting for it."""
        if not self._gone.is_set():
            self._send({"id": self._next(), "op": op, **fields}, ())

    async def wait_ready(self) -> None:
        """Wait until commands can be started.

        Raises:
            ConfigError: If that does not come; says the last lines that were written.
        """
        try:
            with anyio.fail_after(_START_DEADLINE):
                await self._answers[0]
        except (TimeoutError, ComputerGoneError) as error:
            text = await anyio.Path(self._log).read_text(encoding="utf-8", errors="replace")
            why = " / ".join(text.strip().splitlines()[-3:]) or "it said nothing"
            raise ConfigError(f"the computer's sandbox did not start: {why}", hint="deskhand doctor") from error
        del self._answers[0]

    def adopt(self, reader: PipeReader) -> None:
        """Keep the output of an ended command open for what it left running, at most that of the last 64 commands."""
        if self._gone.is_set():
            reader.close()
        if reader.ended:
            return
        reader.forget()
        self._adopted = deque(kept for kept in self._adopted if not kept.ended)
        self._adopted.append(reader)
        while len(self._adopted) > _ADOPTED:
            self._adopted.popleft().close()

    def close(self) -> None:
        """End the sandbox and everything in it, and tell those who wait."""
        for reader in self._adopted:
            reader.close()
        self._adopted.clear()
        if self._gone.is_set():
            return
        self._gone.set()
        self.loop.remove_reader(self._channel)
        self.loop.remove_writer(self._channel)
        self._channel.close()
        for _, descriptors in self._unsent:
            _close_all(descriptors)
        self._unsent.clear()
        for future in self._answers.values():
            if not future.done():
                future.set_exception(_gone())
                future.exception()  # whoever waited may have been cancelled, and the loop complains of errors unseen
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process._end(None)

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    async def _ask(self, number: int, request: Mapping[str, Any], passed: Sequence[int]) -> Answer:
        if self._gone.is_set():
            raise _gone(effect="no")
        future: asyncio.Future[Answer] = self.loop.create_future()
        self._answers[number] = future
        try:
            self._send({"id": number, **request}, passed)
            return await future
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                _close_all(future.result().descriptors)  # it came together with the cancellation
            raise
        finally:
            del self._answers[number]

    def _send(self, message: Mapping[str, Any], passed: Sequence[int]) -> None:
        """Send at once, or as soon as the spawner has read what came before."""
        data = json.dumps(message).encode("ascii")
        descriptors = [os.dup(descriptor) for descriptor in passed]
        if len(data) > _PACKET // 2:
            descriptors.insert(0, _in_memory(data))
            data = b'{"op": "long"}'
        self._unsent.append((data, descriptors))
        self._writable()

    def _writable(self) -> None:
        while self._unsent:
            data, descriptors = self._unsent[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
            try:
                self._channel.sendmsg([data], rights)
            except (BlockingIOError, InterruptedError):
                self.loop.add_writer(self._channel, self._writable)
                return
            except OSError:
                self.close()  # tells everybody, and closes what is unsent
                return
            self._unsent.popleft()
            _close_all(descriptors)
        self.loop.remove_writer(self._channel)

    def _readable(self) -> None:
        space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
        while True:
            try:
                data, ancillary, _, _ = self._channel.recvmsg(_PACKET, space, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, ancillary = b"", []
            descriptors = array.array("i")
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
            if not data:
                self.close()
                return
            try:
                self._received(json.loads(data), list(descriptors))
            except (ValueError, RecursionError, KeyError, TypeError):  # no spawner of ours says that
                _close_all(descriptors)
                self.close()
                return

    def _received(self, fields: Mapping[str, Any], descriptors: list[int]) -> None:
        number: int = fields["id"]
        if "exit" in fields:
            process = self._processes.pop(number, None)
            if process is not None:
                process._end(fields["exit"])
            return
        future = self._answers.get(number)
        if future is None or future.done():
            _close_all(descriptors)  # whoever asked has gone
            if "errno" in fields:
                self._processes.pop(number, None)
            return
        future.set_result(Answer(fields, descriptors))


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _in_memory(data: bytes) -> int:
    """Return the descriptor of an unnamed file with that content."""
    descriptor = os.memfd_create("deskhand", os.MFD_CLOEXEC)
    with open(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _gone(effect: Any = None) -> ComputerGoneError:
    return ComputerGoneError("the computer has ended", hint="create another", provider="local", effect=effect)


def _os_error(answer: Answer) -> OSError:
    return OSError(answer.fields["errno"], answer.fields["message"])


def out_of_descriptors(error: OSError) -> DeskhandError:
    """Return the error for a machine that cannot give what starting a command takes."""
    if error.errno in _SHORTAGES:
        return OverloadedError(
            f"the machine has no more to give: {error.strerror}",
            hint="end some commands, or raise `ulimit -n` and `ulimit -u`",
            provider="local",
        )
    return ProviderError(f"the computer cannot do that: {error.strerror}", provider="local", effect="no")


@asynccontextmanager
async def open_sandbox(
    isolation: Isolation,
    folder: ComputerFolder,
    *,
    uid: int | None = None,
    network: bool = True,
) -> AsyncIterator[Sandbox]:
    """Start the sandbox, or where there is none a process that keeps the computer's others together.

    It ends with the block, or with this process however it ends. `Sandbox.wait_ready` tells when it can be used, so
    that something else can start meanwhile.

    Args:
        isolation: What this machine allows.
        folder: The computer's folder.
        uid: The user id that it drops to.
        network: Whether it shares the machine's network.
    """
    if isolation.isolated:
        write_system_files(folder)
        prefix = isolation.command(folder, uid=uid, network=network)
        program, home = f"{SYSTEM}/spawner.py", HOME
    else:
        prefix, program, home = [], str(Path(__file__).with_name("spawner.py")), str(folder.home)
    if not isolation.isolated or not isolation.has_python_on_path:
        link_python(folder, isolation.python)
    async with AsyncExitStack() as stack:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.callback(ours.close)
        with theirs:
            line = [*prefix, *spawner_command(isolation.python, program, theirs.fileno())]
            await _start_process(stack, line, folder, theirs)
        sandbox = Sandbox(ours, home=home, environment=_basic_environment(isolation, folder), log=_log(folder))
        stack.callback(sandbox.close)
        yield sandbox


def _basic_environment(isolation: Isolation, folder: ComputerFolder) -> dict[str, str]:
    """Return an allow-list: nothing of the owner's environment goes in but its time zone."""
    own = f"{SYSTEM}/bin" if isolation.isolated else f"{folder.system}/bin"
    environment = {
        "PATH": f"{SEARCH_PATH}:{own}",
        "HOME": HOME if isolation.isolated else str(folder.home),
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
    }
    if not isolation.isolated:
        environment["TMPDIR"] = str(folder.temporary)
    if os.environ.get("TZ"):
        environment["TZ"] = os.environ["TZ"]
    return environment


async def _start_process(
    stack: AsyncExitStack, line: Sequence[str], folder: ComputerFolder, channel: socket.socket
) -> None:
    # Cancelled halfway, the start of a process would leave one that nobody holds; it takes milliseconds.
    with _log(folder).open("wb") as errors, anyio.CancelScope(shield=True):
        process = await anyio.open_process(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd="/",
            env={"PATH": os.environ.get("PATH", SEARCH_PATH)},  # what runs inside gets its own with each request
            pass_fds=(channel.fileno(),),
            start_new_session=True,  # Ctrl-C is the owner's to handle
        )
    stack.push_async_callback(_end, process)


def _log(folder: ComputerFolder) -> Path:
    return folder.path / "sandbox.log"


async def _end(process: anyio.abc.Process) -> None:
    """Wait for the spawner, which ends when its socket is closed."""
    with anyio.CancelScope(shield=True):
        with anyio.move_on_after(_END_DEADLINE):
            await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()
