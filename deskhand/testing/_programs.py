"""The programs that every fake computer has, each the part of its namesake that scripts commonly use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import anyio
import anyio.lowlevel

from deskhand.errors import DeskhandError, InvalidInputError
from deskhand.testing._shell import Call, Program, ShellExit

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "0": "\0", "a": "\a", "b": "\b", "e": "\x1b"}
_CHUNK: Final = 65_536
_MAX_SEQUENCE: Final = 10_000_000
_SYSTEM: Final = {"-s": "Linux", "-n": "fake", "-r": "6.1.0", "-m": "x86_64"}

_table: dict[str, Program] = {}


def _program(*names: str) -> Callable[[Program], Program]:
    def register(program: Program) -> Program:
        _table.update(dict.fromkeys(names, program))
        return program

    return register


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), text)


def _flags(call: Call, known: str) -> tuple[set[str], list[str]]:
    """Split single-letter options from the operands.

    Raises:
        InvalidInputError: If there is another option.
    """
    flags: set[str] = set()
    operands = list(call.arguments[1:])
    while operands and len(operands[0]) > 1 and operands[0].startswith("-"):
        option = operands.pop(0)
        if option == "--":
            break
        if unknown := set(option[1:]) - set(known):
            raise InvalidInputError(f"{call.arguments[0]}: the fake has no option -{min(unknown)}")
        flags |= set(option[1:])
    return flags, operands


async def _inputs(call: Call, operands: list[str]) -> bytes | None:
    """Read the operands' files, or stdin; ``None`` if one cannot be read, which has been said."""
    data = bytearray()
    for operand in operands or ["-"]:
        if operand == "-":
            data += call.stdin
            continue
        path = call.shell.files.absolute(operand, call.shell.cwd)
        if path == "/dev/null":
            continue
        if call.shell.files.is_folder(path):
            await call.fail(f"{operand}: Is a directory")
            return None
        if path not in call.shell.files:
            await call.fail(f"{operand}: No such file or directory")
            return None
        data += call.shell.files[path]
    return bytes(data)


@_program(":", "true")
async def _true(call: Call) -> int:
    del call
    return 0


@_program("false")
async def _false(call: Call) -> int:
    del call
    return 1


@_program("exit")
async def _exit(call: Call) -> int:
    code = call.arguments[1] if len(call.arguments) > 1 else str(call.shell.status)
    raise ShellExit(int(code) % 256 if code.isdecimal() else 2)


@_program("echo")
async def _echo(call: Call) -> int:
    words = list(call.arguments[1:])
    flags: set[str] = set()
    while words and re.fullmatch(r"-[neE]+", words[0]):
        flags |= set(words.pop(0)[1:])
    text = " ".join(words)
    return await call.say((_unescape(text) if "e" in flags else text) + ("" if "n" in flags else "\n"))


@_program("printf")
async def _printf(call: Call) -> int:
    if len(call.arguments) < 2:
        return await call.fail("usage: printf FORMAT [ARGUMENT...]", 2)
    form, values = _unescape(call.arguments[1]), list(call.arguments[2:])
    while True:
        before = len(values)

        def value(match: re.Match[str]) -> str:
            if match[1] == "%":
                return "%"
            given = values.pop(0) if values else ""
            return (given or "0") if match[1] == "d" else given

        await call.say(re.sub(r"%([sd%])", value, form))
        if not values or len(values) == before:
            return 0


@_program("cat")
async def _cat(call: Call) -> int:
    _, operands = _flags(call, "u")
    data = await _inputs(call, operands)
    if data is None:
        return 1
    await call.out(data)
    return 0


@_program("head", "tail")
async def _part(call: Call) -> int:
    """``-n LINES`` or ``-c BYTES``, ten lines by default."""
    operands = list(call.arguments[1:])
    unit, count = "-n", 10
    if len(operands) > 1 and operands[0] in {"-n", "-c"} and operands[1].isdecimal():
        unit, count = operands[0], int(operands[1])
        operands = operands[2:]
    data = await _inputs(call, operands)
    if data is None:
        return 1
    is_head = call.arguments[0] == "head"
    pieces = data.splitlines(keepends=True) if unit == "-n" else [data[i : i + 1] for i in range(len(data))]
    await call.out(b"".join(pieces[:count] if is_head else pieces[max(0, len(pieces) - count) :]))
    return 0


