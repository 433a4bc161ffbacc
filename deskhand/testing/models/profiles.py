"""What the fake knows of each model: one row of data per model, and the tables that the rules read.

The rows are the fake's own. They are not shared with the code that drives real models, so that a wrong fact on one side
shows as a refused request instead of agreeing with itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

__all__ = ["COMPUTER_TOOLSET", "MODELS", "TOOLSET_MEMBERS", "ImageTier", "ModelProfile"]

COMPUTER_TOOLSET = "computer_toolset_20260801"
"""The type of the computer toolset's entry in ``tools``."""

BROWSER_TOOLSET = "browser_toolset_20260801"
THREADS_BETA = "message-threads-2026-08-12"
BINDING_BETA = "thinking-binding-controls-2026-08-01"
FINE_GRAINED_BETA = "fine-grained-tool-streaming-2025-05-14"

TOOLSET_MEMBERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "screenshot": frozenset(),
        "cursor_position": frozenset(),
        "left_mouse_down": frozenset(),
        "left_mouse_up": frozenset(),
        "left_click": frozenset({"coordinate", "text"}),
        "right_click": frozenset({"coordinate", "text"}),
        "middle_click": frozenset({"coordinate", "text"}),
        "double_click": frozenset({"coordinate", "text"}),
        "triple_click": frozenset({"coordinate", "text"}),
        "left_click_drag": frozenset({"start_coordinate", "coordinate", "text"}),
        "mouse_move": frozenset({"coordinate"}),
        "scroll": frozenset({"scroll_direction", "scroll_amount", "coordinate", "text"}),
        "type": frozenset({"text"}),
        "key": frozenset({"text", "repeat"}),
        "hold_key": frozenset({"text", "duration"}),
        "wait": frozenset({"duration"}),
        "zoom": frozenset({"region"}),
    }
)
"""The members of the computer toolset and the input fields of each."""

_FIRST_ACTIONS = frozenset(
    {
        "key",
        "type",
        "mouse_move",
        "left_click",
        "left_click_drag",
        "right_click",
        "middle_click",
        "double_click",
        "screenshot",
        "cursor_position",
    }
)
_MORE_ACTIONS = frozenset(TOOLSET_MEMBERS) - {"zoom"}

COMPUTER_ACTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "computer_20241022": _FIRST_ACTIONS,
        "computer_20250124": _MORE_ACTIONS,
        "computer_20251124": _MORE_ACTIONS,
    }
)
"""The actions of each older computer tool, as far as no field of its entry adds to them."""

HALT_TEXT: Mapping[str, str] = MappingProxyType(
    {
        "computer": "Not executed: an earlier computer action in this turn failed.",
        "browser": "Not executed: an earlier action in this turn failed.",
    }
)
"""What each later member of a batch must be answered once one has failed, by toolset name."""

COMPUTER_BETAS: Mapping[str, str] = MappingProxyType(
    {
        "computer_20241022": "computer-use-2024-10-22",
        "computer_20250124": "computer-use-2025-01-24",
        "computer_20251124": "computer-use-2025-11-24",
    }
)
"""The beta header that each older computer tool needs."""

PARAMETER_BETAS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "thread": frozenset({THREADS_BETA}),
        "context_management": frozenset({"context-management-2025-06-27", "compact-2026-01-12"}),
        "compaction": frozenset({"compact-2026-09-04"}),
        "fallbacks": frozenset({"server-side-fallback-2026-06-01", "server-side-fallback-2026-07-01"}),
        "speed": frozenset({"fast-mode-2026-02-01"}),
    }
)
"""Request parameters that exist only under one of these beta headers."""

KNOWN_BETAS = frozenset(
    {
        *COMPUTER_BETAS.values(),
        *(beta for betas in PARAMETER_BETAS.values() for beta in betas),
        BINDING_BETA,
        FINE_GRAINED_BETA,
        "advisor-tool-2026-03-01",
        "cache-diagnosis-2026-04-07",
        "code-execution-2025-05-22",
        "context-1m-2025-08-07",
        "extended-cache-ttl-2025-04-11",
        "fallback-credit-2026-06-01",
        "fallback-credit-2026-07-01",
        "files-api-2025-04-14",
        "inline-tools-2026-09-15",
        "interleaved-thinking-2025-05-14",
        "mcp-client-2025-04-04",
        "mcp-client-2025-11-20",
        "mcp-client-2026-09-15",
        "mid-conversation-output-config-2026-07-01",
        "mid-conversation-system-clear-at-2026-08-21",
        "mid-conversation-tool-changes-2026-07-01",
        "model-context-window-exceeded-2025-08-26",
        "output-128k-2025-02-19",
        "output-300k-2026-03-24",
        "pdfs-2024-09-25",
        "prompt-caching-2024-07-31",
        "skills-2025-10-02",
        "structured-outputs-2025-11-13",
        "task-budgets-2026-03-13",
        "thinking-display-updates-2026-08-18",
        "thinking-token-count-2026-05-13",
        "token-counting-2024-11-01",
        "token-efficient-tools-2025-02-19",
    }
)
API_VERSIONS = frozenset({"2023-01-01", "2023-06-01", "2026-10-21"})


