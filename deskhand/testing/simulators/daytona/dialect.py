"""How the vendor's answers differ, from one daemon to another, and what the organization may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["DaytonaDialect", "DaytonaPlan"]


@dataclass(frozen=True, slots=True)
class DaytonaDialect:
    """Which of the known shapes the simulator answers with; the defaults are those of the current daemon.

    Attributes:
        terminal_output: What a terminal's output comes in: binary frames, or text frames like the server's own words.
        log_end: Whether the socket of a command's log is closed when the command has ended, or stays open.
        toolbox_url: Whether a sandbox tells where its toolbox is, or has to be asked.
        computer_use: Whether the snapshot has a desktop.
        clicks: Whether the number of clicks is heeded, or passed over without a word, as by a daemon that is older.
    """

    terminal_output: Literal["binary", "text"] = "binary"
    log_end: Literal["closed", "open"] = "closed"
    toolbox_url: Literal["told", "asked"] = "told"
    computer_use: bool = True
    clicks: Literal["counted", "passed over"] = "counted"


@dataclass(frozen=True, slots=True)
class DaytonaPlan:
    """What the organization's plan allows.

    Attributes:
        sandboxes: How many there may be.
        cpu: Cores of all together.
        memory: GiB of all together.
        snapshots: Names of the snapshots that there are from the beginning.
    """

    sandboxes: int = 20
    cpu: int = 100
    memory: int = 200
    snapshots: tuple[str, ...] = ("daytona-simulated:1",)