@_program("wc")
async def _wc(call: Call) -> int:
    flags, operands = _flags(call, "clw")
    data = await _inputs(call, operands)
    if data is None:
        return 1
    counts = {"l": data.count(b"\n"), "w": len(data.split()), "c": len(data)}
    names = [str(count) for flag, count in counts.items() if flag in (flags or {"l", "w", "c"})]
    return await call.say(" ".join([*names, *operands]) + "\n")


@_program("grep")
async def _grep(call: Call) -> int:
    flags, operands = _flags(call, "qvicF")
    if not operands:
        return await call.fail("usage: grep PATTERN [FILE...]", 2)
    data = await _inputs(call, operands[1:])
    if data is None:
        return 2
    pattern = re.escape(operands[0]) if "F" in flags else operands[0]
    wanted = re.compile(pattern, re.IGNORECASE if "i" in flags else 0)
    lines = [line for line in data.decode(errors="replace").splitlines() if bool(wanted.search(line)) != ("v" in flags)]
    if "c" in flags:
        await call.say(f"{len(lines)}\n")
    elif "q" not in flags:
        await call.say("".join(f"{line}\n" for line in lines))
    return 0 if lines else 1


@_program("seq")
async def _seq(call: Call) -> int:
    numbers = call.arguments[1:]
    if not 1 <= len(numbers) <= 2 or not all(re.fullmatch(r"-?\d+", number) for number in numbers):
        return await call.fail("usage: seq [FIRST] LAST", 2)
    first, last = (1, int(numbers[0])) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))
    if last - first > _MAX_SEQUENCE:
        return await call.fail(f"the fake counts to {_MAX_SEQUENCE} at most")
    for chunk in _lines(first, last):
        await call.out(chunk)
        await anyio.lowlevel.checkpoint()
    return 0


