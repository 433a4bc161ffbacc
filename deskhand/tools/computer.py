"""The tools by which a model uses a computer, as one table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Annotated, Final, Literal, TypeVar, cast

from pydantic import BaseModel, Field, JsonValue

from deskhand.errors import InvalidInputError
from deskhand.providers.actions import Click, Drag, HoldKey, InputAction, Key, MouseButton, MouseDown, MouseUp, Move
from deskhand.providers.actions import Scroll as ScrollAction
from deskhand.providers.actions import Type as TypeAction
from deskhand.providers.actions import Wait as WaitAction
from deskhand.providers.contract import Capability, ExecResult, ExternalComputer, Region
from deskhand.tools.calls import EffectClass, ErrorInfo, Risk
from deskhand.tools.registry import Arguments, Handler, ScreenX, ScreenY, Tool, ToolContext, ToolOutput, ToolRegistry

__all__ = ["computer_tools"]

SHOWN_TEXT: Final = 65_536
"""Characters of text that a model is shown of a file or a listing."""

Seconds = Annotated[float, Field(strict=True, gt=0, le=300, description="seconds, at most 300")]
Timeout = Annotated[
    float, Field(strict=True, gt=0, le=3600, description="seconds after which it is killed; 120 where not given")
]
Modifiers = Annotated[list[str], Field(max_length=5, description="keys held meanwhile: ctrl, alt, shift, super")]
Path = Annotated[str, Field(min_length=1, max_length=4096, description="absolute, or relative to the home folder")]


class Nothing(Arguments):
    """No arguments."""


class Point(Arguments):
    """Where, or where the pointer is."""

    x: ScreenX | None = None
    y: ScreenY | None = None
    modifiers: Modifiers | None = None


class Target(Arguments):
    """Where."""

    x: ScreenX
    y: ScreenY


class Way(Arguments):
    """From where to where."""

    start_x: ScreenX
    start_y: ScreenY
    x: ScreenX
    y: ScreenY
    modifiers: Modifiers | None = None


class Rectangle(Arguments):
    """A part of the screen: its left, top, right and bottom edges."""

    x0: ScreenX
    y0: ScreenY
    x1: ScreenX
    y1: ScreenY


class ScrollArguments(Arguments):
    """Where, in which direction and how far."""

    direction: Literal["up", "down", "left", "right"]
    amount: Annotated[int, Field(strict=True, ge=1, le=100, description="wheel notches")] = 3
    x: ScreenX | None = None
    y: ScreenY | None = None
    modifiers: Modifiers | None = None


class KeyArguments(Arguments):
    """Which chord, how often."""

    key: Annotated[str, Field(min_length=1, max_length=100, description="a key or chord: enter, ctrl+s, alt+f4")]
    repeat: Annotated[int, Field(strict=True, ge=1, le=100, description="how often")] = 1


class HoldKeyArguments(Arguments):
    """Which chord, how long."""

    key: Annotated[str, Field(min_length=1, max_length=100, description="a key or chord")]
    duration: Seconds


class TypeArguments(Arguments):
    """What to type."""

    text: Annotated[str, Field(min_length=1, max_length=65_536, description="typed exactly; a newline presses Return")]


class WaitArguments(Arguments):
    """How long."""

    duration: Seconds


class ExecArguments(Arguments):
    """Which command, and where."""

    command: Annotated[str, Field(min_length=1, description="a bash command line")]
    timeout: Timeout | None = None
    cwd: Annotated[str, Field(description="working directory; the home folder where not given")] | None = None


class PythonArguments(Arguments):
    """Which program."""

    code: Annotated[str, Field(min_length=1, description="Python source; what it prints is returned")]
    timeout: Timeout | None = None


class PathArguments(Arguments):
    """Which file or folder."""

    path: Path


class WriteArguments(Arguments):
    """Which file, and its whole content."""

    path: Path
    content: Annotated[str, Field(description="the whole new content")]


class PortArguments(Arguments):
    """Which port."""

    port: Annotated[int, Field(strict=True, ge=1, le=65_535)]
    path: Annotated[str, Field(description="path and query of the URL")] = "/"


ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)


def _tool(  # noqa: PLR0917 (rows of a table)
    name: str,
    description: str,
    parameters: type[ArgumentsT],
    do: Callable[[ToolContext[object], ArgumentsT], Awaitable[ToolOutput]],
    capability: Capability,
    effect: EffectClass = "unrepeatable",
    risk: Risk = "low",
    duration: Callable[[ArgumentsT], float] | None = None,
) -> Tool:
    return Tool(
        name=name,
        description=description,
        parameters=parameters,
        handler=cast("Handler", do),
        effect=effect,
        capability=capability,
        risk=risk,
        duration=cast("Callable[[BaseModel], float] | None", duration),
    )


def _command_output(name: str, result: ExecResult) -> ToolOutput:
    """Render a command's end: its output, then how it ended where that was not plain success."""
    parts = [result.output.rstrip("\n")] if result.output.strip() else []
    if result.dropped:
        parts.append(f"[{result.dropped} bytes of output in the middle were not kept]")
    data: JsonValue = {"output": result.output, "exit_code": result.exit_code, "error": result.error}
    if result.ok:
        return ToolOutput("\n".join(parts) or "[no output]", data)
    parts.append(f"[{result.error}]" if result.error else f"[exit code {result.exit_code}]")
    why = result.error or f"exit code {result.exit_code}"
    hint = "give it a longer timeout, or run it in the background" if result.error else None
    error = ErrorInfo("command_failed", f"{name}: {why}", hint, effect="yes")
    return ToolOutput("\n".join(parts), data, error=error)


