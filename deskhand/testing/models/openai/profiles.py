"""What the fake knows of each model of OpenAI: one row of data per model.

The rows are the fake's own. They are not shared with the code that drives real models, so that a wrong fact on one side
shows as a refused request instead of agreeing with itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

__all__ = ["COMPUTER", "COMPUTER_PREVIEW", "OPENAI_MODELS", "OpenAIModel"]

COMPUTER = "computer"
"""The type of the computer tool."""

COMPUTER_PREVIEW = "computer_use_preview"
"""The type of the older computer tool, which needs the size of the display and its environment."""

PATCH = 32

DETAILS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"low": (512, 256), "auto": (2048, 2500), "high": (2048, 2500), "original": (6000, 10_000)}
)
"""For each ``detail`` the longest side in pixels and the most patches at which an image is seen."""


@dataclass(frozen=True, slots=True)
class OpenAIModel:
    """What one model accepts.

    Attributes:
        name: The model's name.
        computer: The type of the computer tool that it takes; None where it takes none.
        reasons: Whether it reasons before it answers.
        phases: Whether its messages say if they are commentary or the final answer.
        chat: Whether Chat Completions serves it too.
        forced_truncation: Whether requests must say ``truncation: "auto"``.
        bills_cache_writes: Whether writing to the prompt cache is counted.
        originals: Whether it can look at images in their original size.
        max_output: The most output tokens of one answer.
    """

    name: str
    computer: str | None = COMPUTER
    reasons: bool = True
    phases: bool = True
    chat: bool = True
    forced_truncation: bool = False
    bills_cache_writes: bool = False
    originals: bool = True
    max_output: int = 128_000

    def fit(self, width: int, height: int, detail: str = "auto") -> tuple[int, int]:
        """Returns the size at which the model sees an image of this size; a larger one than it takes is scaled down.

        Args:
            width: The width in pixels as sent.
            height: The height in pixels as sent.
            detail: How closely it is told to look.
        """
        max_side, max_patches = DETAILS[detail]
        scale = min(1.0, max_side / max(width, height), math.sqrt(max_patches * PATCH * PATCH / (width * height)))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def image_tokens(self, width: int, height: int) -> int:
        """Returns what an image of this size costs: one token for each 32 by 32 pixels, begun ones counted."""
        return math.ceil(width / PATCH) * math.ceil(height / PATCH)


_GPT_5_4 = OpenAIModel("gpt-5.4")
_GPT_5_6 = replace(_GPT_5_4, bills_cache_writes=True)
_NO_COMPUTER = replace(_GPT_5_4, name="gpt-5.2", computer=None, originals=False)
_OLDER = replace(_NO_COMPUTER, name="gpt-5", phases=False)
_NO_REASONING = replace(_OLDER, name="gpt-4.1", reasons=False, max_output=32_768)

OPENAI_MODELS: Mapping[str, OpenAIModel] = MappingProxyType(
    {
        row.name: row
        for row in (
            *(replace(_GPT_5_4, name=name) for name in ("gpt-5.4", "gpt-5.4-mini", "gpt-5.5", "gpt-5.5-2026-04-23")),
            replace(_GPT_5_4, name="gpt-5.5-pro", chat=False),
            *(
                replace(_GPT_5_6, name=name)
                for name in (
                    "gpt-5.6-sol",
                    "gpt-5.6-terra",
                    "gpt-5.6-luna",
                    "gpt-6-sol",
                    "gpt-6-luna",
                    "gpt-6-astra",
                    "gpt-6.1-sol",
                    "gpt-6.1-terra",
                    "gpt-6.2-sol",
                    "gpt-6.2-astra",
                )
            ),
            replace(_NO_COMPUTER, name="gpt-5.4-nano"),
            replace(_NO_COMPUTER, name="gpt-5.3-chat-latest"),
            _NO_COMPUTER,
            replace(_OLDER, name="gpt-5.1"),
            _OLDER,
            replace(_OLDER, name="gpt-5-mini"),
            _NO_REASONING,
            replace(_NO_REASONING, name="gpt-4o", max_output=16_384),
            OpenAIModel(
                "computer-use-preview",
                COMPUTER_PREVIEW,
                phases=False,
                chat=False,
                forced_truncation=True,
                originals=False,
                max_output=1024,
            ),
        )
    }
)
"""The models that a :class:`FakeOpenAI` serves unless it is told otherwise, by name."""
