"""Which calls would outlive the run: files that run by themselves later, or decide who may do what.

Places are told by their names alone, since a policy looks at a call before anything is done: a name is read the way it
could be meant (``~``, ``$HOME``, ``..``, doubled slashes, ``/proc/self/root``), and a command's words are looked at one
by one. What a command composes itself, or a script that it starts does, cannot be seen here.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from fnmatch import translate
from typing import Final

from pydantic import JsonValue

__all__ = ["outlives"]

_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "it changes who may log in, or as whom": (
        "*/.ssh/*", "*/etc/ssh/*", "*/etc/passwd*", "*/etc/shadow*", "*/etc/group", "*/etc/sudoers*", "*/etc/pam.d/*",
        "*/etc/polkit-1/*", "*authorized_keys*",
    ),
    "it would run at every login": (
        "*/.bash*", "*/.zsh*", "*/.z[pl]*", "*profile", "*/profile.d/*", "*/.xinitrc", "*/.xsession*", "*/.xserverrc",
        "*/etc/bash*", "*/etc/zsh*", "*/etc/environment", "*/.pam_environment", "*/environment.d/*", "*/.config/fish/*",
        "*/.kshrc", "*/.inputrc", "*/autostart", "*/autostart/*", "*/autostart.sh", "*/etc/x11/*", "*/.login",
        "*/.logout", "*/.cshrc", "*/.tcshrc",
    ),
    "it would run again and again": ("cron*", "*crontab*", "*/spool/at/*"),
    "it would run as a service": (
        "*/systemd/*", "*/etc/init.d/*", "*/etc/rc*", "*/etc/inittab", "*/launchagents/*", "*/launchdaemons/*",
        "*/dbus-1/services/*", "*/etc/udev/*", "*/etc/ld.so*",
    ),
    "it would run when another program does": (
        "*/.git/hooks/*", "*/.git/config", "*/.gitconfig", "*/.config/git/*", "*/.vimrc", "*/.config/nvim/*",
        "*/.tmux.conf", "*/.npmrc", "*/pip.conf", "*/.pth", "*.pth", "*/sitecustomize.py", "*/usercustomize.py",
        "*/.direnvrc", "*/.envrc", "*/etc/apt/*", "*/.local/bin/*", "*/usr/local/bin/*",
    ),
    "it would change what is asked": ("*policy.toml", "*/.claude/*", "*/.codex/*", "*/.cursor/*"),
    "it would give a program tools": ("*mcp*.json", "*mcp*.toml", "*claude_desktop_config.json"),
}  # fmt: skip
"""What writing to a place does, by globs in lower case: for the whole path, or without a slash for a name in it."""

_PROGRAMS: Final[Mapping[str, str]] = {
    "crontab": "it would run again and again",
    "at": "it would run later",
    "batch": "it would run later",
    "systemctl": "it would run as a service",
    "systemd-run": "it would run as a service",
    "loginctl": "it would run as a service",
    "update-rc.d": "it would run as a service",
    "launchctl": "it would run as a service",
    "schtasks": "it would run again and again",
    "visudo": "it changes who may log in, or as whom",
    "useradd": "it changes who may log in, or as whom",
    "adduser": "it changes who may log in, or as whom",
    "usermod": "it changes who may log in, or as whom",
    "passwd": "it changes who may log in, or as whom",
    "chpasswd": "it changes who may log in, or as whom",
    "ssh-copy-id": "it changes who may log in, or as whom",
}
"""What a program is for, by its name."""

_TOO_LONG: Final = "it is too long to be looked through"
_LONGEST_PATH, _LONGEST_NAME, _LONGEST_LINE = 4096, 255, 32_768
"""Characters: no system takes a longer path or name, and a longer command is not looked through."""

_PATHS: Final[Mapping[str, str]] = {"write_file": "path"}
_LINES: Final[Mapping[str, str]] = {"exec": "command", "python": "code"}
"""The argument of a tool that is a path, and the one that is made of words."""

_WRAPPERS: Final = frozenset({"sudo", "env", "exec", "nohup", "time", "command", "then", "do", "else", "if", "!"})
"""Words that a program's name may stand behind."""

_HOME: Final = re.compile(r"^(?:~[^/]*|\$home|\$\{home\})(?=/|$)")
_PROC: Final = re.compile(r"^/+proc/[^/]+/(?:task/[^/]+/)?(?:root|cwd|fd/\d+)(?=/|$)")
_COMMANDS: Final = re.compile(r"[|&;()`{}\n]+")
_BETWEEN: Final = re.compile(r"[\s<>=,\[\]|&;()`]+")
_QUOTES: Final = re.compile(r"""\\(?=\S)|["']""")


def _compiled(*, whole: bool) -> dict[str, re.Pattern[str]]:
    return {
        reason: re.compile("|".join(translate(glob) for glob in globs if ("/" in glob) == whole) or "(?!)")
        for reason, globs in _PLACES.items()
    }


_WHOLE: Final = _compiled(whole=True)
_NAMES: Final = _compiled(whole=False)


def outlives(name: str, arguments: Mapping[str, JsonValue]) -> str | None:
    """Return why a call would outlive the run, as far as its arguments tell; ``None`` where they do not.

    Args:
        name: The tool's name.
        arguments: Its arguments.
    """
    path, line = arguments.get(_PATHS.get(name, "")), arguments.get(_LINES.get(name, ""))
    if isinstance(path, str):
        return _place(path)
    return _line(line) if isinstance(line, str) else None


def _line(text: str) -> str | None:
    """Look at the words of a command or a program: as they are, without their quotes, and cut at them."""
    if len(text) > _LONGEST_LINE:
        return _TOO_LONG
    for plain in dict.fromkeys((text, _QUOTES.sub("", text), re.sub("[\"']", " ", text))):
        programs = (_PROGRAMS.get(_program(part)) for part in _COMMANDS.split(plain))
        words = {word for word in _BETWEEN.split(plain) if "/" in word or word.startswith((".", "~"))}
        for reason in (*programs, *map(_place, sorted(words))):
            if reason is not None:
                return reason
    return None


def _program(command: str) -> str:
    """Return the name of the program that a plain command starts."""
    for word in command.split():
        if word not in _WRAPPERS and "=" not in word and not word.startswith("-"):
            return posixpath.basename(word)
    return ""


def _place(path: str) -> str | None:
    if len(path) > _LONGEST_PATH:
        return _TOO_LONG
    for spelling in _spellings(path):
        names = [name for name in spelling.split("/") if len(name) <= _LONGEST_NAME]
        for reason in _PLACES:
            if _WHOLE[reason].match(spelling) or any(map(_NAMES[reason].match, names)):
                return reason
    return None


def _spellings(path: str) -> Iterable[str]:
    """Return the ways in which a path may be meant, from the root: as it is written, and with its detours taken."""
    lower = _HOME.sub("/home", path.strip().lower().replace("\\", "/"))
    found: dict[str, None] = {}
    for plain in (lower, _PROC.sub("", lower)):
        whole = f"/{plain}"
        found[whole] = found[re.sub("^/+", "/", posixpath.normpath(whole))] = None
    return found
