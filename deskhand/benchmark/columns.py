"""One provider's column, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deskhand.benchmark.figures import Cell
from deskhand.benchmark.measure import Progress, measure
from deskhand.benchmark.published import PUBLISHED, Published
from deskhand.errors import DeskhandError
from deskhand.providers.contract import ComputeProvider

__all__ = ["Column", "column_of", "references"]


@dataclass(frozen=True, slots=True)
class Column:
    """What was measured of one provider.

    Attributes:
        provider: Its name.
        simulated: Whether a simulator answered in its place, so that no figure tells of the vendor.
        published: When and where its figures were published, where they were not measured.
        cells: A cell for each metric, by its name, as far as it was measured.
        error: Why not further.
    """

    provider: str
    simulated: bool = False
    published: Published | None = None
    cells: Mapping[str, Cell] = field(default_factory=dict)
    error: DeskhandError | None = None

    @property
    def heading(self) -> str:
        """What stands above it: the provider, and what its figures are where they are not measured with it."""
        if self.published is not None:
            return f"{self.provider} (published, {self.published.date})"
        return f"{self.provider} (simulated)" if self.simulated else self.provider

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
    return Column(name, simulated, cells=cells, error=failed)


def references() -> list[Column]:
    """Return a column for each provider of which figures were published."""
    return [Column(known.provider, published=known, cells=known.cells) for known in PUBLISHED]


def _first(errors: BaseExceptionGroup[DeskhandError]) -> DeskhandError:
    """Take the first error out of a group."""
    leaf: DeskhandError | BaseExceptionGroup[DeskhandError] = errors
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return leaf
