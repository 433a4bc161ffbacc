"""A loop that takes the end of the connection for the end of the answer, and runs the calls that came until then."""

from __future__ import annotations

from deskhand.errors import TruncatedStreamError
from deskhand.harness.models.adapter import Turn
from deskhand.harness.models.decoder import AnthropicDecoder
from tests.museum.claude_subject import altered


class Decoder(AnthropicDecoder):
    def turn(self) -> Turn:
        try:
            return super().turn()
        except TruncatedStreamError:
            self.feed([{"type": "message_delta", "delta": {"stop_reason": "tool_use"}}, {"type": "message_stop"}])
            return super().turn()


SUBJECT = altered(decoder=Decoder)
