"""The models that the vendor serves: OpenAI's Chat Completions, which the fake of that API plays and checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pydantic import JsonValue

from deskhand.testing.models import OPENAI_MODELS, FakeOpenAI, FakeTurn, ModelView, OpenAIModel, Script
from deskhand.testing.models.wire import WireRequest
from deskhand.testing.simulators.wire import Answer, ApiError, Json, json_answer

from .account import Account
from .dialect import MiosaDialect
from .wire import CODES, MiosaCall

__all__ = ["Models", "repeat"]

_OTHERS: Final = ("glm-5.2:cloud", "kimi-k3")

MODELS: Final[Mapping[str, OpenAIModel]] = MappingProxyType(
    {
        **{name: row for name, row in OPENAI_MODELS.items() if row.chat},
        **{name: replace(OPENAI_MODELS["gpt-4.1"], name=name) for name in _OTHERS},
    }
)
"""The models of several makers that are served."""


def repeat(view: ModelView) -> FakeTurn:
    """Plays a model that only repeats what it is told."""
    return FakeTurn(f"I am simulated. You said: {view.text}")


class Models:
    """What is served under ``/intelligence``.

    Args:
        account: Who pays.
        dialect: How answers are shaped.
        script: The turns that are played; None repeats what is said.
    """

    def __init__(self, account: Account, dialect: MiosaDialect, script: Script | None) -> None:
        self._account = account
        self._dialect = dialect
        self._fake = FakeOpenAI(repeat if script is None else script, models=MODELS)

    async def chat(self, call: MiosaCall) -> Answer:
        """Answers a conversation."""
        self._account.charge()
        answer = await self._fake.handle(
            WireRequest(
                "POST",
                "/v1/chat/completions",
                {"authorization": f"Bearer {self._fake.api_key}"},
                self._unstreamed(call.content) if self._dialect.models == "whole" else call.content,
            )
        )
        if self._fake.script_errors:  # (the front tells the test of it)
            raise self._fake.script_errors.popleft()
        if answer.status >= 400 and isinstance(answer.body, bytes):
            raise _refusal(answer.status, json.loads(answer.body))
        self._account.credits -= 1
        kind = answer.headers["content-type"]
        if isinstance(answer.body, bytes):
            return Answer(answer.status, answer.body, kind)
        return Answer(answer.status, content_type=kind, stream=answer.body)

    async def listing(self, call: MiosaCall) -> Answer:
        """Lists the models that the tenant may use."""
        del call
        rows: list[JsonValue] = [{"id": name, "object": "model", "owned_by": "miosa"} for name in MODELS]
        return json_answer({"object": "list", "data": rows})

    def _unstreamed(self, content: bytes) -> bytes:
        try:
            body = json.loads(content)
        except ValueError:
            return content
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if name not in {"stream", "stream_options"}}
        return json.dumps(body).encode()


def _refusal(status: int, body: Json) -> ApiError:
    """Returns a refusal of the model's API as the vendor's own."""
    told = body.get("error")
    fields = told if isinstance(told, dict) else {}
    code = fields.get("code") or CODES.get(status, "INTERNAL_ERROR")
    return ApiError(status, str(fields.get("message")), code=code)
