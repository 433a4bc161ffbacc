"""The table of routes, and how a request finds its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

__all__ = ["Found", "Route", "Router", "Takes", "with_queries"]

Takes: TypeAlias = Literal["json", "form", "bytes", "envelope"]
"""What the body of a request is: a JSON object, a form, or for the route to read: bytes, or JSON behind a head."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method, on one path or on several that mean the same.

    Attributes:
        name: What faults and tests call it.
        method: The HTTP method; ``WEBSOCKET`` for a socket.
        paths: The paths; ``{id}`` is a variable part without a slash, ``{path*}`` one that may have some.
        takes: What its body is.
        query: The parameters of its query, of which no other is let through; ``None`` leaves that to the route.
    """

    name: str
    method: str
    paths: tuple[str, ...]
    takes: Takes = "json"
    query: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a request met.

    Attributes:
        route: The route; None where there is none.
        path: The variable parts of the path.
        allowed: The methods that the path has, where it has not the request's.
    """

    route: Route | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    allowed: Sequence[str] = ()

    @property
    def name(self) -> str | None:
        """The route's name."""
        return None if self.route is None else self.route.name


def with_queries(table: Sequence[Route], queries: Mapping[str, Sequence[str] | None]) -> tuple[Route, ...]:
    """Returns routes that let no parameter through but those named of each; ``None`` leaves it to the route."""
    named = {route.name: queries.get(route.name, ()) for route in table if route.method != "WEBSOCKET"}
    return tuple(
        route if (names := named.get(route.name)) is None else replace(route, query=frozenset(names)) for route in table
    )


class Router:
    """The routes that are there."""

    def __init__(self, table: Sequence[Route]) -> None:
        self._routes = [(route, _pattern(path)) for route in table for path in route.paths]
        self._removed: set[str] = set()

    @property
    def removed(self) -> frozenset[str]:
        """The names of the routes that were removed."""
        return frozenset(self._removed)

    def remove(self, name: str) -> None:
        """Takes a route away."""
        self._removed.add(name)

    def restore(self, name: str) -> None:
        """Puts a removed route back."""
        self._removed.discard(name)

    def find(self, method: str, path: str) -> Found:
        """Returns the route of a request. A path that has lost its last method is not there at all."""
        allowed: list[str] = []
        gone = False
        for route, pattern in self._routes:
            match = pattern.fullmatch(path)
            if match is None or (route.method == "WEBSOCKET") != (method == "WEBSOCKET"):
                continue
            if route.name in self._removed:
                gone = gone or route.method == method
            elif route.method == method:
                return Found(route, match.groupdict())
            else:
                allowed.append(route.method)
        return Found(allowed=() if gone else allowed)


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+\*?)\}", path)
    return re.compile("".join(re.escape(part) if index % 2 == 0 else _part(part) for index, part in enumerate(parts)))


def _part(name: str) -> str:
    return f"(?P<{name[:-1]}>.*)" if name.endswith("*") else f"(?P<{name}>[^/]+)"
