"""What differs from model to model, as one table of data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from pydantic import JsonValue

from deskhand.harness.frames import FrameLimits

__all__ = ["BINDING_CONTROLS", "COMPUTER_TOOLSET", "DEFAULT_PROFILE", "PROFILES", "ModelProfile", "profile_of"]

COMPUTER_TOOLSET: Final = "computer_toolset_20260801"
"""Anthropic's computer toolset: one entry in ``tools``, seventeen members, no display size."""

MANY_IMAGES_EDGE: Final = 2000
"""The longest side of an image once a request holds more than twenty; a long run passes that, so it holds from the
start: what was sent cannot be shrunk later where thinking is bound to it."""

MAX_IMAGE: Final = 5_000_000 * 3 // 4
"""Bytes of an image: five megabytes of base64."""

HIGH_RESOLUTION: Final = FrameLimits(max_edge=MANY_IMAGES_EDGE, max_tokens=4784, max_bytes=MAX_IMAGE)

CONTEXT_EDITING: Final = "context-management-2025-06-27"
BINDING_CONTROLS: Final = "thinking-binding-controls-2026-08-01"
"""The beta by which thinking whose past was changed is left out, not refused."""


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """How one model is to be asked.

    Attributes:
        name: The model, without a vendor's prefix or date; empty for the default.
        computer_tool: The type of its computer tool; ``None`` where it takes none that is spoken here.
        frame_limits: How large an image it reads unscaled, in every request of a long run.
        max_images: How many images one request may hold.
        prefix_bound: Whether its thinking is refused once anything before it has changed: the history only grows.
        thinking: The ``thinking`` parameter; ``None`` leaves it to the model.
        clears: The beta by which the server itself drops old tool results; ``None`` where it is not asked to.
    """

    name: str
    computer_tool: str | None = COMPUTER_TOOLSET
    frame_limits: FrameLimits = HIGH_RESOLUTION
    max_images: int = 100
    prefix_bound: bool = True
    thinking: Mapping[str, JsonValue] | None = field(default=None)
    clears: str | None = None


_THINKS: Final[Mapping[str, JsonValue]] = MappingProxyType({"type": "adaptive", "display": "summarized"})
_BOUND = ModelProfile("claude-sonnet-5-5", thinking=_THINKS, clears=CONTEXT_EDITING)
_FREE = replace(_BOUND, name="claude-sonnet-5", prefix_bound=False)
_OLD = ModelProfile("claude-opus-4-7", computer_tool=None, prefix_bound=False)

PROFILES: Final[Mapping[str, ModelProfile]] = MappingProxyType(
    {
        row.name: row
        for row in (
            _BOUND,
            *(replace(_BOUND, name=name) for name in ("claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-1")),
            _FREE,
            *(
                replace(_FREE, name=name)
                for name in (
                    "claude-opus-5",
                    "claude-opus-4-8",
                    "claude-fable-5",
                    "claude-mythos-5",
                    "claude-mythos-5-1",
                )
            ),
            _OLD,
            *(
                replace(_OLD, name=name)
                for name in (
                    "claude-opus-4-6",
                    "claude-opus-4-5",
                    "claude-sonnet-4-6",
                    "claude-sonnet-4-5",
                    "claude-haiku-4-5",
                )
            ),
        )
    }
)
"""What is known of each model."""

DEFAULT_PROFILE: Final = ModelProfile("")
"""How a model is asked that is not in the table: the current toolset, images small enough for every tier that has it,
a history that only grows, and nothing optional."""

_DECORATION = re.compile(r"^(?:[a-z]+\.)*(?:anthropic[./])?|(?:[@-]\d{8})?(?:-v\d+(?::\d+)?)?$")
"""What clouds put around a model's name: ``us.anthropic.claude-…-20260101-v1:0``, ``claude-…@20260101``."""


def profile_of(model: str) -> ModelProfile:
    """Return what is known of a model, whatever cloud's spelling its name has; the default where nothing is."""
    return PROFILES.get(_DECORATION.sub("", model), DEFAULT_PROFILE)
