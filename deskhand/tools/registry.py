"""The one table of tools: what they are called, what they take, what they need, and who does them."""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import re
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, ClassVar, Generic, Literal, NamedTuple, cast, get_args, get_origin, overload

import anyio
import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, JsonValue, create_model
from typing_extensions import TypeVar

from deskhand.errors import ConfigError, DeadlineExceededError, Effect, NotFoundError, ToolError
from deskhand.providers.contract import DEFAULT_TIMEOUT, Capability, ExternalComputer
from deskhand.providers.needs import INPUT
from deskhand.tools.arguments import validate_arguments
from deskhand.tools.calls import EffectClass, ErrorInfo, Risk

__all__ = [
    "Arguments",
    "Axis",
    "ScreenPoint",
    "ScreenX",
    "ScreenY",
    "Tool",
    "ToolContext",
    "ToolOutput",
    "ToolRegistry",
]

DepsT = TypeVar("DepsT", default=object)
FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

GRACE = 30.0
"""Seconds beyond an action's own duration before it is given up."""

SYNC_THREADS = 8
"""How many synchronous tools run at once."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CAPTURES = {Capability.SCREENSHOT, Capability.REGION}
_ON_SCREEN = INPUT | _CAPTURES | {Capability.CURSOR}


class Axis(NamedTuple):
    """Marks an integer argument as a coordinate on the frame, which a run scales to the screen."""

    name: Literal["x", "y"]


ScreenX = Annotated[int, Axis("x"), Field(strict=True, description="pixels from the left of the last screenshot")]
"""A horizontal coordinate on the last frame."""

ScreenY = Annotated[int, Axis("y"), Field(strict=True, description="pixels from the top of the last screenshot")]
"""A vertical coordinate on the last frame."""


class Arguments(BaseModel):
    """The base of every tool's parameters: nothing undeclared is let in."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ScreenPoint(Arguments):
    """A point of the last frame, which a run scales to the screen."""

    x: ScreenX
    y: ScreenY


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool gives back.

    Attributes:
        text: What a model reads.
        data: The same as data.
        image: A screenshot, encoded.
        error: What went wrong, where the tool ran but did not succeed (a command's exit code).
    """

    text: str = ""
    data: JsonValue = None
    image: bytes | None = field(default=None, repr=False)
    error: ErrorInfo | None = None


def _nowhere(stream: Literal["stdout", "stderr"], chunk: bytes) -> None:
    del stream, chunk


@dataclass(frozen=True, slots=True)
class ToolContext(Generic[DepsT]):
    """What a tool may use: annotate a function's first parameter with it and it stays out of the schema.

    Attributes:
        computer: The computer that the call is for.
        deps: What the run was started with; ``None`` outside a run.
        run_id: The run; ``None`` outside one.
        call_id: The call; ``None`` outside a run.
        output: Passes on a piece of output as it comes.
        picture: The whole screen as it was captured a moment ago, so that it need not be captured again.
    """

    computer: ExternalComputer
    deps: DepsT
    run_id: str | None = None
    call_id: str | None = None
    output: Callable[[Literal["stdout", "stderr"], bytes], None] = _nowhere
    picture: bytes | None = field(default=None, repr=False)

    def progress(self, text: str) -> None:
        """Tell the run's subscribers how far the tool is."""
        self.output("stdout", text.encode())


Handler = Callable[[ToolContext[object], BaseModel], Awaitable[ToolOutput]]
"""How every tool is called, whatever its function looks like."""


Happened = Callable[[ToolContext[object], BaseModel], Awaitable[ToolOutput | None]]
"""Asks whoever knows what came of a call, by the id in its context."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A named function with a schema.

    Attributes:
        name: Letters, digits, ``_`` and ``-``, at most 64.
        description: What a model reads to choose it.
        parameters: The model of its arguments.
        handler: Does it.
        effect: May it be done twice.
        capability: What the computer must be able to do.
        timeout: Seconds that it may take beyond what its arguments ask for.
        risk: How much harm it may do.
        duration: The seconds that its arguments ask for.
        happened: Tells of a ``queryable`` tool, after a crash, what a call gave that took effect; ``None`` of one that
            did not.
        on_screen: Whether it looks at the screen or acts on it: planned on what the screen showed.
        captures: Whether it takes a picture of the screen.
    """

    name: str
    description: str
    parameters: type[BaseModel]
    handler: Handler = field(repr=False)
    effect: EffectClass = "unrepeatable"
    capability: Capability | None = None
    timeout: float = DEFAULT_TIMEOUT
    risk: Risk = "medium"
    duration: Callable[[BaseModel], float] | None = field(default=None, repr=False)
    happened: Happened | None = field(default=None, repr=False)
    coordinates: Mapping[str, Literal["x", "y"]] = field(init=False, repr=False)
    paths: frozenset[str] = field(init=False, repr=False)
    on_screen: bool = field(init=False, repr=False)
    captures: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the name, and find the coordinates among the parameters."""
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"{self.name!r} is no tool name", hint="letters, digits, _ and -, at most 64")
        axes = {
            name: mark.name
            for name, info in self.parameters.model_fields.items()
            for mark in (*info.metadata, *_marks(info.annotation))
            if isinstance(mark, Axis)
        }
        object.__setattr__(self, "coordinates", MappingProxyType(axes))
        fields = self.parameters.model_fields.items()
        object.__setattr__(self, "paths", frozenset(n for n, info in fields if info.annotation == list[ScreenPoint]))
        object.__setattr__(self, "on_screen", self.capability in _ON_SCREEN)
        object.__setattr__(self, "captures", self.capability in _CAPTURES)

    def deadline(self, arguments: BaseModel) -> float:
        """Return the seconds that a call may take."""
        return self.timeout if self.duration is None else self.duration(arguments) + GRACE


def _marks(annotation: object) -> Iterator[object]:
    """Find the marks in an annotation such as ``ScreenX | None``."""
    if get_origin(annotation) is Annotated:
        yield from get_args(annotation)[1:]
    for part in get_args(annotation):
        if not isinstance(part, Axis):
            yield from _marks(part)


class ToolRegistry:
    """Holds tools, checks and does their calls, and prints their schemas in every format.

    Args:
        tools: The tools to begin with.
    """

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self.add(*tools)

    def __iter__(self) -> Iterator[Tool]:
        """Iterate over the tools in the order in which they were added."""
        return iter(self._tools.values())

    def __len__(self) -> int:
        """Count the tools."""
        return len(self._tools)

    def __contains__(self, name: object) -> bool:
        """Whether there is a tool of that name."""
        return name in self._tools

    def __repr__(self) -> str:
        """The names at a glance."""
        return f"<ToolRegistry {', '.join(self._tools)}>"

    @property
    def names(self) -> list[str]:
        """The tools' names, in order."""
        return list(self._tools)

    def add(self, *tools: Tool) -> None:
        """Add tools.

        Raises:
            ConfigError: If a name is taken.
        """
        for tool in tools:
            if tool.name in self._tools:
                raise ConfigError(f"there is a tool called {tool.name!r} already", hint="give one of them another name")
            self._tools[tool.name] = tool

    def get(self, name: str) -> Tool:
        """Return a tool by its name.

        Raises:
            NotFoundError: If there is none; names the nearest.
        """
        try:
            return self._tools[name]
        except KeyError:
            nearest = difflib.get_close_matches(name, self._tools, n=1)
            meant = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise NotFoundError(
                f"no tool is called {name!r}{meant}", hint=f"use one of: {', '.join(self._tools)}"
            ) from None

    def merged(self, other: Iterable[Tool]) -> ToolRegistry:
        """Return a registry with these tools and others.

        Raises:
            ConfigError: If a name stands in both.
        """
        return ToolRegistry((*self, *other))

    @overload
    def tool(self, function: FunctionT, /) -> FunctionT: ...

    @overload
    def tool(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        effect: EffectClass = "unrepeatable",
        capability: Capability | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        risk: Risk = "medium",
    ) -> Callable[[FunctionT], FunctionT]: ...

    def tool(
        self,
        function: Callable[..., object] | None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        effect: EffectClass = "unrepeatable",
        capability: Capability | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        risk: Risk = "medium",
    ) -> Callable[..., object]:
        """Add a function as a tool; its signature gives the schema, its docstring the description.

        A first parameter annotated ``ToolContext[Deps]`` gets the context. A synchronous function runs in a thread;
        where it passes its timeout nobody can stop it, so its effect is unknown. `ToolError` is text for the model.

        Args:
            function: The function, where used without arguments.
            name: The tool's name; the function's where not given.
            description: What a model reads; the docstring where not given.
            effect: May it be done twice.
            capability: What the computer must be able to do.
            timeout: Seconds that it may take.
            risk: How much harm it may do.
        """

        def add(function: Callable[..., object]) -> Callable[..., object]:
            self.add(
                Tool(
                    name=name or str(getattr(function, "__name__", "tool")),
                    description=description or inspect.getdoc(function) or "",
                    parameters=_parameters(function),
                    handler=_handler(function),
                    effect=effect,
                    capability=capability,
                    timeout=timeout,
                    risk=risk,
                )
            )
            return function

        return add if function is None else add(function)

    def validate(self, name: str, arguments: Mapping[str, JsonValue] | str) -> BaseModel:
        """Check a call's arguments.

        Raises:
            NotFoundError: If there is no such tool.
            InvalidInputError: Says what is wrong and what is allowed.
        """
        return validate_arguments(name, self.get(name).parameters, arguments)

    async def perform(self, tool: Tool, arguments: BaseModel, context: ToolContext[object]) -> ToolOutput:
        """Do a checked call within its deadline.

        Raises:
            UnsupportedError: If the computer lacks the capability.
            DeadlineExceededError: If it took too long.
            DeskhandError: Whatever the tool raises.
        """
        if tool.capability is not None:
            context.computer.require(tool.capability)
        seconds = tool.deadline(arguments)
        with anyio.move_on_after(seconds) as scope:
            output = await tool.handler(context, arguments)
            if not isinstance(output, ToolOutput):
                raise ToolError(f"the handler of {tool.name} returned a {type(output).__name__}, not a ToolOutput")
            return output
        effect: Effect = "no" if tool.effect == "pure" else "unknown"
        assert scope.cancelled_caught  # noqa: S101 (the only way here)
        raise DeadlineExceededError(f"{tool.name} took longer than {seconds:g} s", effect=effect)

    async def dispatch(
        self,
        computer: ExternalComputer,
        name: str,
        arguments: Mapping[str, JsonValue] | str,
        *,
        deps: object = None,
    ) -> ToolOutput:
        """Check a call and do it: a direct library call, in no run and in no log.

        Args:
            computer: The computer.
            name: The tool's name.
            arguments: A mapping, or the JSON text that a model gave; coordinates are pixels of the real screen.
            deps: What the tool gets as ``deps``.

        Raises:
            NotFoundError: If there is no such tool.
            InvalidInputError: If the arguments are wrong.
            UnsupportedError: If the computer lacks the capability.
            DeskhandError: Whatever the tool raises.
        """
        checked = self.validate(name, arguments)
        return await self.perform(self.get(name), checked, ToolContext(computer, deps))

    def json_schemas(self) -> list[dict[str, JsonValue]]:
        """Print every tool as name, description and plain JSON Schema."""
        from deskhand.tools.schemas import plain_tool

        return [plain_tool(tool) for tool in self]

    def openai_tools(self, api: Literal["chat", "responses"] = "chat") -> list[dict[str, JsonValue]]:
        """Print every tool as OpenAI's Chat Completions or Responses API takes it, with strict schemas."""
        from deskhand.tools.schemas import openai_tool

        return [openai_tool(tool, api) for tool in self]

    def anthropic_tools(self) -> list[dict[str, JsonValue]]:
        """Print every tool as a function tool of Anthropic's Messages API."""
        from deskhand.tools.schemas import anthropic_tool

        return [anthropic_tool(tool) for tool in self]


def _hints(function: Callable[..., object]) -> dict[str, object]:
    return typing.get_type_hints(function, include_extras=True)


def _takes_context(function: Callable[..., object]) -> bool:
    names = list(inspect.signature(function).parameters)
    annotation = _hints(function).get(names[0]) if names else None
    return annotation is ToolContext or get_origin(annotation) is ToolContext


def _parameters(function: Callable[..., object]) -> type[BaseModel]:
    """Make the model of a function's arguments from its signature."""
    hints = _hints(function)
    fields: dict[str, tuple[object, object]] = {}
    parameters = list(inspect.signature(function).parameters.values())
    for parameter in parameters[1 if _takes_context(function) else 0 :]:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(
                f"the tool function's parameter {parameter} has no name of its own", hint="use plain ones"
            )
        if parameter.name not in hints:
            raise ConfigError(f"the tool function's parameter {parameter.name!r} has no type", hint="annotate it")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    name = f"{getattr(function, '__name__', 'tool').title().replace('_', '')}Arguments"
    make = cast("Callable[..., type[BaseModel]]", create_model)
    return make(name, __base__=Arguments, **fields)


def _handler(function: Callable[..., object]) -> Handler:
    """Bring a user's function to the one form; synchronous ones run in threads."""
    with_context = _takes_context(function)
    limiter: list[anyio.CapacityLimiter] = []

    async def handle(context: ToolContext[object], arguments: BaseModel) -> ToolOutput:
        values = {name: getattr(arguments, name) for name in type(arguments).model_fields}
        call = functools.partial(function, *([context] if with_context else []), **values)
        if inspect.iscoroutinefunction(function):
            return _output(await cast("Awaitable[object]", call()))
        if not limiter:
            limiter.append(anyio.CapacityLimiter(SYNC_THREADS))
        return _output(await anyio.to_thread.run_sync(call, limiter=limiter[0], abandon_on_cancel=True))

    return handle


def _output(value: object) -> ToolOutput:
    """Take what a user's function returned: a tool output, text, a model, or JSON."""
    from pydantic_core import to_jsonable_python

    if isinstance(value, ToolOutput):
        return value
    if isinstance(value, str):
        return ToolOutput(value, value)
    if value is None:
        return ToolOutput("done")
    try:
        data = cast("JsonValue", to_jsonable_python(value))
    except ValueError as error:
        raise ToolError(f"the tool returned a {type(value).__name__}, which is not JSON", effect="yes") from error
    return ToolOutput(json.dumps(data, ensure_ascii=False), data)
