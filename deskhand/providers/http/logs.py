"""Keeping secrets out of what HTTP libraries write to their logs about our requests."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from deskhand.logs import log_field, package_logger
from deskhand.redaction import MASK, Redactor

__all__ = ["SecretFilter", "private_logger", "redacted_logs", "redacted_url", "speaking_for"]

_QUERY: Final = re.compile(
    r"(?i)([?&](?:[a-z0-9_.-]*(?:token|key|secret|password|signature|credential)|sig|auth)=)[^&#\s\"'\\]+"
)
"""A query parameter that holds a secret, by its name."""

_LOGGERS: Final = (
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
)
"""Who writes about requests. A filter on a parent does not see its children's records, so each is named."""

_redactor: ContextVar[Redactor | None] = ContextVar("deskhand_http_redactor", default=None)


def redacted_url(text: str) -> str:
    """Return text in which no URL has a secret in its query."""
    return _QUERY.sub(rf"\g<1>{MASK}", text)


class SecretFilter(logging.Filter):
    """Takes keys and tokens out of records; with ``always``, out of those too that are not about our requests."""

    def __init__(self, *, always: bool = False) -> None:
        super().__init__()
        self._always = always

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact a record and let it pass."""
        redactor = _redactor.get()
        if redactor is not None or self._always:
            text = redacted_url(record.getMessage())
            record.msg, record.args = log_field((redactor or Redactor()).text(text)), None
        return True


@contextmanager
def redacted_logs() -> Iterator[None]:
    """Redact what is logged about our requests while the block lasts; other requests' records pass untouched."""
    added = SecretFilter()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(added)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(added)


@contextmanager
def speaking_for(redactor: Redactor) -> Iterator[None]:
    """Say that the requests made in the block are ours, and what must not be told of them."""
    token = _redactor.set(redactor)
    try:
        yield
    finally:
        _redactor.reset(token)


def private_logger(name: str) -> logging.Logger:
    """Return a logger of this package's own whose records hold no token."""
    logger = package_logger(name)
    if not any(isinstance(present, SecretFilter) for present in logger.filters):
        logger.addFilter(SecretFilter(always=True))
    return logger
