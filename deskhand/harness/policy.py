"""Which calls run, which are asked about and which are refused: decided outside the model, by rules that are data.

A decision depends on the tool, its arguments, its risk and its computer alone, never on what a model says.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import ClassVar, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import to_json

from deskhand.errors import ConfigError
from deskhand.harness.persistence import outlives
from deskhand.providers.contract import ComputerInfo
from deskhand.tools.calls import EffectClass, Risk, ToolCall

__all__ = ["Judgement", "OwnPolicy", "Policy", "PolicyRequest", "Rule", "Verdict", "judge", "strictest"]

Verdict: TypeAlias = Literal["allow", "ask", "deny"]
"""Run it; have a person decide; refuse it."""

_STRICTNESS: Final[Mapping[Verdict, int]] = {"allow": 0, "ask": 1, "deny": 2}
_RISKS: Final[Mapping[Risk, int]] = {"low": 0, "medium": 1, "high": 2}
_ANY: Final = "*"
"""The glob of whatever there is."""


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What is to be judged.

    Attributes:
        call: The call, its arguments checked against the tool's schema.
        risk: How much harm its tool may do.
        effect: Its tool's effect class.
        computer: The computer it is for.
        run_id: The run.
        user: Whose run it is.
        workspace: Whose workspace.
    """

    call: ToolCall
    risk: Risk
    effect: EffectClass
    computer: ComputerInfo
    run_id: str
    user: str | None = None
    workspace: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a policy says, and why."""

    verdict: Verdict
    reason: str = "the policy says so"


class Rule(BaseModel):
    """What to do with the calls that it matches; all of its conditions must hold.

    Attributes:
        verdict: What is done with such a call.
        tool: A glob for the tool's name.
        arguments: A glob for each of these arguments; text as it is, other values as JSON. A call without one of
            them does not match.
        risk: At least this risk.
        persists: Whether it would outlive the run, as far as its arguments tell: a file that runs by itself later, a
            key, a timer. What a command does cannot be judged fully; ask for the risk where it matters.
        computer: A glob for the computer as ``PROVIDER:ID``, or for the name that the run calls it by.
        reason: What a person and the model are told.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")

    verdict: Verdict
    tool: str = _ANY
    arguments: Mapping[str, str] = {}
    risk: Risk | None = None
    persists: bool | None = None
    computer: str = _ANY
    reason: str | None = None

    def matches(self, request: PolicyRequest) -> bool:
        """Whether it is about this call."""
        return (
            (self.risk is None or _RISKS[request.risk] >= _RISKS[self.risk])
            and (self.tool == _ANY or fnmatchcase(request.call.name, self.tool))
            and (self.computer == _ANY or self._is_for(request))
            and self._takes(request.call)
        )

    def _is_for(self, request: PolicyRequest) -> bool:
        computer = request.computer
        names = (f"{computer.provider}:{computer.id}", request.call.computer_id or "")
        return any(fnmatchcase(name, self.computer) for name in names)

    def _takes(self, call: ToolCall) -> bool:
        """Whether it is about what a call does; the dearest of its conditions, and so the last."""
        if self.persists is None and not self.arguments:
            return True
        given = call.arguments if isinstance(call.arguments, Mapping) else {}
        if self.persists is not None and self.persists != (outlives(call.name, given) is not None):
            return False
        return all(name in given and fnmatchcase(_text(given[name]), glob) for name, glob in self.arguments.items())


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else to_json(value).decode()


class _File(BaseModel):
    """A policy as a file holds it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    default: Verdict = "allow"
    rule: list[Rule] = []


class Policy:
    """Rules in order: the first that matches decides.

    Args:
        rules: The rules.
        default: What is done with calls that none of them matches.
    """

    def __init__(self, rules: Iterable[Rule] = (), *, default: Verdict = "allow") -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.default: Verdict = default

    def __repr__(self) -> str:
        """The rules' number and the default."""
        return f"<Policy of {len(self.rules)} rules, else {self.default}>"

    def __call__(self, request: PolicyRequest) -> Judgement:
        """Judge a call."""
        for rule in self.rules:
            if rule.matches(request):
                return Judgement(rule.verdict, rule.reason or _why(rule, request))
        return Judgement(self.default)

    @property
    def asks(self) -> bool:
        """Whether it may want a person's answer."""
        return self.default == "ask" or any(rule.verdict == "ask" for rule in self.rules)

    @classmethod
    def cautious(cls) -> Policy:
        """Return the policy that asks for what may do much harm, and for what would outlive the run."""
        return cls.from_file(Path(str(files("deskhand.harness") / "policies" / "cautious.toml")))

    @classmethod
    def from_toml(cls, text: str, *, name: str = "policy.toml") -> Policy:
        """Read a policy: ``default`` and any number of ``[[rule]]`` with the fields of `Rule`.

        Raises:
            ConfigError: If it is not one; says where.
        """
        try:
            read = _File.model_validate(tomllib.loads(text))
        except RecursionError as error:
            raise ConfigError(f"{name} is no TOML: it is nested too deep", hint=_EXAMPLE) from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{name}: {where}: {first['msg']}", hint=_EXAMPLE) from error
        except ValueError as error:  # (also what Python itself refuses in it, such as a number of 5,000 digits)
            raise ConfigError(f"{name} is no TOML: {error}", hint=_EXAMPLE) from error
        return cls(read.rule, default=read.default)

    @classmethod
    def from_file(cls, path: str | Path) -> Policy:
        """Read a policy from a TOML file.

        Raises:
            ConfigError: If it cannot be read, or is no policy.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the policy {path} cannot be read: {error}", hint="is the path right?") from error
        return cls.from_toml(text, name=str(path))


_EXAMPLE: Final = """a rule looks like this:
[[rule]]
verdict = "ask"
tool = "exec"
arguments = { command = "*rm *" }
reason = "it deletes files\""""


def _why(rule: Rule, request: PolicyRequest) -> str:
    """Say what about a call a rule is about, where the rule does not say it itself."""
    given = request.call.arguments
    if rule.persists and isinstance(given, Mapping) and (reason := outlives(request.call.name, given)) is not None:
        return reason
    if rule.risk is not None:
        return f"its risk is {request.risk}"
    return f"the policy has a rule about {rule.tool}" if rule.tool != _ANY else "the policy has a rule about it"


OwnPolicy: TypeAlias = Callable[[PolicyRequest], "Verdict | Judgement | Awaitable[Verdict | Judgement]"]
"""A policy as code: a `Policy` is one."""


async def judge(policy: OwnPolicy, request: PolicyRequest) -> Judgement:
    """Ask a policy; one that fails, or says what is no verdict, has refused."""
    try:
        said = policy(request)
        if not isinstance(said, Judgement) and inspect.isawaitable(said):
            said = await said
    except Exception as error:  # (whatever somebody's policy raises: nothing runs on its account)
        return Judgement("deny", f"the policy failed: {type(error).__name__}: {error}")
    if isinstance(said, Judgement):
        return said
    if said in ("allow", "ask", "deny"):
        return Judgement(said)
    return Judgement("deny", f"the policy said {said!r}, which is no verdict")


def strictest(*policies: OwnPolicy | None) -> OwnPolicy | None:
    """Return a policy that says what the strictest of several says; ``None`` where there is none."""
    given = [policy for policy in policies if policy is not None]
    if len(given) < 2:
        return given[0] if given else None

    async def all_of_them(request: PolicyRequest) -> Judgement:
        said = [await judge(policy, request) for policy in given]
        return max(said, key=lambda judgement: _STRICTNESS[judgement.verdict])

    return all_of_them