async def _exec(context: ToolContext[object], a: ExecArguments) -> ToolOutput:
    result = await context.computer.exec(a.command, timeout=a.timeout, cwd=a.cwd)
    return _command_output("exec", result)


async def _python(context: ToolContext[object], a: PythonArguments) -> ToolOutput:
    return _command_output("python", await context.computer.python(a.code, timeout=a.timeout))


async def _screenshot(context: ToolContext[object], a: Nothing) -> ToolOutput:
    del a
    return ToolOutput("", image=context.picture or await context.computer.screenshot(format="auto"))


async def _zoom(context: ToolContext[object], a: Rectangle) -> ToolOutput:
    if a.x1 <= a.x0 or a.y1 <= a.y0:
        raise InvalidInputError(
            "the region is empty", hint="x1 and y1 are its right and bottom edges, beyond x0 and y0"
        )
    return ToolOutput("", image=await context.computer.screenshot(region=Region(a.x0, a.y0, a.x1, a.y1), format="auto"))


async def _cursor(context: ToolContext[object], a: Nothing) -> ToolOutput:
    del a
    x, y = await context.computer.cursor_position()
    return ToolOutput(f"X={x},Y={y}", {"x": x, "y": y})


def _input(
    make: Callable[[ArgumentsT], InputAction], said: str
) -> Callable[[ToolContext[object], ArgumentsT], Awaitable[ToolOutput]]:
    async def do(context: ToolContext[object], arguments: ArgumentsT) -> ToolOutput:
        await context.computer.perform(make(arguments))
        return ToolOutput(said, {"ok": True})

    return do


def _click(button: MouseButton, count: int) -> Callable[[Point], InputAction]:
    def make(a: Point) -> InputAction:
        if (a.x is None) != (a.y is None):
            raise InvalidInputError("x and y go together", hint="give both, or neither to click where the pointer is")
        return Click(a.x, a.y, button, count, tuple(a.modifiers or ()))

    return make


_DIRECTIONS: Final = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}


def _scroll(a: ScrollArguments) -> InputAction:
    if (a.x is None) != (a.y is None):
        raise InvalidInputError("x and y go together", hint="give both, or neither to scroll where the pointer is")
    right, down = _DIRECTIONS[a.direction]
    return ScrollAction(a.x, a.y, right * a.amount, down * a.amount, tuple(a.modifiers or ()))


async def _write(context: ToolContext[object], a: WriteArguments) -> ToolOutput:
    await context.computer.write_file(a.path, a.content)
    return ToolOutput(f"wrote {len(a.content.encode())} bytes to {a.path}", {"ok": True})


async def _read(context: ToolContext[object], a: PathArguments) -> ToolOutput:
    content = await context.computer.read_file(a.path)
    text = content
    if len(content) > SHOWN_TEXT:
        text = f"{content[:SHOWN_TEXT]}\n[{len(content) - SHOWN_TEXT} more characters; use exec to read parts]"
    return ToolOutput(text or "[the file is empty]", {"content": content})


async def _list(context: ToolContext[object], a: PathArguments) -> ToolOutput:
    entries = await context.computer.list_dir(a.path)
    lines = [f"{entry.kind}\t{entry.size}\t{entry.path}" for entry in entries]
    data: list[JsonValue] = [{"path": entry.path, "kind": entry.kind, "size": entry.size} for entry in entries]
    return ToolOutput("\n".join(lines)[:SHOWN_TEXT] or "[the folder is empty]", data)


async def _preview(context: ToolContext[object], a: PortArguments) -> ToolOutput:
    url = await context.computer.preview_url(a.port, a.path)
    return ToolOutput(url, {"url": url})


_CLICK = "at a point of the last screenshot, or where the pointer is if x and y are left out."
_C = Capability

