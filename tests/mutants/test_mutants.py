"""The list of mutants fits the tree, and the script that plants them fails loudly where it must."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "tests" / "mutants" / "mutants.toml"
TREE_TEST = "def test_it() -> None:\n    from deskhand import two\n\n    assert two() == 2\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    loader = SourceFileLoader("mutants_script", str(ROOT / "scripts" / "mutants"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def test_list_fits_the_tree(script: ModuleType, tmp_path: Path) -> None:
    """Names differ; each text is found exactly once, each mutated file compiles, each named test is there."""
    mutants = script.read(LIST)
    assert len({mutant.name for mutant in mutants}) == len(mutants) >= 12
    script.copy(ROOT, tmp_path)
    for mutant in mutants:
        before = (tmp_path / mutant.file).read_text()
        mutant.plant(tmp_path)
        (tmp_path / mutant.file).write_text(before)
        path, _, name = mutant.test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tiny package with one test and no mutants yet."""
    (tmp_path / "deskhand").mkdir()
    (tmp_path / "deskhand" / "__init__.py").write_text("def two():\n    return 1 + 1\n\n\ndef more():\n    return 3\n")
    (tmp_path / "deskhand" / "testing").mkdir()
    (tmp_path / "deskhand" / "testing" / "__init__.py").write_text("")
    (tmp_path / "deskhand" / "testing" / "pytest_plugin.py").write_text("")  # (pytest loads it: it is installed)
    (tmp_path / "tests" / "mutants").mkdir(parents=True)
    (tmp_path / "tests" / "test_it.py").write_text(TREE_TEST)
    (tmp_path / "pyproject.toml").write_text("")
    return tmp_path


def plan(tree: Path, old: str, new: str, test: str) -> None:
    """Write a list with one mutant."""
    values = {"name": "m", "breaks": "b", "file": "deskhand/__init__.py", "old": old, "new": new, "test": test}
    lines = "\n".join(f"{key} = {value!r}" for key, value in values.items())
    (tree / "tests" / "mutants" / "mutants.toml").write_text(f"[[mutant]]\n{lines}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (("1 + 1", "1 - 1", "tests/test_it.py::test_it"), None),
        (("1 + 2", "1 - 1", "tests/test_it.py::test_it"), "occurs 0 times"),
        (("return", "pass", "tests/test_it.py::test_it"), "occurs 2 times"),
        (("return 3", "return 4", "tests/test_it.py::test_it"), "did not notice"),
        (("1 + 1", "1 -- + ", "tests/test_it.py::test_it"), "invalid syntax"),
        (("1 + 1", "1 - 1", "tests/test_it.py::test_nothing"), "could not be run"),
    ],
    ids=["killed", "not-found", "ambiguous", "unnoticed", "no-program", "no-test"],
)
def test_script_tells_which_mutant_proves_nothing(
    script: ModuleType, tree: Path, capsys: pytest.CaptureFixture[str], fault: tuple[str, str, str], said: str | None
) -> None:
    """Green only where the planted fault was noticed by the named test."""
    plan(tree, *fault)
    code = script.main([], tree)
    printed = capsys.readouterr().out
    if said is None:
        assert (code, "killed   m" in printed) == (0, True), printed
    else:
        assert code == 1
        assert said in printed
    assert script.main(["nobody"], tree) == 2
