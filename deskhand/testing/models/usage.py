"""Token counts that add up: the same request always costs the same, and the prompt cache is really kept.

Text costs one token for each four bytes of UTF-8, begun ones counted; an image costs one for each 28 by 28 pixels of
the size at which the model sees it; other blocks and tools cost their JSON as text. Cache entries do not expire.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from .conversation import Conversation, Json, Segment, blocks_of
from .images import ImageDigests, ImageReader
from .profiles import COMPUTER_TOOLSET, ModelProfile
from .tool_rules import enabled_members
from .wire import as_dict, as_text

__all__ = ["InputUsage", "PromptCache", "output_tokens", "text_tokens"]

TOOLSET_TOKENS = 4540
ZOOM_TOKENS = 410
LOOKBACK = 20


def text_tokens(text: str) -> int:
    """Returns what a text costs."""
    return math.ceil(len(text.encode(errors="surrogatepass")) / 4)


def json_tokens(value: JsonValue) -> int:
    """Returns what a JSON value costs."""
    return text_tokens(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def output_tokens(content: Sequence[Json]) -> int:
    """Returns what the blocks of an answer cost, at least one."""
    return max(1, sum(_plain_tokens(block) for block in content))


def _plain_tokens(block: Json) -> int:
    kind = block.get("type")
    if kind in {"text", "thinking"}:
        return text_tokens(as_text(block.get(as_text(kind))))
    if kind == "redacted_thinking":
        return text_tokens(as_text(block.get("data")))
    return json_tokens([block.get("name"), block.get("input")])


@dataclass(frozen=True, slots=True)
class InputUsage:
    """The input tokens of a request: uncached, read from the cache, and written to it for five minutes or an hour."""

    uncached: int
    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def total(self) -> int:
        """All input tokens."""
        return self.uncached + self.read + self.written_5m + self.written_1h

    def fields(self) -> Json:
        """Returns the input half of the API's ``usage``."""
        return {
            "input_tokens": self.uncached,
            "cache_creation_input_tokens": self.written_5m + self.written_1h,
            "cache_read_input_tokens": self.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.written_5m,
                "ephemeral_1h_input_tokens": self.written_1h,
            },
        }


class PromptCache:
    """Counts the input of requests and remembers the prefixes that they cached.

    Args:
        reader: Knows the sizes of images.
        remember: How many prefixes are kept.
    """

    def __init__(self, reader: ImageReader, *, remember: int = 4096) -> None:
        self._reader = reader
        self._remember = remember
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()

    def measure(
        self, conversation: Conversation, profile: ModelProfile, prompt: Sequence[Segment], dropped: Collection[str]
    ) -> InputUsage:
        """Counts a request and takes its breakpoints into the cache.

        Args:
            conversation: The request.
            profile: The model that it goes to.
            prompt: Its pieces.
            dropped: The places of thinking blocks that were left out; they cost nothing.
        """
        sums: list[int] = []
        total = 0
        for segment in prompt:
            total += 0 if segment.path in dropped else self._tokens(segment.raw, profile, conversation.digests)
            sums.append(total)
        marks = {i: ttl for i, ttl in self._marks(conversation, prompt).items() if sums[i] >= profile.min_cached}
        hit = max((self._hit(profile.name, prompt, index) for index in marks), default=-1)
        written = {"5m": 0, "1h": 0}
        reached = read = sums[hit] if hit >= 0 else 0
        for index, ttl in sorted(marks.items()):
            written[ttl] += max(0, sums[index] - reached)
            reached = max(reached, sums[index])
            self._keep((profile.name, prompt[index].after))
        return InputUsage(total - reached, read, written["5m"], written["1h"])

    def count(self, conversation: Conversation, profile: ModelProfile, prompt: Sequence[Segment]) -> int:
        """Returns all input tokens of a request, without touching the cache."""
        return sum(self._tokens(segment.raw, profile, conversation.digests) for segment in prompt)

    def _tokens(self, raw: Json, profile: ModelProfile, digests: ImageDigests) -> int:
        kind = as_text(raw.get("type"))
        if kind == "image":
            image = self._reader.read("", raw.get("source"), digests)
            return profile.images.tokens(*profile.images.fit(image.width, image.height))
        if kind == "tool_result":
            return sum(self._tokens(child, profile, digests) for child in blocks_of(raw))
        if kind == COMPUTER_TOOLSET:
            return TOOLSET_TOKENS - (0 if "zoom" in enabled_members([raw]) else ZOOM_TOKENS)
        if kind in {"text", "thinking", "redacted_thinking", "tool_use"}:
            return _plain_tokens(raw)
        return json_tokens({key: value for key, value in raw.items() if key != "cache_control"})

    def _marks(self, conversation: Conversation, prompt: Sequence[Segment]) -> dict[int, str]:
        marks: dict[int, str] = {}
        for index, segment in enumerate(prompt):
            holders = [segment.raw]
            if segment.raw.get("type") == "tool_result":
                holders += blocks_of(segment.raw)
            for holder in holders:
                if holder.get("cache_control") is not None:
                    marks[index] = as_text(as_dict(holder["cache_control"]).get("ttl")) or "5m"
        automatic = conversation.params.get("cache_control")
        if automatic is not None:
            cacheable = [i for i, s in enumerate(prompt) if s.raw.get("type") not in {"thinking", "redacted_thinking"}]
            marks.setdefault(cacheable[-1], as_text(as_dict(automatic).get("ttl")) or "5m")
        return marks

    def _hit(self, model: str, prompt: Sequence[Segment], index: int) -> int:
        for candidate in range(index, max(-1, index - LOOKBACK - 1), -1):
            if (model, prompt[candidate].after) in self._known:
                return candidate
        return -1

    def _keep(self, key: tuple[str, str]) -> None:
        self._known[key] = None
        self._known.move_to_end(key)
        if len(self._known) > self._remember:
            self._known.popitem(last=False)
