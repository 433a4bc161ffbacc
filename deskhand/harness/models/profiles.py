"""What differs from model to model, as one table of data for all vendors.

Nobody can know all of it beforehand: a model that is not in the table is asked as its vendor's newest ones, with
nothing optional, and where the API refuses the computer tool and names the one that it takes, :func:`amend` notes that
for as long as the process lives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from pydantic import JsonValue

from deskhand.harness.frames import FrameLimits

__all__ = [
    "ANTHROPIC_API",
    "BINDING_CONTROLS",
    "COMPUTER_TOOLSET",
    "DEFAULT_PROFILE",
    "OPENAI_API",
    "OPENAI_DEFAULT_PROFILE",
    "PLATFORMS",
    "PROFILES",
    "TOOL_BETAS",
    "ModelProfile",
    "Platform",
    "amend",
    "named_tool",
    "platform_of",
    "profile_of",
]

COMPUTER_TOOLSET: Final = "computer_toolset_20260801"
"""Anthropic's computer toolset: one entry in ``tools``, seventeen members, no display size."""

TOOL_BETAS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "computer_20251124": "computer-use-2025-11-24",
        "computer_20250124": "computer-use-2025-01-24",
    }
)
"""Anthropic's older computer tools, newest first, and the beta header that each needs."""

TOOLS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "anthropic": (COMPUTER_TOOLSET, *TOOL_BETAS),
        "openai": ("computer_use_preview", "computer"),
    }
)
"""The computer tools that are spoken here, by vendor; of several that an API names, the first is taken."""

MANY_IMAGES_EDGE: Final = 2000
"""The longest side of an image once a request holds more than twenty; a long run passes that, so it holds from the
start: what was sent cannot be shrunk later where thinking is bound to it."""

MAX_IMAGE: Final = 5_000_000 * 3 // 4
"""Bytes of an image: five megabytes of base64."""

HIGH_RESOLUTION: Final = FrameLimits(max_edge=MANY_IMAGES_EDGE, max_tokens=4784, max_bytes=MAX_IMAGE)
STANDARD_RESOLUTION: Final = FrameLimits(max_edge=1568, max_tokens=1568, max_bytes=MAX_IMAGE)
OPENAI_RESOLUTION: Final = FrameLimits(max_edge=2048, max_tokens=2500, patch=32, max_bytes=15_000_000)
"""What OpenAI's models see unscaled at the detail ``high`` as well, so that coordinates stay right where the detail
``original`` is not to be had."""

CONTEXT_EDITING: Final = "context-management-2025-06-27"
BINDING_CONTROLS: Final = "thinking-binding-controls-2026-08-01"
"""The beta by which thinking whose past was changed is left out, not refused."""


@dataclass(frozen=True, slots=True)
class Platform:
    """Where a model is served; what it takes there may differ.

    Attributes:
        name: What it is called here.
        vendor: Whose models.
        module: The module in which the vendor's client for it lives.
        max_body: Bytes of a request that are sent, a little below what is refused.
        toolset: Whether it takes Anthropic's computer toolset.
    """

    name: str
    vendor: str
    module: str
    max_body: int
    toolset: bool = True


_MIB: Final = 1024 * 1024

ANTHROPIC_API: Final = Platform("anthropic", "anthropic", "anthropic", 30 * _MIB)
OPENAI_API: Final = Platform("openai", "openai", "openai", 45 * _MIB, toolset=False)

