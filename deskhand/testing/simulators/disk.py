"""What a stopped computer keeps, and a clone gets: the files of its home folder."""

from __future__ import annotations

from dataclasses import dataclass, field

from deskhand.errors import DeskhandError
from deskhand.providers import Capability, ExternalComputer

__all__ = ["Disk", "load_disk", "save_disk"]

ARCHIVE = "/tmp/.simulated-disk.tar"  # noqa: S108 - on the simulated machine
MOST_FILES = 10_000


@dataclass(frozen=True, slots=True)
class Disk:
    """The files of a home folder: an archive, or one by one where the machine has no ``tar``."""

    archive: bytes | None = field(default=None, repr=False)
    files: dict[str, bytes] = field(default_factory=dict, repr=False)


async def save_disk(machine: ExternalComputer) -> Disk | None:
    """Returns the files of a machine, as far as it has any and can tell."""
    if Capability.FILES not in machine.capabilities:
        return None
    try:
        made = await machine.exec(f"tar -cf {ARCHIVE} --one-file-system --ignore-failed-read -C ~ . 2>/dev/null")
        if made.exit_code in {0, 1}:
            return Disk(archive=await machine.read_bytes(ARCHIVE))
        return Disk(files=await _walk(machine))
    except DeskhandError:
        return None


async def load_disk(machine: ExternalComputer, disk: Disk) -> None:
    """Puts the files back, on a new machine."""
    if disk.archive is not None:
        await machine.write_file(ARCHIVE, disk.archive)
        await machine.exec(f"tar -xf {ARCHIVE} -C ~; rm -f {ARCHIVE}")
    for path, content in disk.files.items():
        await machine.write_file(path, content)


async def _walk(machine: ExternalComputer) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    folders = ["."]
    while folders and len(found) < MOST_FILES:
        for entry in await machine.list_dir(folders.pop()):
            if entry.kind == "directory":
                folders.append(entry.path)
            elif entry.kind == "file":
                found[entry.path] = await machine.read_bytes(entry.path)
    return found
