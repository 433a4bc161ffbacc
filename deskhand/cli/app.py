"""The commands put together, and what becomes of usage errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from deskhand.cli import benchmark, demo, doctor, events, hold, recover, replay, run, simulate, tools, use
from deskhand.cli.exits import EXIT_CODES, Exit
from deskhand.cli.home import load_dotenv
from deskhand.cli.terminal import Terminal
from deskhand.errors import DeskhandError

__all__ = ["app", "run_app"]

_CODES = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
_EPILOG = f"\b\nExit codes:\n{_CODES}"

app: typer.Typer = typer.Typer(
    name="deskhand",
    help="Give any agent loop hands on any computer.",
    epilog=_EPILOG,
    rich_markup_mode=None,  # plain help: quick to show, easy to copy and to search
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)


_USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[2])
"""The root of usage errors, which typer does not export."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from deskhand import __version__

        print(f"deskhand {__version__}")
        raise typer.Exit


@app.callback()
def _deskhand(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    del version


for _module in (demo, run, recover, doctor, hold, use, tools, events, replay, simulate, benchmark):
    _module.register(app)


def run_app(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        load_dotenv(Path(".env"), os.environ)
    except DeskhandError as error:
        Terminal(json="--json" in words).error(error, Exit.CONFIGURATION)
        return Exit.CONFIGURATION
    try:
        code = typer.main.get_command(app).main(words, prog_name="deskhand", standalone_mode=False)
    except typer.Abort:
        return Exit.INTERRUPTED
    except _USAGE_ERROR as error:
        return _usage(error, words)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED
    return code if isinstance(code, int) else Exit.COMPLETED


def _usage(error: BaseException, words: Sequence[str]) -> int:
    """Tell of a usage error as of any other."""
    from deskhand.errors import InvalidInputError

    describe = getattr(error, "format_message", None)
    message = str(describe() if callable(describe) else error)
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "deskhand")
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message)
        return Exit.USAGE
    text = message[:1].lower() + message[1:].rstrip(".")
    Terminal(json="--json" in words).error(InvalidInputError(text, hint=f"{command} --help"), Exit.USAGE)
    return Exit.USAGE
