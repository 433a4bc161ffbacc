"""MIOSA's APIs of computers and of sandboxes as data: where things are, what may be repeated, how each is described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from pydantic import JsonValue

from deskhand.errors import ComputerGoneError, NotFoundError
from deskhand.providers.answers import check_done, moment, number, text
from deskhand.providers.contract import ComputerInfo, ComputerStatus, Screen, Source, Specs
from deskhand.providers.http import Operation
from deskhand.providers.miosa.envelope import machine_in, unwrapped, without_secrets
from deskhand.providers.routes import Routes

__all__ = ["NAME", "OPERATIONS", "STATUSES", "MiosaApi", "SandboxApi", "computer_info", "screen_of", "state_of"]

NAME: Final = "miosa"
IMAGE_LIMIT: Final = 64 << 20
OUTPUT_LIMIT: Final = 32 << 20
FILE_LIMIT: Final = 101 << 20

OPERATIONS: Final[Mapping[str, Operation]] = {
    row.name: row
    for row in (
        Operation("list computers", "GET", "read", limit=16 << 20),
        Operation("create a computer", deadline=90.0),
        Operation("describe a computer", "GET", "read"),
        Operation("destroy a computer", "DELETE", "repeatable"),
        Operation("start a computer", repetition="repeatable"),
        Operation("stop a computer", repetition="repeatable"),
        Operation("restart a computer", deadline=60.0),
        Operation("clone a computer", deadline=120.0),
        Operation("take a snapshot", deadline=60.0),
        Operation("describe a snapshot", "GET", "read"),
        Operation("restore a snapshot", deadline=120.0),
        Operation("set the idle time", "PATCH", "repeatable"),
        Operation("set its time", repetition="repeatable"),
        Operation("list snapshots", "GET", "read"),
        Operation("tell whether it takes commands", "GET", "read", deadline=10.0, attempts=1),
        Operation("tell the screen's size", "GET", "read", deadline=10.0, attempts=1),
        Operation("tell whether a route is there", "OPTIONS", "read", deadline=5.0, attempts=1),
        Operation("run a command", limit=OUTPUT_LIMIT),
        Operation("look around", repetition="repeatable", deadline=10.0, attempts=1, limit=OUTPUT_LIMIT),
        Operation("read a file", repetition="read", limit=OUTPUT_LIMIT),
        Operation("write a part of a file", repetition="repeatable", deadline=60.0),
        Operation("download a file", "GET", "read", deadline=120.0, limit=FILE_LIMIT),
        Operation("upload a file", repetition="repeatable", deadline=120.0),
        Operation("run Python", limit=OUTPUT_LIMIT),
        Operation("take a screenshot", "GET", "read", limit=IMAGE_LIMIT),
        Operation("take a part of a screenshot", repetition="read", limit=IMAGE_LIMIT),
        Operation("tell where the pointer is", "GET", "read"),
        Operation("click"),
        Operation("move the pointer", repetition="repeatable"),
        Operation("press a button"),
        Operation("release a button", repetition="repeatable"),
        Operation("drag"),
        Operation("scroll"),
        Operation("type", deadline=60.0),
        Operation("strike a key"),
        Operation("press a key"),
        Operation("release a key", repetition="repeatable"),
        Operation("expose a port", repetition="repeatable"),
        Operation("list ports", "GET", "read"),
        Operation("make a page of the screen", "GET", "read"),
        Operation("start its agent", deadline=15.0),
        Operation("ask its agent", "GET", "read"),
        Operation("stop its agent", "DELETE", "repeatable"),
    )
}
"""What is asked of MIOSA. Input and commands are sent once: a click that is repeated may confirm what nobody read."""

STATUSES: Final[Mapping[str, ComputerStatus]] = {
    "creating": ComputerStatus.CREATING,
    "provisioning": ComputerStatus.CREATING,
    "starting": ComputerStatus.CREATING,
    "running": ComputerStatus.RUNNING,
    "active": ComputerStatus.RUNNING,
    "ready": ComputerStatus.RUNNING,
    "resuming": ComputerStatus.CREATING,
    "pausing": ComputerStatus.PAUSED,
    "paused": ComputerStatus.PAUSED,
    "stopping": ComputerStatus.STOPPED,
    "stopped": ComputerStatus.STOPPED,
    "error": ComputerStatus.ERROR,
    "destroying": ComputerStatus.DESTROYED,
    "destroyed": ComputerStatus.DESTROYED,
}
"""What a computer's status means, and a sandbox's state."""

_MEGABYTE: Final = 1 << 20
_MOST_PIXELS: Final = 100_000.0


class MiosaApi(Routes):
    """The client, and what is learnt about the vendor's routes as they are used."""

    provider = NAME
    operations = OPERATIONS
    source: ClassVar[Source] = "miosa-cloud"
    """What kind of computers these are."""
    lists_by_workspace: ClassVar[bool] = True
    """Whether the list can be asked for one workspace alone."""
    takes_keys: ClassVar[bool] = False
    """Whether a request that creates or copies may come twice, with a key by which the vendor does it once."""

    async def do(
        self,
        operation: str,
        computer_id: str,
        route: str,
        body: Mapping[str, object] | None = None,
        *,
        deadline: float | None = None,
    ) -> None:
        """Use a computer's route, for what it does and not for what it tells.

        Raises:
            ProviderError: If the answer says that it was not done.
        """
        answer = await self.act(operation, computer_id, route, body, deadline=deadline)
        for part in (answer, unwrapped(answer)):
            check_done(NAME, operation, part)

    async def is_there(self, computer_id: str) -> bool:
        """Ask whether a computer is there, whatever else was not found."""
        try:
            answer = await self.http.call(OPERATIONS["describe a computer"], self.path(computer_id), is_urgent=True)
        except (NotFoundError, ComputerGoneError):
            return False
        return STATUSES.get(state_of(machine_in(answer))) is not ComputerStatus.DESTROYED

    async def destroy(self, computer_id: str) -> None:
        """End a computer for good; whatever the answer of success holds, it is one.

        Raises:
            ComputerGoneError: If it is not there any more.
        """
        await self.http.ask(OPERATIONS["destroy a computer"], self.path(computer_id), is_urgent=True)


