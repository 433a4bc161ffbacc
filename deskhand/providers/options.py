"""What is asked for by name or by number, checked before anybody is asked: the nearest name where there is none."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable

from deskhand.errors import InvalidInputError

__all__ = ["check_option", "meant", "positive"]


def meant(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about a name that is not known: the nearest one, or nothing."""
    nearest = difflib.get_close_matches(name, [*known], n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""


def check_option(whose: str, option: str, known: Iterable[str]) -> None:
    """Refuse an option that is not known.

    Args:
        whose: Who would have it, as the message says it.
        option: Its name.
        known: The names that there are.

    Raises:
        InvalidInputError: Naming the nearest.
    """
    names = [*known]
    if option not in names:
        raise InvalidInputError(
            f"{whose} has no option {option!r}{meant(option, names)}", hint=f"options: {', '.join(names)}"
        )


def positive(what: str, value: float) -> float:
    """Return a size or a time that there can be.

    Raises:
        InvalidInputError: If it is none.
    """
    if not (value > 0 and math.isfinite(value)):
        raise InvalidInputError(f"{what} is {value}; it must be a positive number")
    return value
