"""What ``deskhand run`` was told, as the run's log keeps it for ``deskhand recover``."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from deskhand.harness.policy import Policy

__all__ = ["Approve", "Orders"]

_PREFIX: Final = "cli."


class Approve(enum.StrEnum):
    """When a person is asked."""

    ASK = "ask"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Orders:
    """The words of a command line that stand in no other place of a run's log.

    Attributes:
        harness: A bundled loop's name, or ``module:Class``.
        computer: A provider for a fresh computer, or ``PROVIDER:ID``.
        screen: The fresh computer's screen.
        fake: ``yes`` where the model was a script on this machine.
        simulate: ``yes`` where the computer's vendor was.
        approve: When a person is asked.
        policy: The file with the rules.
        model: The model.
        instructions: What the model is told besides the goal.
        max_turns: Model turns at most.
    """

    harness: str
    computer: str
    screen: str = ""
    fake: str = ""
    simulate: str = ""
    approve: str = Approve.ASK.value
    policy: str = ""
    model: str = ""
    instructions: str = ""
    max_turns: str = ""

    @property
    def metadata(self) -> dict[str, str]:
        """What ``run.started`` keeps."""
        given = {one.name: str(getattr(self, one.name)) for one in fields(self)}
        return {_PREFIX + name: value for name, value in given.items() if value}

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> Self | None:
        """Return what a run was told; ``None`` where no command line started it."""
        given = {one.name: metadata[_PREFIX + one.name] for one in fields(cls) if _PREFIX + one.name in metadata}
        return cls(**given) if {"harness", "computer"} <= given.keys() else None

    def rules(self) -> Policy | None:
        """Return the policy: the file's, else the cautious one where a person is to be asked.

        Raises:
            ConfigError: If the file is no policy.
        """
        from deskhand.harness.policy import Policy

        if self.policy:
            return Policy.from_file(Path(self.policy))
        return Policy.cautious() if self.approve == Approve.ASK else None
