"""The simulator of E2B's sandboxes: a server on the loopback interface with real machines behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

import anyio.abc

from deskhand.providers import ExternalComputer
from deskhand.testing.simulators.front import Handler
from deskhand.testing.simulators.latency import Latency, LatencyName
from deskhand.testing.simulators.routing import Route
from deskhand.testing.simulators.simulator import Simulator
from deskhand.testing.simulators.wire import ApiError, Json

from .account import Account, E2BPlan, SimulatedSandbox
from .daemon import Daemon
from .routes import DAEMON, TABLE
from .sandboxes import Sandboxes
from .wire import daemon_error

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

__all__ = ["E2BSimulator"]

FILES = frozenset({"read_file", "write_file", "health"})
"""Routes of the daemon that are no calls of its protocol: their errors have the shape of the API's."""
OF_A_USER = frozenset({"start", "stat", "list_dir", "make_dir", "move", "remove"})
"""Calls that are somebody's."""

_SEED = {"create": (0.15, 0.35), "start": (0.02, 0.06), "connect": (0.1, 0.3)}
_OTHER = (0.02, 0.08)


class E2BSimulator(Simulator):
    """A strict, stateful simulator of E2B's API and of the daemon inside of each sandbox, on one port.

    Behind each sandbox is a real machine, by default a local desktop. The programs of the template ``desktop`` (Xvfb,
    the session, the viewer) are not run: starting them shows the machine's own screen, which is not there before. ::

        async with E2BSimulator() as simulator:
            os.environ |= simulator.environment
            ...
        assert not simulator.computers  # nothing was left behind

    Its fault controls say what goes wrong with the next request.

    Args:
        plan: What the account's plan allows.
        latency: ``none``, or ``seed`` for times such as the vendor's.
        behind: Gives the machine behind each sandbox; a local desktop where not given.
        port: The port; 0 takes a free one.
        keep_requests: How many requests are kept, and at most 64 MB of them.

    Attributes:
        requests: The newest requests that came.
        errors: What went wrong inside the simulator; the client saw a status 500 for each.
    """

    vendor: ClassVar[str] = "e2b"
    routes = TABLE
    most_body = 128 * 1024 * 1024
    is_plain = True

    def __init__(
        self,
        *,
        plan: E2BPlan | None = None,
        latency: LatencyName = "none",
        behind: Callable[[], AbstractAsyncContextManager[ExternalComputer]] | None = None,
        port: int = 0,
        keep_requests: int = 10_000,
    ) -> None:
        super().__init__(
            latency=Latency(_SEED, _OTHER) if latency == "seed" else None,
            behind=behind,
            port=port,
            keep_requests=keep_requests,
        )
        self._account = Account(plan or E2BPlan())
        self._sandboxes: Sandboxes | None = None

    # What the vendor says

    def admit(self, connection: HTTPConnection, route: Route, path: Mapping[str, str]) -> SimulatedSandbox | None:
        """Returns the sandbox that a request is for; of one to the API itself, only its key is looked at."""
        del path
        headers = connection.headers
        if route.name in DAEMON:
            inside = self._account.inside(headers.get("e2b-sandbox-id", ""), headers.get("x-access-token", ""))
            self._check_form(connection, route.name)
            return inside
        self._account.authenticate(headers.get("x-api-key", ""))
        return None

    def _check_form(self, connection: HTTPConnection, route: str) -> None:
        """Checks that a request has what an older daemon needs."""
        plan, headers = self._account.plan, connection.headers
        if plan.is_before(0, 4, 0):
            is_named = headers.get("authorization", "").startswith("Basic ") if route in OF_A_USER else True
            if not is_named or (route in FILES - {"health"} and not connection.query_params.get("username")):
                raise ApiError(401, "no user specified")
        is_form = headers.get("content-type", "").startswith("multipart/form-data")
        if plan.is_before(0, 5, 7) and route == "write_file" and not is_form:
            raise ApiError(500, "error parsing multipart form: request Content-Type isn't multipart/form-data")

    def error_body(self, error: ApiError, route: str | None, request_id: str) -> Json:
        """Returns an error as the API writes it, or the daemon."""
        del request_id
        if route in DAEMON - FILES and error.status != 502:
            return daemon_error(error)
        return {"code": error.status, "message": error.message, **error.extra}

    def _handlers(self, tasks: anyio.abc.TaskGroup) -> Mapping[str, Handler]:
        life = self._sandboxes = Sandboxes(self._account, self._machine, tasks)
        inside = Daemon()
        return {
            "create": life.create,
            "list": life.list,
            "get": life.get,
            "delete": life.delete,
            "set_timeout": life.set_timeout,
            "pause": life.pause,
            "connect": life.connect,
            "fork": life.fork,
            "snapshot": life.snapshot,
            "delete_template": life.delete_template,
            "start": inside.start,
            "attach": inside.attach,
            "list_processes": inside.list_processes,
            "send_input": inside.send_input,
            "send_signal": inside.send_signal,
            "close_stdin": inside.close_stdin,
            "update": inside.update,
            "stat": inside.stat,
            "list_dir": inside.list_dir,
            "make_dir": inside.make_dir,
            "move": inside.move,
            "remove": inside.remove,
            "read_file": inside.read_file,
            "write_file": inside.write_file,
            "health": inside.health,
        }

    def _forget_disks(self) -> None:
        for sandbox in self._account.sandboxes.values():
            sandbox.hardware.forget_disk()

    async def _sweep(self) -> None:
        if self._sandboxes is not None:
            await self._sandboxes.end_what_is_due()

    # What tests ask

    @property
    def base_url(self) -> str:
        """Where both are, for ``E2B_API_URL`` and ``E2B_SANDBOX_URL``."""
        return self.origin

    @property
    def key(self) -> str:
        """The account's key, for ``E2B_API_KEY``."""
        return self._account.key.get_secret_value()

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that lead a program here."""
        return {"E2B_API_URL": self.base_url, "E2B_SANDBOX_URL": self.base_url, "E2B_API_KEY": self.key}

    def options(self) -> Mapping[str, object]:
        """Return the options that lead the provider here."""
        return {"api_key": self.key, "base_url": self.base_url, "sandbox_url": self.base_url}

    @property
    def computers(self) -> Mapping[str, SimulatedSandbox]:
        """The sandboxes that exist, by id; after the block, those that were left behind.

        Each tells its ``template``, ``metadata``, ``state`` and ``ends_at``, and the ``machine`` behind it.
        """
        return MappingProxyType(self._account.sandboxes)

    # What tests arrange

    def expire_key(self, *, expired: bool = True) -> None:
        """Lets the key expire, or makes it good again."""
        self._account.is_key_good = not expired

    async def vanish(self, computer_id: str) -> None:
        """Lets a sandbox vanish, as if somebody else had ended it."""
        if self._sandboxes is not None:
            await self._sandboxes.discard(self._account.sandboxes[computer_id])

    async def pass_time(self, seconds: float) -> None:
        """Lets time go by, and ends or pauses the sandboxes that have had theirs."""
        for sandbox in self._account.sandboxes.values():
            sandbox.ends_at -= seconds
        await self._sweep()
