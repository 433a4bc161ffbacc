"""A loop that runs every call that it finds in an answer, also where the model was cut off, declined or paused."""

from __future__ import annotations

from dataclasses import replace

from deskhand.harness.models.adapter import Turn
from deskhand.harness.models.decoder import AnthropicDecoder
from tests.museum.claude_subject import altered


class Decoder(AnthropicDecoder):
    def turn(self) -> Turn:
        turn = super().turn()
        return replace(turn, stop="act") if turn.calls else turn


SUBJECT = altered(decoder=Decoder)