def _lines(first: int, last: int) -> Iterator[bytes]:
    for start in range(first, last + 1, _CHUNK // 8):
        yield "".join(f"{n}\n" for n in range(start, min(last + 1, start + _CHUNK // 8))).encode()


@_program("pwd")
async def _pwd(call: Call) -> int:
    return await call.say(f"{call.shell.cwd}\n")


@_program("cd")
async def _cd(call: Call) -> int:
    goal = call.arguments[1] if len(call.arguments) > 1 else call.shell.env.get("HOME", "/")
    path = call.shell.files.absolute(goal, call.shell.cwd)
    if not call.shell.files.is_folder(path):
        return await call.fail(f"{goal}: No such file or directory")
    call.shell.cwd = path
    return 0


@_program("ls")
async def _ls(call: Call) -> int:
    flags, operands = _flags(call, "1aAl")
    for operand in operands or ["."]:
        path = call.shell.files.absolute(operand, call.shell.cwd)
        if path in call.shell.files:
            await call.say(f"{operand}\n")
        elif call.shell.files.is_folder(path):
            entries = [entry.path.rsplit("/", 1)[1] for entry in call.shell.files.list_folder(path)]
            await call.say("".join(f"{name}\n" for name in entries if flags & {"a", "A"} or name[:1] != "."))
        else:
            return await call.fail(f"{operand}: No such file or directory", 2)
    return 0


@_program("mkdir")
async def _mkdir(call: Call) -> int:
    flags, operands = _flags(call, "p")
    for operand in operands:
        path = call.shell.files.absolute(operand, call.shell.cwd)
        if "p" not in flags and (call.shell.files.is_folder(path) or path in call.shell.files):
            return await call.fail(f"{operand}: File exists")
        call.shell.files.make_folder(path)
    return 0


@_program("rm")
async def _rm(call: Call) -> int:
    flags, operands = _flags(call, "rRf")
    for operand in operands:
        path = call.shell.files.absolute(operand, call.shell.cwd)
        if call.shell.files.is_folder(path):
            if not flags & {"r", "R"}:
                return await call.fail(f"{operand}: Is a directory")
            call.shell.files.delete(path, recursive=True)
        elif path in call.shell.files:
            call.shell.files.delete(path)
        elif "f" not in flags:
            return await call.fail(f"{operand}: No such file or directory")
    return 0


@_program("touch")
async def _touch(call: Call) -> int:
    for operand in call.arguments[1:]:
        path = call.shell.files.absolute(operand, call.shell.cwd)
        call.shell.files[path] = call.shell.files.get(path, b"")
    return 0


@_program("test", "[")
async def _test(call: Call) -> int:
    words = list(call.arguments[1:])
    if call.arguments[0] == "[" and (not words or words.pop() != "]"):
        return await call.fail("a ] is missing", 2)
    negated = words[:1] == ["!"]
    words = words[negated:]
    files, cwd = call.shell.files, call.shell.cwd
    match words:
        case []:
            true = False
        case [text] | ["-n", text]:
            true = text != ""
        case ["-z", text]:
            true = text == ""
        case [("-e" | "-f" | "-d" | "-s") as kind, path]:
            full = files.absolute(path, cwd)
            is_file, is_folder = full in files, files.is_folder(full)
            size = len(files.get(full, b""))
            true = {"-e": is_file or is_folder, "-f": is_file, "-d": is_folder, "-s": size > 0}[kind]
        case [left, "=", right]:
            true = left == right
        case [left, "!=", right]:
            true = left != right
        case _:
            return await call.fail(f"the fake cannot test {' '.join(words)!r}", 2)
    return int(true == negated)


@_program("sleep")
async def _sleep(call: Call) -> int:
    try:
        duration = float(call.arguments[1])
    except (IndexError, ValueError):
        return await call.fail("usage: sleep SECONDS", 2)
    await anyio.sleep(max(0.0, duration))
    return 0


@_program("export")
async def _export(call: Call) -> int:
    for word in call.arguments[1:]:
        name, equals, value = word.partition("=")
        if equals:
            call.shell.env[name] = value
    return 0


@_program("unset")
async def _unset(call: Call) -> int:
    for name in call.arguments[1:]:
        call.shell.env.pop(name, None)
    return 0


@_program("env", "printenv")
async def _env(call: Call) -> int:
    names = call.arguments[1:]
    env = call.shell.env
    if not names:
        return await call.say("".join(f"{name}={value}\n" for name, value in sorted(env.items())))
    await call.say("".join(f"{env[name]}\n" for name in names if name in env))
    return int(any(name not in env for name in names))


@_program("uname")
async def _uname(call: Call) -> int:
    flags, _ = _flags(call, "snrma")
    wanted = list(_SYSTEM) if "a" in flags else [f"-{flag}" for flag in flags] or ["-s"]
    return await call.say(" ".join(value for flag, value in _SYSTEM.items() if flag in wanted) + "\n")


@_program("whoami")
async def _whoami(call: Call) -> int:
    return await call.say("agent\n")


@_program("hostname")
async def _hostname(call: Call) -> int:
    return await call.say(f"{_SYSTEM['-n']}\n")


@_program("command")
async def _command(call: Call) -> int:
    if len(call.arguments) == 3 and call.arguments[1] == "-v":
        name = call.arguments[2]
        return await call.say(f"{name}\n") if name in call.shell.programs else 1
    return await call.fail("the fake has command -v alone", 2)


@_program("stty")
async def _stty(call: Call) -> int:
    if call.arguments[1:] != ("size",):
        return await call.fail("the fake has stty size alone", 2)
    if not call.shell.columns:
        return await call.fail("standard input: Inappropriate ioctl for device")
    return await call.say(f"{call.shell.rows} {call.shell.columns}\n")


def _guarded(program: Program) -> Program:
    """Turn an error of the files into the message and exit code that a program gives."""

    async def run(call: Call) -> int:
        try:
            return await program(call)
        except DeskhandError as error:
            await call.err(f"{error.message}\n".encode())
            return 1

    return run


PROGRAMS: Final[Mapping[str, Program]] = MappingProxyType({name: _guarded(program) for name, program in _table.items()})
"""By name."""
