"""The conformance suite for a provider of one's own, by one option of pytest.

``pytest --deskhand-provider=my_package:MyProvider`` runs the suite against a computer of that provider, and nothing
else, unless tests are named too. The provider is made without arguments, so that it takes its key and address from
where it takes them anyway.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["LEVELS", "pytest_addoption", "pytest_configure"]

LEVELS = ("shell", "screen", "desktop")
"""How much of a computer there must be: shell and files, a screen that can be seen, a whole desktop."""

_SUITE = Path(__file__).with_name("conformance") / "provider_suite.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("deskhand", "deskhand: the conformance of a provider of computers")
    group.addoption(
        "--deskhand-provider",
        metavar="NAME",
        help="run the conformance suite against this provider: module:Class, or the name of one that is installed",
    )
    group.addoption(
        "--deskhand-level",
        choices=LEVELS,
        help="what its computers must have; without it, what they lack is skipped: %(choices)s",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Put the suite in the place of the tests that are here, or beside those that are named."""
    import pytest

    if not config.getoption("--deskhand-provider"):
        return
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args.clear()
    config.args.append(str(_SUITE))
