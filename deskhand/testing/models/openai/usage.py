"""Token counts that add up: the same request always costs the same, and the prompt cache is really kept.

Text costs one token for each four bytes of UTF-8, begun ones counted; an image one for each 32 by 32 pixels of the
size at which the model sees it; tools and calls cost their JSON as text. Cache entries do not expire.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from deskhand.testing.models.usage import json_tokens, text_tokens
from deskhand.testing.models.wire import as_dict, as_list, as_text

from .items import Conversation, Json, PlacedItem, images_of, parts_of
from .reasoning import unseal

__all__ = ["Measured", "OpenAICache", "spoken_tokens"]

MIN_CACHED = 1024
STEP = 128


@dataclass(frozen=True, slots=True)
class Measured:
    """What a request costs.

    Attributes:
        total: All input tokens.
        cached: Those of them that were read from the cache.
        written: Those of them that were written to the cache and are billed for it.
        digest: Stands for everything that the model reads.
    """

    total: int
    cached: int
    written: int
    digest: str


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The conversation up to an item: what it costs, what stands for it, and whether a breakpoint follows it."""

    tokens: int
    digest: str
    marked: bool


class OpenAICache:
    """Counts the input of requests and remembers their prefixes.

    Args:
        remember: How many prefixes are kept.
    """

    def __init__(self, *, remember: int = 16_384) -> None:
        self._remember = remember
        self._known: OrderedDict[str, None] = OrderedDict()

    def count(self, conversation: Conversation) -> int:
        """Returns all input tokens of a request, without touching the cache."""
        return _prefixes(conversation)[-1].tokens

    def measure(self, conversation: Conversation) -> Measured:
        """Counts a request and takes its prefixes into the cache."""
        prefixes = _prefixes(conversation)
        total, digest = prefixes[-1].tokens, prefixes[-1].digest
        explicit = as_dict(conversation.params.get("prompt_cache_options")).get("mode") == "explicit"
        usable = [prefix for prefix in prefixes if prefix.tokens >= MIN_CACHED and (prefix.marked or not explicit)]
        hit = max((prefix.tokens for prefix in usable if prefix.digest in self._known), default=0)
        cached = hit - hit % STEP
        for prefix in usable:
            self._known[prefix.digest] = None
            self._known.move_to_end(prefix.digest)
        while len(self._known) > self._remember:
            self._known.popitem(last=False)
        reached = usable[-1].tokens if usable else 0
        written = max(0, reached - cached) if conversation.profile.bills_cache_writes else 0
        return Measured(total, cached, written, digest)


def _prefixes(conversation: Conversation) -> list[_Prefix]:
    params = conversation.params
    head: list[JsonValue] = [params.get("model"), params.get("prompt_cache_key"), params.get("tools")]
    head.append(params.get("instructions"))
    tools = as_list(params.get("tools"))
    tokens = text_tokens(as_text(params.get("instructions"))) + sum(json_tokens(tool) for tool in tools)
    digest = _chained("", json.dumps(head, sort_keys=True, ensure_ascii=False))
    prefixes = [_Prefix(tokens, digest, marked=False)]
    for item in conversation.items:
        tokens += _tokens(item, conversation)
        digest = _chained(digest, json.dumps(_short(item, conversation), sort_keys=True, ensure_ascii=False))
        prefixes.append(_Prefix(tokens, digest, _is_marked(item)))
    return prefixes


def _tokens(item: PlacedItem, conversation: Conversation) -> int:
    raw, profile = item.raw, conversation.profile
    if item.kind == "function_call":
        return json_tokens([raw.get("name"), raw.get("arguments")])
    if item.kind == "computer_call":
        return json_tokens(raw.get("actions") or raw.get("action"))
    if item.kind == "reasoning":
        sealed = unseal(as_text(raw.get("encrypted_content")))
        return text_tokens(sealed.text if sealed is not None else "")
    cost = 0
    for image in images_of(item):
        sent = conversation.sent[id(image.part)]
        cost += profile.image_tokens(*profile.fit(sent.width, sent.height, image.detail))
    field = "output" if item.kind == "function_call_output" else "content"
    texts = [as_text(part.get("text")) or as_text(part.get("refusal")) for part in parts_of(raw.get(field))]
    return cost + sum(text_tokens(text) for text in texts)


def _short(item: PlacedItem, conversation: Conversation) -> Json:
    """Returns an item with the digests of its images in their place: they are long, and come again and again."""
    short = {id(i.part): {**i.part, "image_url": conversation.sent[id(i.part)].digest} for i in images_of(item)}
    if not short:
        return item.raw
    if item.kind == "computer_call_output":
        return {**item.raw, "output": next(iter(short.values()))}
    field = "output" if item.kind == "function_call_output" else "content"
    parts: list[JsonValue] = [short.get(id(part), part) for part in parts_of(item.raw.get(field))]
    return {**item.raw, field: parts}


def _is_marked(item: PlacedItem) -> bool:
    field = "output" if item.kind == "function_call_output" else "content"
    return any(part.get("prompt_cache_breakpoint") is not None for part in parts_of(item.raw.get(field)))


def _chained(before: str, data: str) -> str:
    return hashlib.blake2b((before + data).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def spoken_tokens(output: Sequence[Json]) -> tuple[int, int]:
    """Returns what the items of an answer cost, and how much of that is reasoning."""
    thought = said = 0
    for item in output:
        if item.get("type") == "reasoning":
            sealed = unseal(as_text(item.get("encrypted_content")))
            thought += text_tokens(sealed.text) if sealed is not None else 0
        elif item.get("type") == "message":
            said += sum(text_tokens(as_text(p.get("text") or p.get("refusal"))) for p in parts_of(item.get("content")))
        else:
            said += json_tokens(item.get("arguments") or item.get("actions") or item.get("action"))
    return max(1, thought + said), thought
