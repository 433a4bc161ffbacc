"""The tools of a run's computers, under the names by which a model calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

from deskhand.errors import ConfigError
from deskhand.tools.calls import Observation, ToolCall
from deskhand.tools.registry import Tool, ToolRegistry

if TYPE_CHECKING:
    from deskhand.harness.context import RunContext

__all__ = ["Toolbox"]

_LONGEST: Final = 64
"""Characters of a tool's name at most, in all vendors' APIs."""

_BETWEEN: Final = "__"
_LABEL: Final = 24
"""Characters of a computer's part of a tool's name at most: it is said with every tool."""

_LEAST: Final = 4
"""Characters of it that must be left, whatever the tools are called."""


class Toolbox:
    """Offers the tools of one computer by their own names, those of several each under its computer's name.

    A tool ``exec`` of the computers ``left`` and ``right`` is two functions, ``left__exec`` and ``right__exec``. What
    of a computer's name no API takes in a function's name is replaced.

    Args:
        tools: What each computer can back, by the names that the run gives them.

    Raises:
        ConfigError: If a tool's name is too long to bear a computer's as well.
    """

    def __init__(self, tools: Mapping[str, ToolRegistry]) -> None:
        self._tools = dict(tools)
        self._first: str = next(iter(self._tools))
        self._labels: Mapping[str, str] = _labels(self._tools) if self.several else {}
        self._targets: dict[str, tuple[str, str]] = {}
        offered = ToolRegistry()
        for computer_id, registry in self._tools.items():
            for tool in registry:
                shown = self._shown(computer_id, tool)
                self._targets[shown.name] = computer_id, tool.name
                offered.add(shown)
        self.offered: ToolRegistry = offered

    @classmethod
    def of(cls, run: RunContext) -> Self:
        """Return what a model may call in a run, on all of its computers."""
        return cls({key: run.on(key).tools for key in run.computers})

    @property
    def several(self) -> bool:
        """Whether there is more than one computer."""
        return len(self._tools) > 1

    @property
    def screens(self) -> Sequence[str]:
        """The computers that have a screen to be looked at."""
        return [
            key for key, tools in self._tools.items() if "screenshot" in tools and tools.get("screenshot").on_screen
        ]

    @property
    def introduction(self) -> str:
        """What a model must be told of them; nothing of one computer."""
        if not self.several:
            return ""
        names = ", ".join(self._labels.values())
        return (
            f"You have {len(self._tools)} computers: {names}. A tool's name begins with that of the computer which it "
            "is for, and coordinates are those of the last screenshot of that computer. What you ask of different "
            "computers in one answer is done at the same time."
        )

    def computer_of(self, call: ToolCall) -> str:
        """Return the computer that a call is for."""
        return call.computer_id if self.several and call.computer_id in self._tools else self._first

    def addressed(self, call: ToolCall) -> ToolCall:
        """Return a call as a model made it by the tool's own name, for its computer; another one is left as it is."""
        if call.name not in self._targets:
            return call
        computer_id, name = self._targets[call.name]
        return replace(call, name=name, computer_id=computer_id)

    def registry_of(self, call: ToolCall) -> ToolRegistry:
        """Return the tools of the computer that a call is for."""
        return self._tools[self.computer_of(call)]

    def is_on_screen(self, call: ToolCall) -> bool:
        """Whether a call that is `addressed` looks at a screen or acts on it."""
        tools = self.registry_of(call)
        return call.name in tools and tools.get(call.name).on_screen

    def shown_name(self, call: ToolCall) -> str:
        """Return the name by which the model knows the tool of a call that is `addressed`."""
        return self._name(self.computer_of(call), call.name) if self.several else call.name

    def caption(self, seen: Observation) -> str:
        """Return what stands above a look at a screen that nobody asked for; nothing of one computer."""
        return f"The screen of {self._labels[self.computer_of(seen.call)]}:" if self.several else ""

    def _shown(self, computer_id: str, tool: Tool) -> Tool:
        if not self.several:
            return tool
        described = f"On the computer {self._labels[computer_id]}: {tool.description}"
        return replace(tool, name=self._name(computer_id, tool.name), description=described)

    def _name(self, computer_id: str, name: str) -> str:
        return f"{self._labels[computer_id]}{_BETWEEN}{name}"


def _labels(tools: Mapping[str, ToolRegistry]) -> dict[str, str]:
    """Return what each computer is called in the names of its tools: no two of them alike."""
    longest = max((name for registry in tools.values() for name in registry.names), key=len, default="")
    room = min(_LABEL, _LONGEST - len(_BETWEEN) - len(longest))
    if room < _LEAST:
        raise ConfigError(
            f"the tool's name {longest!r} is too long to bear a computer's name as well",
            hint=f"with several computers a tool's name has at most {_LONGEST - len(_BETWEEN) - _LEAST} characters",
        )
    labels: dict[str, str] = {}
    for index, computer_id in enumerate(tools, 1):
        plain = re.sub(r"_{2,}", "_", re.sub(r"[^a-zA-Z0-9_-]", "-", computer_id))[:room].strip("_")
        number = str(index)
        if not plain or plain in labels.values():
            plain = f"{plain[: room - len(number) - 1]}-{number}"
        labels[computer_id] = plain
    return labels
