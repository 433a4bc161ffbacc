"""The routes of tunnels, by which a host's ports can be reached."""

from __future__ import annotations

import re
import secrets
import uuid

from deskhand.testing.simulators.wire import Answer, ApiError, Field, Json, json_answer

from .account import Account, CodedError, HostCall, no_content, plain_fields, timestamp

__all__ = ["TunnelRoutes"]

ACCESS = ("public", "tenant_only", "password")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CREATE = {
    "target_port": Field("integer", required=True, low=1, high=65_535),
    "auth_mode": Field("string", choices=ACCESS),
    "slug": Field("string"),
}
_CHANGE = {
    "target_port": Field("integer", low=1, high=65_535),
    "auth_mode": Field("string", choices=ACCESS),
    "enabled": Field("boolean"),
}


class TunnelRoutes:
    """The routes ``/tunnels``.

    Args:
        account: Whose hosts they are.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    async def create(self, call: HostCall) -> Answer:
        """Opens one."""
        host = self._account.host(call.path["id"])
        body = plain_fields(call.body, _CREATE)
        host.on()
        slug = str(body.get("slug") or secrets.token_hex(6))
        if _SLUG.fullmatch(slug) is None:
            raise ApiError(422, "slug must be letters, digits and dashes")
        if any(slug == tunnel["slug"] for one in self._account.hosts.values() for tunnel in one.tunnels.values()):
            raise CodedError(409, "NAME_TAKEN", f"The slug {slug} is taken")
        now = timestamp()
        tunnel: Json = {
            "id": str(uuid.uuid4()),
            "host_id": host.id,
            "slug": slug,
            "target_port": body["target_port"],
            "auth_mode": body.get("auth_mode", "public"),
            "public_url": f"https://{slug}.tunnel.miosa.ai",
            "enabled": True,
            "created_at": now,
            "updated_at": now,
        }
        host.tunnels[str(tunnel["id"])] = tunnel
        return json_answer(tunnel, 201)

    async def list(self, call: HostCall) -> Answer:
        """Lists those of a host."""
        return json_answer({"data": [*self._account.host(call.path["id"]).tunnels.values()]})

    async def get(self, call: HostCall) -> Answer:
        """Describes one."""
        return json_answer(self._find(call))

    async def change(self, call: HostCall) -> Answer:
        """Changes who may use one, and whether anybody may."""
        tunnel = self._find(call)
        tunnel |= {**plain_fields(call.body, _CHANGE), "updated_at": timestamp()}
        return json_answer(tunnel)

    async def delete(self, call: HostCall) -> Answer:
        """Closes one."""
        del self._account.host(call.path["id"]).tunnels[str(self._find(call)["id"])]
        return no_content()

    def _find(self, call: HostCall) -> Json:
        tunnel = self._account.host(call.path["id"]).tunnels.get(call.path["tunnel"])
        if tunnel is None:
            raise CodedError(404, "TUNNEL_NOT_FOUND", "Tunnel not found")
        return tunnel
