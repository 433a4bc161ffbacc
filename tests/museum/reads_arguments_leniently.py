"""A loop that reads arguments as the standard library does: the last of two keys wins, NaN is a number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from pydantic import JsonValue

from deskhand.harness.models.adapter import Turn
from deskhand.harness.models.decoder import AnthropicDecoder
from tests.museum.claude_subject import altered


def read(arguments: Mapping[str, JsonValue] | str) -> Mapping[str, JsonValue]:
    if not isinstance(arguments, str):
        return arguments
    try:
        value: Mapping[str, JsonValue] = json.loads(arguments)
    except (ValueError, RecursionError):
        return {}
    return value


class Decoder(AnthropicDecoder):
    def turn(self) -> Turn:
        turn = super().turn()
        return replace(turn, calls=[replace(call, arguments=read(call.arguments)) for call in turn.calls])


SUBJECT = altered(decoder=Decoder)
