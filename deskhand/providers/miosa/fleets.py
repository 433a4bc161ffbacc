"""The two kinds of computers of an account, each created, copied and found exactly once, and owned by the provider."""

from __future__ import annotations

import abc
import builtins
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Generic, TypeVar
from urllib.parse import quote

import anyio
from pydantic import JsonValue

from deskhand.providers.answers import JsonObject, text
from deskhand.providers.contract import ComputerInfo, ComputerSpec
from deskhand.providers.creation import id_of, unique_name
from deskhand.providers.miosa.api import OPERATIONS, MiosaApi, computer_info
from deskhand.providers.miosa.computer import Idle, MiosaComputer
from deskhand.providers.miosa.directory import Directory
from deskhand.providers.miosa.envelope import machine_in
from deskhand.providers.miosa.machine import MiosaMachine
from deskhand.providers.miosa.request import (
    ATTRIBUTION,
    SANDBOX_ATTRIBUTION,
    creation_body,
    idle_seconds,
    sandbox_body,
)
from deskhand.providers.miosa.sandbox import MiosaSandbox
from deskhand.providers.ownership import Owner
from deskhand.providers.restoring import Kin

__all__ = ["Computers", "Sandboxes"]

MachineT = TypeVar("MachineT", bound=MiosaMachine)
_RESTORED: Final = "{} (restored)"
"""What MIOSA calls a machine that it makes of a snapshot, as far as is known: one of another name is not found."""


class _Fleet(abc.ABC, Generic[MachineT]):
    """The computers of one kind.

    Args:
        api: The API of that kind.
        owned: Returns who ends what is made here.
        workspace_id: The workspace to create in and to list.
    """

    clone_route: ClassVar[str] = "clone"

    def __init__(self, api: MiosaApi, owned: Callable[[], Owner], workspace_id: str | None) -> None:
        self._api = api
        self._owned = owned
        self._workspace_id = workspace_id
        self._directory = Directory(api, workspace_id)
        self._kin: Kin[MachineT] = Kin(
            self._clone, self._restore, lambda made, computer: self._owned().succeed(made, computer)
        )
        self._met: set[str] = set()
        self._made: set[str] = set()
        self._turn = anyio.Lock()

    @abc.abstractmethod
    def _body(self, name: str, spec: ComputerSpec, options: Mapping[str, object]) -> tuple[dict[str, object], set[str]]:
        """Return the body of the request that creates one, and the fields of it that say whose it is."""

    @abc.abstractmethod
    def _new(self, info: ComputerInfo, spec: ComputerSpec) -> MachineT:
        """Return one that was created, owned."""

    @abc.abstractmethod
    def _copy(self, info: ComputerInfo, original: MachineT) -> MachineT:
        """Return one that was made from another, owned."""

    @abc.abstractmethod
    def _found(self, info: ComputerInfo) -> MachineT:
        """Return one that was there, borrowed."""

    def _copied(self, original: MachineT) -> dict[str, JsonValue]:
        """Return what a request for a copy says of the original, so that the copy has it too."""
        del original
        return {}

    def _info(self, fields: Mapping[str, JsonValue], metadata: Mapping[str, str] | None = None) -> ComputerInfo:
        return computer_info(fields, metadata, source=self._api.source)

    def _made_in(self, fields: JsonObject) -> JsonObject:
        """Note a machine that this provider made: it is not taken for another one whose answer was lost."""
        self._made.add(str(fields["id"]))
        return fields

    async def create(self, name: str, spec: ComputerSpec, options: Mapping[str, object]) -> MachineT:
        """Create one, and wait until it is up."""
        owner = self._owned()
        if self._workspace_id is not None and "workspace_id" not in spec.metadata:
            options = {"workspace_id": self._workspace_id, **options}
        unique = unique_name(name)
        body, says_whose = self._body(unique, spec, options)
        whose = {field: str(body[field]) for field in sorted(says_whose.intersection(body))}

        async def begin() -> MachineT:
            fields = self._made_in(await self._directory.create(body))
            return self._new(self._info(fields, {**spec.metadata, **whose}), spec)

        return await owner.make(unique, begin, lambda: id_of(self._directory.named(unique)))

    async def get(self, computer_id: str) -> MachineT:
        """Return an existing one, borrowed; one that runs is waited for until it is up.

        Raises:
            ComputerGoneError: If there is none with that id.
            NotFoundError: The same.
        """
        fields = await self._api.http.call(OPERATIONS["describe a computer"], self._api.path(computer_id))
        machine = self._found(self._info({"id": computer_id, **machine_in(fields)}))
        self._met.add(machine.info.id)
        await machine.wait_until_up()
        return machine

    async def list(self) -> builtins.list[ComputerInfo]:
        """List those that the key may see."""
        return [self._info(fields) for fields in await self._directory.computers()]

    async def destroy(self, computer_id: str) -> None:
        """End one for good."""
        await self._api.destroy(computer_id)

    async def _clone(self, original: MachineT, name: str) -> MachineT:
        """Have a copy made, which is owned like what was created."""
        owner, unique, key = self._owned(), unique_name(name), self._directory.key()

        async def send() -> JsonObject:
            body = {"name": unique, **self._copied(original)}
            return await self._api.act("clone a computer", original.info.id, self.clone_route, body, headers=key)

        async def begin() -> MachineT:
            found = self._directory.once(unique, send, lambda: self._directory.named(unique), has_key=bool(key))
            return self._copy(self._info(self._made_in(await found), original.info.metadata), original)

        return await owner.make(unique, begin, lambda: id_of(self._directory.named(unique)))

    async def _restore(self, original: MachineT, snapshot_id: str) -> MachineT:
        """Have one made of a snapshot, which is owned like what was created; the vendor gives it its name.

        One that the vendor puts back in its place is whose it was. Where the answer was lost, the only new one of that
        name is taken for it, at once; later only of what is this provider's, as anybody may restore what is theirs too.
        """
        owner, home = self._owned(), original.home_of(snapshot_id)
        path = self._api.path(home, f"restore/{quote(snapshot_id, safe='')}")
        called = f"{original.info.name} (of the snapshot {snapshot_id})"
        is_ours = home in self._made and not original.kept
        before: dict[str, str | None] = {}

        async def send() -> JsonObject:
            return await self._api.http.call(OPERATIONS["restore a snapshot"], path)

        async def find() -> JsonObject | None:
            name = before.get(home)
            if name is None:
                return None
            taken, restored = {*before, *self._met, *self._made}, _RESTORED.format(name)
            return await self._directory.find(lambda one: str(one["id"]) not in taken and one.get("name") == restored)

        async def begin() -> MachineT:
            async with self._turn:  # of two at once, neither is taken for the other
                before.update({str(one.get("id")): text(one.get("name")) for one in await self._directory.computers()})
                fields = await self._directory.once(called, send, find, has_key=False, is_found_later=is_ours)
                if fields["id"] not in before:
                    self._made_in(fields)
            machine = self._copy(self._info(fields, original.info.metadata), original)
            if machine.info.id in before:
                machine.keep()
            return machine

        async def find_later() -> str | None:
            return await id_of(find()) if is_ours else None

        return await owner.make(called, begin, find_later)


