"""Loops, runs and their events."""

from deskhand.harness.across import LogStream
from deskhand.harness.approvals import ApprovalRequest, Decision, OnApproval
from deskhand.harness.base import Harness
from deskhand.harness.blobs import BlobStore, DirectoryBlobs, MemoryBlobs
from deskhand.harness.budget import Allowance, Budget
from deskhand.harness.context import OnComputer, RunContext, TurnContext
from deskhand.harness.engine import Engine, open_run
from deskhand.harness.frames import FrameLimits
from deskhand.harness.history import History
from deskhand.harness.inbox import Inbox
from deskhand.harness.log import EventLog, LogEntry, MemoryLog, RunSummary
from deskhand.harness.loops.fleet import FleetError, FleetHarness
from deskhand.harness.loops.model import ModelHarness
from deskhand.harness.loops.probe import ProbeHarness
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.harness.policy import Judgement, OwnPolicy, Policy, PolicyRequest, Rule
from deskhand.harness.prices import Price
from deskhand.harness.run import OpenRun, Run, RunError, RunResult
from deskhand.harness.secrets import Secret, Secrets
from deskhand.harness.seeing import Seeing
from deskhand.harness.sqlite_log import SqliteLog
from deskhand.harness.stream import EventStream
from deskhand.harness.stuck import Stuck
from deskhand.harness.takeover import Takeover

__all__ = [
    "Allowance",
    "ApprovalRequest",
    "BlobStore",
    "Budget",
    "Deadlines",
    "Decision",
    "DirectoryBlobs",
    "Engine",
    "EventLog",
    "EventStream",
    "FleetError",
    "FleetHarness",
    "FrameLimits",
    "Harness",
    "History",
    "Inbox",
    "Judgement",
    "LogEntry",
    "LogStream",
    "MemoryBlobs",
    "MemoryLog",
    "ModelHarness",
    "OnApproval",
    "OnComputer",
    "OpenRun",
    "OwnPolicy",
    "Patience",
    "Policy",
    "PolicyRequest",
    "Price",
    "ProbeHarness",
    "Rule",
    "Run",
    "RunContext",
    "RunError",
    "RunResult",
    "RunSummary",
    "Secret",
    "Secrets",
    "Seeing",
    "SqliteLog",
    "Stuck",
    "Takeover",
    "TurnContext",
    "open_run",
]
