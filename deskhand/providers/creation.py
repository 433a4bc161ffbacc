"""How a hosted computer comes to be there exactly once, although answers are lost on the way."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from deskhand.errors import ConflictError, DeskhandError, InvalidInputError, OutcomeUnknownError
from deskhand.providers.answers import JsonObject
from deskhand.retry import Clock, backoff, wait_asked_for

__all__ = ["create_once", "id_of", "unique_name"]

_ATTEMPTS: Final = 3
_LONGEST_WAIT: Final = 60.0
_LONGEST_NAME: Final = 180

T = TypeVar("T")


def unique_name(name: str) -> str:
    """Return a name that no other computer has, by which this one is found again if its answer is lost.

    Raises:
        InvalidInputError: If it cannot be a name.
    """
    if not (0 < len(name.strip()) <= _LONGEST_NAME and name.isprintable()):
        raise InvalidInputError(f"{name!r} cannot be a name", hint=f"1 to {_LONGEST_NAME} printable characters")
    return f"{name.strip()}-{secrets.token_hex(4)}"


async def create_once(
    provider: str,
    name: str,
    send: Callable[[], Awaitable[T]],
    find: Callable[[], Awaitable[T | None]],
    *,
    console: str,
    clock: Clock,
    is_name_unique: bool = True,
    is_found_later: bool = True,
) -> T:
    """Create a computer under a name that no other has.

    An answer that is lost is made up for by looking for the name. Only where the name is not there is the request sent
    again, under the same name, which the vendor gives once: there are never two.

    Args:
        provider: Who is asked, as messages say it.
        name: The name.
        send: Asks for the computer.
        find: Looks for the name.
        console: Where a person can see which computers there are.
        clock: Time.
        is_name_unique: Whether the vendor refuses a name that is taken; what may be there already is not asked for
            again where it does not.
        is_found_later: Whether leaving the provider looks for the name once more.

    Raises:
        OutcomeUnknownError: If nobody can tell whether there is one.
        DeskhandError: If there is none.
    """

    def in_doubt(doubtful: DeskhandError | None, later: DeskhandError | None) -> OutcomeUnknownError:
        told = doubtful.message.rstrip(".") if doubtful is not None else "the answer was lost"
        later_on = "; leaving the provider looks for it once more" if is_found_later else ", and end it there"
        then = f" Then this went wrong: {later.message}" if later is not None else " It is not to be seen so far."
        return OutcomeUnknownError(
            f"nobody can tell whether {provider} created the computer {name}: {told}.{then}",
            hint=f"see at {console} whether {name} is there{later_on}",
            provider=provider,
            request_id=doubtful.request_id if doubtful is not None else None,
        )

    doubtful: DeskhandError | None = None
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return await send()
        except DeskhandError as error:
            failure = error
        if failure.effect != "no":
            doubtful = failure
        elif not (doubtful is not None and isinstance(failure, ConflictError)):  # the name is not taken by our own
            if not failure.retryable or attempt == _ATTEMPTS or not await _waited(failure, attempt, clock):
                raise in_doubt(doubtful, failure) if doubtful is not None else failure
            continue
        try:
            found = await find()
        except DeskhandError as error:
            raise in_doubt(doubtful, error) from error
        if found is not None:
            return found
        if not is_name_unique:
            break
    raise in_doubt(doubtful, None)


async def _waited(failure: DeskhandError, attempt: int, clock: Clock) -> bool:
    """Wait before another try; return whether there was as little to wait for as may be."""
    wait: float | None = backoff(attempt, clock, base=0.5, ceiling=8.0)
    if failure.retry_at is not None:
        wait = wait_asked_for(failure.retry_at, clock, cap=_LONGEST_WAIT)
    if wait is None:
        return False
    await clock.sleep(wait)
    return True


async def id_of(found: Awaitable[JsonObject | None]) -> str | None:
    """Return the id of what was looked for, where it was found."""
    fields = await found
    return None if fields is None else str(fields["id"])
