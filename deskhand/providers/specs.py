"""A specification that any provider could honour: what no computer can have is refused before anybody is asked."""

from __future__ import annotations

from deskhand.errors import InvalidInputError
from deskhand.providers.contract import ComputerSpec
from deskhand.providers.execution import check_command
from deskhand.providers.options import positive

__all__ = ["checked_spec"]


def checked_spec(spec: ComputerSpec | None) -> ComputerSpec:
    """Return what a computer is to be like; without a specification, like any.

    Raises:
        InvalidInputError: If a size or a time is none, the image has no name, or a variable or metadata is no text.
    """
    if spec is None:
        return ComputerSpec()
    sizes = {"cpus": spec.cpus, "memory": spec.memory, "disk": spec.disk, "ttl": spec.ttl}
    for what, size in sizes.items():
        if size is not None:
            positive(what, size)
    if spec.image == "":
        raise InvalidInputError("'' is no image", hint="leave image out, and the provider chooses one")
    check_command("", spec.env)
    for name, value in spec.metadata.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise InvalidInputError(f"the metadata {name!r} is {value!r}; both must be text")
    return spec
