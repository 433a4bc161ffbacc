"""How the vendor's answers differ, from one server or document to another, and who starts the agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["OpenComputersDialect"]


@dataclass(frozen=True, slots=True)
class OpenComputersDialect:
    """Which of the known shapes the simulator answers with, and what becomes of a host that is registered.

    Attributes:
        registered: How a new host is described: ``flat``; ``nested``: under ``host``, its key beside it; or both.
        status_field: What a host's state is called.
        agents: ``connected``: somebody starts the agent of a new host on a machine while its registration is answered;
            ``pending``: nobody does until a test does.
        rows: What the list of what happened to jobs says of each: the job's state, or what happened to it.
        revoked: Whether a host that was revoked is still listed as such.
    """

    registered: Literal["flat", "nested", "both"] = "both"
    status_field: Literal["status", "state", "both"] = "both"
    agents: Literal["connected", "pending"] = "connected"
    rows: Literal["states", "events"] = "states"
    revoked: Literal["listed", "gone"] = "listed"