PLATFORMS: Final = (
    Platform("bedrock", "anthropic", "anthropic.lib.bedrock", 10 * _MIB, toolset=False),
    Platform("vertex", "anthropic", "anthropic.lib.vertex", 16 * _MIB),
    Platform("google_cloud", "anthropic", "anthropic.lib.google_cloud", 16 * _MIB),
    Platform("foundry", "anthropic", "anthropic.lib.foundry", 30 * _MIB, toolset=False),
    Platform("aws", "anthropic", "anthropic.lib.aws", 30 * _MIB, toolset=False),
    ANTHROPIC_API,
    OPENAI_API,
)
"""The platforms, each before those whose module holds its own."""


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """How one model is to be asked.

    Attributes:
        name: The model, without a platform's prefix or date; empty for a default.
        vendor: Who made it.
        computer_tool: The type of its computer tool; ``None`` where it takes none that is spoken here.
        older_tool: The type of its computer tool on platforms that do not take the toolset.
        frame_limits: How large an image it reads unscaled, in every request of a long run.
        max_images: How many images one request may hold.
        prefix_bound: Whether its thinking is refused once anything before it has changed: the history only grows.
        keep_images: How many of the newest images stay when older ones are left out; ``None`` where none are, as long
            as the request can be sent.
        prune_every: How many images more than that come together before: what was cached stays valid between.
        cache_marks: How many cache breakpoints a request may bear; none where the vendor places them itself.
        thinking: Anthropic's ``thinking`` parameter; ``None`` leaves it to the model.
        clears: The beta by which the server itself drops old tool results; ``None`` where it is not asked to.
        detail: OpenAI's ``detail`` of an image; ``None`` leaves it to the model.
        truncation: OpenAI's ``truncation`` parameter, where the model needs one.
        reasons: Whether it returns reasoning that must be sent back.
    """

    name: str
    vendor: str = "anthropic"
    computer_tool: str | None = COMPUTER_TOOLSET
    older_tool: str | None = "computer_20251124"
    frame_limits: FrameLimits = HIGH_RESOLUTION
    max_images: int = 100
    prefix_bound: bool = True
    keep_images: int | None = None
    prune_every: int = 20
    cache_marks: int = 4
    thinking: Mapping[str, JsonValue] | None = None
    clears: str | None = None
    detail: str | None = None
    truncation: str | None = None
    reasons: bool = True


_ADAPTIVE: Final[Mapping[str, JsonValue]] = MappingProxyType({"type": "adaptive"})
_SHOWN: Final[Mapping[str, JsonValue]] = MappingProxyType({"type": "adaptive", "display": "summarized"})

_BOUND = ModelProfile("claude-sonnet-5-5", thinking=_SHOWN, clears=CONTEXT_EDITING)
_FREE = replace(_BOUND, name="claude-sonnet-5", prefix_bound=False, keep_images=3)
_NO_TOOLSET = replace(_FREE, name="claude-opus-4-7", computer_tool="computer_20251124")
_STANDARD = replace(
    _NO_TOOLSET, name="claude-opus-4-6", frame_limits=STANDARD_RESOLUTION, max_images=100, thinking=_ADAPTIVE
)
_OLD = replace(
    _STANDARD,
    name="claude-sonnet-4-5",
    computer_tool="computer_20250124",
    older_tool="computer_20250124",
    thinking=None,
)

_GPT = ModelProfile(
    "gpt-5.4",
    vendor="openai",
    computer_tool="computer",
    older_tool=None,
    frame_limits=OPENAI_RESOLUTION,
    max_images=500,
    prefix_bound=False,
    keep_images=3,
    cache_marks=0,
    detail="original",
)
_FUNCTIONS = replace(_GPT, name="gpt-5.2", computer_tool=None, detail=None)
_ANSWERS = replace(_FUNCTIONS, name="gpt-4.1", reasons=False)


def _named(row: ModelProfile, *names: str) -> tuple[ModelProfile, ...]:
    return (row, *(replace(row, name=name) for name in names))


