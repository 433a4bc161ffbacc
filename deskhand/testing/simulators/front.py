"""What every request goes through: the log, the faults, the key, its route, and how the answer is sent."""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import anyio
from pydantic import JsonValue
from pydantic_core import from_json

from .faults import Fault
from .latency import Latency
from .loopback import LAST_CHANCE, Loopback
from .recorded import SECRET_HEADERS, SECRET_PARAMETERS, RecordedRequest, without_secrets
from .routing import Found, Route, Router
from .wire import Answer, ApiError, Call, Json, json_answer

if TYPE_CHECKING:
    from starlette.datastructures import Headers
    from starlette.requests import HTTPConnection, Request
    from starlette.types import Message, Receive, Scope, Send
    from starlette.websockets import WebSocket

__all__ = ["Breakage", "Front", "Handler", "SocketHandler", "Vendor", "read_form"]

Breakage: TypeAlias = Literal["abort", "half", "silent", "close"]
"""How a WebSocket breaks."""

Handler: TypeAlias = Callable[[Call[Any]], Awaitable[Answer]]
SocketHandler: TypeAlias = Callable[["WebSocket", Mapping[str, str]], Awaitable[None]]

KEPT = 64 * 1024 * 1024
PIECES = 20
HEAD = 5
"""Bytes of the head of an envelope."""


class Vendor(Protocol):
    """What a front must know of the vendor that it stands for."""

    most_body: int
    """The largest body of a request, in bytes."""

    is_plain: bool
    """Whether a path that is none is told in plain text."""

    def admit(self, connection: HTTPConnection, route: Route, path: Mapping[str, str]) -> object:
        """Returns whose request it is, from its key.

        Raises:
            ApiError: If it has no key that opens the route.
        """

    def error_body(self, error: ApiError, route: str | None, request_id: str) -> Json:
        """Returns an error as the vendor writes it on that route."""
        ...


