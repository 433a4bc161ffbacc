"""One provider's column, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deskhand.benchmark.figures import Cell
from deskhand.benchmark.measure import Progress, measure
from deskhand.errors import DeskhandError
from deskhand.providers.contract import ComputeProvider

__all__ = ["Column", "column_of"]


@dataclass(frozen=True, slots=True)
class Column:
    """What was measured of one provider.

    Attributes:
        provider: Its name.
        simulated: Whether a simulator answered in its place, so that no figure tells of the vendor.
        cells: A cell for each metric, by its name, as far as it was measured.
        error: Why not further.
    """

    provider: str
    simulated: bool = False
    cells: Mapping[str, Cell] = field(default_factory=dict)
    error: DeskhandError | None = None

    @property
    def ok(self) -> bool:
        """Whether everything was measured that the provider has."""
        return self.error is None and not any(cell.failed for cell in self.cells.values())


async def column_of(
    name: str,
    make: Callable[[], ComputeProvider],
    *,
    runs: int = 12,
    boots: int = 3,
    simulated: bool = False,
    progress: Progress | None = None,
) -> Column:
    """Measure one provider; an error ends its column, and no other.

    Args:
        name: The provider's name.
        make: Makes it.
        runs: Repetitions of each call.
        boots: Computers to create.
        simulated: Whether a simulator answers in its place.
        progress: Is told what is being measured.
    """
    cells: dict[str, Cell] = {}

    def tell(what: str) -> None:
        if progress is not None:
            progress(f"{name}: {what}")

    failed: DeskhandError | None = None
    try:
        async with make() as provider:
            await measure(provider, cells, runs=runs, boots=boots, progress=tell)
    except* DeskhandError as errors:  # (of several computers that are left behind, each is one)
        failed = _first(errors)
    return Column(name, simulated, cells, failed)


def _first(errors: BaseExceptionGroup[DeskhandError]) -> DeskhandError:
    """Take the first error out of a group."""
    leaf: DeskhandError | BaseExceptionGroup[DeskhandError] = errors
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf
