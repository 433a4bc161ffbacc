"""The computer server's commands and the cloud's routes as data: what may be repeated, and what errors mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deskhand.errors import (
    AuthError,
    ConflictError,
    DeskhandError,
    FileMissingError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedError,
)
from deskhand.providers.contract import ComputerStatus
from deskhand.providers.http import Failure, FailureRow, Operation

__all__ = [
    "CLOUD",
    "COMMANDS",
    "FAILED",
    "KEY_HINT",
    "NAME",
    "REFUSALS",
    "ROWS",
    "STATUSES",
]

NAME: Final = "cua"
KEY_HINT: Final = "export CUA_API_KEY=..., and CUA_CONTAINER_NAME where the server is one of the cloud"

_IMAGE_LIMIT: Final = 64 << 20
_OUTPUT_LIMIT: Final = 32 << 20

COMMANDS: Final[Mapping[str, tuple[str, Operation]]] = {
    operation.name: (command, operation)
    for command, operation in (
        ("version", Operation("tell its version", repetition="read", deadline=10.0)),
        ("screenshot", Operation("take a screenshot", repetition="read", limit=_IMAGE_LIMIT)),
        ("get_screen_size", Operation("tell the screen's size", repetition="read", deadline=10.0)),
        ("get_cursor_position", Operation("tell where the pointer is", repetition="read", deadline=10.0)),
        ("left_click", Operation("click")),
        ("right_click", Operation("click with the right button")),
        ("double_click", Operation("double click")),
        ("mouse_down", Operation("press a button")),
        ("mouse_up", Operation("release a button")),
        ("move_cursor", Operation("move the pointer")),
        ("drag", Operation("drag")),
        ("scroll", Operation("scroll")),
        ("type_text", Operation("type", deadline=60.0)),
        ("press_key", Operation("strike a key")),
        ("hotkey", Operation("strike a chord")),
        ("key_down", Operation("press a key")),
        ("key_up", Operation("release a key")),
        ("run_command", Operation("run a command", limit=_OUTPUT_LIMIT)),
        ("run_command", Operation("look around", repetition="read", deadline=10.0, limit=_OUTPUT_LIMIT)),
        ("run_command", Operation("read a file", repetition="read", limit=_OUTPUT_LIMIT)),
        ("run_command", Operation("write a part of a file", repetition="repeatable", deadline=60.0)),
        ("read_bytes", Operation("fetch a part of a file", repetition="read", limit=_OUTPUT_LIMIT)),
        ("write_bytes", Operation("append to a file", deadline=60.0)),
    )
}
"""What is asked of a computer server. Input and commands are sent once: a click that is repeated may confirm what
nobody read."""

CLOUD: Final[Mapping[str, Operation]] = {
    row.name: row
    for row in (
        Operation("list machines", "GET", "read", limit=16 << 20),
        Operation("start a machine", repetition="repeatable"),
        Operation("stop a machine", repetition="repeatable"),
        Operation("restart a machine"),
        Operation("tell its status", "GET", "read", deadline=5.0, attempts=1),
    )
}
"""What is asked of the cloud, and of a server for its state. A machine that starts is started again without harm."""

ROWS: Final = (
    FailureRow(
        400,
        "unknown command",
        Failure(UnsupportedError, "no", hint="the server knows no such command: another version?"),
    ),
    FailureRow(401, "container name", Failure(AuthError, "no", hint="give container_name, or CUA_CONTAINER_NAME")),
    FailureRow(401, "", Failure(AuthError, "no", hint=KEY_HINT)),
    FailureRow(404, "", Failure(NotFoundError, "no", hint="check the address: /cmd is asked for below it")),
    FailureRow(409, "", Failure(ConflictError, "no", hint="see deskhand ls: it is in another state")),
)
"""What errors mean where the status alone does not tell."""

REFUSALS: Final[tuple[tuple[str, type[DeskhandError]], ...]] = (
    ("unknown command", UnsupportedError),
    ("required positional argument", InvalidInputError),
    ("no such file", FileMissingError),
    ("permission denied", PermissionDeniedError),
    ("is a directory", InvalidInputError),
    ("not a directory", InvalidInputError),
    ("not supported", UnsupportedError),
)
"""What a command that failed means, by what its text holds, in lower case; any other is a failure of the provider."""

FAILED: Final = "failed"
"""The cloud's word for a machine that nothing becomes of any more."""

STATUSES: Final[Mapping[str, ComputerStatus]] = {
    "ok": ComputerStatus.RUNNING,
    "running": ComputerStatus.RUNNING,
    "pending": ComputerStatus.CREATING,
    "provisioning": ComputerStatus.CREATING,
    "starting": ComputerStatus.CREATING,
    "restarting": ComputerStatus.CREATING,
    "stopping": ComputerStatus.STOPPED,
    "stopped": ComputerStatus.STOPPED,
    "terminated": ComputerStatus.DESTROYED,
    "deleted": ComputerStatus.DESTROYED,
    "not_found": ComputerStatus.DESTROYED,
    FAILED: ComputerStatus.ERROR,
}
"""The cloud's words for what a machine is doing; any other is an error."""