class Computers(_Fleet[MiosaComputer]):
    """Cloud computers, with a desktop."""

    def _body(self, name: str, spec: ComputerSpec, options: Mapping[str, object]) -> tuple[dict[str, object], set[str]]:
        return creation_body(name, spec, options), {*ATTRIBUTION}

    def _new(self, info: ComputerInfo, spec: ComputerSpec) -> MiosaComputer:
        idle = Idle(idle_seconds(spec), is_wanted=spec.ttl is not None)
        return MiosaComputer(info, self._api, self._kin, is_owned=True, idle=idle)

    def _copy(self, info: ComputerInfo, original: MiosaComputer) -> MiosaComputer:
        return MiosaComputer(info, self._api, self._kin, is_owned=True, idle=original.idle)

    def _found(self, info: ComputerInfo) -> MiosaComputer:
        return MiosaComputer(info, self._api, self._kin)


class Sandboxes(_Fleet[MiosaSandbox]):
    """Sandboxes, without one."""

    clone_route = "fork"

    def _body(self, name: str, spec: ComputerSpec, options: Mapping[str, object]) -> tuple[dict[str, object], set[str]]:
        return sandbox_body(name, spec, options), {*SANDBOX_ATTRIBUTION}

    def _copied(self, original: MiosaSandbox) -> dict[str, JsonValue]:
        """Return for which user it is, and its time: of a fork they can be said, and need not be the original's."""
        said = {"external_user_id": original.info.raw.get("external_user_id"), "timeout_sec": original.time}
        return {name: value for name, value in said.items() if value}

    def _new(self, info: ComputerInfo, spec: ComputerSpec) -> MiosaSandbox:
        del spec
        return MiosaSandbox(info, self._api, self._kin, is_owned=True)

    def _copy(self, info: ComputerInfo, original: MiosaSandbox) -> MiosaSandbox:
        return MiosaSandbox(info, self._api, self._kin, is_owned=True, time=original.time)

    def _found(self, info: ComputerInfo) -> MiosaSandbox:
        return MiosaSandbox(info, self._api, self._kin)
