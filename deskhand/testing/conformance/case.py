"""What a case is, what it is run against, and how it says what is wrong."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

import anyio

from deskhand.errors import DeskhandError, UnsupportedError
from deskhand.providers import Capability, ExternalComputer, Screen
from deskhand.testing.conformance.wire import Fault, Request, Wire
from deskhand.testing.received import GroundTruth, Received

__all__ = ["Case", "ConformanceError", "Target", "Verdict"]

CASE_DEADLINE: Final = 120.0
"""Seconds that one case may take."""


class ConformanceError(AssertionError):
    """Raised when a computer does not do what the contract says; names what, and what was expected."""


class Verdict(enum.Enum):
    """What a case that did not fail has shown."""

    VERIFIED = "verified"
    """The computer does it."""
    UNSUPPORTED = "unsupported"
    """The computer lacks the capability, and says so as the contract wants it."""
    UNVERIFIED = "unverified"
    """The target has no ground truth, so that nobody could tell what arrived, or no wire that can be broken."""


@dataclass(frozen=True, slots=True)
class Target:
    """A computer under test.

    Attributes:
        computer: The computer, its screen at rest, nothing held.
        ground_truth: Who tells which input arrived on the machine; without it, input cannot be verified.
        wire: What the computer's adapter talks to its vendor by, where that can be broken.
    """

    computer: ExternalComputer
    ground_truth: GroundTruth | None = None
    wire: Wire | None = None

    @property
    def screen(self) -> Screen:
        """The screen's size."""
        screen = self.computer.info.screen
        if screen is None:
            raise ConformanceError("a computer that takes pictures or input must have info.screen")
        return screen

    def broken(self, fault: Fault) -> AbstractContextManager[list[Request]]:
        """Break the wire for a block; see `Wire.broken`."""
        if self.wire is None:
            raise ConformanceError("this case needs a wire")
        return self.wire.broken(fault)

    async def received(self) -> list[Received]:
        """Return the input that arrived since `forget`."""
        if self.ground_truth is None:
            raise ConformanceError("this case needs a ground truth")
        return list(await self.ground_truth.events())

    async def forget(self) -> None:
        """Forget what arrived so far."""
        if self.ground_truth is not None:
            await self.ground_truth.clear()


Check = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that every computer with certain capabilities must do.

    Attributes:
        name: What it is called.
        says: The promise, one sentence.
        needs: The capabilities that it is about.
        needs_truth: Whether only a ground truth can tell.
        needs_wire: Whether it breaks the wire between the adapter and its vendor.
        ends_computer: Whether the computer cannot be used afterwards.
        check: The check itself.
    """

    name: str
    says: str
    needs: frozenset[Capability]
    needs_truth: bool
    ends_computer: bool
    check: Check
    needs_wire: bool = False

    def __str__(self) -> str:
        """The name, for test ids."""
        return self.name

    async def run(self, target: Target) -> Verdict:
        """Hold a computer to the promise.

        Raises:
            ConformanceError: If it does not keep it.
        """
        missing = self.needs - target.computer.capabilities
        if missing:
            for capability in sorted(missing):
                with refuses(UnsupportedError, f"require({capability})"):
                    target.computer.require(capability)
            return Verdict.UNSUPPORTED
        if (self.needs_truth and target.ground_truth is None) or (self.needs_wire and target.wire is None):
            return Verdict.UNVERIFIED
        await target.forget()
        try:
            with anyio.fail_after(CASE_DEADLINE):
                await self.check(target)
        except TimeoutError as error:
            raise ConformanceError(f"{self.name} waited in vain; a case may take {CASE_DEADLINE:g} s") from error
        except DeskhandError as error:
            raise ConformanceError(f"{self.name} met an error that must not be: {error!r}") from error
        return Verdict.VERIFIED


def case(
    into: list[Case], *needs: Capability, truth: bool = False, ends_computer: bool = False, wire: bool = False
) -> Callable[[Check], Check]:
    """Make a case of a function and put it into a list."""

    def register(check: Check) -> Check:
        says = (check.__doc__ or "").strip()
        into.append(Case(check.__name__, says, frozenset(needs), truth, ends_computer, check, wire))
        return check

    return register


def expect(is_so: bool, what: str) -> None:
    """Fail with a sentence unless it is so."""
    if not is_so:
        raise ConformanceError(what)


def expect_equal(what: str, got: object, wanted: object) -> None:
    """Fail unless two values are equal."""
    if got != wanted:
        raise ConformanceError(f"{what} is {shortened(got)}, must be {shortened(wanted)}")


def shortened(value: object) -> str:
    """Return a value's repr, cut in the middle where it is long."""
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:200]} … {text[-200:]}"


@contextmanager
def refuses(error: type[Exception], what: str) -> Iterator[None]:
    """Fail unless the block raises that error."""
    try:
        yield
    except error:
        return
    except Exception as other:
        raise ConformanceError(f"{what} must raise {error.__name__}, raised {type(other).__name__}: {other}") from other
    raise ConformanceError(f"{what} must raise {error.__name__}, raised nothing")