_TABLE: Final[tuple[Tool, ...]] = (
    _tool("screenshot", "Take a screenshot of the whole screen.", Nothing, _screenshot, _C.SCREENSHOT, "pure"),
    _tool("left_click", f"Click the left button {_CLICK}", Point, _input(_click("left", 1), "clicked"), _C.POINTER),
    _tool("right_click", f"Click the right button {_CLICK}", Point, _input(_click("right", 1), "clicked"), _C.POINTER),
    _tool(
        "middle_click",
        f"Click the middle button {_CLICK}",
        Point,
        _input(_click("middle", 1), "clicked"),
        _C.FULL_INPUT,
    ),
    _tool("double_click", f"Double-click {_CLICK}", Point, _input(_click("left", 2), "double-clicked"), _C.POINTER),
    _tool("triple_click", f"Triple-click {_CLICK}", Point, _input(_click("left", 3), "triple-clicked"), _C.POINTER),
    _tool(
        "left_click_drag",
        "Drag with the left button from one point of the last screenshot to another.",
        Way,
        _input(lambda a: Drag(((a.start_x, a.start_y), (a.x, a.y)), modifiers=tuple(a.modifiers or ())), "dragged"),
        _C.DRAG,
    ),
    _tool(
        "mouse_move",
        "Move the pointer to a point of the last screenshot.",
        Target,
        _input(lambda a: Move(a.x, a.y), "moved"),
        _C.MOVE,
        "idempotent",
    ),
    _tool(
        "left_mouse_down",
        "Press the left button and keep it pressed.",
        Nothing,
        _input(lambda _: MouseDown("left"), "pressed"),
        _C.FULL_INPUT,
    ),
    _tool(
        "left_mouse_up",
        "Release the left button.",
        Nothing,
        _input(lambda _: MouseUp("left"), "released"),
        _C.FULL_INPUT,
    ),
    _tool("scroll", f"Turn the mouse wheel {_CLICK}", ScrollArguments, _input(_scroll, "scrolled"), _C.SCROLL),
    _tool(
        "key",
        "Press a key or a chord such as ctrl+s.",
        KeyArguments,
        _input(lambda a: Key(a.key, a.repeat), "pressed"),
        _C.KEYBOARD,
        risk="medium",
    ),
    _tool(
        "hold_key",
        "Hold a key or a chord down for some seconds.",
        HoldKeyArguments,
        _input(lambda a: HoldKey(a.key, a.duration), "held"),
        _C.FULL_INPUT,
        risk="medium",
        duration=lambda a: a.duration,
    ),
    _tool(
        "type",
        "Type text into what has the focus.",
        TypeArguments,
        _input(lambda a: TypeAction(a.text), "typed"),
        _C.KEYBOARD,
        risk="medium",
    ),
    _tool(
        "wait",
        "Do nothing for some seconds.",
        WaitArguments,
        _input(lambda a: WaitAction(a.duration), "waited"),
        _C.POINTER,
        "pure",
        duration=lambda a: a.duration,
    ),
    _tool(
        "zoom",
        "Look at a part of the screen enlarged; coordinates are those of the last whole screenshot.",
        Rectangle,
        _zoom,
        _C.REGION,
        "pure",
    ),
    _tool(
        "cursor_position", "Tell where the pointer is, in pixels of the screen.", Nothing, _cursor, _C.CURSOR, "pure"
    ),
    _tool(
        "exec",
        "Run a bash command in a fresh shell and return its output and exit code.",
        ExecArguments,
        _exec,
        _C.EXEC,
        risk="high",
        duration=lambda a: a.timeout or 120.0,
    ),
    _tool(
        "python",
        "Run Python code in a fresh interpreter and return what it prints.",
        PythonArguments,
        _python,
        _C.EXEC,
        risk="high",
        duration=lambda a: a.timeout or 120.0,
    ),
    _tool("read_file", "Read a text file.", PathArguments, _read, _C.FILES, "pure"),
    _tool(
        "write_file",
        "Write a text file, replacing it if it is there; its folders are made.",
        WriteArguments,
        _write,
        _C.FILES,
        "idempotent",
        "medium",
    ),
    _tool("list_dir", "List a folder.", PathArguments, _list, _C.FILES, "pure"),
    _tool(
        "preview_url",
        "Return a URL at which a web server on one of the computer's ports can be reached.",
        PortArguments,
        _preview,
        _C.PORTS,
        "pure",
    ),
)


def computer_tools(computer: ExternalComputer | Collection[Capability]) -> ToolRegistry:
    """Return the tools that a computer, or a set of capabilities, can back; others are never shown to a model."""
    capabilities = computer.capabilities if isinstance(computer, ExternalComputer) else computer
    return ToolRegistry(tool for tool in _TABLE if tool.capability in capabilities)
