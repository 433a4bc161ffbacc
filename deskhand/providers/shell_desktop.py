"""A desktop for whatever has ``exec``: pictures by ``scrot``, input by ``xdotool``, both run on the computer."""

from __future__ import annotations

import base64
import binascii
import math
import secrets
import shlex
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import anyio
import anyio.to_thread

from deskhand.errors import DeskhandError, PayloadTooLargeError, ProtocolError, ProviderError
from deskhand.providers.actions import InputAction, Type, Wait
from deskhand.providers.composition import done_in_part
from deskhand.providers.contract import Capability, ExecResult, ExternalComputer, Region, Screen
from deskhand.providers.needs import INPUT, capabilities_for, check_points
from deskhand.providers.pictures import check_region, formed, image_format, size_of
from deskhand.providers.spare_keys import is_worth_it, lines_typing, restoring, saving, spare_keys
from deskhand.providers.xdotool import calls, failure, let_go, place, seconds

__all__ = ["ShellDesktop"]

_PATIENCE: Final = 30.0
"""Seconds that a command of ours may take beyond what the action takes."""
_TIDYING: Final = 10.0
"""Seconds for letting go and for removing, when nobody waits for the rest any more."""
_PART: Final = 45_000
"""Bytes of a picture that travel in one command's output, of which 64 KiB are kept: base64 makes three bytes four."""
_LARGEST: Final = 32 * 1024 * 1024
_HEAD: Final = "picture of "
_TEXTS: Final = {"LC_ALL": "C.UTF-8"}
"""xdotool reads its arguments by the locale."""

_LOOK: Final = r"""
for DISPLAY in @DISPLAYS@; do
  export DISPLAY
  [ -n "$DISPLAY" ] || continue
  size=$(timeout 5 xdotool getdisplaygeometry)
  [ -n "$size" ] || size=$(timeout 5 xdpyinfo | sed -n 's/^ *dimensions: *\([0-9]*\)x\([0-9]*\) .*/\1 \2/p')
  [ -n "$size" ] || continue
  found=
  for program in xdotool scrot base64; do command -v $program >&2 && found="$found $program"; done
  echo "desktop $DISPLAY $size$found"
  break
done 2>/dev/null
"""
_TAKE: Final = r"""
umask 077
said=$(scrot @OPTIONS@ -q 10 @PATH@ 2>&1) || { code=$?; rm -f @PATH@; echo "$said"; exit $code; }
size=$(wc -c < @PATH@)
echo "@HEAD@"$size
if [ $size -le @PART@ ]; then base64 @PATH@; rm -f @PATH@; fi
"""

_PROGRAMS: Final = {"screenshot": {"scrot", "base64"}, "cursor_position": {"xdotool"}, "perform": {"xdotool"}}
"""What each method runs on the computer."""


@dataclass(frozen=True, slots=True)
class _Desktop:
    """What was found: the X display, its size, and which of our programs the computer has."""

    display: str
    screen: Screen
    programs: frozenset[str]


