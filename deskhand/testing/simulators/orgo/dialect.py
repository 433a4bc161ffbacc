"""How the vendor's answers differ, from one server or document to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["OrgoDialect", "OrgoPlan"]


@dataclass(frozen=True, slots=True)
class OrgoDialect:
    """Which of the known shapes the simulator answers with; the defaults are those of the current servers.

    Attributes:
        screenshot: ``base64``: inline where the client asks for it, else a stored copy's path; ``path``: always the
            path; ``absolute``: a signed address on another host, which no key may be sent to; ``dataurl``: a ``data:``
            URI; ``direct``: base64 with stray newlines and without padding.
        listing: The key under which workspaces are listed.
        desktops: Whether the list of workspaces tells their computers, or each workspace of its own alone.
        create_status: The status of a created computer's answer.
        terminal_auth: Where the terminal wants its token.
        clone: Whether the plan has clones (201) or the route is not there (404).
        id_field: What the short id is called; ``neither`` leaves it to the end of ``connection_url``.
        readiness: ``created``: a computer's desktop is up when it is created; ``later``: some time after that.
        restart: The status of a restart; old hosts know none (405).
        delete_workspace: The status of ``DELETE`` on a workspace; 405 leaves ``POST .../delete``.
        wait_field: What ``wait`` takes.
    """

    screenshot: Literal["base64", "path", "absolute", "dataurl", "direct"] = "base64"
    listing: Literal["projects", "workspaces", "both"] = "both"
    desktops: Literal["listed", "apart"] = "listed"
    create_status: Literal[200, 201] = 201
    terminal_auth: Literal["query", "header"] = "query"
    clone: Literal[201, 404] = 201
    id_field: Literal["instance_id", "fly_instance_id", "both", "neither"] = "both"
    readiness: Literal["created", "later"] = "created"
    restart: Literal[200, 405] = 200
    delete_workspace: Literal[200, 405] = 200
    wait_field: Literal["seconds", "both"] = "both"


@dataclass(frozen=True, slots=True)
class OrgoPlan:
    """What the account's plan allows.

    Attributes:
        computers: How many computers there may be.
        ram: The most memory of one, in GB.
        cpu: The most cores of one.
        auto_stop_configurable: Whether the time to an automatic stop can be set.
    """

    computers: int = 32
    ram: int = 64
    cpu: float = 16
    auto_stop_configurable: bool = True
