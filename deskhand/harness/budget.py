"""What runs may use at most: caps, and the accounts in which their use is reserved before it and settled after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from deskhand.errors import BudgetExceededError, InvalidInputError
from deskhand.harness.prices import Price

__all__ = ["Allowance", "Budget", "BudgetLike", "Metric", "Purse", "Reservation", "Warned", "as_budgets"]

Metric: TypeAlias = Literal["turns", "actions", "frames", "tokens", "money", "time"]
"""What is counted: model turns, actions, frames, tokens of all kinds, US dollars, seconds that a run was not paused."""

METRICS: Final[tuple[Metric, ...]] = ("turns", "actions", "frames", "tokens", "money", "time")

WARN_AT: Final = 0.8
"""The share of a cap at which it is told once that it will be reached."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Caps; ``None`` is none.

    Attributes:
        turns: Model turns.
        actions: Actions.
        frames: Screenshots that are kept and sent.
        tokens: Tokens of all kinds: input, output with thinking, cache reads and writes.
        money: US dollars, by the installed price table and ``prices``.
        time: Seconds; those in which the run is paused or waits for a person do not count.
        unknown_price: What a cap on money means where a model has no known price: the run ends before it is asked
            (``refuse``), or its use counts as nothing (``ignore``).
        prices: Prices of models that the table does not know, or knows otherwise.
    """

    turns: int | None = None
    actions: int | None = None
    frames: int | None = None
    tokens: int | None = None
    money: float | None = None
    time: float | None = None
    unknown_price: Literal["refuse", "ignore"] = "refuse"
    prices: Mapping[str, Price] | None = None

    def __post_init__(self) -> None:
        """Refuse caps that are none.

        Raises:
            InvalidInputError: If one is negative or no number, or what to do without a price is no word of it.
        """
        if self.unknown_price not in ("refuse", "ignore"):
            raise InvalidInputError(f"unknown_price is {self.unknown_price!r}; it is 'refuse' or 'ignore'")
        for metric in METRICS:
            limit = self.limit(metric)
            if limit is None:
                continue
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 <= limit < float("inf"):
                raise InvalidInputError(f"the budget's {metric} is {limit!r}; a cap is a number from 0 up")

    def limit(self, metric: Metric) -> float | None:
        """Return a cap."""
        value: float | None = getattr(self, metric)
        return value

    def caps(self) -> dict[Metric, float]:
        """Return the caps that there are, by metric."""
        return {metric: limit for metric in METRICS if (limit := self.limit(metric)) is not None}


@dataclass(frozen=True, slots=True)
class Warned:
    """A cap that is nearly reached.

    Attributes:
        name: Whose cap it is.
        metric: Which.
        limit: The cap.
        used: What was used of it.
    """

    name: str
    metric: Metric
    limit: float
    used: float


class Allowance:
    """A budget that is being used: by one run, or shared by all runs of a user, a workspace, a key.

    Give the same object to several runs, and its caps hold for all of them together.

    Args:
        budget: The caps.
        name: Whose they are; stands in errors and events.
    """

    def __init__(self, budget: Budget, name: str = "run") -> None:
        self.name: str = name
        self._budget = budget
        self._caps = budget.caps()
        self._used: dict[Metric, float] = dict.fromkeys(METRICS, 0.0)
        self._reserved: dict[Metric, float] = dict.fromkeys(METRICS, 0.0)
        self._warned: set[Metric] = set()

    def __repr__(self) -> str:
        """The use at a glance."""
        used = ", ".join(f"{metric} {self._used[metric]:g} of {cap:g}" for metric, cap in self._caps.items())
        return f"<Allowance {self.name}: {used or 'no caps'}>"

    @property
    def budget(self) -> Budget:
        """The caps."""
        return self._budget

    def used(self, metric: Metric) -> float:
        """Return what was used, without what is only reserved."""
        return self._used[metric]

    def left(self, metric: Metric) -> float | None:
        """Return what may still be reserved; ``None`` where there is no cap."""
        limit = self._budget.limit(metric)
        return None if limit is None else max(0.0, limit - self._used[metric] - self._reserved[metric])

    def check(self, amounts: Mapping[Metric, float]) -> None:
        """Raise if that much cannot be reserved any more.

        Raises:
            BudgetExceededError: If one cap would be passed; its reason is the metric.
        """
        for metric, amount in amounts.items():
            limit = self._caps.get(metric)
            taken = self._used[metric] + self._reserved[metric]
            if limit is not None and amount and taken + amount > limit:
                unit = " US dollars" if metric == "money" else " s" if metric == "time" else f" {metric}"
                raise BudgetExceededError(
                    f"the {self.name}'s budget of {limit:g}{unit} does not allow it: "
                    f"{taken:g} are used or reserved, up to {amount:g} more would be needed",
                    reason=metric,
                    hint=f"raise the budget's {metric}",
                )

    def add(self, amounts: Mapping[Metric, float], reserved: Mapping[Metric, float]) -> list[Warned]:
        """Count what was used in the place of what was reserved for it; return the caps that are now nearly reached."""
        for metric, amount in reserved.items():
            self._reserved[metric] = max(0.0, self._reserved[metric] - amount)
        for metric, amount in amounts.items():
            self._used[metric] += amount
        near = [
            Warned(self.name, metric, limit, self._used[metric])
            for metric, limit in self._caps.items()
            if metric not in self._warned and self._used[metric] >= limit * WARN_AT
        ]
        if near:
            self._warned.update(warned.metric for warned in near)
        return near

    def hold(self, amounts: Mapping[Metric, float]) -> None:
        """Reserve, having checked."""
        for metric, amount in amounts.items():
            self._reserved[metric] += amount


@dataclass(eq=False)
class Reservation:
    """What was reserved for one request; settle it when its use is known.

    Attributes:
        amounts: What was reserved.
        settled: Whether it is over.
    """

    amounts: Mapping[Metric, float]
    settled: bool = False


class Purse:
    """The allowances that one run uses: its own, and those it shares.

    Args:
        budgets: The run's own caps, and allowances that it shares.
    """

    def __init__(self, budgets: Sequence[Budget | Allowance] = ()) -> None:
        self._allowances: tuple[Allowance, ...] = tuple(
            one if isinstance(one, Allowance) else Allowance(one) for one in budgets
        )
        self.prices: Mapping[str, Price] = {
            model: price for one in reversed(self._allowances) for model, price in (one.budget.prices or {}).items()
        }

    @property
    def caps(self) -> dict[str, float]:
        """The narrowest of all caps, by metric."""
        narrowest: dict[str, float] = {}
        for one in self._allowances:
            for metric, limit in one.budget.caps().items():
                narrowest[metric] = min(limit, narrowest.get(metric, limit))
        return narrowest

    @property
    def caps_money(self) -> bool:
        """Whether any of them says how much money may be spent."""
        return any(one.budget.money is not None for one in self._allowances)

    def needs_price(self) -> bool:
        """Whether a model without a known price must not be asked."""
        return any(one.budget.money is not None and one.budget.unknown_price == "refuse" for one in self._allowances)

    def check(self, amounts: Mapping[Metric, float]) -> None:
        """Raise if that much cannot be reserved.

        Raises:
            BudgetExceededError: If an allowance does not allow it.
        """
        for one in self._allowances:
            one.check(amounts)

    def reserve(self, amounts: Mapping[Metric, float]) -> Reservation:
        """Reserve the worst case of what is about to be done, in all allowances or in none.

        Raises:
            BudgetExceededError: If one of them does not allow it.
        """
        self.check(amounts)
        for one in self._allowances:
            one.hold(amounts)
        return Reservation(dict(amounts))

    def spend(self, amounts: Mapping[Metric, float]) -> list[Warned]:
        """Count, in all allowances or in none, what is known beforehand; return the caps that are now nearly reached.

        Raises:
            BudgetExceededError: If one of them does not allow it.
        """
        self.check(amounts)
        return self.count(amounts)

    def count(self, amounts: Mapping[Metric, float]) -> list[Warned]:
        """Count what was used without having been reserved; return the caps that are now nearly reached."""
        return [warned for one in self._allowances for warned in one.add(amounts, {})]

    def settle(self, reservation: Reservation, amounts: Mapping[Metric, float]) -> list[Warned]:
        """Count what was really used; return the caps that are now nearly reached."""
        held: Mapping[Metric, float] = {} if reservation.settled else reservation.amounts
        reservation.settled = True
        return [warned for one in self._allowances for warned in one.add(amounts, held)]


BudgetLike: TypeAlias = Budget | Allowance | Sequence[Budget | Allowance] | None
"""Caps of a run's own, allowances that it shares, or both."""


def as_budgets(budget: BudgetLike) -> list[Budget | Allowance]:
    """Return them as a list."""
    return [] if budget is None else [budget] if isinstance(budget, Budget | Allowance) else list(budget)