class ShellDesktop(ExternalComputer):
    """A computer whose screen is seen and used through its shell: derive from it in place of `ExternalComputer`.

    It needs an X display on the computer, ``xdotool`` for input and ``scrot`` (1.2 or newer) for pictures. Whoever
    creates or gets the computer awaits `find_desktop` once; what is not found then is absent from `capabilities`.
    ``info`` should tell `screen`. A method that the class overrides is its own, and needs no program.

    Every action is one command with one call of ``xdotool`` in it, several for a text of thousands of characters, and
    is sent once. When it fails or is cancelled, what it holds is let go of. A picture is written to a private file,
    which is read through `read_bytes` where there are files, else through ``exec`` in parts, and removed.

    Characters that the keyboard has no key for are typed on spare keys. Of a text with more than a few, as many are
    bound at once as there are spare keys, by ``xkbcomp``, which comes with X servers; the keymap is put back when it is
    typed. Where that is missing, each is bound for its own stroke. An application that is busy for longer than 250 ms,
    or 60 ms where it is one stroke, may miss them.
    """

    inline_picture = _PART
    """Bytes of a picture that travel in a command's output at most; larger ones are read by themselves."""

    _desktop: _Desktop | None = None

    @property
    def screen(self) -> Screen | None:
        """The screen's size as last seen; ``None`` where no desktop was found."""
        return None if self._desktop is None else self._desktop.screen

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the class overrides, and of the desktop what was found."""
        programs = self._desktop.programs if self._desktop is not None else frozenset[str]()
        missing = {name for name, needed in _PROGRAMS.items() if not needed <= programs and self._is_ours(name)}
        return frozenset(found for found in super().capabilities if self._BACKING.get(found) not in missing)

    def _is_ours(self, method: str) -> bool:
        return getattr(type(self), method) is getattr(ShellDesktop, method)

    def _unsupported_hint(self, capability: Capability) -> str | None:
        if capability in INPUT or capability in {Capability.CURSOR, Capability.SCREENSHOT, Capability.REGION}:
            return "it needs an X display, xdotool and scrot: apt-get install xdotool scrot, then get it again"
        return super()._unsupported_hint(capability)

    async def find_desktop(self, display: str | None = None) -> Screen | None:
        """Look for a display and for the programs, and remember what was found.

        Args:
            display: The X display; that of the computer's environment, else ``:0``, ``:1`` or ``:99`` where not given.

        Returns:
            The screen's size, or ``None`` where there is no desktop.
        """
        displays = '"$DISPLAY" :0 :1 :99' if display is None else shlex.quote(display)
        result = await self.exec(_LOOK.replace("@DISPLAYS@", displays).strip(), timeout=_PATIENCE * 2)
        words = next((line.split()[1:] for line in _lines(result) if line.startswith("desktop ")), None)
        self._desktop = None
        if words is not None:
            name, width, height, *programs = words
            self._desktop = _Desktop(name, Screen(int(width), int(height)), frozenset(programs))
        return self.screen

    # Screen

    async def screenshot(self, *, region: Region | None = None, cursor: bool = True, format: str = "png") -> bytes:
        """Capture the screen, and cut a region out here; ``auto`` is PNG.

        Raises:
            ProviderError: If ``scrot`` fails.
            PayloadTooLargeError: If the picture has more than 32 MiB.
        """
        self.require(Capability.SCREENSHOT)
        form = image_format(format)
        desktop = self._found()
        if region is not None:
            check_region(region, desktop.screen)
        data = await self._picture("-p" if cursor else "")
        self._desktop = _Desktop(desktop.display, size_of(data, self.info.provider), desktop.programs)
        return await formed(data, region, form, self.info.provider)

    async def _picture(self, options: str) -> bytes:
        path = f"/tmp/deskhand-{secrets.token_hex(8)}.png"  # noqa: S108 (nobody can guess it)
        line = _TAKE.replace("@OPTIONS@", options).replace("@PATH@", path)
        line = line.replace("@HEAD@", _HEAD).replace("@PART@", str(self.inline_picture)).strip()
        is_removed = False
        try:
            result = await self._run(line)
            if not result.ok:
                is_removed = result.exit_code is not None
                raise self._no_picture(result)
            size, inline = self._sized(_lines(result))
            is_removed = size <= self.inline_picture
            if is_removed:
                return self._decoded(inline, size)
            if size > _LARGEST:
                raise PayloadTooLargeError(f"the screenshot has {size} bytes", provider=self.info.provider)
            if Capability.FILES in self.capabilities:
                return await self.read_bytes(path)
            return b"".join([await self._part(path, start, size) for start in range(0, size, _PART)])
        finally:
            if not is_removed:
                await self._tidy(f"rm -f {path}")

    async def _part(self, path: str, start: int, size: int) -> bytes:
        result = await self._run(f"tail -c +{start + 1} {path} | head -c {_PART} | base64")
        if not result.ok:
            raise self._no_picture(result)
        return self._decoded(_lines(result), min(_PART, size - start))

    def _sized(self, lines: list[str]) -> tuple[int, list[str]]:
        """Return the picture's size, and the lines behind that."""
        for number, line in enumerate(lines):
            if line.startswith(_HEAD) and line.removeprefix(_HEAD).isdigit():
                return int(line.removeprefix(_HEAD)), lines[number + 1 :]
        raise ProtocolError("the computer tells no size of its picture", provider=self.info.provider, effect="no")

    def _decoded(self, lines: list[str], size: int) -> bytes:
        try:
            data = base64.b64decode("".join(lines), validate=True)
        except binascii.Error:
            data = b""
        if len(data) != size:
            raise ProtocolError(
                f"of {size} bytes of a picture {len(data)} came", provider=self.info.provider, effect="no"
            )
        return data

    def _no_picture(self, result: ExecResult) -> ProviderError:
        said = result.error or result.output.strip()[:300] or f"exit code {result.exit_code}"
        return ProviderError(
            f"no picture could be taken: {said}", provider=self.info.provider, effect="no", retryable=True
        )

    async def cursor_position(self) -> tuple[int, int]:
        """Return the pointer's position in screen pixels."""
        self.require(Capability.CURSOR)
        result = await self._run("exec xdotool getmouselocation --shell")
        if not result.ok:
            error = failure(result, self.info.provider)
            error.effect = "no"
            raise error
        return place("\n".join(_lines(result)), self.info.provider)

    # Input

    async def perform(self, action: InputAction) -> None:
        """Perform one input action, once: a failure is told, not repeated, and says in ``effect`` what is certain.

        Raises:
            InvalidInputError: If a point is off the screen.
            ProviderError: If ``xdotool`` fails.
        """
        self.require(*sorted(capabilities_for(action)))
        if isinstance(action, Wait):
            await anyio.sleep(action.duration)
            return
        check_points(action, self._found().screen)
        async with self._lines_of(action) as lines:
            for number, line in enumerate(lines):
                try:
                    await self._xdotool(line, seconds(action))
                except DeskhandError as error:
                    if error.effect != "no":
                        await self._let_go(action)
                    if number:
                        done_in_part(error)
                    raise
                except anyio.get_cancelled_exc_class():
                    await self._let_go(action)
                    raise

    @asynccontextmanager
    async def _lines_of(self, action: InputAction) -> AsyncIterator[Iterable[str]]:
        """Give the lines that perform an action; the keymap is as it was after that, however it ends."""
        plain = (f"exec xdotool {call}" for call in calls(action))
        if not (isinstance(action, Type) and is_worth_it(action.text)):
            yield plain
            return
        path = f"/tmp/deskhand-{secrets.token_hex(8)}.xkb"  # noqa: S108 (nobody can guess it)
        try:
            saved = await self._run(saving(path))
            spare = spare_keys(_lines(saved)) if saved.ok else {}
            yield lines_typing(action.text, path, spare) if spare else plain
        finally:
            await self._tidy(restoring(path))

    async def _xdotool(self, line: str, seconds: float) -> None:
        result = await self._run(line, seconds)
        if not result.ok:
            raise failure(result, self.info.provider)

    async def _let_go(self, action: InputAction) -> None:
        if words := let_go(action):
            await self._tidy(f"exec xdotool {words}")

    # Commands

    def _found(self) -> _Desktop:
        if self._desktop is None:
            raise self._unsupported(Capability.SCREENSHOT)
        return self._desktop

    async def _run(self, line: str, seconds: float = 0.0) -> ExecResult:
        env = {"DISPLAY": self._found().display, **_TEXTS}
        return await self.exec(line, timeout=math.ceil(seconds) + _PATIENCE, env=env)

    async def _tidy(self, line: str) -> None:
        """Run what has to be done although something failed, or nobody waits any more: bounded, and without a word."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(_TIDYING), suppress(DeskhandError):
            await self._run(line)


def _lines(result: ExecResult) -> list[str]:
    return (result.output if result.stdout is None else result.stdout).splitlines()
