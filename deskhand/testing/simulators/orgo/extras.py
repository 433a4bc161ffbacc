"""Small routes beside the rest: health, the catalogue of events, streams."""

from __future__ import annotations

from deskhand.testing.simulators.wire import Answer, ApiError, Field, json_answer, read_fields

from .account import Account, timestamp
from .computer import SimulatedComputer
from .sockets import KINDS
from .wire import OrgoCall

__all__ = ["Extras"]


class Extras:
    """Health, the catalogue of events, streams."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def health(self, call: OrgoCall) -> Answer:
        """Tells whether a desktop is up."""
        computer = self._account.of_instance(call.path["instance"])
        if computer is None:
            raise ApiError(404, "Computer not found")
        self._account.check_scope(call.caller, computer.workspace_id)
        if computer.status != "running" or computer.machine is None:
            raise ApiError(503, "Could not reach the desktop. Try again in a moment.", upstream_status=503)
        return json_answer({"status": "ok"})

    async def event_kinds(self, call: OrgoCall) -> Answer:
        """Lists the kinds of events."""
        self._find(call)
        return json_answer({"events": [*sorted(KINDS)]})

    async def start_stream(self, call: OrgoCall) -> Answer:
        """Starts to stream the screen."""
        computer = self._find(call)
        read_fields(call.body, {"connection_name": Field("string", required=True)})
        computer.on()
        computer.stream = {"status": "streaming", "start_time": timestamp(), "pid": 4242}
        return json_answer({"success": True, **computer.stream})

    async def stop_stream(self, call: OrgoCall) -> Answer:
        """Ends the stream."""
        computer = self._find(call)
        computer.on()
        computer.stream = {"status": "terminated"}
        return json_answer({"success": True})

    async def stream_status(self, call: OrgoCall) -> Answer:
        """Tells whether the screen is streamed."""
        return json_answer(self._find(call).stream)

    def _find(self, call: OrgoCall) -> SimulatedComputer:
        return self._account.computer(call.caller, call.path["id"])
