"""The public names: all there, all described, all typed, and cheap to import."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import typing
from collections.abc import Iterator

import pytest

import deskhand

MODULES = (
    "deskhand",
    "deskhand.errors",
    "deskhand.providers",
    "deskhand.providers.daytona",
    "deskhand.providers.local",
    "deskhand.providers.miosa",
    "deskhand.providers.opencomputers",
    "deskhand.providers.orgo",
    "deskhand.providers.e2b",
    "deskhand.tools",
    "deskhand.harness",
    "deskhand.harness.models",
    "deskhand.benchmark",
    "deskhand.testing",
    "deskhand.testing.conformance",
    "deskhand.testing.models",
    "deskhand.testing.simulators",
)
HEAVY = ("pydantic", "anthropic", "openai", "httpx2", "numpy", "PIL", "websockets", "typer", "rich", "xcffib", "anyio")


@pytest.mark.parametrize("name", [*MODULES, "deskhand.sync"])
def test_every_public_name_can_be_imported(name: str) -> None:
    """`__all__` promises nothing that is not there."""
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for public in module.__all__:
        assert getattr(module, public) is not None
        assert public in dir(module)


def functions(module: str) -> Iterator[tuple[str, object]]:
    """Find every public function and method of a module's public names."""
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for method, member in vars(value).items():
                function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if not method.startswith("_") and inspect.isfunction(function):
                    yield f"{name}.{method}", inspect.unwrap(function)


@pytest.mark.parametrize("module", MODULES)
def test_public_signatures_are_complete_and_without_any(module: str) -> None:
    """Every parameter and result of a public function has a type, and none of them is Any."""
    wrong = []
    for name, function in functions(module):
        assert inspect.isfunction(function)
        wrong += [
            f"{name}({parameter.name}) has no type"
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name not in {"self", "cls"} and parameter.annotation is parameter.empty
        ]
        annotations = {key: str(value) for key, value in function.__annotations__.items()}
        wrong += [f"{name}({key}: {value})" for key, value in annotations.items() if "Any" in value.replace("AnyS", "")]
        if "return" not in annotations:
            wrong.append(f"{name} has no result type")
    assert not wrong


def test_import_of_the_package_loads_nothing_heavy() -> None:
    """`import deskhand` loads no SDK, no validation library and nothing of its own but one module."""
    program = """
import json, sys
before = set(sys.modules)
import deskhand
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert not [name for name in loaded if name.split(".")[0] in HEAVY]
    assert [name for name in loaded if name.startswith("deskhand")] == ["deskhand"]


def test_import_has_no_side_effects() -> None:
    """Importing every public name changes no logging, signal handler or environment and starts no thread."""
    program = """
import logging, os, signal, threading
def state():
    root = logging.root
    return list(root.handlers), root.level, dict(os.environ), signal.getsignal(signal.SIGINT), threading.active_count()
before = state()
import deskhand
for name in deskhand.__all__:
    getattr(deskhand, name)
assert before == state(), (before, state())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_unknown_name_is_an_attribute_error() -> None:
    """The lazy package answers for names that it does not have as any module does."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(deskhand, "nothing")  # noqa: B009 (the name is wrong on purpose)


def test_lazy_names_and_checkers_agree() -> None:
    """What type checkers see of the package is what it has at run time."""
    assert set(deskhand.__all__) == set(deskhand._HOME_OF)
    assert typing.TYPE_CHECKING is False
