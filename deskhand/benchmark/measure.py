"""What is measured of a provider, in order: through the contract alone, so that all are asked the same."""

from __future__ import annotations

import io
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import anyio

from deskhand.benchmark.figures import Cell, Figures
from deskhand.errors import (
    AuthError,
    ComputerGoneError,
    DeskhandError,
    InvalidInputError,
    PermissionDeniedError,
    ProviderError,
    UnsupportedError,
)
from deskhand.ids import new_id
from deskhand.providers.contract import Capability, ComputeProvider, ComputerSpec, ExternalComputer, Screen

__all__ = ["METRICS", "Metric", "Progress", "measure"]

READY_LIMIT = 120.0
"""Seconds in which a computer must have accepted its first command."""

METRIC_LIMIT = 300.0
"""Seconds that all repetitions of one metric may take."""

PAUSE = 0.1
"""Seconds between two tries of a first command."""

UNUSUAL: Final = Screen(1024, 768)
"""A screen that no pool is likely to keep ready."""

Progress = Callable[[str], None]
"""Is told what is being measured."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row: its name for programs, its name for people."""

    name: str
    title: str


METRICS: Final[tuple[Metric, ...]] = (
    Metric("boot_warm", "boot - warm"),
    Metric("boot_cold", "boot - cold"),
    Metric("ready", "desktop-ready (first command accepted)"),
    Metric("exec", "exec round-trip p50 / p95"),
    Metric("python", "python p50"),
    Metric("file_write", "file write p50"),
    Metric("click", "click p50"),
    Metric("screenshot", "screenshot p50 (range)"),
    Metric("clone", "clone"),
    Metric("reported", "specs, as reported"),
    Metric("measured", "specs, as measured"),
)
"""Everything that is measured, in the order in which it is shown."""


@dataclass(slots=True)
class _Boots:
    """Times of creations, told apart by where the machine came from."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    ready: list[float] = field(default_factory=list)
    told: bool = False  # whether the provider says which of them came from a pool

    def add(self, seconds: float, from_pool: bool | None) -> None:
        """Count one: the provider's own word where it has one, else the first is the cold one."""
        self.told = self.told or from_pool is not None
        first = not self.warm and not self.cold
        (self.warm if from_pool or (from_pool is None and not first) else self.cold).append(seconds)

    def cells(self) -> dict[str, Cell]:
        """Return the three rows."""
        count = len(self.warm) + len(self.cold)
        note = None if self.told else "the provider does not tell a pool's machines: cold is the first, warm the later"
        rows = {}
        for name, times in (("boot_warm", self.warm), ("boot_cold", self.cold)):
            if times:
                rows[name] = Cell(Figures.of(times), note=note)
            elif self.told:
                other = "fresh" if name == "boot_warm" else "from the warm pool"
                rows[name] = Cell(note=f"all {count} created were {other}")
            else:
                rows[name] = Cell(note="one creation alone is a cold one: take more with --boots")
        return rows | {"ready": Cell(Figures.of(self.ready))}


async def measure(
    provider: ComputeProvider, cells: dict[str, Cell], *, runs: int, boots: int, progress: Progress
) -> None:
    """Measure a provider and leave no computer behind.

    Args:
        provider: The provider, entered.
        cells: Is given a cell for every metric, by its name, as it is measured: an error takes back none of them.
        runs: Repetitions of each call.
        boots: Computers to create.
        progress: Is told what is being measured.

    Raises:
        DeskhandError: If no computer could be had or ended; an error of one metric stands in its cell.
    """
    times = _Boots()
    for number in range(boots - 1):
        progress(f"boot {number + 1} of {boots}")
        computer = await _boot(provider, times, unusual=number == 0)
        cells |= times.cells()
        await computer.destroy()
    progress(f"boot {boots} of {boots}")
    computer = await _boot(provider, times, unusual=False)
    cells |= times.cells()
    try:
        for name, (capability, call) in _CALLS.items():
            progress(f"{name} {runs} times")
            cells[name] = await _repeated(computer, capability, call, runs)
        progress("clone")
        cells["clone"] = await _clone(computer)
        progress("specs")
        cells["reported"] = _reported(computer)
        cells["measured"] = await _measured(computer)
    finally:
        with anyio.CancelScope(deadline=anyio.current_time() + READY_LIMIT, shield=True):
            await computer.destroy()


async def _boot(provider: ComputeProvider, times: _Boots, *, unusual: bool) -> ExternalComputer:
    """Create a computer and wait until it has accepted a command; an unusual one is in no pool."""
    spec = ComputerSpec(screen=UNUSUAL) if unusual else None
    name = f"deskhand-benchmark-{new_id('n')[-8:].lower()}"
    began = time.perf_counter()
    try:
        computer = await provider.create(name=name, spec=spec)
    except InvalidInputError:
        if spec is None:
            raise
        computer = await provider.create(name=name)  # its screens are all alike
    booted = time.perf_counter() - began
    await _first_command(computer)
    times.ready.append(time.perf_counter() - began)
    from_pool = computer.info.raw.get("fromPool")
    times.add(booted, from_pool if isinstance(from_pool, bool) else None)
    return computer


