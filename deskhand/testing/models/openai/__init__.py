"""A strict fake of OpenAI's model APIs."""

from __future__ import annotations

from .api import FakeOpenAI
from .profiles import OPENAI_MODELS, OpenAIModel

__all__ = ["OPENAI_MODELS", "FakeOpenAI", "OpenAIModel"]
