"""Rules about the items of a request to the Responses API: calls and their answers, reasoning, what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from deskhand.testing.models.wire import as_dict, as_list, as_text

from .errors import OpenAIError, refused
from .images import OpenAIImageReader
from .items import Conversation, Json, PlacedImage, PlacedItem, Stored, fingerprint, images_of
from .reasoning import unseal
from .tools import check_format

__all__ = ["check_calls", "check_images", "check_parameters", "check_reasoning", "check_replay"]

CALLS = {"function_call": "function_call_output", "computer_call": "computer_call_output"}
WORDS = {"function_call": "function call", "computer_call": "computer call"}


def check_parameters(conversation: Conversation, *, brought: bool) -> None:
    """Checks the parameters against each other and against the model.

    Args:
        conversation: The request.
        brought: Whether it brings any item of its own.

    Raises:
        OpenAIError: 400 at the first that is wrong.
    """
    params, profile = conversation.params, conversation.profile
    if params.get("conversation") is not None:
        told = as_text(params["conversation"]) or as_text(as_dict(params["conversation"]).get("id"))
        raise OpenAIError(404, f"Conversation with id '{told}' not found.", param="conversation")
    if not brought:
        raise refused("input", "Missing required parameter: 'input'.", "missing_required_parameter")
    if profile.forced_truncation and params.get("truncation") != "auto":
        raise refused("truncation", f"'truncation' must be 'auto' for the model '{profile.name}'.", "invalid_value")
    sampling = [name for name in ("temperature", "top_p") if params.get(name) not in (None, 1, 1.0)]
    if profile.reasons and sampling:
        raise _unsupported(sampling[0])
    if not profile.reasons and as_dict(params.get("reasoning")):
        raise _unsupported(f"reasoning.{next(iter(as_dict(params['reasoning'])))}")
    if not profile.reasons and "reasoning.encrypted_content" in as_list(params.get("include")):
        raise refused("include", "Encrypted content is not supported with this model.")
    form = as_dict(as_dict(params.get("text")).get("format"))
    check_format("text.format", form if form.get("type") == "json_schema" else {})
    limit = params.get("max_output_tokens")
    if isinstance(limit, int) and limit > profile.max_output:
        message = f"max_output_tokens is too large: {limit}. This model supports at most {profile.max_output}."
        raise refused("max_output_tokens", message, "invalid_value")


def _unsupported(param: str) -> OpenAIError:
    return refused(
        param, f"Unsupported parameter: '{param}' is not supported with this model.", "unsupported_parameter"
    )


def check_calls(items: Sequence[PlacedItem], *, preview: bool) -> None:
    """Checks that every call is answered once, after it, by the right kind of answer.

    Args:
        items: The conversation.
        preview: Whether the model has the older computer tool, whose calls hold one action and not a list of them.

    Raises:
        OpenAIError: 400 at the first that is not.
    """
    calls: dict[str, PlacedItem] = {}
    answered: set[str] = set()
    for item in items:
        call_id = as_text(item.raw.get("call_id"))
        if item.kind in CALLS:
            if call_id in calls:
                raise refused(item.param, f"Duplicate call_id '{call_id}' found in input.", "invalid_value")
            calls[call_id] = item
            if item.kind == "computer_call":
                _check_actions(item, preview=preview)
        elif item.kind in CALLS.values():
            word = WORDS[item.kind.removesuffix("_output")]
            call = calls.get(call_id)
            if call is None or CALLS[call.kind] != item.kind:
                raise refused("input", f"No tool call found for {word} output with call_id {call_id}.")
            if call_id in answered:
                raise refused("input", f"Duplicate tool output found for {word} {call_id}.")
            answered.add(call_id)
            if item.kind == "computer_call_output":
                _check_acknowledged(call.raw, item, preview=preview)
    for call_id, call in calls.items():
        if call_id not in answered:
            raise refused("input", f"No tool output found for {WORDS[call.kind]} {call_id}.")


def _check_actions(item: PlacedItem, *, preview: bool) -> None:
    one, many = item.raw.get("action") is not None, item.raw.get("actions") is not None
    if one == many:
        told = "both" if one else "neither"
        raise refused(item.param, f"Computer calls need exactly one of 'action' and 'actions', got {told}.")
    if one != preview:
        missing = f"{item.param}.{'action' if preview else 'actions'}"
        raise refused(missing, f"Missing required parameter: '{missing}'.", "missing_required_parameter")


def _check_acknowledged(call: Json, output: PlacedItem, *, preview: bool) -> None:
    field = "acknowledged_safety_checks"
    if not preview and field in output.raw and output.raw[field] is None:
        # The older tool takes a null there; the newer one has been seen to refuse the field itself in that case.
        raise refused("input", f'`{field}` is not supported for the "computer" tool.')
    pending = [as_text(as_dict(check).get("id")) for check in as_list(call.get("pending_safety_checks"))]
    told = [as_text(as_dict(check).get("id")) for check in as_list(output.raw.get(field))]
    missing = [check for check in pending if check not in told]
    if missing:
        raise refused("input", f"Computer tool has unacknowledged safety check for {missing}")
    foreign = [check for index, check in enumerate(told) if check not in pending or check in told[:index]]
    if foreign:
        raise refused("input", f"Computer tool has no pending safety check for {foreign}")


def check_reasoning(conversation: Conversation, stored: Stored) -> None:
    """Checks that reasoning comes back unchanged, with the item that followed it right behind it.

    Raises:
        OpenAIError: 400 or 404 at the first that does not.
    """
    items = conversation.items
    for index, item in enumerate(items):
        follower = items[index + 1] if index + 1 < len(items) else None
        if item.kind == "reasoning":
            _check_content(item, stored)
            _check_follower(item, follower)
            continue
        wanted = stored.reasoning_of(as_text(item.raw.get("id"))) if item.of_model else None
        before = items[index - 1].raw.get("id") if index else None
        if wanted is not None and before != wanted:
            item_id = as_text(item.raw.get("id"))
            told = f"Item '{item_id}' of type '{item.kind}'"
            message = f"{told} was provided without its required 'reasoning' item: '{wanted}'."
            raise refused("input", message)


def _check_content(item: PlacedItem, stored: Stored) -> None:
    content, item_id = as_text(item.raw.get("encrypted_content")), as_text(item.raw.get("id"))
    if not content:
        if stored.keeps(item_id):
            return
        message = (
            f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try again with "
            "`store` set to true, or remove this item from your input."
        )
        raise OpenAIError(404, message, param="input")
    sealed = unseal(content)
    if sealed is None or not sealed.whole:
        message = (
            f"The encrypted content {content[:4]}...{content[-4:]} could not be verified. Reason: Encrypted content "
            "could not be decrypted or parsed."
        )
        raise refused(item.param, message, "invalid_encrypted_content")
    if item_id and item_id != sealed.item:
        message = f"The encrypted content for item {item_id} could not be verified. Reason: it belongs to another item."
        raise refused(item.param, message, "invalid_encrypted_content")


def _check_follower(item: PlacedItem, follower: PlacedItem | None) -> None:
    sealed = unseal(as_text(item.raw.get("encrypted_content")))
    wanted = sealed.follower if sealed is not None else ""
    told = as_text(follower.raw.get("id")) if follower is not None else ""
    if follower is not None and follower.of_model and (not wanted or not told or told == wanted):
        return
    item_id = as_text(item.raw.get("id")) or (sealed.item if sealed else "")
    raise refused("input", f"Item '{item_id}' of type 'reasoning' was provided without its required following item.")


def check_replay(items: Iterable[PlacedItem], stored: Stored) -> None:
    """Checks that what the model said comes back as it said it, and no item twice.

    Raises:
        OpenAIError: 400 at the first item that is another than the one issued under its id.
    """
    seen: set[str] = set()
    for item in items:
        item_id = as_text(item.raw.get("id"))
        if not item_id:
            continue
        if item_id in seen:
            message = f"Duplicate item found with id {item_id}. Remove duplicate items from your input and try again."
            raise refused("input", message)
        seen.add(item_id)
        issued = stored.issued(item_id)
        if issued is not None and issued != fingerprint(item.raw):
            message = f"Item '{item_id}' of type '{item.kind}' differs from the item that was returned under this id."
            raise refused(item.param, message, "invalid_value")


def check_images(
    conversation: Conversation, reader: OpenAIImageReader, *, max_images: int, screenshot_detail: bool
) -> None:
    """Checks every image of the conversation, notes what it is, and counts them.

    Args:
        conversation: The request.
        reader: Decodes the images.
        max_images: The most images of one request.
        screenshot_detail: Whether a screenshot may say its ``detail``.

    Raises:
        OpenAIError: 400 at the first that is no image, or where there are too many.
    """
    count = 0
    for item in conversation.items:
        for image in images_of(item):
            _check_image(image, conversation, screenshot_detail=screenshot_detail)
            conversation.sent[id(image.part)] = reader.read(f"{image.param}.image_url", image.url)
            count += 1
    if count > max_images:
        raise refused("input", f"Too many images in request: {count}. The maximum is {max_images}.", "invalid_value")


def _check_image(image: PlacedImage, conversation: Conversation, *, screenshot_detail: bool) -> None:
    param, part = image.param, image.part
    url, file_id = part.get("image_url"), part.get("file_id")
    if url is None and file_id is None:
        raise refused(param, f"Missing required parameter: '{param}.image_url'.", "missing_required_parameter")
    if url is None:
        raise OpenAIError(404, f"File with id '{as_text(file_id)}' not found.", param=f"{param}.file_id")
    if "detail" in part and part.get("type") == "computer_screenshot" and not screenshot_detail:
        raise refused(f"{param}.detail", f"Unknown parameter: '{param}.detail'.", "unknown_parameter")
    if part.get("detail") == "original" and not conversation.profile.originals:
        message = "Invalid value: 'original'. Supported values are: 'low', 'high', and 'auto'."
        raise refused(f"{param}.detail", message, "invalid_value")
