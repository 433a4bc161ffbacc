"""A desktop for whatever has ``exec``: pictures by ``scrot``, input by ``xdotool``, both run on the computer."""

from __future__ import annotations

import base64
import binascii
import math
import re
import secrets
import shlex
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

import anyio
import anyio.to_thread

from deskhand.errors import DeadlineExceededError, DeskhandError, PayloadTooLargeError, ProtocolError, ProviderError
from deskhand.providers.actions import InputAction, Wait
from deskhand.providers.composition import done_in_part
from deskhand.providers.contract import Capability, ExecResult, ExternalComputer, Region, Screen
from deskhand.providers.needs import INPUT, capabilities_for, check_points
from deskhand.providers.pictures import check_region, formed, image_format, size_of
from deskhand.providers.spare_keys import lines_of
from deskhand.providers.xdotool import failure, let_go, place, seconds

__all__ = ["ShellDesktop"]

_PATIENCE: Final = 30.0
"""Seconds that a command of ours may take beyond what the action takes."""
_TIDYING: Final = 10.0
"""Seconds for letting go and for removing, when nobody waits for the rest any more."""
_PART: Final = 45_000
"""Bytes of a picture that travel in one command's output, of which 64 KiB are kept: base64 makes three bytes four."""
_LARGEST: Final = 32 * 1024 * 1024
_SMALL, _FAST = 10, 70
"""How hard scrot does not try to make a picture small: a fifth more bytes take two thirds of the time."""
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
said=$(scrot @OPTIONS@ -q @QUALITY@ @PATH@ 2>&1) || { code=$?; rm -f @PATH@; echo "$said"; exit $code; }
size=$(wc -c < @PATH@)
echo "@HEAD@"$size
if [ $size -le @MOST@ ]; then @PRINT@; rm -f @PATH@; fi
"""
_PACKED: Final = "base64 -w0 @PATH@ 2>/dev/null || base64 @PATH@"
_SIZE: Final = re.compile(rb"^%b(\d+)\r?\n" % _HEAD.encode(), re.MULTILINE)

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
    is sent once. When it fails or is cancelled, what it holds is let go of. Actions of several tasks are performed one
    after the other. A picture is written to a private file, printed and removed by one command: through `exec_stream`
    whatever its size, else through ``exec`` if it is small. A large one is then read through `read_bytes` where there
    are files, else through ``exec`` in parts.

    Characters that the keyboard has no key for are typed on spare keys. Of a text with more than a few, as many are
    bound at once as there are spare keys, by ``xkbcomp``, which comes with X servers; the keymap is put back when it is
    typed, and a warning is logged where that cannot be made sure of. Where the program is missing, each is bound for
    its own stroke. An application that is busy for longer than 250 ms, or 60 ms where it is one stroke, may miss them.
    """

    is_output_exact: ClassVar[bool] = False
    """Whether `exec_stream` gives what a command writes byte for byte: then a picture comes as it is."""

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
        is_streamed = Capability.EXEC_STREAM in self.capabilities
        is_exact = is_streamed and self.is_output_exact
        most = _LARGEST if is_streamed else _PART
        line = _TAKE.replace("@QUALITY@", str(_FAST if is_streamed else _SMALL))
        line = line.replace("@OPTIONS@", options).replace("@PRINT@", "cat @PATH@" if is_exact else _PACKED)
        line = line.replace("@PATH@", path).replace("@HEAD@", _HEAD).replace("@MOST@", str(most)).strip()
        is_removed = False
        try:
            printed, result = await (self._followed(line) if is_streamed else self._printed(line))
            if not result.ok:
                is_removed = result.exit_code is not None
                raise self._no_picture(result)
            size, start = self._sized(printed)
            is_removed = size <= most
            if is_removed:
                picture = memoryview(printed)[start:]
                return self._whole(bytes(picture[:size]), size) if is_exact else self._decoded(picture, size)
            if size > _LARGEST:
                raise PayloadTooLargeError(f"the screenshot has {size} bytes", provider=self.info.provider)
            if Capability.FILES in self.capabilities:
                return await self.read_bytes(path)
            return b"".join([await self._part(path, start, size) for start in range(0, size, _PART)])
        finally:
            if not is_removed:
                await self._tidy(f"rm -f {path}")

    async def _printed(self, line: str) -> tuple[bytes, ExecResult]:
        """Run what prints a picture, and return what it printed; of more than 64 KiB, a part."""
        result = await self._run(line)
        return (result.output if result.stdout is None else result.stdout).encode(), result

    async def _followed(self, line: str) -> tuple[bytearray, ExecResult]:
        """Run what prints a picture, and return all that it printed."""
        printed, said, failure = bytearray(), "", None
        async with self.exec_stream(line, timeout=_PATIENCE, env=self._variables) as stream:
            try:
                async for chunk in stream:
                    if chunk.stream == "stdout":
                        printed += chunk.data
                    if len(printed) > 2 * _LARGEST:
                        raise PayloadTooLargeError("the screenshot has no end", provider=self.info.provider)
            except DeadlineExceededError as error:
                failure = error.message
            code = stream.exit_code
        if code != 0:
            said = printed.decode(errors="replace")
        return printed, ExecResult(said, None, None, code, failure)

    async def _part(self, path: str, start: int, size: int) -> bytes:
        printed, result = await self._printed(f"tail -c +{start + 1} {path} | head -c {_PART} | base64")
        if not result.ok:
            raise self._no_picture(result)
        return self._decoded(memoryview(printed), min(_PART, size - start))

    def _sized(self, printed: bytes | bytearray) -> tuple[int, int]:
        """Return the picture's size, and where it begins in what was printed."""
        if found := _SIZE.search(printed):
            return int(found[1]), found.end()
        raise ProtocolError("the computer tells no size of its picture", provider=self.info.provider, effect="no")

    def _decoded(self, packed: memoryview, size: int) -> bytes:
        try:
            return self._whole(binascii.a2b_base64(packed, strict_mode=True), size)  # (in one line: nothing is copied)
        except binascii.Error:
            pass
        try:
            return self._whole(base64.b64decode(b"".join(bytes(packed).split()), validate=True), size)
        except binascii.Error:
            return self._whole(b"", size)

    def _whole(self, data: bytes, size: int) -> bytes:
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
        async with self._turn, lines_of(action, self._run, self._tidy, self) as lines:
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

    @cached_property
    def _turn(self) -> anyio.Lock:
        """Held by what is performed: two texts at once would each bind the spare keys and save the other's keymap."""
        return anyio.Lock()

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

    @property
    def _variables(self) -> dict[str, str]:
        return {"DISPLAY": self._found().display, **_TEXTS}

    async def _run(self, line: str, seconds: float = 0.0) -> ExecResult:
        return await self.exec(line, timeout=math.ceil(seconds) + _PATIENCE, env=self._variables)

    async def _tidy(self, line: str) -> bool:
        """Run what has to be done although something failed, or nobody waits any more, and return whether it was.

        It is bounded, and raises nothing.
        """
        with anyio.CancelScope(shield=True), anyio.move_on_after(_TIDYING), suppress(DeskhandError):
            return (await self._run(line)).ok
        return False


def _lines(result: ExecResult) -> list[str]:
    return (result.output if result.stdout is None else result.stdout).splitlines()
