"""What drives a run, by its name on the command line: a bundled loop, or anybody's ``module:Class``."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from deskhand.errors import ConfigError, InvalidInputError

if TYPE_CHECKING:
    from deskhand.harness.base import Harness

__all__ = ["BUNDLED", "Settings", "name_of", "named_harness"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a harness is to be made; what is ``None`` is left to it.

    Attributes:
        name: A bundled one's name, or ``module:Class``.
        model: The model that it asks.
        instructions: What the model is told besides the goal.
        max_turns: Model turns at most.
        max_tokens: Tokens of one answer at most.
        fake: Whether it asks a scripted model on this machine.
    """

    name: str
    model: str | None = None
    instructions: str | None = None
    max_turns: int | None = None
    max_tokens: int | None = None
    fake: bool = False


@dataclass(frozen=True, slots=True)
class _Bundled:
    """A loop that comes with the package.

    Attributes:
        home: Where its class is.
        vendor: Whose model it asks.
        keys: Environment variables of which one must hold a key.
        export: The line that sets one.
        scripted: Connects a client to the scripted model, where the loop asks for ``client``.
    """

    home: str
    vendor: str
    keys: tuple[str, ...]
    export: str
    scripted: str


BUNDLED: Final[Mapping[str, _Bundled]] = {
    "claude": _Bundled(
        "deskhand.harness.loops.claude:ClaudeComputerUseHarness",
        "Claude",
        ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        "export ANTHROPIC_API_KEY=sk-ant-...",
        "scripted_claude",
    ),
    "openai": _Bundled(
        "deskhand.harness.loops.openai:OpenAIComputerUseHarness",
        "OpenAI",
        ("OPENAI_API_KEY",),
        "export OPENAI_API_KEY=sk-...",
        "scripted_openai",
    ),
    "openai-functions": _Bundled(
        "deskhand.harness.loops.openai:OpenAIFunctionHarness",
        "OpenAI",
        ("OPENAI_API_KEY",),
        "export OPENAI_API_KEY=sk-...",
        "scripted_openai_functions",
    ),
    "miosa": _Bundled(
        "deskhand.harness.loops.miosa:MiosaModelHarness",
        "MIOSA's models",
        ("MIOSA_API_KEY", "MIOSA_ACCESS_TOKEN", "MIOSA_AI_GATEWAY_KEY"),
        "export MIOSA_API_KEY=msk_i_...",
        "scripted_openai_functions",
    ),
}
"""The loops that have a name."""


def name_of(harness: str) -> str | None:
    """Return the name here of what a run's events call its harness; ``None`` where no bundled loop is called so."""
    return next((name for name, bundled in BUNDLED.items() if bundled.home.endswith(f":{harness}")), None)


@asynccontextmanager
async def named_harness(settings: Settings) -> AsyncIterator[Harness[str]]:
    """Make what drives: the live model's loop, or the same loop against a scripted model on the wire.

    Raises:
        ConfigError: If there is no key, no such harness, or it cannot be made.
        InvalidInputError: If it takes no such setting.
    """
    bundled = BUNDLED.get(settings.name)
    cls = _load(bundled.home if bundled else settings.name)
    given = {
        name: value
        for name, value in (
            ("model", settings.model),
            ("instructions", settings.instructions),
            ("max_turns", settings.max_turns),
            ("max_tokens", settings.max_tokens),
        )
        if value is not None
    }
    if not settings.fake or bundled is None:
        if bundled is not None:
            _require_key(bundled, os.environ)
        yield _made(cls, settings.name, given)
        return
    import deskhand.demo

    scripted = cast("Callable[[], AbstractAsyncContextManager[object]]", getattr(deskhand.demo, bundled.scripted))
    async with scripted() as client:
        yield _made(cls, settings.name, given | {"client": client})


def _load(home: str) -> type[Harness[str]]:
    """Import a harness's class; one's own modules are looked for in the current folder too.

    Raises:
        ConfigError: If there is none.
    """
    from deskhand.harness.base import Harness

    module_name, colon, class_name = home.partition(":")
    if not colon or not module_name or not class_name:
        raise ConfigError(
            f"no harness is called {home!r}", hint=f"use {', '.join(BUNDLED)}, or module:Class for your own"
        )
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: object = getattr(importlib.import_module(module_name), class_name)
    except AttributeError as error:
        raise ConfigError(f"the module {module_name} has no {class_name}", hint="is the name right?") from error
    except Exception as error:  # (whatever somebody's module does when it is imported)
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"the module {module_name} cannot be imported: {what}", hint="run it from the folder that holds it"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Harness)):
        raise ConfigError(f"{home} is no harness", hint="make it a class that inherits from deskhand.Harness")
    return found


def _made(cls: type[Harness[str]], name: str, given: Mapping[str, object]) -> Harness[str]:
    """Make a harness.

    Raises:
        ConfigError: If its class wants more than it is given.
        InvalidInputError: If it takes no such setting.
    """
    parameters = inspect.signature(cls).parameters
    for option in given:
        if option not in parameters and not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            flag = "--" + option.replace("_", "-")
            raise InvalidInputError(f"{name} takes no {option}", hint=f"leave {flag} out")
    try:
        return cast("Any", cls)(**given)  # type: ignore[no-any-return]
    except TypeError as error:
        raise ConfigError(f"{name} cannot be made: {error}", hint="give its parameters defaults") from error


def _require_key(bundled: _Bundled, environment: Mapping[str, str]) -> None:
    """Look for a key before a computer is started for nothing.

    Raises:
        ConfigError: If there is none.
    """
    if not any(environment.get(name) for name in bundled.keys):
        raise ConfigError(
            f"there is no key for {bundled.vendor}: {bundled.keys[0]} is not set",
            hint=f"{bundled.export}\nwithout a key: deskhand demo",
        )
