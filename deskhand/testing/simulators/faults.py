"""Faults: what goes wrong with the requests that come."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

__all__ = ["Fault", "FaultControls"]

MESSAGES = {
    400: "Desktop instance not available",
    401: "Invalid API key.",
    402: "You are out of credits.",
    403: "Access denied",
    404: "Computer not found",
    409: "The computer is in another state.",
    429: "Rate limit exceeded. Please slow down.",
    500: "Internal server error",
    502: "Bad gateway",
    503: "Could not reach the desktop. Try again in a moment.",
    504: "Gateway timeout",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to one request.

    Attributes:
        route: The name of the route that it waits for; None takes any request.
        after_effect: Whether what was asked for is done all the same, before the fault.
        status: The status to answer with; None leaves the answer alone.
        message: The text of that error.
        extra: Further fields of that error.
        headers: Further headers of that answer.
        body: The bytes to answer with in place of the real body.
        content_type: Their type.
        drop: Whether the connection is broken without an answer.
        delay: Seconds before the answer.
        stall_after: How many bytes of the answer's body are sent before nothing comes any more; -1: no answer at all.
        cut_after: How many bytes of the answer's body are sent before the connection ends.
        trickle: Seconds that the body takes, in small pieces.
    """

    route: str | None = None
    after_effect: bool = False
    status: int | None = None
    message: str = ""
    extra: Mapping[str, JsonValue] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "application/json"
    drop: bool = False
    delay: float = 0.0
    stall_after: int | None = None
    cut_after: int | None = None
    trickle: float = 0.0


class FaultControls:
    """The faults that wait for requests.

    Each method queues faults. A request takes the oldest that waits for any request or for its route; ``route`` is one
    of the simulator's route names.
    """

    def __init__(self, routes: tuple[str, ...]) -> None:
        self._known_routes = routes
        self._faults: deque[Fault] = deque()

    @property
    def pending_faults(self) -> int:
        """How many planned faults no request has met yet."""
        return len(self._faults)

    def clear_faults(self) -> None:
        """Forgets every planned fault."""
        self._faults.clear()

    def _plan(self, fault: Fault, times: int) -> None:
        if fault.route is not None:
            self._check_route(fault.route)
        self._faults.extend([fault] * times)

    def _check_route(self, route: str) -> None:
        if route not in self._known_routes:
            raise ValueError(f"there is no route {route!r}; there are {', '.join(self._known_routes)}")

    def _take_fault(self, route: str | None) -> Fault:
        for fault in self._faults:
            if fault.route is None or fault.route == route:
                self._faults.remove(fault)
                return fault
        return Fault()

    def let_pass(self, *, route: str | None = None, times: int = 1) -> None:
        """Answers the next requests as usual, so that a fault planned after this meets a later one."""
        self._plan(Fault(route=route), times)

    def fail(
        self,
        status: int,
        *,
        route: str | None = None,
        message: str | None = None,
        retry_after: float | str | None = None,
        upstream_status: int | None = None,
        extra: Mapping[str, JsonValue] | None = None,
        after_effect: bool = False,
        times: int = 1,
    ) -> None:
        """Answers with an error.

        Args:
            status: The HTTP status, such as 429 or 503.
            route: The route that it waits for.
            message: The error's text.
            retry_after: The header ``retry-after``: seconds, or an HTTP date.
            upstream_status: What the desktop answered, where it is the desktop that failed.
            extra: Further fields of the error.
            after_effect: Whether what was asked for is done all the same.
            times: How many requests fail like this.
        """
        fields = dict(extra or {})
        if upstream_status is not None:
            fields["upstream_status"] = upstream_status
        headers = {}
        if retry_after is not None:
            headers["retry-after"] = retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
        text = message if message is not None else MESSAGES.get(status, f"Error {status}")
        fault = Fault(
            route=route, after_effect=after_effect, status=status, message=text, extra=fields, headers=headers
        )
        self._plan(fault, times)

    def respond(
        self,
        body: bytes = b"<!doctype html><html><body>Please sign in</body></html>",
        *,
        status: int = 200,
        content_type: str = "text/html; charset=utf-8",
        route: str | None = None,
        after_effect: bool = False,
        times: int = 1,
    ) -> None:
        """Answers with exactly this body: a proxy's page, an empty answer, or one that is much too large.

        Args:
            body: The body; a page where not given.
            status: The HTTP status.
            content_type: The type that the answer claims.
            route: The route that it waits for.
            after_effect: Whether what was asked for is done all the same.
            times: How many requests are answered like this.
        """
        fault = Fault(route=route, after_effect=after_effect, status=status, body=body, content_type=content_type)
        self._plan(fault, times)

    def drop(self, *, route: str | None = None, after_effect: bool = False, times: int = 1) -> None:
        """Breaks the connection without an answer.

        Args:
            route: The route that it waits for.
            after_effect: Whether what was asked for is done first: the answer is lost, the effect is not.
            times: How many requests fare like this.
        """
        self._plan(Fault(route=route, after_effect=after_effect, drop=True), times)

    def stall(self, *, after: int | None = None, route: str | None = None, times: int = 1) -> None:
        """Does what was asked for, then stops sending and keeps the connection open until the client leaves.

        Args:
            after: How many bytes of the body are sent; None: not even the head.
            route: The route that it waits for.
            times: How many requests are answered like this.
        """
        self._plan(Fault(route=route, after_effect=True, stall_after=-1 if after is None else after), times)

    def cut(self, *, after: int, route: str | None = None, times: int = 1) -> None:
        """Does what was asked for, and ends the connection in the middle of the answer.

        Args:
            after: How many bytes of the body are sent.
            route: The route that it waits for.
            times: How many requests are answered like this.
        """
        self._plan(Fault(route=route, after_effect=True, cut_after=after), times)

    def slow(self, *, delay: float = 0.0, trickle: float = 0.0, route: str | None = None, times: int = 1) -> None:
        """Answers late or slowly.

        Args:
            delay: Seconds before the answer begins.
            trickle: Seconds that the body takes, in small pieces.
            route: The route that it waits for.
            times: How many requests are answered like this.
        """
        self._plan(Fault(route=route, after_effect=True, delay=delay, trickle=trickle), times)