@dataclass(frozen=True, slots=True)
class ImageTier:
    """The largest image that a model reads unscaled: longest edge in pixels, and tokens of 28 by 28 pixels each."""

    max_edge: int
    max_tokens: int
    patch: int = 28

    def tokens(self, width: int, height: int) -> int:
        """Returns what an image of this size costs."""
        return math.ceil(width / self.patch) * math.ceil(height / self.patch)

    def allows(self, width: int, height: int) -> bool:
        """Whether an image of this size is read as it is."""
        return max(width, height) <= self.max_edge and self.tokens(width, height) <= self.max_tokens

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """Returns the largest size of the same shape that is allowed; the size itself where that is allowed."""
        if self.allows(width, height):
            return width, height
        low, high = 1, width
        while low < high:
            middle = (low + high + 1) // 2
            if self.allows(middle, max(1, round(middle * height / width))):
                low = middle
            else:
                high = middle - 1
        return low, max(1, round(low * height / width))


HIGH_RESOLUTION = ImageTier(max_edge=2576, max_tokens=4784)
STANDARD_RESOLUTION = ImageTier(max_edge=1568, max_tokens=1568)


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """How one model treats a request.

    Attributes:
        name: The name that a request gives as ``model``.
        computer_tools: The types of computer tool that it accepts.
        prefix_bound: Whether its thinking blocks are refused once anything before them has changed.
        images: The size of image that it reads unscaled.
        forced_choice: Whether ``tool_choice`` may force a tool.
        thinking: The values of ``thinking.type`` that it accepts.
        thinks_by_default: Whether it thinks when a request does not say.
        shows_thinking: Whether thinking text is returned when a request does not say.
        prefill: Whether a request may end with a partial assistant message.
        sampling: Whether ``temperature``, ``top_p`` and ``top_k`` are accepted.
        max_output: The largest ``max_tokens``.
        min_cached: The shortest prompt prefix that is cached, in tokens.
    """

    name: str
    computer_tools: frozenset[str]
    prefix_bound: bool = False
    images: ImageTier = HIGH_RESOLUTION
    forced_choice: bool = True
    thinking: frozenset[str] = frozenset({"adaptive", "disabled"})
    thinks_by_default: bool = False
    shows_thinking: bool = False
    prefill: bool = False
    sampling: bool = False
    max_output: int = 128_000
    min_cached: int = 1024


TOOLSET_ONLY = frozenset({COMPUTER_TOOLSET})
BOTH = frozenset({COMPUTER_TOOLSET, "computer_20251124"})
ALWAYS_THINKS = frozenset({"adaptive"})
MANUAL = frozenset({"enabled", "adaptive", "disabled"})

_OPUS_5_5 = ModelProfile(
    "claude-opus-5-5",
    TOOLSET_ONLY,
    prefix_bound=True,
    forced_choice=False,
    thinking=ALWAYS_THINKS,
    thinks_by_default=True,
)
_SONNET_5 = ModelProfile("claude-sonnet-5", BOTH, thinks_by_default=True)
_OPUS_4_6 = ModelProfile(
    "claude-opus-4-6",
    frozenset({"computer_20251124"}),
    images=STANDARD_RESOLUTION,
    thinking=MANUAL,
    shows_thinking=True,
    sampling=True,
)
_SONNET_4_5 = ModelProfile(
    "claude-sonnet-4-5",
    frozenset({"computer_20250124"}),
    images=STANDARD_RESOLUTION,
    thinking=frozenset({"enabled", "disabled"}),
    shows_thinking=True,
    prefill=True,
    sampling=True,
    max_output=64_000,
)

MODELS: Mapping[str, ModelProfile] = MappingProxyType(
    {
        row.name: row
        for row in (
            _OPUS_5_5,
            replace(_OPUS_5_5, name="claude-sonnet-5-5", thinking=frozenset({"adaptive", "between_tools"})),
            replace(
                _OPUS_5_5,
                name="claude-haiku-5-5",
                forced_choice=True,
                thinking=frozenset({"adaptive", "disabled"}),
                thinks_by_default=False,
                max_output=64_000,
            ),
            replace(_OPUS_5_5, name="claude-fable-5-1", computer_tools=BOTH),
            replace(_SONNET_5, name="claude-fable-5"),
            replace(_SONNET_5, name="claude-mythos-5-1"),
            replace(_SONNET_5, name="claude-mythos-5"),
            replace(_SONNET_5, name="claude-opus-5"),
            _SONNET_5,
            replace(_SONNET_5, name="claude-opus-4-8", thinks_by_default=False),
            replace(_OPUS_4_6, name="claude-opus-4-7", images=HIGH_RESOLUTION, shows_thinking=False, sampling=False),
            _OPUS_4_6,
            replace(_OPUS_4_6, name="claude-sonnet-4-6"),
            replace(_SONNET_4_5, name="claude-opus-4-5", computer_tools=frozenset({"computer_20251124"})),
            replace(_SONNET_4_5, name="claude-opus-4-5-20251101", computer_tools=frozenset({"computer_20251124"})),
            _SONNET_4_5,
            replace(_SONNET_4_5, name="claude-sonnet-4-5-20250929"),
            replace(_SONNET_4_5, name="claude-haiku-4-5"),
            replace(_SONNET_4_5, name="claude-haiku-4-5-20251001"),
        )
    }
)
"""The models that a :class:`FakeAnthropic` serves unless it is told otherwise, by name."""
