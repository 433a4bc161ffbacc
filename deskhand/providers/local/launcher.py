"""Run one X server that dies with its owner; a program of its own, standard library only.

``python -I -S launcher.py SERVER ARGUMENT...`` with ``:?`` among the arguments for the display number. Its standard
input is a pipe that the owner holds open: end of file there, or the owner's end, ends the server. The server writes its
display number to standard output when it accepts clients.

Started with ``-displayfd`` a server takes no lock, and without an abstract socket it then silently takes over the
socket of a live server. So the display number is claimed here, by the lock file that all X servers honour.
"""

from __future__ import annotations

import ctypes
import os
import random
import select
import signal
import sys
import time

_DISPLAYS = range(1000, 59000)  # above what people and other tools count up from
_PR_SET_PDEATHSIG = 1
_GRACE = 1.0


def _lock_path(display: int) -> str:
    return f"/tmp/.X{display}-lock"  # noqa: S108 - fixed by the X protocol's conventions


def _socket_path(display: int) -> str:
    return f"/tmp/.X11-unix/X{display}"  # noqa: S108 - fixed by the X protocol's conventions


def _is_stale(path: str) -> bool:
    """Whether the lock's holder is dead."""
    try:
        with open(path, encoding="ascii") as lock:
            os.kill(int(lock.read().strip()), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):
        return False
    return False


def claim_display() -> int:
    """Claim a free display number by its lock file."""
    for display in random.sample(_DISPLAYS, 200):
        path = _lock_path(display)
        if _is_stale(path):
            remove_traces(display)
        if os.path.lexists(_socket_path(display)):
            continue  # a server that takes no locks may be listening there
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
        except FileExistsError:
            continue
        os.write(descriptor, f"{os.getpid():>10}\n".encode("ascii"))
        os.close(descriptor)
        return display
    raise SystemExit("no free X display number was found; remove stale files /tmp/.X*-lock")


def remove_traces(display: int) -> None:
    """Remove a display's socket and lock."""
    for path in (_socket_path(display), _lock_path(display)):
        try:
            os.unlink(path)
        except OSError:
            continue  # gone already, or not ours


def start(arguments: list[str]) -> int:
    """Start the server in a process group of its own; it is killed by the kernel when this program dies."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.execvp(arguments[0], arguments)  # noqa: S606 - an argument list made by the owner
    except OSError as error:
        print(f"{arguments[0]}: {error.strerror}", file=sys.stderr, flush=True)  # noqa: T201 - the owner reads it
    os._exit(127)


def wait(child: int, owner: int) -> None:
    """Wait until the pipe is closed, the owner has ended, or the server has."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    timeout = 500
    try:
        poll.register(os.pidfd_open(child), select.POLLIN)
        poll.register(os.pidfd_open(owner), select.POLLIN)
        timeout = -1
    except OSError:
        pass  # no pidfd here: look every half second instead
    while True:
        poll.poll(timeout)
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) or os.getppid() != owner:
            return
        ready, _, _ = select.select([0], [], [], 0)
        if ready and not os.read(0, 4096):
            return


def end(child: int) -> int:
    """End the server's process group and return its wait status."""
    for number, grace in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
        try:
            os.killpg(child, number)
            os.killpg(child, signal.SIGCONT)
        except OSError:
            pass  # it has ended
        deadline = time.monotonic() + grace
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
            time.sleep(0.002)
    return 1


def _stop(*_: object) -> None:
    raise SystemExit(1)


def main() -> int:
    """Run the server to its end, or to the owner's."""
    owner = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _stop)
    display = claim_display()
    status = 1
    try:
        child = start([f":{display}" if argument == ":?" else argument for argument in sys.argv[1:]])
        os.close(1)  # so that the owner sees end of file there when the server ends
        try:
            wait(child, owner)
        finally:
            status = end(child)
    finally:
        remove_traces(display)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