PROFILES: Final[Mapping[str, ModelProfile]] = MappingProxyType(
    {
        row.name: row
        for row in (
            *_named(_BOUND, "claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-1"),
            *_named(
                _FREE,
                "claude-opus-5",
                "claude-opus-4-8",
                "claude-fable-5",
                "claude-mythos-5",
                "claude-mythos-5-1",
            ),
            _NO_TOOLSET,
            *_named(_STANDARD, "claude-sonnet-4-6"),
            replace(_STANDARD, name="claude-opus-4-5", thinking=None),
            *_named(_OLD, "claude-haiku-4-5"),
            *_named(
                _GPT,
                "gpt-5.4-mini",
                "gpt-5.4-pro",
                "gpt-5.5",
                "gpt-5.5-pro",
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
            ),
            replace(
                _GPT,
                name="computer-use-preview",
                computer_tool="computer_use_preview",
                detail=None,
                truncation="auto",
            ),
            *_named(
                _FUNCTIONS,
                "gpt-5",
                "gpt-5-mini",
                "gpt-5-nano",
                "gpt-5-pro",
                "gpt-5.1",
                "gpt-5.1-mini",
                "gpt-5.2-pro",
                "gpt-5.4-nano",
                "gpt-5.3-chat-latest",
            ),
            *_named(_ANSWERS, "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini"),
        )
    }
)
"""What is known of each model."""

DEFAULT_PROFILE: Final = ModelProfile("")
"""How a model of Anthropic is asked that is not in the table: the current toolset, images small enough for every tier
that has it, a history that only grows, and nothing optional."""

OPENAI_DEFAULT_PROFILE: Final = replace(_GPT, name="", detail=None)
"""How any other model is asked that is not in the table: OpenAI's current computer tool, and nothing optional."""

_DECORATION = re.compile(
    r"^(?:[a-z]+\.)*(?:(?:anthropic|openai)[./])?|(?:[@-]\d{8}|-\d{4}-\d\d-\d\d)?(?:-v\d+(?::\d+)?)?$"
)
"""What platforms put around a model's name: ``us.anthropic.claude-…-20260101-v1:0``, ``claude-…@20260101``."""

_amended: dict[tuple[str, str], str] = {}
"""Computer tools that an API has named, by platform and model: facts about the world, so the process's, not a run's."""


def platform_of(client: object) -> Platform:
    """Return where a vendor's client sends its requests; a subclass goes where its parent does.

    Args:
        client: The client.
    """
    modules = [cls.__module__ for cls in type(client).__mro__]
    for platform in PLATFORMS:
        if any(f"{module}.".startswith(f"{platform.module}.") for module in modules):
            return platform
    return ANTHROPIC_API


def profile_of(model: str, platform: Platform = ANTHROPIC_API) -> ModelProfile:
    """Return what is known of a model, whatever platform's spelling its name has; the default where nothing is.

    Args:
        model: Its name as it is sent.
        platform: Where it is served.
    """
    default = DEFAULT_PROFILE if platform.vendor == "anthropic" else OPENAI_DEFAULT_PROFILE
    row = PROFILES.get(_DECORATION.sub("", model), default)
    tool = _amended.get((platform.name, model))
    if tool is None and row.computer_tool == COMPUTER_TOOLSET and not platform.toolset:
        tool = row.older_tool
    return row if tool is None else replace(row, computer_tool=tool)


def named_tool(message: str, profile: ModelProfile) -> str | None:
    """Return the computer tool that a refusal names in place of the one that was sent; ``None`` where it names none.

    Args:
        message: What the API says.
        profile: How the model was asked.
    """
    if profile.computer_tool is None or "tool" not in message:
        return None
    for tool in TOOLS[profile.vendor]:
        if tool != profile.computer_tool and re.search(rf"(?<![\w-]){tool}(?![\w-])", message):
            return tool
    return None


def amend(model: str, platform: Platform, tool: str) -> ModelProfile:
    """Note which computer tool a model takes, until the process ends, and return how it is asked from now on.

    Args:
        model: Its name as it is sent: another spelling may be another platform's.
        platform: Where it is served.
        tool: The type of the tool.
    """
    _amended[platform.name, model] = tool
    return profile_of(model, platform)
