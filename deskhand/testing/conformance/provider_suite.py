"""What ``pytest --deskhand-provider=...`` runs: every case of the suite, on a computer of that provider."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from deskhand.errors import DeskhandError
from deskhand.providers import ComputeProvider, ExternalComputer, provider
from deskhand.testing.conformance import CASES, DESKTOP, SCREEN, SHELL_AND_FILES, Case, Target, Verdict
from deskhand.testing.pytest_plugin import LEVELS

_NEEDED = dict(zip(LEVELS, (SHELL_AND_FILES, SCREEN, DESKTOP), strict=True))


def _make(name: str) -> ComputeProvider:
    """Return the provider that ``module:Class`` or an installed name stands for."""
    module, _, attribute = name.partition(":")
    if not attribute:
        return provider(name)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise pytest.UsageError(f"--deskhand-provider={name} cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, ComputeProvider)):
        raise pytest.UsageError(f"--deskhand-provider={name} is no ComputeProvider")
    return found()


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """End the whole run with one reason, in place of one failure a case, where there is nothing to judge."""
    try:
        yield
    except (pytest.UsageError, DeskhandError) as error:
        pytest.exit(f"nothing was judged: {error}", returncode=pytest.ExitCode.USAGE_ERROR)


def _computer_of(entered: ComputeProvider, portal: BlockingPortal) -> ExternalComputer:
    return portal.call(lambda: entered.create(name="conformance"))


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    """An event loop for all cases: connections of a provider live in one."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="session")
def entered(request: pytest.FixtureRequest, portal: BlockingPortal) -> Iterator[ComputeProvider]:
    """The provider, entered; leaving it destroys what it created."""
    with ExitStack() as stack:
        with _all_or_nothing():
            made = _make(str(request.config.getoption("--deskhand-provider")))
            entered = stack.enter_context(portal.wrap_async_context_manager(made))
        yield entered


@pytest.fixture(scope="session")
def lasting(entered: ComputeProvider, portal: BlockingPortal) -> ExternalComputer:
    """The computer of all cases that leave it as it was."""
    with _all_or_nothing():
        return _computer_of(entered, portal)


def test_computer_has_its_level(request: pytest.FixtureRequest, lasting: ExternalComputer) -> None:
    """A level that was asked for is there whole."""
    level = request.config.getoption("--deskhand-level")
    if level is None:
        pytest.skip("no level was asked for: --deskhand-level")
    missing = _NEEDED[level] - lasting.capabilities
    if missing:
        pytest.fail(f"a computer of the level {level} also has {', '.join(sorted(missing))}")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_computer_conforms(
    case: Case, entered: ComputeProvider, lasting: ExternalComputer, portal: BlockingPortal
) -> None:
    """A computer does what a case says."""
    computer = _computer_of(entered, portal) if case.ends_computer else lasting
    verdict = portal.call(case.run, Target(computer))
    if verdict is Verdict.UNSUPPORTED:
        pytest.skip(f"lacks {', '.join(sorted(case.needs - computer.capabilities))}, and says so")
    if verdict is Verdict.UNVERIFIED:
        pytest.skip("nobody can tell what input arrived; see deskhand.testing.conformance")