class SandboxApi(MiosaApi):
    """The same of sandboxes, which have routes of their own."""

    prefix = "/sandboxes"
    source = "miosa-sandbox"
    lists_by_workspace = False
    takes_keys = True


def state_of(fields: Mapping[str, JsonValue]) -> str:
    """Return the vendor's word for what a computer, or a sandbox, is doing."""
    return (text(fields.get("state")) or text(fields.get("status")) or "").lower()


def computer_info(
    fields: Mapping[str, JsonValue], metadata: Mapping[str, str] | None = None, *, source: Source = "miosa-cloud"
) -> ComputerInfo:
    """Read what MIOSA says of a computer, or of a sandbox, for which it has other names.

    Args:
        fields: What it says.
        metadata: The metadata, where it is known.
        source: Which of the two it is.
    """
    kept = fields.get("metadata")
    told = {str(name): str(value) for name, value in kept.items()} if isinstance(kept, dict) else {}
    memory, disk = number(fields.get("memory_mb")), number(fields.get("disk_size_mb") or fields.get("disk_mb"))
    addresses = [text(fields.get(name)) for name in ("sandbox_url", "desktop_url", "preview_url")]
    return ComputerInfo(
        id=text(fields.get("id")) or "",
        name=text(fields.get("name")) or "",
        provider=NAME,
        source=source,
        status=STATUSES.get(state_of(fields), ComputerStatus.ERROR),
        public_url=next((one for one in addresses if one is not None), None),
        specs=Specs(
            cpus=number(fields.get("vcpus") or fields.get("cpu_count"), most=1e6),
            memory=None if memory is None else int(memory * _MEGABYTE),
            disk=None if disk is None else int(disk * _MEGABYTE),
            os="linux",
        ),
        created_at=moment(fields.get("created_at") or fields.get("inserted_at")),
        metadata={**told, **(metadata or {})},
        raw=without_secrets(fields),
    )


def screen_of(answer: Mapping[str, JsonValue]) -> Screen | None:
    """Read a screen's size."""
    width, height = (number(answer.get(name), most=_MOST_PIXELS) for name in ("width", "height"))
    return Screen(int(width), int(height)) if width and height else None
