"""What the model sees of a request, whichever of the two endpoints it came to."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from deskhand.testing.models.script import ACTION_FIELDS, ModelView, SeenImage, SeenResult
from deskhand.testing.models.wire import as_text

from .images import DATA_URL
from .items import Conversation, Json, PlacedImage, PlacedItem, images_of, parts_of
from .profiles import COMPUTER, COMPUTER_PREVIEW, OpenAIModel

__all__ = ["view_of"]

OUTPUTS = frozenset({"function_call_output", "computer_call_output"})


def view_of(conversation: Conversation, messages: Sequence[Json], tools: Mapping[str, Json]) -> ModelView:
    """Returns what the model sees of a request that keeps all rules.

    Args:
        conversation: The request.
        messages: The whole conversation in the endpoint's own form.
        tools: The tools by name.
    """
    items, profile = conversation.items, conversation.profile
    spoken = [index for index, item in enumerate(items) if item.of_model]
    since = items[spoken[-1] + 1 :] if spoken else items
    system = [as_text(conversation.params.get("instructions"))]
    system += [_words(item, "content") for item in items if item.raw.get("role") in {"system", "developer"}]
    computer = any(tool.get("type") in {COMPUTER, COMPUTER_PREVIEW} for tool in tools.values())
    return ModelView(
        model=as_text(conversation.params.get("model")),
        params=dict(conversation.params),
        system="\n".join(words for words in system if words),
        tools=dict(tools),
        members=frozenset(ACTION_FIELDS) if computer else frozenset(),
        messages=tuple(messages),
        turn=sum(1 for index in spoken if index == 0 or not items[index - 1].of_model),
        text="\n".join(_words(item, "content") for item in since if item.raw.get("role") == "user"),
        results=tuple(_result(item, items, profile) for item in since if item.kind in OUTPUTS),
        frame=_frame(items, profile),
    )


def _frame(items: Sequence[PlacedItem], profile: OpenAIModel) -> SeenImage | None:
    for item in reversed(items):
        images = images_of(item)
        if images:
            return _seen(images[-1], profile)
    return None


def _seen(image: PlacedImage, profile: OpenAIModel) -> SeenImage:
    found = DATA_URL.match(image.url)
    assert found is not None  # noqa: S101 - the image was read before
    data = base64.b64decode(image.url[found.end() :])
    return SeenImage(found[1].lower(), data, lambda width, height: profile.fit(width, height, image.detail))


def _result(item: PlacedItem, items: Sequence[PlacedItem], profile: OpenAIModel) -> SeenResult:
    call_id = as_text(item.raw.get("call_id"))
    call = next(other for other in items if other.raw.get("call_id") == call_id)
    images = images_of(item)
    return SeenResult(
        call_id,
        as_text(call.raw.get("name")) or COMPUTER,
        _words(item, "output") if item.kind == "function_call_output" else "",
        is_error=False,  # the API has no way to say so
        image=_seen(images[-1], profile) if images else None,
    )


def _words(item: PlacedItem, field: str) -> str:
    return "\n".join(as_text(part.get("text")) for part in parts_of(item.raw.get(field)) if "text" in part)
