"""Input that is composed with xdotool through a vendor's route for commands, where that route fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from deskhand.errors import DeskhandError, OutcomeUnknownError, RateLimitedError
from deskhand.providers import Click, Drag, HoldKey, InputAction, Type
from deskhand.providers.composition import Composition
from deskhand.providers.shell_commands import Ran, ShellCommands


class Route:
    """A vendor's route for commands, which answers so many times and then fails once."""

    def __init__(self, error: DeskhandError, *, after: int) -> None:
        self.scripts: list[str] = []
        self._error = error
        self._after = after

    async def __call__(
        self, operation: str, script: str, *, seconds: int, deadline: float | None = None, is_urgent: bool = False
    ) -> Ran:
        """Run a script."""
        del operation, seconds, deadline, is_urgent
        self.scripts.append(script)
        if len(self.scripts) == self._after + 1:
            raise self._error
        return Ran("", 0)

    def composed(self) -> Composition:
        """Return what composes input by it."""

        async def at_once(do: Callable[[], Awaitable[None]]) -> None:
            await do()

        return Composition("vendor", ShellCommands("vendor", self, at_once), ":0")


@pytest.mark.parametrize(
    ("error", "after", "effect"),
    [
        (RateLimitedError("slow down"), 0, "no"),
        (RateLimitedError("slow down"), 1, "yes"),
        (OutcomeUnknownError("lost"), 0, "unknown"),
        (OutcomeUnknownError("lost"), 1, "unknown"),
    ],
)
async def test_part_of_a_text_that_was_typed_is_told(error: DeskhandError, after: int, effect: str) -> None:
    """A long text is typed in several calls: once one was made, something was done, and none is made again."""
    route = Route(error, after=after)
    with pytest.raises(DeskhandError) as caught:
        await route.composed().perform(Type("x" * 40_000 + "\n" + "y" * 40_000))
    assert (caught.value.effect, caught.value.retryable) == (effect, after == 0 and error.retryable)
    assert ("look at the screen" in str(caught.value.hint)) is (after > 0)
    assert len([script for script in route.scripts if "yyy" in script]) == after + 1


@pytest.mark.parametrize(
    ("action", "released"),
    [
        (Click(1, 2, modifiers=("ctrl", "shift")), ("keyup", "Control_L", "Shift_L")),
        (HoldKey("a", 1.0), ("keyup a",)),
        (Drag(((1, 2), (3, 4)), "right"), ("mouseup 3",)),
    ],
    ids=str,
)
@pytest.mark.parametrize("is_sent", [True, False])
async def test_what_a_call_holds_is_let_go_of_where_it_may_have_been_made(
    action: InputAction, released: tuple[str, ...], is_sent: bool
) -> None:
    """A call that was refused pressed nothing; of any other, nobody knows."""
    route = Route(OutcomeUnknownError("lost") if is_sent else RateLimitedError("slow down"), after=0)
    with pytest.raises(DeskhandError):
        await route.composed().perform(action)
    later = [script for script in route.scripts[1:] if "xdotool" in script]
    assert len(later) == is_sent
    assert all(word in script for script in later for word in released)
    assert not any("keydown" in script or "mousedown" in script for script in later)
