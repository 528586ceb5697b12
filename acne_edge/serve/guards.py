"""What stands before every route: who may ask, from where, and how much. Plain ASGI, so that nothing gets around it.

* **Host.** A page of another site can have its own name point to this machine (DNS rebinding), and would then be of the same
  origin as the server. Its requests carry that name, which is none of the server's.
* **Origin.** A page of another site can send requests here; the browser says so (`Origin`, `Sec-Fetch-Site`).
* **Token.** Other users of the machine, and of the network, do not have it.
* **Size and time.** A body is cut off when it is too large or too slow.
* **Headers.** The page may load nothing from elsewhere, be framed by nobody, and leaves nothing in caches.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from time import monotonic
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acne_edge.serve.problems import Problem, answer, of_error
from acne_edge.serve.settings import Settings

logger = logging.getLogger(__name__)

OPEN = frozenset(("/healthz", "/readyz"))  # for whoever starts and watches the process
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
MAX_JSON = 1_000_000  # bytes of a request that is no photograph
DRAIN = 5.0  # seconds that a body which is refused is still taken in and thrown away, so that its sender reads the answer
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
LOCKED = "<!doctype html><title>acne-edge</title><p>Open the address that acne-edge printed when it started: it holds a token.\n"


class Guard:
    """ASGI middleware with all of them."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, started = Headers(scope=scope), False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                sent = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    sent.setdefault(name, value)
            await send(message)

        try:
            check_host(headers, self._settings)
            check_origin(scope, headers)
            entered = enter(scope, headers, self._settings)
            if entered is not None:
                await entered(scope, receive, with_headers)
                return
        except Problem as problem:
            await _refusal(problem, headers)(scope, receive, with_headers)
            return
        try:
            await self._app(scope, limited(receive, headers, self._settings), with_headers)
        except Exception as error:
            logger.error("%s: %s", scope["method"], _defect(error))
            if started:
                raise ConnectionAbortedError("an answer was cut short") from None
            await answer(of_error(error))(scope, receive, with_headers)


def _defect(error: Exception) -> str:
    """Its kind and where it happened. A message may hold the name of a file, which may be that of a patient."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{type(error).__name__} in {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else type(error).__name__


def check_host(headers: Headers, settings: Settings) -> None:
    """Raise unless the request calls the server by an IP address or a name of its own."""
    name = hostname(headers.get("host", ""))
    if name not in settings.names and not is_address(name):
        raise Problem(421, "this server is not called so; --name lets it be")


def hostname(authority: str) -> str:
    """The name in `NAME:PORT`, without the brackets of IPv6; empty where there is none."""
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a name is an IP address, which no other site can be called by."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def check_origin(scope: Scope, headers: Headers) -> None:
    """Raise for what a browser sends on behalf of another site. A link that was followed is fine."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise Problem(403, "requests from pages of other sites are refused")
    site = headers.get("sec-fetch-site", "none")
    followed = scope["method"] in SAFE and headers.get("sec-fetch-mode") == "navigate"
    if site not in ("same-origin", "none") and not followed:
        raise Problem(403, "requests from pages of other sites are refused")


def enter(scope: Scope, headers: Headers, settings: Settings) -> Response | None:
    """Raise without the token. With one in the address, a redirection that puts it into a cookie; else None."""
    if settings.token is None or scope["path"] in OPEN:
        return None
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and _same(bearer.strip(), settings.token):
        return None
    name = cookie_name(scope)
    if scope["method"] == "GET" and scope["path"] == "/":
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if _same(given, settings.token):
            response = RedirectResponse("/", 303)
            response.set_cookie(name, settings.token, httponly=True, samesite="strict", secure=settings.secure)
            return response
    if _same(_cookie(headers, name), settings.token):
        return None
    raise Problem(401, "the token is missing or wrong; send it as Authorization: Bearer TOKEN")


def cookie_name(scope: Scope) -> str:
    """Of its own for each port: browsers keep cookies by name of the machine alone."""
    server: Any = scope.get("server") or ("", 0)
    return f"acne_edge_{server[1]}"


def _cookie(headers: Headers, name: str) -> str:
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _refusal(problem: Problem, headers: Headers) -> Response:
    if problem.status_code == 401 and "text/html" in headers.get("accept", ""):
        return Response(LOCKED, 401, {"WWW-Authenticate": "Bearer"}, "text/html")
    response = answer(problem)
    if problem.status_code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def limited(receive: Receive, headers: Headers, settings: Settings) -> Receive:
    """`receive`, which raises a Problem when the body becomes too large, or does not come in time."""
    is_json = headers.get("content-type", "").lower().startswith("application/json")
    limit = min(MAX_JSON, settings.max_bytes) if is_json else settings.max_bytes
    declared = headers.get("content-length", "")
    too_large = Problem(413, f"the body is over {limit / 1e6:g} MB")
    end = monotonic() + settings.timeout
    seen, done = 0, False

    async def wrapped() -> Message:
        nonlocal seen, done
        if done:  # what is waited for now is that the client goes away
            return await receive()
        if declared.isdecimal() and int(declared) > limit:
            if headers.get("expect", "").lower() != "100-continue":
                await _drain(receive)
            raise too_large
        try:
            message = await asyncio.wait_for(receive(), max(0.0, end - monotonic()))
        except asyncio.TimeoutError as error:
            raise Problem(408, f"the body did not arrive within {settings.timeout:g} s") from error
        seen += len(message.get("body", b""))
        done = message["type"] != "http.request" or not message.get("more_body", False)
        if seen > limit:
            if not done:
                await _drain(receive)
            raise too_large
        return message

    return wrapped


async def _drain(receive: Receive) -> None:
    async def all_of_it() -> None:
        while (await receive()).get("more_body", False):
            pass

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(all_of_it(), DRAIN)
