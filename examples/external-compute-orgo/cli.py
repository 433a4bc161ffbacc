"""Computers by hand, one command at a time: `python cli.py create`, then `exec`, `shot`, `click`, `rm` with its id."""

import argparse
from pathlib import Path

from external_compute import ExternalComputer, OrgoProvider
from tools import dispatch

from deskhand import DeskhandError


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("create", help="create a computer and keep it").add_argument("--name", default="agent-box")
    commands.add_parser("ls", help="list the computers that are there")
    for name, operands in {"exec": ["line"], "shot": ["file"], "click": ["x", "y"], "rm": []}.items():
        command = commands.add_parser(name)
        command.add_argument("id")
        for operand in operands:
            command.add_argument(operand, type=int if name == "click" else str)
    return parser.parse_args()


def use(computer: ExternalComputer, wanted: argparse.Namespace) -> int:
    """Do one thing on a computer that is there."""
    if wanted.command == "exec":
        result = computer.exec(wanted.line)
        print(result.output, end="")
        return result.exit_code if result.exit_code is not None else 1
    if wanted.command == "shot":
        Path(wanted.file).write_bytes(computer.screenshot())
    elif wanted.command == "click":
        dispatch(computer, "left_click", {"x": wanted.x, "y": wanted.y})
    else:
        computer.destroy()
    return 0


def main() -> int:
    """Do what the command line says."""
    wanted = parsed()
    with OrgoProvider() as provider:
        if wanted.command == "create":
            computer = provider.create(name=wanted.name)
            computer.keep()
            print(computer.info.id)
        elif wanted.command == "ls":
            for info in provider.list():
                print(info.id, info.name, info.status)
        else:
            return use(provider.get(wanted.id), wanted)
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DeskhandError as error:
        raise SystemExit(str(error)) from None
