"""The page and its data on this machine's loopback, for whoever has the address.

No path of a request is ever joined to a folder: what is served is the page's own files, which are in memory, and what numbers
name. The address holds a secret, because whoever is logged in on the same machine reaches its loopback as well.
"""

import hmac
import importlib.resources
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hawp_core.errors import UserError
from hawp_core.report.explore.contents import Contents
from hawp_core.report.explore.label_sets import Shelf

HOST = "127.0.0.1"
# What a browser may call this machine, also at the near end of an SSH tunnel: any other name was made to point here.
KNOWN_AS = [HOST, "localhost"]

# The page has no script, style or picture but its own, sends nothing anywhere, and no other page embeds or reads it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

PAGE = "index.html"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Number(IntegerConvertor):
    """A number in a path: of as many digits as something can be counted with, since Python reads no number of thousands."""

    regex = "[0-9]{1,9}"


register_url_convertor("number", Number())


class Guarded:
    """Answers nobody who does not know the secret, and gives every answer its headers."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app, self._secret = app, secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        first, _, _ = str(scope["path"]).lstrip("/").partition("/")
        known = hmac.compare_digest(first.encode(errors="replace"), self._secret)
        refused = PlainTextResponse("Open the whole address that hawp explore printed.\n", 404)
        await (self._app if known else refused)(scope, receive, with_headers)


def application(shelf: Shelf, secret: str) -> Starlette:
    """The page, below /SECRET/, and what it asks for."""
    contents = Contents(shelf)

    def answer(give: Callable[..., object], *names: str) -> Callable[[Request], Response]:
        def respond(request: Request) -> Response:
            return JSONResponse(give(*(request.path_params[name] for name in names)))

        return respond

    def picture(request: Request) -> Response:
        wanted = request.path_params
        return Response(contents.picture(wanted["set"], wanted["row"], wanted["side"]), media_type="image/jpeg")

    routes = [
        *(Route(f"/{'' if name == PAGE else name}", _served(content, name)) for name, content in page_files().items()),
        Route("/runs", answer(contents.overview)),
        Route("/sets/{set:number}", answer(contents.photographs, "set")),
        Route("/sets/{set:number}/agreement", answer(contents.agreement, "set")),
        Route("/sets/{set:number}/lines/{row:number}", answer(contents.lines, "set", "row")),
        Route("/sets/{set:number}/picture/{row:number}/{side:number}", picture),
    ]
    return Starlette(
        routes=[Mount(f"/{secret}", routes=routes)],
        middleware=[
            Middleware(Guarded, secret=secret),
            Middleware(TrustedHostMiddleware, allowed_hosts=KNOWN_AS, www_redirect=False),
        ],
        exception_handlers={UserError: _gone, OSError: _gone},
    )


def page_files() -> dict[str, bytes]:
    """The page's own files, by name."""
    folder = importlib.resources.files(__package__) / "page"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def server(app: Starlette) -> uvicorn.Server:
    """What answers until Ctrl-C, which its `run` raises as KeyboardInterrupt once the last answers are given."""
    return uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, log_level="warning", access_log=False, lifespan="off", ws="none", http="h11", loop="asyncio",
            server_header=False, timeout_graceful_shutdown=2,
        )
    )  # fmt: skip


def listen(port: int) -> socket.socket:
    """A socket on this machine's loopback.

    Args:
        port: 0 for any that is free.

    Raises:
        UserError: it is in use, or forbidden.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise UserError(
            f"port {port} cannot be opened ({error.strerror}): give another as --port, or leave it out for a free one."
        ) from error


def _served(content: bytes, name: str) -> Callable[[Request], Response]:
    kind = KINDS[name[name.rindex(".") :]]
    return lambda _request: Response(content, media_type=kind)


def _gone(_request: Request, error: Exception) -> Response:
    """What cannot be shown, in a sentence that the page shows instead."""
    return JSONResponse({"error": str(error)}, 404)