class Front:
    """The application that is served.

    Args:
        vendor: Who is simulated.
        router: The routes.
        handlers: What is done for each by name.
        sockets: What is done for each that is a WebSocket, once its handshake was let through.
        take_fault: Takes the planned fault of a request.
        latency: How long answers take.
    """

    def __init__(
        self,
        vendor: Vendor,
        router: Router,
        handlers: Mapping[str, Handler],
        sockets: Mapping[str, SocketHandler],
        *,
        take_fault: Callable[[str | None], Fault],
        latency: Latency | None,
    ) -> None:
        self.requests: deque[RecordedRequest] = deque()
        self.errors: deque[Exception] = deque()
        self.loopback: Loopback | None = None
        self.silent: bool = False
        self.arrived: anyio.Event = anyio.Event()
        self._vendor = vendor
        self._router = router
        self._handlers = handlers
        self._sockets = sockets
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
        content = await _read(request, self._vendor.most_body)
        found = self._router.find(request.method, request.url.path)
        record = self._record(request, found, content)
        fault = self._take_fault(found.name)
        if (fault.status is None and fault.body is None and not fault.drop) or fault.after_effect:
            answer = await self._answer(request, content, found, record)
        else:
            answer = json_answer({})
        try:
            await self._hold_back(found.name, began + fault.delay)
            await self._deliver(self._changed(answer, fault, found.name), fault, record, (scope, receive, send))
        finally:
            if answer.stream is not None:
                await _close(answer.stream)

    async def _answer(self, request: Request, content: bytes, found: Found, record: RecordedRequest) -> Answer:
        request_id = str(uuid.uuid4())
        try:
            answer = await self._route(request, content, found, request_id)
        except ApiError as error:
            record.error = error.message
            if found.route is None and self._vendor.is_plain:
                return Answer(error.status, f"{error.status} page not found\n".encode(), "text/plain")
            body = self._vendor.error_body(error, found.name, request_id)
            return json_answer(body, error.status, headers={"x-request-id": request_id, **error.headers})
        except Exception as error:  # a fault of the simulator's own is told to both sides: the client and the test
            self.errors.append(error)
            record.error = f"{type(error).__name__}: {error}"
            refused = ApiError(500, "Internal server error")
            return json_answer(self._vendor.error_body(refused, found.name, request_id), 500)
        record.performed = True
        return replace(answer, headers={"x-request-id": request_id, **answer.headers})

    async def _route(self, request: Request, content: bytes, found: Found, request_id: str) -> Answer:
        route = found.route
        if route is None:
            raise ApiError(405, "Method not allowed") if found.allowed else ApiError(404, "Not found")
        caller = self._vendor.admit(request, route, found.path)
        if len(content) > self._vendor.most_body:
            raise ApiError(413, "Request body too large")
        if route.query is not None and (unknown := {*request.query_params} - route.query):
            raise ApiError(400, f"Unknown parameter: {', '.join(sorted(unknown))}")
        form: Mapping[str, str | tuple[str, str, bytes]] = {}
        body: Json = {}
        if route.takes == "form":
            form = await read_form(request.headers, content)
        elif route.takes == "json" and content:
            body = _read_json(content)
        query, headers = dict(request.query_params), dict(request.headers)
        call = Call(caller, found.path, query, headers, body, form, content, request_id)
        return await self._handlers[route.name](call)

    def _changed(self, answer: Answer, fault: Fault, route: str | None) -> Answer:
        """Returns an answer as a fault changes it."""
        if fault.status is not None and fault.body is None:
            error = ApiError(fault.status, fault.message)
            error.extra.update(fault.extra)
            body = self._vendor.error_body(error, route, str(uuid.uuid4()))
            return Answer(fault.status, json.dumps(body).encode(), headers=fault.headers)
        if fault.body is not None:
            return Answer(fault.status or 200, fault.body, fault.content_type, fault.headers)
        return answer

    def _record(self, request: Request | WebSocket, found: Found, content: bytes) -> RecordedRequest:
        self._received += 1
        record = RecordedRequest(
            self._received,
            str(request.scope.get("method", "GET")),
            request.url.path,
            found.name,
            without_secrets(dict(request.query_params), SECRET_PARAMETERS),
            without_secrets(dict(request.headers), SECRET_HEADERS),
            _decoded(content[HEAD:] if found.route is not None and found.route.takes == "envelope" else content),
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
        record.status = answer.status
        if fault.status is not None:
            record.error = fault.message
        headers = {"content-type": answer.content_type, **answer.headers}
        if answer.stream is None and answer.status != 204:
            headers["content-length"] = str(len(answer.body))
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        if answer.stream is not None:
            await _stream(answer, fault, receive, send)
            return
        if fault.cut_after is not None:
            await send(_part(answer.body[: fault.cut_after], more=True))
            return  # what is not completed ends with its connection
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
        refusal = self._refusal(socket, found, fault)
        if refusal is not None or found.route is None:
            refusal = refusal or json_answer({}, 404)
            record.status = refusal.status
            await socket.send_denial_response(Response(refusal.body, refusal.status, media_type=refusal.content_type))
            return
        record.status, record.performed = 101, True
        self._open.add(socket)
        try:
            await self._sockets[found.route.name](socket, found.path)
        except Exception as error:  # a fault of the simulator's own is told to the test
            self.errors.append(error)
            if self.loopback is not None:
                self.loopback.abort(scope)
        finally:
            self._open.discard(socket)

    def _refusal(self, socket: WebSocket, found: Found, fault: Fault) -> Answer | None:
        """Returns what a handshake is refused with, if it is."""
        if found.route is None:
            error = ApiError(404, "Not found")
            return json_answer(self._vendor.error_body(error, None, str(uuid.uuid4())), 404)
        if fault.status is not None or fault.body is not None:
            return self._changed(json_answer({}), fault, found.name)
        return None

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


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _until_left(receive: Receive) -> None:
    """Waits until the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(answer: Answer, fault: Fault, receive: Receive, send: Send) -> None:
    """Sends pieces as they come, until they end, the client has left, or a fault breaks off or stalls."""
    left = fault.stall_after if fault.cut_after is None else fault.cut_after
    async with anyio.create_task_group() as group:

        async def watch() -> None:
            await _until_left(receive)
            group.cancel_scope.cancel()

        group.start_soon(watch)
        pieces = answer.stream
        if answer.body and left is None:
            await send(_part(answer.body, more=True))
        while pieces is not None:
            piece = await anext(pieces, None)
            if piece is None:
                await send(_part(b"", more=False))
                break
            await send(_part(piece if left is None else piece[:left], more=True))
            left = None if left is None else max(0, left - len(piece))
            if left == 0 and fault.cut_after is not None:
                break
            if left == 0:
                await anyio.sleep_forever()  # until the client leaves
        group.cancel_scope.cancel()


async def _close(stream: AsyncIterator[bytes]) -> None:
    """Lets a stream that may not have come to its end clean up."""
    if isinstance(stream, AsyncGenerator):
        with anyio.CancelScope(shield=True), anyio.move_on_after(LAST_CHANCE):
            await stream.aclose()


async def _read(request: Request, limit: int) -> bytes:
    """Reads a body; one byte more than is allowed tells that it is too large."""
    from starlette.requests import ClientDisconnect

    content = bytearray()
    try:
        async for chunk in request.stream():
            if len(content) <= limit:
                content += chunk
    except ClientDisconnect:
        return bytes(content)
    return bytes(content[: limit + 1])


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


async def read_form(headers: Headers, content: bytes) -> Mapping[str, str | tuple[str, str, bytes]]:
    """Returns the fields of a multipart form; a file is its name, type and bytes.

    Raises:
        ApiError: If it is none.
    """
    from starlette.exceptions import HTTPException
    from starlette.formparsers import MultiPartException
    from starlette.requests import Request

    async def replay() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    if not headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(400, "The body must be multipart/form-data")
    fields: dict[str, str | tuple[str, str, bytes]] = {}
    try:
        async with Request({"type": "http", "headers": headers.raw}, replay).form() as form:
            for name, value in form.multi_items():
                if isinstance(value, str):
                    fields[name] = value
                else:
                    kind = value.content_type or "application/octet-stream"
                    fields[name] = (value.filename or "file", kind, await value.read())
    except (HTTPException, MultiPartException) as error:
        raise ApiError(400, "The form cannot be read") from error
    return fields
