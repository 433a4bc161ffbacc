"""Several computers under one goal, each with a loop of its own: one run, one stream of events, one budget, one switch.

Each computer gets its own conversation, all at once, and with it the vendor's computer tool, of which an API takes one
a request. Where one model is to have all computers in one conversation, any bundled loop with functions does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import anyio
from typing_extensions import TypeVar

from deskhand.errors import ConfigError, DeskhandError, JournalError
from deskhand.harness.base import Harness
from deskhand.harness.context import RunContext

__all__ = ["FleetError", "FleetHarness"]

OutputT = TypeVar("OutputT", default=str)
DepsT = TypeVar("DepsT", default=object)

_WHICH: Final = "You have the computer {own}. Each of these has an agent of its own under the same goal: {all}."


class FleetError(DeskhandError):
    """Raised when all loops have ended, and some of them failed.

    Attributes:
        errors: What went wrong, by computer.
        outputs: What the others returned, by computer.
    """

    code = "fleet"

    def __init__(self, errors: Mapping[str, DeskhandError], outputs: Mapping[str, object]) -> None:
        told = "; ".join(f"{key}: {error.message}" for key, error in errors.items())
        first = next(iter(errors.values()))
        super().__init__(
            f"{len(errors)} of {len(errors) + len(outputs)} computers' loops failed: {told}",
            hint=first.hint,
            effect=first.effect,
        )
        self.errors: dict[str, DeskhandError] = dict(errors)
        self.outputs: dict[str, object] = dict(outputs)


class FleetHarness(Harness[dict[str, OutputT | None], DepsT]):
    """Gives each of the run's computers a loop of its own, all under the run's goal and all at once.

    The run's output is a mapping of computer ids to what their loops returned. A loop that fails ends alone: the others
    go on, and when all have ended the run ends as failed, with a `FleetError` that names each failure, and with the
    outputs of those that succeeded. Stopping the run, and a log that takes nothing any more, end all of them.

    Args:
        harness: What drives each computer, or one by computer id.
        goals: What a computer's loop is to reach, by computer id; where it has none, the run's goal, and which of the
            computers it has.

    Raises:
        ConfigError: If there is no harness.
    """

    def __init__(
        self,
        harness: Harness[OutputT, DepsT] | Mapping[str, Harness[OutputT, DepsT]],
        *,
        goals: Mapping[str, str] | None = None,
    ) -> None:
        if isinstance(harness, Mapping) and not harness:
            raise ConfigError("a fleet needs a harness", hint="give one for all, or one by computer id")
        self._harness = harness
        self._goals = dict(goals or {})

    @property
    def model(self) -> str | None:
        """The models that its loops ask, where they ask any."""
        harnesses = self._harness.values() if isinstance(self._harness, Mapping) else [self._harness]
        names = dict.fromkeys(one.model for one in harnesses if one.model is not None)
        return ", ".join(names) or None

    @property
    def driven_again(self) -> bool:
        """Whether all of its loops go through what the log of a recovered run knows."""
        harnesses = self._harness.values() if isinstance(self._harness, Mapping) else [self._harness]
        return all(one.driven_again for one in harnesses)

    async def drive(self, run: RunContext[DepsT]) -> dict[str, OutputT | None]:
        """Drive all computers, and return what their loops returned.

        Raises:
            ConfigError: If a computer has no harness, or a harness or a goal is for none of them.
            FleetError: If loops failed.
        """
        loops = self._loops(list(run.computers))
        outputs: dict[str, OutputT | None] = {}
        errors: dict[str, DeskhandError] = {}

        async def one(computer_id: str, harness: Harness[OutputT, DepsT]) -> None:
            with run.part(computer_id, harness, goal=self._goal(run, computer_id)) as part:
                try:
                    outputs[computer_id] = await harness.drive(part)
                except JournalError:
                    raise
                except Exception as error:  # (whatever a loop raises ends it alone)
                    run.check()  # where the run was stopped, all of them end
                    errors[computer_id] = _plain(error)
                failed = errors.get(computer_id)
                part.emit(
                    "loop.finished",
                    {"ok": failed is None, "error": None if failed is None else f"{failed.code}: {failed.message}"},
                )

        async with anyio.create_task_group() as tasks:
            for computer_id, harness in loops.items():
                tasks.start_soon(one, computer_id, harness, name=f"loop on {computer_id}")
        if errors:
            raise FleetError(errors, outputs)
        return {key: outputs[key] for key in loops}

    def _loops(self, computers: list[str]) -> dict[str, Harness[OutputT, DepsT]]:
        """Return what drives each computer."""
        given = self._harness
        wanted = dict(given) if isinstance(given, Mapping) else dict.fromkeys(computers, given)
        unknown = sorted((set(wanted) | set(self._goals)) - set(computers))
        missing = [key for key in computers if key not in wanted]
        if unknown or missing:
            raise ConfigError(
                f"the run has the computers {', '.join(computers)}; "
                + (f"there is no {', '.join(unknown)}" if unknown else f"no harness is given for {', '.join(missing)}"),
                hint="give one harness for all, or one for each computer by its id",
            )
        return {key: wanted[key] for key in computers}

    def _goal(self, run: RunContext[DepsT], computer_id: str) -> str:
        if computer_id in self._goals:
            return self._goals[computer_id]
        if len(run.computers) == 1:
            return run.goal
        return f"{run.goal}\n\n{_WHICH.format(own=computer_id, all=', '.join(run.computers))}"


def _plain(error: Exception) -> DeskhandError:
    """Take one error out of a loop's; what is no error of ours is wrapped."""
    leaf: Any = error
    while isinstance(leaf, ExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, DeskhandError):
        return leaf
    wrapped = DeskhandError(f"{type(leaf).__name__}: {leaf}", code="internal")
    wrapped.__cause__ = leaf
    return wrapped
