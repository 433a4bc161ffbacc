"""The loops that are compared: deskhand's for each vendor, its floor, and what others use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from benchmarks.cells import Cell, Values
from benchmarks.report import Missing


@dataclass(frozen=True, slots=True)
class Peer:
    """A loop of others.

    Attributes:
        program: Plays it.
        environment: Whose packages it needs.
        kind: The tools that it takes, where they are not the family's.
        most: How often it is repeated at most.
    """

    program: str
    environment: str
    kind: str | None = None
    most: int = 100


@dataclass(frozen=True, slots=True)
class Family:
    """One vendor's API with one way of giving tools.

    Attributes:
        title: What the tables call it.
        vendor: ``claude`` or ``openai``.
        kind: ``computer`` for the vendor's own tool, or ``functions``.
        peers: By name.
    """

    title: str
    vendor: str
    kind: str
    peers: Mapping[str, Peer]

    @property
    def floor(self) -> str:
        """The name of the least that does the same work."""
        return "bytes through the vendor's client"

    @property
    def hand(self) -> str:
        """The name of the typed client in a loop by hand."""
        return next(iter(self.peers))

    def cells(self, arguments: Mapping[str, object], peers: Iterable[str] | None = None) -> dict[str, Cell]:
        """Return a cell for deskhand, the floor and each peer, or only those that are named."""
        given = {**arguments, "vendor": self.vendor, "kind": self.kind}
        floor = "anthropic" if self.vendor == "claude" else "openai"
        cells = {
            "ours": Cell("loop_deskhand", given),
            self.floor: Cell(f"{self.vendor}_bytes", given, floor),
        }
        for name in self.peers if peers is None else peers:
            peer = self.peers[name]
            own = {**given, "kind": peer.kind or self.kind}
            cells[name] = Cell(peer.program, own, peer.environment, peer.most, is_peer=True)
        return cells

    def values(
        self, found: Mapping[str, Mapping[str, float]], key: str, scale: float
    ) -> tuple[float, tuple[str, float], dict[str, float]]:
        """Return one value of deskhand, of the floor with its name, and of the peers."""
        scaled = {name: values[key] * scale for name, values in found.items()}
        ours, floor = scaled.pop("ours"), scaled.pop(self.floor)
        return ours, (self.floor, floor), scaled


def missing(rows: Iterable[int], gone: Mapping[str, str]) -> list[Missing]:
    """Say of each peer that could not be measured why."""
    return [Missing(row, name, why) for row in rows for name, why in gone.items()]


def growth(short: Mapping[str, Values], long: Mapping[str, Values]) -> dict[str, dict[str, float]]:
    """Return how many times the CPU an action grew, of everything that was measured in both lengths."""
    return {name: {"growth": long[name]["cpu"] / short[name]["cpu"]} for name in short if name in long}


CLAUDE = Family(
    "Claude",
    "claude",
    "computer",
    {
        "anthropic by hand": Peer("claude_hand", "anthropic"),
        "anthropic tool_runner": Peer("claude_runner", "anthropic"),
        "pydantic-ai": Peer("peer_pydantic_ai", "pydantic-ai", "functions"),
        "langchain": Peer("peer_langchain", "langchain", "functions"),
        "cua-agent": Peer("peer_cua", "cua-agent", "legacy", most=1),
    },
)
OPENAI = Family(
    "OpenAI's computer tool",
    "openai",
    "computer",
    {
        "openai by hand": Peer("openai_hand", "openai"),
        "openai tool runner": Peer("openai_runner", "openai"),
        "openai-agents": Peer("peer_agents", "openai-agents"),
    },
)
OPENAI_FUNCTIONS = Family(
    "OpenAI with functions",
    "openai",
    "functions",
    {
        "openai by hand": Peer("openai_hand", "openai"),
        "openai tool runner": Peer("openai_runner", "openai"),
        "openai-agents": Peer("peer_agents", "openai-agents"),
        "pydantic-ai": Peer("peer_pydantic_ai", "pydantic-ai"),
        "langchain": Peer("peer_langchain", "langchain"),
    },
)
