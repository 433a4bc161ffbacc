"""What this package writes to Python's logs: each record one line of bounded length, whatever others put into it."""

from __future__ import annotations

import logging
import traceback
from typing import Final

from deskhand.redaction import Redactor
from deskhand.text import visible

__all__ = ["FIELD", "OneLine", "log_field", "package_logger"]

FIELD: Final = 8192
"""Characters of one field of a record."""

_KEYS: Final = Redactor()


def log_field(text: str) -> str:
    r"""Return text as a field of a log line: keys taken out, controls and breaks written out (``\n``), cut if long."""
    shown = visible(_KEYS.text(text)[: FIELD + 1]).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(shown) <= FIELD else shown[: FIELD - 1] + "…"


class OneLine(logging.Filter):
    """Makes each record one line: its fields, and a traceback too, cannot begin another or act on a terminal."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a record and let it pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(one if isinstance(one, int | float) else log_field(str(one)) for one in record.args)
        line = log_field(str(record.msg)) if not record.args else record.getMessage().replace("\n", "\\n")
        if isinstance(record.exc_info, tuple):
            line += ": " + log_field("".join(traceback.format_exception(*record.exc_info)))
        record.msg, record.args, record.exc_info, record.exc_text = line, None, None, None
        return True


def package_logger(name: str) -> logging.Logger:
    """Return a logger of this package's own; each of its modules that writes to the log gets it here."""
    logger = logging.getLogger(name)
    if not any(isinstance(present, OneLine) for present in logger.filters):
        logger.addFilter(OneLine())
    return logger
