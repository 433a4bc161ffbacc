"""The world outside, for the crash loop: a process that really does what it is told, and counts it.

    python -m tests.harness.crash_ledger SOCKET FILE

Each line it gets is ``do NAME`` or ``did NAME``. What is done is a line of the file, on the disk before the answer.
"""

from __future__ import annotations

import os
import socketserver
import sys
from contextlib import suppress


class _World(socketserver.UnixStreamServer):
    """Takes one connection after the other: what a dead worker has asked for is done before the next is heard."""

    request_queue_size = 64
    done: set[str]
    file: int


class _Caller(socketserver.StreamRequestHandler):
    """One worker's connection."""

    def handle(self) -> None:
        """Do what it says until it is gone."""
        assert isinstance(self.server, _World)
        with suppress(ConnectionError):  # it died
            for line in self.rfile:
                verb, _, name = line.decode().strip().partition(" ")
                if not name or not line.endswith(b"\n"):
                    return  # it died while it wrote
                if verb == "do":
                    os.write(self.server.file, f"{name}\n".encode())
                    os.fdatasync(self.server.file)
                    self.server.done.add(name)
                self.wfile.write(b"yes\n" if name in self.server.done else b"no\n")


def main(socket: str, file: str) -> None:
    """Serve until killed."""
    with _World(socket, _Caller) as world:
        world.done = set()
        world.file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(1, b".")
        world.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
