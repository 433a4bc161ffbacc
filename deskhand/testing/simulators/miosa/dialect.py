"""How the vendor's answers differ, from one server or document to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MiosaDialect", "MiosaPlan"]


@dataclass(frozen=True, slots=True)
class MiosaDialect:
    """Which of the known shapes the simulator answers with; the defaults are those that the vendor's package reads.

    Attributes:
        exec: ``stdout``: stdout and stderr apart; ``output``: the former is called so; ``merged``: one output alone.
        envelope: Whether a computer is described bare or in ``data``, as the documents say; the package cannot read
            the latter of those that it creates and gets.
        stopped: What a stopped computer's status is.
        running: What a running computer's status is; ``active`` is the older word.
        errors: ``nested``: code and message within ``error``; ``flat``: the code is ``error``, the text ``detail``.
        readiness: ``status``: the desktop is up when the status says that the computer runs; ``later``: some time
            after that, and until then it is said to be starting.
        delete: What is answered to a deletion: JSON, or nothing with status 204.
        sandbox: Whether a sandbox is described in ``data`` or bare.
        begins: What a sandbox's state is first; ``provisioning`` is the older word.
        events: Whether the events of a streamed command have names; older servers send their data alone.
        terminal: How a sandbox's terminal shows something: in frames of JSON, as text, or as bytes; only frames tell
            the exit code.
        forks: Whether a copy of a sandbox has the original's user and time where the request names none, and what is
            made of a snapshot its time.
        restores: Whether a sandbox's snapshot is restored onto another machine, or in place.
        checkpoint: Seconds after a pause until what is saved of it then is saved, and it can be resumed.
        models: How models answer where a stream is asked for: by events, or with the whole in one piece all the same.
    """

    exec: Literal["stdout", "output", "merged"] = "stdout"
    envelope: Literal["bare", "data"] = "bare"
    stopped: Literal["stopped", "paused"] = "stopped"
    running: Literal["running", "active"] = "running"
    errors: Literal["nested", "flat"] = "nested"
    readiness: Literal["status", "later"] = "status"
    delete: Literal[200, 204] = 200
    sandbox: Literal["data", "bare"] = "data"
    begins: Literal["creating", "provisioning"] = "creating"
    events: Literal["named", "bare"] = "named"
    terminal: Literal["frames", "text", "bytes"] = "frames"
    forks: Literal["inherit", "plain"] = "inherit"
    restores: Literal["another", "in_place"] = "another"
    checkpoint: float = 0.0
    models: Literal["events", "whole"] = "events"


@dataclass(frozen=True, slots=True)
class MiosaPlan:
    """What the account's plan allows.

    Attributes:
        computers: How many computers there may be.
        sandboxes: How many sandboxes there may be.
        auto_stop_configurable: Whether the time to an automatic stop can be set.
    """

    computers: int = 32
    sandboxes: int = 32
    auto_stop_configurable: bool = True
