"""`deskhand benchmark`: like for like, one column a provider, and a reason wherever there is no figure."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from deskhand.benchmark import METRICS, Cell, Column, Figures, as_records, as_svg, as_table, column_of, references
from deskhand.benchmark.figures import duration
from deskhand.benchmark.measure import measure
from deskhand.cli.exits import Exit
from deskhand.errors import AuthError, ProviderError
from deskhand.providers import ComputerInfo, ComputerSpec, ComputerStatus, ExternalComputer, Specs
from deskhand.providers.miosa import MiosaProvider
from deskhand.providers.orgo import OrgoProvider
from deskhand.testing.simulators import MiosaSimulator, OrgoDialect, OrgoSimulator
from tests.cli.program import Ended, Program
from tests.cli.test_signals import appears
from tests.cli.testbed import TestbedComputer, TestbedProvider
from tests.providers.behind import shell_only

NAMES = [metric.name for metric in METRICS]


def records(ended: Ended, provider: str) -> dict[str, dict[str, object]]:
    """Return a provider's records by metric."""
    return {str(line["metric"]): dict(line) for line in ended.lines if line.get("provider") == provider}


class PooledBox(TestbedComputer):
    """Says whether it came from a pool, as a hosted vendor does."""

    def __init__(self, spec: ComputerSpec | None, ended: list[str]) -> None:
        super().__init__()
        self._spec = spec
        self._ended = ended

    @property
    def info(self) -> ComputerInfo:
        return ComputerInfo(
            "box",
            "box",
            "pooled",
            "external",
            ComputerStatus.RUNNING,
            specs=Specs(1, 4 * 2**30),
            raw={"fromPool": self._spec is None},
        )

    async def destroy(self) -> None:
        self._ended.append("fresh" if self._spec is not None else "pooled")


class PooledProvider(TestbedProvider):
    """Has machines of the usual kind ready."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def create(
        self, *, name: str, spec: ComputerSpec | None = None, **vendor_options: object
    ) -> ExternalComputer:
        return PooledBox(spec, self.ended)


def test_figures_are_of_all_times() -> None:
    """Percentiles lie between the two times that are next to them; everything is in milliseconds."""
    figures = Figures.of([0.004, 0.001, 0.002, 0.003])
    assert (figures.n, figures.min, figures.p50, figures.mean, figures.max) == (4, 1, 2.5, 2.5, 4)
    assert figures.p95 == pytest.approx(3.85)
    assert Figures.of([0.1]) == Figures(1, 100, 100, 100, 100, 100)


def test_durations_are_told_as_people_read_them() -> None:
    """A digit behind the point where it matters, and seconds from one on."""
    assert [duration(value) for value in (2.44, 9.96, 272, 999.6, 3133)] == [
        "2.4 ms",
        "10 ms",
        "272 ms",
        "1.00 s",
        "3.13 s",
    ]


async def test_boots_are_told_apart_by_the_providers_own_word() -> None:
    """An unusual machine is a fresh one, the usual ones come from the pool, and all of them are destroyed."""
    told: list[str] = []
    cells: dict[str, Cell] = {}
    provider = PooledProvider()
    async with provider:
        await measure(provider, cells, runs=2, boots=3, progress=told.append)
    assert [cells[name].figures is not None for name in ("boot_warm", "boot_cold")] == [True, True]
    warm = cells["boot_warm"].figures
    assert warm is not None
    assert (warm.n, cells["boot_warm"].note) == (2, None)
    assert provider.ended == ["fresh", "pooled", "pooled"]
    assert cells["reported"].text == "1 vCPU / 4 GB"
    assert [*cells] == ["boot_warm", "boot_cold", *NAMES[2:]]
    assert told[0] == "boot 1 of 3"


async def test_row_that_cannot_be_had_says_why() -> None:
    """No file access, no clone, no fresh machine among the created: a reason stands in the place of a figure."""
    cells: dict[str, Cell] = {}
    provider = PooledProvider()
    async with provider:
        await measure(provider, cells, runs=1, boots=1, progress=lambda _: None)
    assert cells["boot_cold"] == Cell(note="all 1 created were from the warm pool")
    assert "has no clone" in (cells["clone"].note or "")
    assert not cells["clone"].failed


def test_simulated_figures_are_marked_in_table_and_records() -> None:
    """Whoever copies one cell alone still sees that no vendor gave that figure."""
    cells = {name: Cell(Figures.of([0.1])) for name in NAMES} | {"reported": Cell(text="1 vCPU")}
    columns = [Column("orgo", simulated=True, cells=cells), Column("local", cells=cells)]
    heading, _, *rows = as_table(columns)
    assert heading.split("|")[2].strip() == "orgo (simulated)"
    assert all(row.split("|")[2].strip().endswith("(simulated)") for row in rows)
    assert not any("simulated" in row.split("|")[3] for row in rows)
    assert [record["simulated"] for record in as_records(columns)] == [True] * len(NAMES) + [False] * len(NAMES)


def test_error_of_a_column_is_told_once_and_breaks_no_table() -> None:
    """What a vendor says stays in its cell, whatever characters it is made of."""
    [_, _, first, *others] = as_table([Column("orgo", error=AuthError("refused | twice\nover"))])
    assert "orgo: refused \\| twice over" in first
    assert not any("refused" in row for row in others)


async def test_error_at_the_end_takes_back_nothing_that_was_measured() -> None:
    """A computer that cannot be destroyed is told, beside its figures."""

    class Lasting(PooledBox):
        async def destroy(self) -> None:
            raise ProviderError("it does not end")

    class LastingProvider(PooledProvider):
        async def create(self, *, name: str, spec: ComputerSpec | None = None, **options: object) -> ExternalComputer:
            return Lasting(spec, self.ended)

    column = await column_of("pooled", LastingProvider, runs=1, boots=1)
    assert [*column.cells] == NAMES
    assert column.error is not None
    assert not column.ok


async def test_table_has_a_row_for_each_metric(program: Program) -> None:
    """The table of the seed's page: metrics, a column, notes."""
    ended = await program.run("benchmark", "--providers", "testbed", "--runs", "2", "--boots", "1")
    assert (ended.code, ended.err) == (Exit.COMPLETED, "")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in ended.out.splitlines()]
    assert rows[0] == ["metric", "testbed", "notes"]
    assert [row[0] for row in rows[2:]] == [metric.title for metric in METRICS]


