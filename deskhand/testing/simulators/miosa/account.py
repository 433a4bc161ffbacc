"""What the simulated vendor knows of a customer: keys, tenants, computers, snapshots."""

from __future__ import annotations

import secrets
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from pydantic import SecretStr

from deskhand.testing.simulators.disk import Disk
from deskhand.testing.simulators.wire import ApiError, Json

from .dialect import MiosaPlan

if TYPE_CHECKING:
    from .computer import SimulatedComputer
    from .sandbox import SandboxSnapshot, SimulatedSandbox

__all__ = ["Account", "Caller", "Session", "Snapshot", "timestamp"]

SnapshotStatus: TypeAlias = Literal["creating", "uploading", "ready", "restoring", "failed", "deleted"]
KeyKind: TypeAlias = Literal["live", "i"]
SessionStatus: TypeAlias = Literal["pending", "running", "completed", "failed", "cancelled"]


def timestamp(seconds: float | None = None) -> str:
    """Returns a time, or now, as the API writes it."""
    at = datetime.fromtimestamp(seconds if seconds is not None else time.time(), UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is.

    Attributes:
        key: The key.
        tenant: The tenant whose account is used.
    """

    key: SecretStr
    tenant: str


@dataclass(slots=True)
class Snapshot:
    """What a computer's disk held at one time."""

    computer_id: str
    comment: str | None
    tenant: str
    name: str
    template_type: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: SnapshotStatus = "creating"
    disk: Disk | None = field(default=None, repr=False)
    error: str | None = None
    created_at: str = field(default_factory=timestamp)

    def as_json(self) -> Json:
        """Returns it as the API describes it."""
        return {
            "id": self.id,
            "computer_id": self.computer_id,
            "tenant_id": self.tenant,
            "comment": self.comment,
            "status": self.status,
            "parent_snapshot_id": None,
            "error": self.error,
            "created_at": self.created_at,
            "updated_at": timestamp(),
        }


@dataclass(slots=True)
class Session:
    """A session of the vendor's own agent."""

    computer_id: str
    goal: str
    model_id: str | None = None
    max_turns: int | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: SessionStatus = "pending"
    result: str | None = None
    error: str | None = None
    turns_used: int = 0
    created_at: str = field(default_factory=timestamp)

    def as_json(self) -> Json:
        """Returns it as the API describes it."""
        return {
            "id": self.id,
            "computer_id": self.computer_id,
            "goal": self.goal,
            "status": self.status,
            "model_id": self.model_id,
            "max_turns": self.max_turns,
            "turns_used": self.turns_used,
            "result": self.result,
            "error": self.error,
            "created_at": self.created_at,
            "updated_at": timestamp(),
        }


class Account:
    """One customer's account, with one tenant or several."""

    def __init__(self, plan: MiosaPlan) -> None:
        self.plan = plan
        self.tenants: list[str] = ["main"]
        self.credits: int = 1_000
        self.keys: dict[str, bool] = {}
        self.computers: dict[str, SimulatedComputer] = {}
        self.ended: list[SimulatedComputer] = []
        self.snapshots: dict[str, Snapshot] = {}
        self.sessions: dict[str, Session] = {}
        self.sandboxes: dict[str, SimulatedSandbox] = {}
        self.sandbox_snapshots: dict[str, SandboxSnapshot] = {}
        self.done: dict[tuple[str, str, str], SimulatedSandbox] = {}

    def add_key(self, kind: KeyKind = "live") -> str:
        """Issues a key."""
        key = f"msk_{kind}_{secrets.token_hex(16)}"
        self.keys[key] = True
        return key

    def authenticate(self, authorization: str, tenant: str, *, kind: KeyKind = "live") -> Caller:
        """Returns whose request it is.

        Raises:
            ApiError: If there is no key, it is not valid or of another kind, or the tenant is another's.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError(401, "Missing API key.", code="UNAUTHORIZED")
        if not self.keys.get(token):
            raise ApiError(401, "Invalid API key.", code="UNAUTHORIZED")
        if not token.startswith(f"msk_{kind}_"):
            raise ApiError(403, "This key does not have the scope for that.", code="SCOPE_NOT_ALLOWED")
        if tenant and tenant not in self.tenants:
            raise ApiError(403, "This key has no access to that tenant.", code="TENANT_FORBIDDEN")
        return Caller(SecretStr(token), tenant or self.tenants[0])

    def computer(self, caller: Caller, computer_id: str) -> SimulatedComputer:
        """Returns a computer that a caller may use.

        Raises:
            ApiError: If there is none.
        """
        computer = self.computers.get(computer_id)
        if computer is None or computer.tenant != caller.tenant:
            raise ApiError(404, "Computer not found", code="COMPUTER_NOT_FOUND")
        return computer

    def sandbox(self, caller: Caller, sandbox_id: str) -> SimulatedSandbox:
        """Returns a sandbox that a caller may use.

        Raises:
            ApiError: If there is none.
        """
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None or sandbox.tenant != caller.tenant:
            raise ApiError(404, "Sandbox not found", code="SANDBOX_NOT_FOUND")
        return sandbox

    def snapshot(self, caller: Caller, computer_id: str, snapshot_id: str) -> Snapshot:
        """Returns a snapshot of a computer, which may be gone meanwhile.

        Raises:
            ApiError: If there is none.
        """
        snapshot = self.snapshots.get(snapshot_id)
        if snapshot is None or snapshot.computer_id != computer_id or snapshot.tenant != caller.tenant:
            raise ApiError(404, "Snapshot not found", code="SNAPSHOT_NOT_FOUND")
        return snapshot

    def charge(self) -> None:
        """Refuses what costs money where there is none.

        Raises:
            ApiError: If the balance is used up.
        """
        if self.credits <= 0:
            raise ApiError(402, "You have no credits left.", code="INSUFFICIENT_CREDITS")
