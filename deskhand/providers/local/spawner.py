"""Start, end and reap the processes of one local computer; a program of its own, standard library only.

``python -I -S -X utf8 spawner.py DESCRIPTOR`` runs inside the computer's sandbox, as its PID 1 where there is one. The
descriptor is one end of a socket pair of packets; end of file there ends the spawner and everything that it started. A
request is a JSON object with an ``id`` and an ``op``; descriptors travel beside it, so that output is never copied
here. A request that is too long for a packet comes as a file: its descriptor is then the first. Answers carry the id; a
process that has ended is told by ``{"id", "exit"}``.

It runs on Python 3.9 and later: the sandbox may have another than its owner.

Every command is made a "child subreaper": whatever it starts stays below it however often it forks, also in a session
of its own, so that a kill finds everything.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import gc
import json
import os
import resource
import select
import signal
import socket
import stat
import sys
import termios
import time
import typing

PACKET = 65_536
"""Bytes of a packet; what is longer is passed as a file."""

_MAX_DESCRIPTORS = 16
_ENDED = frozenset((b"Z", b"X"))
_AT_REST = _ENDED | {b"T", b"t", b"D"}  # stopped, or in a wait that nothing interrupts
_ALL_FOUND_DEADLINE = 5.0  # seconds that a kill may look for what is still being started
_KILLED_DEADLINE = 2.0
_HAND_OVERS = 3
_IDLE, _FULL = 2, 200  # milliseconds
_FIRST_SPARE = 128  # descriptors of a child are moved above this before they get their numbers
_PR_SET_CHILD_SUBREAPER = 36
_PRCTL = ctypes.CDLL(None).prctl  # looked up here: a child would have to for every command
_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Message = typing.Dict[str, typing.Any]  # noqa: UP006 - evaluated, on older Pythons too


def set_limits() -> None:
    """Bound what one command can take from the machine; all that is started inherits it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted = (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 8192),
        (resource.RLIMIT_NPROC, 2048),
        (resource.RLIMIT_DATA, memory // 4 * 3),  # not AS: browsers reserve terabytes that they never use
    )
    for kind, limit in wanted:
        hard = resource.getrlimit(kind)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)  # noqa: PLW2901 - clamped
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):
            continue  # stricter already
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("800")  # where memory runs out, a command goes before its owner
    except OSError:
        pass  # not here


def parents() -> dict[int, int]:
    """Return the parent of every process."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    found[int(entry)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it has ended
    return found


def descendants(roots: set[int]) -> set[int]:
    """Return all processes below some, themselves included."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found, new = set(roots), list(roots)
    while new:
        new = [child for parent in new for child in children.get(parent, ()) if child not in found]
        found.update(new)
    return found


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def kill_tree(root: int, *, spare_root: bool = False) -> None:
    """Kill a process and everything below it: first all are stopped, so that none can start another meanwhile."""
    deadline = time.monotonic() + _ALL_FOUND_DEADLINE
    stopped: set[int] = set()
    while time.monotonic() < deadline:
        new = descendants({root}) - stopped - ({root} if spare_root else set())
        if not new:
            break
        for pid in new:
            send_signal(pid, signal.SIGSTOP)
        # One that is in the midst of starting another still does so before it stops.
        wait_until(new, _AT_REST, deadline)
        stopped |= new
    for pid in stopped:
        send_signal(pid, signal.SIGKILL)
    wait_until(stopped, _ENDED, time.monotonic() + _KILLED_DEADLINE)  # so that the end that is told is the end of all


def wait_until(pids: set[int], states: frozenset[bytes], deadline: float) -> None:
    """Wait until all processes are in one of these states, but not beyond a deadline."""
    while time.monotonic() < deadline and not all(state_of(pid) in states for pid in pids):
        time.sleep(0.0005)


