"""What the simulated vendor knows of a customer: keys, workspaces, computers, stored files."""

from __future__ import annotations

import secrets
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import SecretStr

from deskhand.testing.simulators.wire import ApiError, Json

from .dialect import OrgoDialect, OrgoPlan

if TYPE_CHECKING:
    from .computer import SimulatedComputer

__all__ = ["Account", "Key", "StoredFile", "Workspace", "timestamp"]

MOST_STORED = 256


def timestamp(seconds: float | None = None) -> str:
    """Returns a time, or now, as the API writes it."""
    at = datetime.fromtimestamp(seconds if seconds is not None else time.time(), UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Key:
    """An API key; with a workspace it opens that one alone."""

    secret: SecretStr
    workspace_id: str | None = None
    expired: bool = False


@dataclass(slots=True)
class Workspace:
    """A workspace, which the older interface calls a project."""

    id: str
    name: str
    user_id: str
    icon_url: str | None = None
    status: str = "active"
    created_at: str = field(default_factory=timestamp)
    updated_at: str = field(default_factory=timestamp)

    def as_json(self) -> Json:
        """Returns it as the API describes it, without its computers."""
        return {
            "id": self.id,
            "name": self.name,
            "user_id": self.user_id,
            "status": self.status,
            "icon_url": self.icon_url,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


@dataclass(slots=True)
class StoredFile:
    """A file of a workspace's storage."""

    id: str
    filename: str
    content: bytes = field(repr=False)
    content_type: str
    workspace_id: str
    computer_id: str | None
    source: str
    created_at: str = field(default_factory=timestamp)

    def as_json(self) -> Json:
        """Returns it as the API describes it."""
        return {
            "id": self.id,
            "filename": self.filename,
            "size_bytes": len(self.content),
            "content_type": self.content_type,
            "created_at": self.created_at,
            "source": self.source,
        }


class Account:
    """One customer's account."""

    def __init__(self, dialect: OrgoDialect, plan: OrgoPlan) -> None:
        self.dialect = dialect
        self.plan = plan
        self.user_id: str = str(uuid.uuid4())
        self.balance_cents = 10_000
        self.keys: dict[str, Key] = {}
        self.workspaces: dict[str, Workspace] = {}
        self.computers: dict[str, SimulatedComputer] = {}
        self.files: OrderedDict[str, StoredFile] = OrderedDict()
        self.signatures: OrderedDict[str, str] = OrderedDict()

    def add_key(self, workspace_id: str | None = None) -> Key:
        """Issues a key."""
        key = Key(SecretStr(f"sk_live_{secrets.token_hex(16)}"), workspace_id)
        self.keys[key.secret.get_secret_value()] = key
        return key

    def authenticate(self, authorization: str) -> Key:
        """Returns the key of a request.

        Raises:
            ApiError: If there is none, or it is not valid.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ApiError(401, "Missing API key.")
        key = self.keys.get(token)
        if key is None or key.expired:
            raise ApiError(401, "Invalid API key. Get one at https://www.orgo.ai/settings.")
        return key

    def workspace(self, key: Key, workspace_id: str) -> Workspace:
        """Returns a workspace that a key may use.

        Raises:
            ApiError: If there is none, or the key is another's.
        """
        workspace = self.workspaces.get(workspace_id)
        if workspace is None:
            raise ApiError(404, "Workspace not found")
        self.check_scope(key, workspace_id)
        return workspace

    def computer(self, key: Key, computer_id: str) -> SimulatedComputer:
        """Returns a computer that a key may use.

        Raises:
            ApiError: If there is none, or the key is another workspace's.
        """
        computer = self.computers.get(computer_id)
        if computer is None:
            raise ApiError(404, "Computer not found")
        self.check_scope(key, computer.workspace_id)
        return computer

    def of_instance(self, instance_id: str) -> SimulatedComputer | None:
        """Returns the computer with that short id, if there is one."""
        return next((found for found in self.computers.values() if found.instance_id == instance_id), None)

    def check_scope(self, key: Key, workspace_id: str) -> None:
        """Refuses a key of another workspace.

        Raises:
            ApiError: If it is one.
        """
        if key.workspace_id is not None and key.workspace_id != workspace_id:
            raise ApiError(
                403,
                "This API key is scoped to another workspace.",
                code="workspace_scope_mismatch",
                key_workspace_id=key.workspace_id,
                target_workspace_id=workspace_id,
            )

    def charge(self) -> None:
        """Refuses what costs money where there is none.

        Raises:
            ApiError: If the balance is used up.
        """
        if self.balance_cents <= 0:
            raise ApiError(402, "You are out of credits.", code="credits_exhausted", balance_cents=self.balance_cents)

    def store(self, file: StoredFile) -> StoredFile:
        """Keeps a file; the oldest go where there are too many."""
        self.files[file.id] = file
        while len(self.files) > MOST_STORED:
            self.files.popitem(last=False)
        return file

    def sign(self, file: StoredFile) -> str:
        """Returns a signature by which a file can be had without a key."""
        signature = secrets.token_urlsafe(16)
        self.signatures[signature] = file.id
        while len(self.signatures) > MOST_STORED:
            self.signatures.popitem(last=False)
        return signature