async def test_json_has_all_figures_of_all_providers(program: Program) -> None:
    """One line a metric and provider, with n, min, p50, p95, mean and max; the last line says how it ended."""
    ended = await program.run("benchmark", "--providers", "testbed", "--runs", "3", "--boots", "2", "--json")
    found = records(ended, "testbed")
    assert [*found] == NAMES
    assert found["exec"]["n"] == 3
    assert {"unit", "min", "p50", "p95", "mean", "max"} <= {*found["click"]}
    assert found["exec"]["simulated"] is False
    assert ended.lines[-1] == {"type": "benchmark", "runs": 3, "providers": ["testbed"], "exit_code": ended.code}


async def test_provider_that_fails_leaves_the_others_their_columns(program: Program) -> None:
    """Its column is empty, its error is told, and the exit code says that not all is well."""
    ended = await program.run("benchmark", "--providers", "broken,testbed", "--runs", "1", "--json")
    assert ended.code == Exit.FAILED
    assert all(record["failed"] for record in records(ended, "broken").values())
    assert records(ended, "testbed")["exec"]["n"] == 1
    assert "broken" in ended.err
    alone = await program.run("benchmark", "--providers", "broken")
    assert alone.code == Exit.CONFIGURATION


async def test_nobody_to_measure_is_wrong_usage(program: Program) -> None:
    """An empty list is told, not measured."""
    ended = await program.run("benchmark", "--providers", ",")
    assert ended.code == Exit.USAGE


async def test_ctrl_c_ends_a_benchmark(program: Program) -> None:
    """A creation that never ends is given up, and the program with it."""
    slow = Program(program.folder, {"TESTBED": "slow"})
    async with slow.start("benchmark", "--providers", "testbed") as running:
        await appears(slow.folder / "creating")
        running.signal(signal.SIGINT)
        ended = await running.end()
    assert ended.code == Exit.INTERRUPTED


@pytest.mark.slow
async def test_vendor_whose_plan_has_less_says_so_in_each_row() -> None:
    """No clones, no screen, no pointer: the other rows have their figures, and it counts as no failure."""
    async with OrgoSimulator(dialect=OrgoDialect(clone=404), behind=shell_only) as simulator:
        simulator.remove("click")
        simulator.remove("screenshot")
        make = partial(OrgoProvider, api_key=simulator.key, base_url=simulator.base_url)
        column = await column_of("orgo", make, runs=2, boots=2)
        assert not simulator.computers
    assert column.ok, column.error
    without = {name: cell.note for name, cell in column.cells.items() if cell.figures is None and cell.text is None}
    assert [*without] == ["click", "screenshot", "clone"]
    assert "no pointer" in (without["click"] or "")
    assert "no screenshot" in (without["screenshot"] or "")
    assert "404" in (without["clone"] or "")
    assert column.cells["reported"].text == "1 vCPU / 4 GB / 1280x720"


@pytest.mark.slow
async def test_vendor_whose_screens_are_all_alike_is_measured_all_the_same() -> None:
    """The screen that no pool has is not to be had: the first computer counts as the cold one."""
    async with MiosaSimulator(behind=shell_only) as simulator:
        make = partial(MiosaProvider, api_key=simulator.key, base_url=simulator.base_url)
        column = await column_of("miosa", make, runs=2, boots=2)
        assert not simulator.computers
    assert column.ok, column.error
    assert column.cells["boot_cold"].figures is not None


