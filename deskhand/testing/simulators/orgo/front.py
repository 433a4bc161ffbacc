"""What every request goes through: the log, the faults, the key, its route, and how the answer is sent."""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
from pydantic import JsonValue, SecretStr
from pydantic_core import from_json

from deskhand.testing.simulators.faults import Fault
from deskhand.testing.simulators.latency import Latency
from deskhand.testing.simulators.loopback import Loopback
from deskhand.testing.simulators.recorded import (
    SECRET_HEADERS,
    SECRET_PARAMETERS,
    RecordedRequest,
    without_secrets,
)

from .account import Account, Key
from .routes import Found, Handler, Router, SocketHandler
from .wire import Answer, ApiError, Call, Json, NestedApiError, json_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send
    from starlette.websockets import WebSocket

__all__ = ["Breakage", "Front"]

Breakage: TypeAlias = Literal["abort", "half", "silent", "close"]
"""How a WebSocket breaks."""

MAX_BODY = 32 * 1024 * 1024
KEPT = 64 * 1024 * 1024
PIECES = 20
NO_KEY = frozenset({"signed_storage"})
NESTED = frozenset({"chat"})
FORMS = frozenset({"upload_file"})


class Front:
    """The application that is served."""

    def __init__(
        self,
        account: Account,
        router: Router,
        handlers: Mapping[str, Handler],
        take_fault: Callable[[str | None], Fault],
        latency: Latency | None,
    ) -> None:
        self.requests: deque[RecordedRequest] = deque()
        self.errors: deque[Exception] = deque()
        self.sockets: Mapping[str, SocketHandler] = {}
        self.loopback: Loopback | None = None
        self.silent: bool = False
        self.arrived: anyio.Event = anyio.Event()
        self._account = account
        self._router = router
        self._handlers = handlers
        self._take_fault = take_fault
        self._latency = latency
        self._received = self._kept = 0
        self._open: set[WebSocket] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request or WebSocket."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve_request(scope, receive, send)

    # Requests

    async def _serve_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.requests import Request

        began = anyio.current_time()
        request = Request(scope, receive)
        content = await _read(request)
        found = self._router.find(request.method, request.url.path)
        record = self._record(request, found, content)
        fault = self._take_fault(found.name)
        if (fault.status is None and fault.body is None and not fault.drop) or fault.after_effect:
            answer = await self._answer(request, content, found, record)
        else:
            answer = json_answer({})
        await self._hold_back(found.name, began + fault.delay)
        await self._deliver(answer, fault, record, (scope, receive, send))

    async def _answer(self, request: Request, content: bytes, found: Found, record: RecordedRequest) -> Answer:
        request_id = str(uuid.uuid4())
        try:
            answer = await self._route(request, content, found, request_id)
        except ApiError as error:
            record.error = error.message
            return json_answer(error.body(request_id), error.status, headers={"x-request-id": request_id})
        except Exception as error:  # a fault of the simulator's own is told to both sides: the client and the test
            self.errors.append(error)
            record.error = f"{type(error).__name__}: {error}"
            return json_answer({"error": "Internal server error", "request_id": request_id}, 500)
        record.performed = True
        return Answer(answer.status, answer.body, answer.content_type, {"x-request-id": request_id, **answer.headers})

    async def _route(self, request: Request, content: bytes, found: Found, request_id: str) -> Answer:
        if found.name is None:
            raise ApiError(405, "Method not allowed") if found.allowed else ApiError(404, "Not found")
        key = self._authenticate(request, found.name)
        if len(content) > MAX_BODY:
            raise ApiError(413, "Request body too large")
        form: Mapping[str, str | tuple[str, str, bytes]] = {}
        body: Json = {}
        if found.name in FORMS:
            form = await _read_form(request, content)
        elif content:
            body = _read_json(content)
        query = dict(request.query_params)
        call = Call(key, found.path, query, body, form, request_id)
        return await self._handlers[found.name](call)

    def _authenticate(self, request: Request, name: str) -> Key:
        if name in NO_KEY:
            if "authorization" in request.headers:
                raise ApiError(400, "A signed address takes no key.")
            return Key(SecretStr(""))
        try:
            return self._account.authenticate(request.headers.get("authorization", ""))
        except ApiError as error:
            if name in NESTED:
                raise NestedApiError(401, "invalid_api_key", error.message, "authentication_error") from error
            raise

    def _record(self, request: Request | WebSocket, found: Found, content: bytes) -> RecordedRequest:
        self._received += 1
        record = RecordedRequest(
            self._received,
            str(request.scope.get("method", "GET")),
            request.url.path,
            found.name,
            without_secrets(dict(request.query_params), SECRET_PARAMETERS),
            without_secrets(dict(request.headers), SECRET_HEADERS),
            _decoded(content),
            len(content),
        )
        self._keep(record)
        self.arrived.set()
        self.arrived = anyio.Event()
        return record

    def _keep(self, record: RecordedRequest) -> None:
        """Remember a request, and of all of them the newest few megabytes."""
        self.requests.append(record)
        self._kept += record.size
        if self._kept > KEPT:
            self._kept = sum(one.size for one in self.requests)
            while self._kept > KEPT and len(self.requests) > 1:
                self._kept -= self.requests.popleft().size

    async def _hold_back(self, route: str | None, began: float) -> None:
        """Waits until the answer has taken as long as it shall take."""
        if self._latency is not None and route is not None:
            began += self._latency.of(route)
        await anyio.sleep_until(began)

    async def _deliver(
        self, answer: Answer, fault: Fault, record: RecordedRequest, line: tuple[Scope, Receive, Send]
    ) -> None:
        scope, receive, send = line
        if fault.drop:
            if self.loopback is not None:
                self.loopback.abort(scope)
            await _until_left(receive)
            return
        if fault.stall_after == -1:
            await _until_left(receive)
            return
        answer = _changed(answer, fault)
        record.status = answer.status
        if fault.status is not None:
            record.error = fault.message
        headers = {"content-type": answer.content_type, **answer.headers, "content-length": str(len(answer.body))}
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        if fault.stall_after is not None:
            await send(_part(answer.body[: fault.stall_after], more=True))
            await _until_left(receive)
            return
        if fault.trickle:
            size = max(1, len(answer.body) // PIECES)
            pieces = [answer.body[start : start + size] for start in range(0, len(answer.body), size)]
            for piece in pieces:
                await anyio.sleep(fault.trickle / len(pieces))
                await send(_part(piece, more=True))
            await send(_part(b"", more=False))
            return
        await send(_part(answer.body, more=False))

    # WebSockets

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import Response
        from starlette.websockets import WebSocket

        socket = WebSocket(scope, receive, send)
        found = self._router.find("WEBSOCKET", socket.url.path)
        record = self._record(socket, found, b"")
        fault = self._take_fault(found.name)
        await socket.receive()  # the handshake
        if fault.drop:
            if self.loopback is not None:
                self.loopback.abort(scope)
            return
        refusal: Answer | None = None
        if found.name is None:
            refusal = json_answer(ApiError(404, "Not found").body(str(uuid.uuid4())), 404)
        elif fault.status is not None or fault.body is not None:
            refusal = _changed(json_answer({}), fault)
        if refusal is not None or found.name is None:
            refusal = refusal or json_answer({}, 404)
            record.status = refusal.status
            await socket.send_denial_response(Response(refusal.body, refusal.status, media_type=refusal.content_type))
            return
        record.status, record.performed = 101, True
        self._open.add(socket)
        try:
            await self.sockets[found.name](socket, found.path["instance"])
        except Exception as error:  # a fault of the simulator's own is told to the test
            self.errors.append(error)
            if self.loopback is not None:
                self.loopback.abort(scope)
        finally:
            self._open.discard(socket)

    async def break_sockets(self, how: Breakage, code: int) -> None:
        """Breaks the WebSockets that are open."""
        self.silent = how == "silent"
        for socket in tuple(self._open):
            if how == "close":
                await socket.close(code)
            elif self.loopback is not None and how == "abort":
                self.loopback.abort(socket.scope)
            elif self.loopback is not None and how == "half":
                self.loopback.end_output(socket.scope)


def _changed(answer: Answer, fault: Fault) -> Answer:
    """Returns an answer as a fault changes it."""
    if fault.status is not None and fault.body is None:
        body: Json = {"error": fault.message, "request_id": str(uuid.uuid4())}
        extra = json.dumps({**body, **fault.extra}).encode()
        return Answer(fault.status, extra, headers=fault.headers)
    if fault.body is not None:
        return Answer(fault.status or 200, fault.body, fault.content_type, fault.headers)
    return answer


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _until_left(receive: Receive) -> None:
    """Waits until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(request: Request) -> bytes:
    """Reads a body; one byte more than is allowed tells that it is too large."""
    from starlette.requests import ClientDisconnect

    content = bytearray()
    try:
        async for chunk in request.stream():
            if len(content) <= MAX_BODY:
                content += chunk
    except ClientDisconnect:
        return bytes(content)
    return bytes(content[: MAX_BODY + 1])


def _decoded(content: bytes) -> JsonValue:
    try:
        value: JsonValue = from_json(content, allow_inf_nan=False)
    except ValueError:
        return None
    return value


def _read_json(content: bytes) -> Json:
    body = _decoded(content)
    if not isinstance(body, dict):
        raise ApiError(400, "Invalid JSON body")
    return body


async def _read_form(request: Request, content: bytes) -> Mapping[str, str | tuple[str, str, bytes]]:
    from starlette.exceptions import HTTPException
    from starlette.formparsers import MultiPartException
    from starlette.requests import Request

    async def replay() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(400, "The body must be multipart/form-data")
    fields: dict[str, str | tuple[str, str, bytes]] = {}
    try:
        async with Request(request.scope, replay).form() as form:
            for name, value in form.multi_items():
                if isinstance(value, str):
                    fields[name] = value
                else:
                    kind = value.content_type or "application/octet-stream"
                    fields[name] = (value.filename or "file", kind, await value.read())
    except (HTTPException, MultiPartException) as error:
        raise ApiError(400, "The form cannot be read") from error
    return fields
