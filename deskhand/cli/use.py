"""``deskhand exec`` and ``deskhand shot``: one direct call on a computer, in no run and in no log."""

from __future__ import annotations

import shlex
import sys
from codecs import IncrementalDecoder, getincrementaldecoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deskhand.cli.exits import Exit
from deskhand.cli.options import ComputerArgument, DebugOption, JsonOption, parse_screen
from deskhand.cli.terminal import Terminal
from deskhand.errors import ConfigError, InvalidInputError, PayloadTooLargeError

if TYPE_CHECKING:
    from deskhand.cli.stopping import Stopper
    from deskhand.providers.contract import ExecChunk, ExecResult, ExternalComputer

__all__ = ["register"]

GRACE = 10.0
"""Seconds that a followed command gets beyond the time that it was given, before the computer ends it by itself."""

MOST_INPUT = 100 * 1024 * 1024
"""Bytes of standard input that are passed on."""

ScreenOption = Annotated[
    str | None, typer.Option("--screen", metavar="WxH", help="The fresh computer's screen, in pixels.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("exec", context_settings={"allow_interspersed_args": False})(exec_)
    app.command("shot")(shot)


def exec_(
    computer: ComputerArgument,
    command: Annotated[
        list[str],
        typer.Argument(metavar="COMMAND", help="One word is a bash line; several, a program and its arguments."),
    ],
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, metavar="SECONDS", help="Kill it then.")] = 120.0,
    stdin: Annotated[bool, typer.Option("--stdin", "-i", help="Pass standard input on to the command.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a command on a computer.

    Ends with the command's exit code. Options stand before COMPUTER.
    """
    from deskhand.cli.invoke import invoke

    words = command[1:] if command[0] == "--" and len(command) > 1 else command
    line = words[0] if len(words) == 1 else shlex.join(words)

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        from deskhand.cli.computers import named_computer

        given = await _standard_input() if stdin else None
        async with named_computer(terminal, computer) as machine:
            if terminal.json:
                return tell_result(terminal, await machine.exec(line, timeout=timeout, stdin=given))
            return await _pass_through(terminal, machine, line, timeout, given)

    invoke(body, json=json, debug=debug, failure=Exit.EXEC)


async def _standard_input() -> bytes:
    import anyio.to_thread

    data: bytes = await anyio.to_thread.run_sync(sys.stdin.buffer.read, MOST_INPUT + 1, abandon_on_cancel=True)
    if len(data) > MOST_INPUT:
        raise PayloadTooLargeError(
            f"the standard input has more than {MOST_INPUT} bytes", hint="write a file on the computer instead"
        )
    return data


def tell_result(terminal: Terminal, result: ExecResult) -> int:
    """Print a command's result as JSON, and return the exit code."""
    terminal.line(
        {
            "type": "exec",
            "output": result.output,
            "stdout": result.stdout,
            "stderr": result.stderr,
            "exit_code": result.exit_code,
            "error": result.error,
            "duration": result.duration,
            "dropped": result.dropped,
        }
    )
    return Exit.EXEC if result.exit_code is None else shell_code(result.exit_code)


async def _pass_through(
    terminal: Terminal, machine: ExternalComputer, line: str, timeout: float, stdin: bytes | None
) -> int:
    """Print the output as it comes where the computer can stream, else at the end."""
    import anyio

    from deskhand.providers.contract import Capability

    if Capability.EXEC_STREAM not in machine.capabilities:
        result = await machine.exec(line, timeout=timeout, stdin=stdin)
        printer = _Printer()
        for stream, text in (("stdout", result.stdout), ("stderr", result.stderr)):
            printer.write(stream, (text or "").encode(errors="replace"))  # type: ignore[arg-type]
        if result.stdout is None:
            printer.write("stdout", result.output.encode(errors="replace"))
        return _ended(terminal, result.exit_code, result.error)
    # The stream's own deadline tells nothing: a killed command has an exit code too.
    async with machine.exec_stream(line, timeout=timeout + GRACE, stdin=stdin) as running:
        printer = _Printer()
        with anyio.move_on_after(timeout):
            async for chunk in running:
                await _print(printer, chunk)
            printer.end()
            return _ended(terminal, running.exit_code, None)
    return _ended(terminal, None, f"timed out after {timeout:g} s")


def _ended(terminal: Terminal, exit_code: int | None, error: str | None) -> int:
    """Return the exit code of a command that has ended, or tell why it has none."""
    if exit_code is None:
        from deskhand.errors import DeadlineExceededError

        why = error or "the command did not end by itself"
        terminal.error(DeadlineExceededError(why, hint="give it longer: --timeout SECONDS"), Exit.EXEC)
        return Exit.EXEC
    return shell_code(exit_code)


def shell_code(exit_code: int) -> int:
    """Return an exit code as a shell tells it: 128 and the signal's number for what a signal ended."""
    return exit_code if exit_code >= 0 else 128 - exit_code


async def _print(printer: _Printer, chunk: ExecChunk) -> None:
    import anyio.to_thread

    # A slow reader must hold neither the loop nor the deadline.
    await anyio.to_thread.run_sync(printer.write, chunk.stream, chunk.data, abandon_on_cancel=True)


class _Printer:
    """Prints output: byte for byte into a file or pipe; on a terminal nothing in it is acted on."""

    def __init__(self) -> None:
        self._decoders: dict[str, IncrementalDecoder] = {}

    def write(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        """Print a piece; on a terminal a character that is not whole yet waits for its rest."""
        target = sys.stdout if stream == "stdout" else sys.stderr
        if target.isatty():
            if stream not in self._decoders:
                self._decoders[stream] = getincrementaldecoder("utf-8")("replace")
            self._show(stream, self._decoders[stream].decode(data))
        else:
            target.buffer.write(data)
            target.buffer.flush()

    def end(self) -> None:
        """Print what waits for a rest that does not come."""
        for stream, decoder in self._decoders.items():
            self._show(stream, decoder.decode(b"", final=True))

    @staticmethod
    def _show(stream: str, text: str) -> None:
        from deskhand.text import visible

        target = sys.stdout if stream == "stdout" else sys.stderr
        target.write(visible(text))
        target.flush()


def shot(
    computer: ComputerArgument,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Where to: .png or .jpg, or - for stdout. Default: ID.png")
    ] = None,
    screen: ScreenOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Take a screenshot of a computer."""
    from deskhand.cli.invoke import invoke

    async def body(terminal: Terminal, stopper: Stopper) -> int:
        del stopper
        await _take(terminal, computer, file, parse_screen(screen))
        return Exit.COMPLETED

    invoke(body, json=json, debug=debug)


async def _take(terminal: Terminal, name: str, file: str | None, screen: tuple[int, int] | None) -> None:
    import anyio

    from deskhand.cli.computers import named_computer

    format = _format(file)
    if file == "-" and terminal.json:
        raise InvalidInputError("stdout cannot hold both the image and JSON", hint="name a file, or leave --json out")
    async with named_computer(terminal, name, screen=screen) as computer:
        await computer.settle()
        image = await computer.screenshot(format=format)
        size = computer.info.screen
        target = Path(file or f"{computer.info.id}.png")
    if file == "-":
        sys.stdout.buffer.write(image)
        sys.stdout.buffer.flush()
        return
    try:
        await anyio.Path(target).write_bytes(image)
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written: {error.strerror}",
            hint="name one in a folder that you can write to",
        ) from error
    shown = f" {size.width}x{size.height}" if size else ""
    terminal.result(
        f"{target}{shown}, {len(image)} bytes",
        {
            "type": "shot",
            "file": str(target),
            "bytes": len(image),
            "width": size.width if size else None,
            "height": size.height if size else None,
        },
    )


def _format(file: str | None) -> str:
    suffix = Path(file).suffix.lower() if file is not None and file != "-" else ".png"
    formats = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
    if suffix not in formats:
        raise InvalidInputError(f"{file!r} is no name of an image", hint="end it with .png or .jpg, or - for stdout")
    return formats[suffix]
