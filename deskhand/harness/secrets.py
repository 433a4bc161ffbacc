"""Secrets that a model may use and never sees: it writes ``{{secret:name}}``, the value is put in at the last hop.

A screenshot may show what was typed: a frame is not searched for secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, TypeVar

from pydantic import BaseModel, JsonValue, SecretStr, ValidationError

from deskhand.errors import InvalidInputError, PermissionDeniedError
from deskhand.providers.contract import ComputerInfo

__all__ = ["SHORTEST", "Secret", "Secrets"]

ArgumentsT = TypeVar("ArgumentsT", bound=BaseModel)

SHORTEST: Final = 6
"""Characters that a secret has at least: a shorter value is in too many texts by chance to be taken out of them."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_MARK: Final = "secret:"
_PLACE: Final = re.compile(r"\{\{\s*secret:([A-Za-z0-9_.\-]{1,64})\s*\}\}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value, and where it may go.

    Attributes:
        value: The value.
        computers: A glob for the computers it may be used on, as ``PROVIDER:ID``.
    """

    value: SecretStr
    computers: str = "*"


class Secrets:
    """The secrets of a run, by name.

    Args:
        secrets: Values, or secrets with a rule of where they may go.

    Raises:
        InvalidInputError: If a name is none, or a value is too short to be told from other text.
    """

    def __init__(self, secrets: Mapping[str, Secret | SecretStr]) -> None:
        self._secrets: dict[str, Secret] = {}
        for name, given in secrets.items():
            secret = given if isinstance(given, Secret) else Secret(given)
            if _NAME.fullmatch(name) is None:
                raise InvalidInputError(
                    f"no secret can be called {name!r}", hint="use letters, digits, and _ . - between them"
                )
            if len(secret.value.get_secret_value()) < SHORTEST:
                raise InvalidInputError(
                    f"the secret {name} has less than {SHORTEST} characters, and could not be kept out of texts",
                    hint="use a longer one",
                )
            self._secrets[name] = secret

    def __repr__(self) -> str:
        """The names alone."""
        return f"<Secrets {', '.join(self._secrets)}>"

    def __len__(self) -> int:
        """How many there are."""
        return len(self._secrets)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, which a model may be told."""
        return tuple(self._secrets)

    def values(self) -> list[str]:
        """Return the values in clear, for a redactor."""
        return [secret.value.get_secret_value() for secret in self._secrets.values()]

    def merged(self, other: Secrets) -> Secrets:
        """Return these with others, which win."""
        return Secrets({**self._secrets, **other._secrets})

    def may_stand_in(self, arguments: Mapping[str, JsonValue] | str) -> bool:
        """Whether arguments may name any: those of nearly no action do, and that is quickly seen."""
        return _MARK in repr(arguments)

    def resolve(self, arguments: ArgumentsT, computer: ComputerInfo) -> ArgumentsT:
        """Return arguments with the values in the place of their names; themselves where they name none.

        Raises:
            InvalidInputError: If there is no such secret, or the tool does not take its value.
            PermissionDeniedError: If it must not go to this computer.
        """
        plain: JsonValue = arguments.model_dump(mode="json", exclude_unset=True)
        filled = self._filled(plain, computer)
        if filled == plain:
            return arguments
        try:
            return type(arguments).model_validate(filled)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise InvalidInputError(f"{where}: the tool does not take the secret there: {first['type']}") from None

    def _filled(self, value: JsonValue, computer: ComputerInfo) -> JsonValue:
        if isinstance(value, str):
            return _PLACE.sub(lambda place: self._value(place[1], computer), value)
        if isinstance(value, dict):
            return {name: self._filled(item, computer) for name, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item, computer) for item in value]
        return value

    def _value(self, name: str, computer: ComputerInfo) -> str:
        secret = self._secrets.get(name)
        if secret is None:
            known = ", ".join(self._secrets) or "there is none"
            raise InvalidInputError(f"there is no secret called {name!r}", hint=f"use one of: {known}")
        if not fnmatchcase(f"{computer.provider}:{computer.id}", secret.computers):
            raise PermissionDeniedError(
                f"the secret {name} must not go to {computer.provider}:{computer.id}",
                hint=f"it is for {secret.computers}",
            )
        return secret.value.get_secret_value()
