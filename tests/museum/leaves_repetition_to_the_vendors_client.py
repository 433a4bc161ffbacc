"""A loop whose vendor's client repeats by itself: unseen, uncounted, and after any wait that a header asks for."""

from __future__ import annotations

from typing import Any, cast

from anthropic import AsyncAnthropic

from deskhand.harness.models.anthropic_door import AnthropicDoor
from deskhand.harness.models.door import Body
from deskhand.harness.models.transcript import Request
from tests.museum.claude_subject import altered


class Door(AnthropicDoor):
    async def _post(self, request: Request, body: Body) -> Any:
        from anthropic import AsyncStream
        from anthropic.types import Message, RawMessageStreamEvent

        client = cast("AsyncAnthropic", self._client)
        return await client.post(
            "/v1/messages?beta=true",
            cast_to=Message,
            content=request.joined(),
            options={"headers": {**body.headers, "anthropic-beta": ",".join(request.betas)}},
            stream=True,
            stream_cls=AsyncStream[RawMessageStreamEvent],
        )


SUBJECT = altered(door=Door)
