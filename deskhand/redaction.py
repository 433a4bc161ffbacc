"""Keeping keys out of events, logs and messages.

Two nets: the shapes of known vendors' keys, and the exact values of this process's own key variables. Redaction is the
last net, not the first: keys are held as ``SecretStr`` and not put into text at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

__all__ = ["MASK", "Redactor"]

MASK = "[redacted]"

_SHAPES = (
    r"sk-ant-[A-Za-z0-9_\-]{8,}",
    r"sk-(?:proj-|svcacct-)?[A-Za-z0-9_\-]{20,}",
    r"msk_[A-Za-z0-9_\-]{8,}",
    r"e2b_[A-Za-z0-9]{16,}",
    r"dtn_[A-Za-z0-9]{16,}",
    r"(?<=Bearer )[A-Za-z0-9._~+/\-]{12,}=*",
)
_SECRET_VARIABLE = re.compile(r"(?:API_KEY|TOKEN|SECRET|PASSWORD)$")
_SHORTEST = 8


class Redactor:
    """Replaces keys in text and JSON by ``[redacted]``.

    Args:
        secrets: Exact values to hide besides the shapes of known keys.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        literal = sorted({re.escape(value) for value in secrets if len(value) >= _SHORTEST}, key=len, reverse=True)
        self._pattern = re.compile("|".join((*literal, *_SHAPES)))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Redactor:
        """Hide the values of the environment's key variables (``*_API_KEY``, ``*_TOKEN``, ...)."""
        environment = os.environ if environment is None else environment
        return cls(value for name, value in environment.items() if _SECRET_VARIABLE.search(name))

    def text(self, value: str) -> str:
        """Return the text without keys."""
        return self._pattern.sub(MASK, value)

    def clean(self, value: JsonValue) -> JsonValue:
        """Return the JSON value without keys, containers copied."""
        if isinstance(value, str):
            return self._pattern.sub(MASK, value)
        if isinstance(value, dict):
            return {self.text(name): self.clean(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.clean(item) for item in value]
        return value