def state_of(pid: int) -> bytes:
    """Return the letter of a process's state; that of a dead one where it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0]
    except OSError:
        return b"X"


class Spawner:
    """Answers requests until its owner is gone."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._running: dict[int, int] = {}  # process id to request id
        self._spare: tuple[int, socket.socket] | None = None
        self._patience = _IDLE

    def serve(self) -> None:
        """Answer requests and reap until end of file."""
        wake, alarm = os.pipe()
        os.set_blocking(alarm, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        poll.register(self._channel, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll(None if self._spare else self._patience)}
            if not ready:
                self._prepare()
            if wake in ready:
                os.read(wake, 4096)
                self._reap()
                if self._spare is None:
                    self._prepare()
            if self._channel.fileno() in ready and not self._receive():
                return

    def _receive(self) -> bool:
        """Read and answer one request; return whether there may be more."""
        try:
            data, passed = receive(self._channel)
        except OSError:
            return False
        if not data:
            return False
        try:
            self._answer(data, passed)
        finally:
            for descriptor in passed:
                os.close(descriptor)
        return True

    def _answer(self, data: bytes, passed: list[int]) -> None:
        """Do what is asked, and tell an error by its number."""
        request = parse(data, passed)
        given: list[int] = []
        try:
            if request["op"] == "run":
                answer = self._run(request, data, passed, given)
            else:
                answer = getattr(self, "op_" + request["op"])(request, given)
        except OSError as error:
            answer = {"errno": error.errno or 0, "message": error.strerror or str(error)}
        self._send({"id": request["id"], **answer}, given)
        for descriptor in given:
            os.close(descriptor)

    def _send(self, message: Message, descriptors: list[int]) -> None:
        with contextlib.suppress(OSError):  # the owner is gone, which the next read tells
            send(self._channel, json.dumps(message).encode("ascii"), descriptors)

    def _reap(self) -> None:
        """Take the status of whatever has ended and tell of what was asked for."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if self._spare is not None and self._spare[0] == pid:
                self._spare[1].close()
                self._spare = None
            asked = self._running.pop(pid, None)
            if asked is not None:
                self._send({"id": asked, "exit": os.waitstatus_to_exitcode(status)}, [])

    def _prepare(self) -> None:
        """Fork the process that will become the next command: a fork is slow, and nobody waits for this one."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError:
            theirs.close()
            ours.close()
            self._patience = _FULL  # there are too many processes, which the next command will be told
            return
        if not pid:
            ours.close()
            self._channel.close()
            become_what_is_asked(theirs)
        theirs.close()
        self._spare = (pid, ours)
        self._patience = _IDLE

    def _run(self, request: Message, data: bytes, passed: list[int], given: list[int]) -> Message:
        """Start a program with the passed descriptors as those that ``fds`` numbers, or on a terminal."""
        os.chdir(request["cwd"])  # only to see whether it is there
        os.chdir("/")
        handed = list(passed)
        if request.get("tty"):
            master, slave = os.openpty()
            given.append(master)
            passed.append(slave)
            handed.append(slave)
            fcntl.ioctl(slave, termios.TIOCSWINSZ, array.array("H", [*request["tty"], 0, 0]))
        for _ in range(_HAND_OVERS):
            if self._spare is None:
                self._prepare()
            if self._spare is None:
                raise BlockingIOError(errno.EAGAIN, "too many processes")
            (pid, channel), self._spare = self._spare, None
            try:
                send(channel, data, handed)
            except OSError:
                continue  # somebody has killed it
            finally:
                channel.close()
            self._running[pid] = request["id"]
            return {"pid": pid}
        raise BlockingIOError(errno.EAGAIN, "what was to become the command was killed again and again")

    # What else can be asked for

    def op_kill(self, request: Message, given: list[int]) -> Message:
        """Kill what a request has started, and everything below it; also what it left behind in its session."""
        del given
        for pid, asked in list(self._running.items()):
            if asked == request["target"]:
                kill_tree(pid)
        return {}

    def op_open(self, request: Message, given: list[int]) -> Message:
        """Open a file for reading, a directory to list, or anything to look at; pass the descriptor back."""
        path = request["path"]
        kind = request["kind"]
        look = os.open(path, os.O_PATH | (os.O_NOFOLLOW if kind == "look" else 0))
        try:
            found = os.fstat(look)
            if kind == "look":
                given.append(os.dup(look))
                return {}
            if kind == "directory":
                given.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
                return {}
            reason = refusal(found)
            if reason:
                return {"refused": reason}
            # Through the descriptor, so that what is opened is what was looked at.
            given.append(os.open(f"/proc/self/fd/{look}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
        finally:
            os.close(look)
        return {}

    def op_create(self, request: Message, given: list[int]) -> Message:
        """Open a new file beside the one that it shall replace, making the folders; pass it back."""
        target, temporary = places(request)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        mode = 0o644
        try:
            found = os.stat(target)
        except FileNotFoundError:
            pass
        else:
            reason = refusal(found)
            if reason:
                return {"refused": reason}
            mode = stat.S_IMODE(found.st_mode) & 0o777
        given.append(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
        os.fchmod(given[0], mode)
        return {}

    def op_commit(self, request: Message, given: list[int]) -> Message:
        """Put a written file in its place."""
        del given
        target, temporary = places(request)
        os.replace(temporary, target)
        return {}

    def op_discard(self, request: Message, given: list[int]) -> Message:
        """Remove what was to replace a file."""
        del given
        os.unlink(places(request)[1])
        return {}

    def op_delete(self, request: Message, given: list[int]) -> Message:
        """Delete a file or an empty directory."""
        del given
        path = request["path"]
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)
        return {}


def places(request: Message) -> tuple[str, str]:
    """Return where a file shall be, links followed, and where it is while it is written."""
    target = os.path.realpath(request["path"])
    folder, name = os.path.split(target)
    return target, os.path.join(folder, f".{name[:60]}.{request['token']}.part")


def refusal(found: os.stat_result) -> str | None:
    """Say why something is not a file that can be read or replaced, if it is not."""
    kinds = (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    for is_kind, name in kinds:
        if is_kind(found.st_mode):
            return name
    for system in ("/proc", "/sys"):
        if os.path.isdir(system) and os.stat(system).st_dev == found.st_dev:
            return f"a file that the kernel makes up ({system})"
    return None


def which(name: str, search_path: str) -> str:
    """Find a program; without imports, each of which would cost a child."""
    for folder in search_path.split(":") if "/" not in name else ():
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    return name


def become_what_is_asked(channel: socket.socket) -> None:
    """Wait in this freshly forked process for the request of a program, and turn into it."""
    try:
        os.setsid()
        _PRCTL(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        parse(json.dumps({"op": "run", "argv": ["x"], "env": {"PATH": "/bin"}}).encode("ascii"), [])  # touches memory
        data, passed = receive(channel)
        if data:
            become(parse(data, passed), passed)
    finally:
        os._exit(127)


def become(request: Message, passed: list[int]) -> None:
    """Turn this process into a program."""
    program = which(request["argv"][0], request["env"].get("PATH", ""))
    try:
        os.chdir(request["cwd"])
        if request.get("tty"):
            fcntl.ioctl(passed[-1], termios.TIOCSCTTY, 0)
            wanted = dict.fromkeys((0, 1, 2), passed[-1])
        else:
            numbers = request["fds"]
            wanted = {number: passed[index - len(numbers)] for index, number in enumerate(numbers)}
        spare = {number: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _FIRST_SPARE) for number, source in wanted.items()}
        for number, source in spare.items():
            os.dup2(source, number)
        os.execve(program, request["argv"], request["env"])  # noqa: S606 - an argument list
    except OSError as error:
        os.write(2, f"{program}: {error.strerror}\n".encode())


def receive(channel: socket.socket) -> tuple[bytes, list[int]]:
    """Read one packet and the descriptors beside it."""
    space = socket.CMSG_SPACE(_MAX_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, _, _ = channel.recvmsg(PACKET, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)


def send(channel: socket.socket, data: bytes, descriptors: list[int]) -> None:
    """Send one packet with descriptors beside it."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    channel.sendmsg([data], rights)


def parse(data: bytes, passed: list[int]) -> Message:
    """Return the request, which may be in the first of the descriptors."""
    request: Message = json.loads(data)
    if request["op"] == "long":
        with open(os.dup(passed[0]), "rb") as file:
            file.seek(0)
            request = json.load(file)
    return request


def end_everything(in_namespace: bool) -> None:
    """Kill all that is left; in a PID namespace the kernel does so when its PID 1 exits."""
    if in_namespace:
        return
    deadline = time.monotonic() + _KILLED_DEADLINE
    while time.monotonic() < deadline:
        kill_tree(os.getpid(), spare_root=True)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def main() -> None:
    """Serve the owner at the other end of the descriptor."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)  # not ignored, which what is started would inherit
    os.umask(0o022)
    set_limits()
    in_namespace = os.getpid() == 1
    if not in_namespace:
        _PRCTL(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    spawner = Spawner(channel)
    gc.freeze()  # what is never freed is never copied for a child either
    channel.send(b'{"id": 0}')
    spawner._prepare()
    try:
        spawner.serve()
    finally:
        end_everything(in_namespace)


if __name__ == "__main__":
    main()