@pytest.mark.needs_x
async def test_simulated_vendor_needs_no_key_and_marks_every_figure(program: Program) -> None:
    """The simulator stands in with the vendor's times; what is set for the real one does not reach it."""
    alone = Program(
        program.folder, {"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"], "ORGO_WORKSPACE_ID": "somewhere else"}
    )
    ended = await alone.run("benchmark", "--simulate", "--providers", "orgo", "--runs", "1", "--boots", "1", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = records(ended, "orgo")
    assert [*found] == NAMES
    assert all(record["simulated"] is True for record in found.values())
    assert isinstance(found["exec"]["p50"], float)
    assert found["exec"]["p50"] > 85
    assert found["boot_cold"]["note"] == "all 1 created were from the warm pool"


@pytest.mark.needs_x
async def test_vendors_with_a_key_are_measured_beside_this_machine(program: Program) -> None:
    """A vendor that cannot be reached keeps its column."""
    alone = Program(
        program.folder,
        {
            "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
            "ORGO_API_KEY": "sk_live_x",
            "ORGO_API_BASE": "http://127.0.0.1:9/api",
        },
    )
    ended = await alone.run("benchmark", "--runs", "1", "--boots", "1", "--json")
    assert ended.code == Exit.FAILED
    assert ended.lines[-1]["providers"] == ["orgo", "local"]
    assert ended.err.count("check the network") == 1
    assert records(ended, "local")["exec"]["n"] == 1


@pytest.mark.needs_x
async def test_local_computer_is_measured_in_every_row_that_it_has(program: Program) -> None:
    """A real desktop: figures everywhere but for clones, which it has none of."""
    alone = Program(program.folder, {"XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]})  # of this test
    ended = await alone.run("benchmark", "--providers", "local", "--runs", "2", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = records(ended, "local")
    assert [name for name, record in found.items() if "n" not in record and "text" not in record] == ["clone"]
    assert str(found["reported"]["text"]).endswith("1280x800")
    listed = await alone.run("ls", "local", "--json")
    assert listed.out == ""


async def test_person_at_a_terminal_sees_what_is_measured(program: Program) -> None:
    """One line that changes: the provider and what is being done there, gone in the end."""
    code, shown = await program.on_terminal("benchmark", "--providers", "testbed", "--runs", "2", "--boots", "1")
    assert code == Exit.COMPLETED
    assert "testbed: boot 1 of 1" in shown
    assert "testbed: click 2 times" in shown


def test_published_figures_stand_beside_the_measured_ones_and_say_what_they_are() -> None:
    """Each has its own column with a date, and its source in the records; what was not published is no failure."""
    columns = [Column("local", cells={"exec": Cell(Figures.of([0.004]))}), *references()]
    table = as_table(columns)
    assert "orgo (published, 2026-06-09)" in table[0]
    assert "100 ms / 116 ms" in next(line for line in table if line.startswith("| exec"))
    assert all(column.ok for column in columns)
    published = [record for record in as_records(columns) if "published" in record]
    assert {record["provider"] for record in published} == {"orgo", "miosa", "daytona"}
    assert all(record["source"] and not record["failed"] for record in published)


def test_chart_has_a_bar_for_each_time_longer_where_it_took_longer() -> None:
    """It is SVG that a browser can read: titles as words, figures beside the bars, a legend."""
    fast = Column("fast", cells={"exec": Cell(Figures.of([0.004])), "clone": Cell(note="has none")})
    slow = Column("slow", simulated=True, cells={"exec": Cell(Figures.of([0.4]))})
    words, bars = drawn(fast, slow)
    assert {"exec round-trip p50 / p95", "4.0 ms", "400 ms", "fast", "slow (simulated)"} <= set(words)
    assert "clone" not in words
    assert len(bars) == 2 + 2  # with the legend's
    assert float(bars[1]["width"]) > float(bars[0]["width"])
    words, bars = drawn(fast, *references())
    assert "100 ms" in words
    assert {bar["fill"] for bar in bars[1:4]} == {"none"}


def drawn(*columns: Column) -> tuple[list[str | None], list[dict[str, str]]]:
    """Draw a chart and return its words and its bars."""
    root = Xml.fromstring(as_svg(columns))
    words = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    return words, [rect.attrib for rect in root.iter("{http://www.w3.org/2000/svg}rect") if "stroke" in rect.attrib]


def test_chart_of_nothing_is_a_chart() -> None:
    """Where no time could be had, the legend is all."""
    words, bars = drawn(Column("none", error=AuthError("a wrong key")))
    assert "none" in words
    assert len(bars) == 1


async def test_benchmark_draws_its_chart_into_a_file(program: Program, tmp_path: Path) -> None:
    """`--chart` writes it, `--reference` adds what was published."""
    chart = tmp_path / "chart.svg"
    ended = await program.run(
        "benchmark", "--providers", "testbed", "--runs", "1", "--boots", "1", "--reference", "--chart", str(chart)
    )
    assert "orgo (published, 2026-06-09)" in ended.out
    assert "MIOSA's documentation" in ended.err
    assert Xml.parse(chart).getroot().tag.endswith("svg")


async def test_chart_without_a_folder_is_refused_before_anything_is_measured(program: Program, tmp_path: Path) -> None:
    """A computer may cost, and its figures would be lost."""
    ended = await program.run("benchmark", "--providers", "testbed", "--chart", str(tmp_path / "none" / "chart.svg"))
    assert ended.code == Exit.USAGE
    assert "there is no folder" in ended.err
    assert not ended.out
