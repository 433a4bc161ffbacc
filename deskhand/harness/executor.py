"""The one path by which anything in a run reaches a computer.

An action passes the stages in `STAGES`, in order. A stage takes the call and the action's state, and returns the call
to go on (perhaps changed) or an observation that ends it. Whatever way it ends, one ``action.finished`` says so.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

import anyio

from deskhand.errors import (
    BudgetExceededError,
    DeskhandError,
    Effect,
    JournalError,
    RunStoppedError,
    StalledError,
    ToolError,
)
from deskhand.harness.events import ActionFinished, ErrorData
from deskhand.harness.stages.action import EVENT_TEXT, Action, Stage
from deskhand.harness.stages.admission import INTERRUPTED, gate, lock, recheck, validate
from deskhand.harness.stages.aim import scale
from deskhand.harness.stages.consent import approve, policy
from deskhand.harness.stages.effect import act, afford, intent, settle, unseal
from deskhand.harness.stages.fresh import current, fresh
from deskhand.harness.stages.last_word import last_word
from deskhand.harness.stages.progress import progress, watch
from deskhand.harness.state import RunState
from deskhand.tools.calls import ActionOutcome, ErrorInfo, Observation, ToolCall

__all__ = ["STAGES", "UNGATED_STAGES", "Executor", "Stage"]

HALTED: Final = "Not executed: an earlier computer action in this turn failed."

STAGES: tuple[Stage, ...] = (
    validate,
    policy,
    progress,
    approve,
    gate,
    lock,
    recheck,
    current,
    fresh,
    settle,
    last_word,
    scale,
    unseal,
    afford,
    intent,
    act,
)
"""What every action passes, in order."""

UNGATED_STAGES: tuple[Stage, ...] = (validate, lock, scale, settle, unseal, intent, act)
"""What a person's own actions pass, and the release of held buttons when a run has ended: they ask nobody and wait for
nobody, but are recorded like all others."""


class Executor:
    """Takes calls through the stages, alone or as a batch."""

    def __init__(self, run: RunState, stages: Sequence[Stage] = STAGES) -> None:
        self._run = run
        self._stages = stages

    async def execute(self, call: ToolCall, *, actor: str = "harness") -> Observation:
        """Take one call through the stages.

        Returns:
            What came of it; everything that a model could handle is an observation.

        Raises:
            RunStoppedError: If the run was stopped.
            BudgetExceededError: If a budget does not allow it.
            StalledError: If the run goes in circles, whatever it was told.
            JournalError: If its intent cannot be made durable.
            ConflictError: If the run has ended.
        """
        await self._run.check_alive()
        if not call.id:
            call = replace(call, id=self._run.next_call_id(actor))
        return await self._execute(call, actor, {str(call.id)})

    async def _execute(self, call: ToolCall, actor: str, batch: Collection[str]) -> Observation:
        """Take a call through the stages, unless the log of a recovered run has its outcome already."""
        past = self._run.past
        if past is not None and actor == "harness":
            seen = await past.observation(call, self._run.blobs)
            if seen is not None:
                return seen
            past.goes_on(batch)
        async with AsyncExitStack() as stack:
            action = Action(run=self._run, actor=actor, stack=stack)
            observation: Observation | None = None
            try:
                observation = await self._pass(call, action)
            except (RunStoppedError, BudgetExceededError, JournalError, StalledError) as error:
                observation = _failed(call, action, error, "cancelled")
                raise
            except DeskhandError as error:
                observation = _failed(call, action, error)
            except BaseExceptionGroup as group:
                if (urgent := _urgent(group)) is not None:
                    observation = _cancelled(call, action)
                    raise urgent from None
                observation = _failed(call, action, _unwrap(group))
            except (Exception, SystemExit) as error:  # a user's tool may raise anything; the run outlives it
                observation = _failed(call, action, _foreign(error))
            except BaseException:  # cancellation, and what wants the program to end
                observation = _cancelled(call, action)
                raise
            finally:
                if observation is not None:
                    observation = self._finish(observation, action)
        assert observation is not None  # noqa: S101 (every way out sets it or raises)
        return observation

    async def _pass(self, call: ToolCall, action: Action) -> Observation:
        for stage in self._stages:
            result = await stage(call, action)
            if isinstance(result, Observation):
                return result
            call = result
        raise AssertionError("the last stage returns an observation")

    def _finish(self, observation: Observation, action: Action) -> Observation:
        """Say how the action ended; synchronous, so that no cancellation comes between."""
        call = observation.call
        took = max(0.0, time.monotonic() - action.began)
        observation = replace(self._run.unexposed(observation), duration=took, approved=action.approved)
        error = observation.error
        text = observation.text
        self._run.emit(
            ActionFinished,
            {
                "call_id": call.id,
                "name": call.name,
                "outcome": observation.outcome,
                "effect": observation.effect,
                "text": text if len(text) <= EVENT_TEXT else text[:EVENT_TEXT] + "…",
                "error": ErrorData.of(error).model_dump(mode="json") if error else None,
                "duration": observation.duration,
                "settle": action.settle,
                "frame_id": observation.frame.id if observation.frame else None,
                "text_blob": action.text_blob,
                "approved": action.approved,
                "actor": None if action.actor == "harness" else action.actor,
            },
            call_id=call.id,
            computer_id=call.computer_id,
        )
        if action.actor == "harness":
            watch(observation, action)
        return observation

    async def execute_batch(self, calls: Sequence[ToolCall], *, actor: str = "harness") -> list[Observation]:
        """Take calls through in order; in parallel across computers.

        After a failed screen or input action, later ones of the batch on that computer are skipped: they were planned
        on a screen that is not there. Other tools neither halt nor are halted, unless a person denied what the model's
        vendor had warned of: then nothing more of the batch is done there.

        What ends the run keeps further actions from starting; those in flight on other computers go on to their end.

        Raises:
            RunStoppedError: If the run was stopped.
            BudgetExceededError: If a budget does not allow it.
            StalledError: If the run goes in circles, whatever it was told.
            JournalError: If an intent cannot be made durable.
            ConflictError: If the run has ended.
        """
        await self._run.check_alive()
        numbered = [call if call.id else replace(call, id=self._run.next_call_id(actor)) for call in calls]
        batch = {str(call.id) for call in numbered}
        past = self._run.past
        found: dict[int, Observation] = {}
        by_computer: dict[str | None, list[int]] = {}
        for index, call in enumerate(numbered):
            by_computer.setdefault(self._computer_of(call), []).append(index)

        async def one_computer(indices: Sequence[int]) -> None:
            halted = denied = False
            for index in indices:
                call = numbered[index]
                on_screen = self._on_screen(call)
                begun = past is not None and past.began(call.id)  # then it is told again, or done to its end
                if self._run.inbox.urgent and not begun:
                    found[index] = self._skip(call, actor, INTERRUPTED)
                    continue
                if (denied or (halted and on_screen)) and not begun:
                    found[index] = self._skip(call, actor, HALTED)
                    continue
                await self._run.check_alive()
                found[index] = await self._execute(call, actor, batch)
                halted = halted or (on_screen and not found[index].ok)
                denied = denied or (bool(call.checks) and found[index].outcome == "denied")

        ended: list[DeskhandError] = []

        async def beside_others(indices: Sequence[int]) -> None:
            try:
                await one_computer(indices)
            except DeskhandError as error:  # raised into the task group, it would cancel what is in flight elsewhere
                ended.append(error)

        if len(by_computer) == 1:
            await one_computer(next(iter(by_computer.values())))
        else:
            async with anyio.create_task_group() as tasks:
                for indices in by_computer.values():
                    tasks.start_soon(beside_others, indices)
        if ended:
            raise ended[0]
        return [found[index] for index in range(len(numbered))]

    def _computer_of(self, call: ToolCall) -> str | None:
        return call.computer_id if call.computer_id is not None else next(iter(self._run.computers))

    def _on_screen(self, call: ToolCall) -> bool:
        target = self._run.computers.get(self._computer_of(call) or "")
        if target is None or call.name not in target.tools:
            return call.format in {"anthropic_toolset", "anthropic_computer", "openai_computer"}
        return target.tools.get(call.name).on_screen

    def _skip(self, call: ToolCall, actor: str, why: str) -> Observation:
        info = ErrorInfo("skipped", why, effect="no")
        action = Action(run=self._run, actor=actor, stack=AsyncExitStack())
        return self._finish(Observation(call, "skipped", "no", text=why, error=info), action)


def _failed(call: ToolCall, action: Action, error: DeskhandError, outcome: ActionOutcome | None = None) -> Observation:
    """Say what went wrong, and whether the effect took place."""
    effect: Effect = error.effect
    if not action.intended or (action.tool is not None and action.tool.effect == "pure"):
        effect = "no"
    if outcome is None:
        outcome = "unknown" if effect == "unknown" and not isinstance(error, ToolError) else "error"
    info = replace(ErrorInfo.of(error), effect=effect)
    return Observation(call, outcome, effect, text=_advice(error), error=info)


def _advice(error: DeskhandError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _foreign(error: BaseException) -> DeskhandError:
    """Wrap what a tool raised that is no error of ours."""
    wrapped = ToolError(f"{type(error).__name__}: {error}", effect="unknown")
    wrapped.__cause__ = error
    return wrapped


def _cancelled(call: ToolCall, action: Action) -> Observation:
    """Say that the action was broken off; once sent, nobody can tell whether it took effect."""
    sent = action.intended and (action.tool is None or action.tool.effect != "pure")
    effect: Effect = "unknown" if sent else "no"
    return Observation(
        call, "cancelled", effect, error=ErrorInfo("cancelled", "the action was cancelled", effect=effect)
    )


def _urgent(group: BaseExceptionGroup[BaseException]) -> BaseExceptionGroup[BaseException] | None:
    """Return what in a group wants the task or the program to end."""
    return group.subgroup((KeyboardInterrupt, GeneratorExit, anyio.get_cancelled_exc_class()))


def _unwrap(group: BaseExceptionGroup[BaseException]) -> DeskhandError:
    """Take one error out of a group."""
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf if isinstance(leaf, DeskhandError) else _foreign(leaf)