async def _first_command(computer: ExternalComputer) -> None:
    """Ask until a command is accepted.

    Raises:
        DeskhandError: The last refusal, when the time is over.
    """
    deadline = time.monotonic() + READY_LIMIT
    while True:
        try:
            await _command(computer)
        except (AuthError, PermissionDeniedError, ComputerGoneError, UnsupportedError):
            raise  # (waiting changes nothing)
        except DeskhandError:
            if time.monotonic() > deadline:
                raise
            await anyio.sleep(PAUSE)
        else:
            return


async def _command(computer: ExternalComputer) -> None:
    result = await computer.exec("true")
    if not result.ok:
        raise ProviderError(f"`true` ended with {result.exit_code}: {result.error or result.output}")


async def _python(computer: ExternalComputer) -> None:
    result = await computer.python("print(6 * 7)")
    if result.output.strip() != "42":
        raise ProviderError(f"6 * 7 gave {result.output!r}: {result.error or result.exit_code}")


async def _click(computer: ExternalComputer) -> None:
    screen = computer.info.screen or UNUSUAL
    await computer.left_click(screen.width // 2, screen.height // 2)


_CALLS: Final[Mapping[str, tuple[Capability, Callable[[ExternalComputer], Awaitable[object]]]]] = {
    "exec": (Capability.EXEC, _command),
    "python": (Capability.EXEC, _python),
    "file_write": (Capability.FILES, lambda computer: computer.write_file("deskhand-benchmark.txt", "hello\n" * 10)),
    "click": (Capability.POINTER, _click),
    "screenshot": (Capability.SCREENSHOT, lambda computer: computer.screenshot()),
}


async def _repeated(
    computer: ExternalComputer,
    capability: Capability,
    call: Callable[[ExternalComputer], Awaitable[object]],
    runs: int,
) -> Cell:
    """Time a call again and again; where it cannot be done, say why."""
    seconds = []
    try:
        computer.require(capability)
        with anyio.fail_after(METRIC_LIMIT):
            for _ in range(runs):
                began = time.perf_counter()
                await call(computer)
                seconds.append(time.perf_counter() - began)
    except UnsupportedError as error:
        return Cell(note=error.message)
    except DeskhandError as error:
        return Cell(note=error.message, failed=True)
    except TimeoutError:
        return Cell(note=f"{len(seconds)} of {runs} took longer than {METRIC_LIMIT:g} s", failed=True)
    return Cell(Figures.of(seconds))


async def _clone(computer: ExternalComputer) -> Cell:
    """Clone once; a plan that has no clones is no failure."""
    try:
        computer.require(Capability.CLONE)
        began = time.perf_counter()
        clone = await computer.clone(f"{computer.info.name}-clone")
        seconds = time.perf_counter() - began
        await clone.destroy()
    except (UnsupportedError, PermissionDeniedError) as error:
        return Cell(note=error.message)
    except DeskhandError as error:
        return Cell(note=error.message, failed=True)
    return Cell(Figures.of([seconds]))


def _reported(computer: ExternalComputer) -> Cell:
    """Return what the provider says of the machine."""
    info = computer.info
    cpus, memory = info.specs.cpus, info.specs.memory
    reported = [
        f"{cpus:g} vCPU" if cpus is not None else None,
        _gigabytes(memory) if memory is not None else None,
        f"{info.screen.width}x{info.screen.height}" if info.screen is not None else None,
    ]
    stated = " / ".join(part for part in reported if part is not None)
    return Cell(text=stated) if stated else Cell(note="the provider reports none")


async def _measured(computer: ExternalComputer) -> Cell:
    """Ask the machine itself: its cores, its memory, and the size of the picture that it gives."""
    try:
        said = await computer.exec("nproc; awk '/^MemTotal:/ {print $2}' /proc/meminfo")
        cores, kilobytes = (int(word) for word in said.output.split())
        parts = [f"{cores} cores", _gigabytes(kilobytes * 1024)]
        if Capability.SCREENSHOT in computer.capabilities:
            parts.append(await _picture_size(computer))
    except DeskhandError as error:
        return Cell(note=error.message, failed=True)
    except ValueError:
        return Cell(note=f"the machine does not tell: {said.output[:80]!r}")
    return Cell(text=" / ".join(parts))


async def _picture_size(computer: ExternalComputer) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(await computer.screenshot())) as picture:
        return f"{picture.width}x{picture.height}"


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.3g} GB"
