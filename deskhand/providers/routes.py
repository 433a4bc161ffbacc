"""What every API is whose computers have routes of their own: how they are used, and what is learnt about them."""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import ClassVar, Final
from urllib.parse import quote

import anyio

from deskhand.errors import ComputerGoneError, DeskhandError, FileMissingError, NotFoundError, UnsupportedError
from deskhand.providers.answers import JsonObject
from deskhand.providers.http import HttpClient, Operation, Reply
from deskhand.providers.shell_commands import Background

__all__ = ["Routes"]

_SURVEY: Final = 10.0
"""Seconds for all questions of a survey together; what is not answered by then counts as there."""


class Routes(abc.ABC):
    """The client of one vendor, and which routes its computers turned out not to have.

    Args:
        http: The client.
        background: Does something to its end, whatever becomes of whoever asked for it.

    Attributes:
        missing: The routes that turned out not to be there.
    """

    provider: ClassVar[str]
    """Who is asked, as errors say it."""
    prefix: ClassVar[str] = "/computers"
    """Where the computers are."""
    operations: ClassVar[Mapping[str, Operation]]
    """What can be asked for, by its name."""

    def __init__(self, http: HttpClient, background: Background) -> None:
        self.http = http
        self.in_background = background
        self.missing: set[str] = set()
        self._is_surveyed = False
        self._surveying = anyio.Lock()

    @classmethod
    def path(cls, computer_id: str, route: str = "") -> str:
        """Return the path of a computer, or of one of its routes."""
        return f"{cls.prefix}/{quote(computer_id, safe='')}" + (f"/{route}" if route else "")

    @staticmethod
    def name_of(route: str) -> str:
        """Return what a route is called in `missing`."""
        return route.partition("?")[0]

    @abc.abstractmethod
    async def is_there(self, computer_id: str) -> bool:
        """Ask whether a computer is there, whatever else was not found."""

    async def act(
        self,
        operation: str,
        computer_id: str,
        route: str,
        body: Mapping[str, object] | None = None,
        *,
        of: str | None = None,
        deadline: float | None = None,
        headers: Sequence[tuple[str, str]] = (),
        is_urgent: bool = False,
    ) -> JsonObject:
        """Use a computer's route, and return its answer's JSON object.

        Args:
            operation: What is asked for.
            computer_id: Of which computer.
            route: The route, with what belongs to it.
            body: The JSON to send.
            of: The route's name in `missing`; the route itself where not given.
            deadline: Seconds, in place of the operation's own.
            headers: Further headers.
            is_urgent: Whether it need not wait until others are done.

        Raises:
            ComputerGoneError: If the computer is not there any more.
            UnsupportedError: If the route is not there, which is remembered.
        """
        try:
            return await self.http.call(
                self.operations[operation],
                self.path(computer_id, route),
                body,
                deadline=deadline,
                headers=headers,
                is_urgent=is_urgent,
            )
        except FileMissingError:
            raise
        except (NotFoundError, UnsupportedError) as error:
            raise await self.told(error, operation, computer_id, of or route) from error

    async def ask(
        self,
        operation: str,
        computer_id: str,
        route: str,
        body: Mapping[str, object] | None = None,
        *,
        content: bytes | None = None,
        headers: Sequence[tuple[str, str]] = (),
        is_urgent: bool = False,
    ) -> Reply:
        """Use a computer's route, and return its answer whatever it holds; `act` says the rest."""
        try:
            return await self.http.ask(
                self.operations[operation],
                self.path(computer_id, route),
                body,
                content=content,
                headers=headers,
                is_urgent=is_urgent,
            )
        except FileMissingError:
            raise
        except (NotFoundError, UnsupportedError) as error:
            raise await self.told(error, operation, computer_id, route) from error

    async def told(self, error: DeskhandError, operation: str, computer_id: str, route: str) -> DeskhandError:
        """Return what it means that something was not found: the computer, or the route."""
        if isinstance(error, NotFoundError) and not await self.is_there(computer_id):
            return ComputerGoneError(error.message, effect="no", provider=self.provider, request_id=error.request_id)
        return self.lost_route(error, operation, route)

    def lost_route(self, error: DeskhandError, operation: str, route: str) -> UnsupportedError:
        """Remember that a route is not there, and say so."""
        self.missing.add(self.name_of(route))
        return UnsupportedError(
            f"{self.provider} has no way to {operation} here: {error.message}",
            hint="capabilities no longer tell of it",
            provider=self.provider,
            request_id=error.request_id,
        )

    async def survey(
        self,
        is_there: Callable[[str], Awaitable[bool]],
        routes: Iterable[str],
        *others: Callable[[], Coroutine[None, None, None]],
    ) -> None:
        """Find out which routes are missing, all at once, the first time that there is a computer to ask about.

        Args:
            is_there: Asks for a route; for the empty one, the computer's own path.
            routes: The routes.
            others: What else is found out at the same time.
        """
        async with self._surveying:
            if not self._is_surveyed:
                await self._survey(is_there, routes, others)

    async def _survey(
        self,
        is_there: Callable[[str], Awaitable[bool]],
        routes: Iterable[str],
        others: Iterable[Callable[[], Coroutine[None, None, None]]],
    ) -> None:
        missing: set[str] = set()
        seen: list[str] = []

        async def ask(route: str) -> None:
            try:
                is_found = await is_there(route)
            except DeskhandError:
                return  # nobody knows: its first use will tell
            seen.append(route)
            if not is_found:
                missing.add(route)

        with anyio.move_on_after(_SURVEY):
            async with anyio.create_task_group() as tasks:
                for route in ("", *routes):
                    tasks.start_soon(ask, route)
                for find_out in others:
                    tasks.start_soon(find_out)
        if "" not in missing:  # the computer's own path is there for certain: whoever denies it knows no such question
            self.missing |= missing
        self._is_surveyed = bool(seen)
