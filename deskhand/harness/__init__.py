"""Loops, runs and their events."""

from deskhand.harness.across import LogStream
from deskhand.harness.approvals import ApprovalRequest, Decision, OnApproval
from deskhand.harness.base import Harness
from deskhand.harness.blobs import BlobStore, DirectoryBlobs, MemoryBlobs
from deskhand.harness.context import OnComputer, RunContext, TurnContext
from deskhand.harness.engine import Engine, open_run
from deskhand.harness.frames import FrameLimits
from deskhand.harness.log import EventLog, LogEntry, MemoryLog, RunSummary
from deskhand.harness.loops.model import ModelHarness
from deskhand.harness.loops.probe import ProbeHarness
from deskhand.harness.models.transport import Deadlines, Patience
from deskhand.harness.run import OpenRun, Run, RunError, RunResult
from deskhand.harness.sqlite_log import SqliteLog
from deskhand.harness.stream import EventStream

__all__ = [
    "ApprovalRequest",
    "BlobStore",
    "Deadlines",
    "Decision",
    "DirectoryBlobs",
    "Engine",
    "EventLog",
    "EventStream",
    "FrameLimits",
    "Harness",
    "LogEntry",
    "LogStream",
    "MemoryBlobs",
    "MemoryLog",
    "ModelHarness",
    "OnApproval",
    "OnComputer",
    "OpenRun",
    "Patience",
    "ProbeHarness",
    "Run",
    "RunContext",
    "RunError",
    "RunResult",
    "RunSummary",
    "SqliteLog",
    "TurnContext",
    "open_run",
]
