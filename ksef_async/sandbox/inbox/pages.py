"""The page's addresses. It reads what the sandbox holds, moves its clock and plans faults; nothing else.

The sandbox is on loopback, yet any web page in a browser on this machine can send requests there. So every answer
refuses to be framed, read or executed by others; only a loopback name and that of the sandbox's public URL are
answered, against DNS rebinding, and none is repeated in an answer; and what changes something needs the token that only
the page itself can read.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import anyio.to_thread
from aiohttp import web

from ...api.environment import is_loopback
from ...api.sessions import InvoiceStatusCode
from ...protocol import json
from ..faults import Faults
from ..upo import invoice_upo
from ..world import Invoice, Session, World
from .documents import draw, read_text
from .packaged import packaged, page_in, read_language
from .presets import PRESETS
from .search import MOODS, InvoiceSearch
from .state import describe_invoice, describe_request, describe_session, describe_world

__all__ = ["add_inbox"]

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES: Final = {"inbox.css": "text/css", "inbox.js": "text/javascript"}
_TOKEN_HEADER: Final = "X-Inbox-Token"
# The language that was chosen last, also on another port of this machine.
_COOKIE: Final = "inbox-language"
_YEAR: Final = 366 * 86_400
# Seconds the clock moves at once, at most: a year.
_LONGEST_STEP: Final = 366 * 86_400
_MOST_TIMES: Final = 1_000

Answer = Callable[[web.Request], Awaitable[web.Response]]


class _Problem(Exception):  # noqa: N818  # it is an answer
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def add_inbox(app: web.Application, world: World, faults: Faults) -> None:
    """Add the routes of ``/`` and of the requests of its page."""
    inbox = _Inbox(world, faults)
    for path, answer in {
        "/": inbox.page,
        "/inbox/{name:inbox\\.(?:css|js)}": inbox.file,
        "/inbox/state": inbox.state,
        "/inbox/sessions/{session}": inbox.session,
        "/inbox/sessions/{session}/invoices/{invoice}": inbox.invoice,
        "/inbox/sessions/{session}/invoices/{invoice}/page": inbox.document,
        "/inbox/requests/{number:[0-9]{1,12}}": inbox.request,
    }.items():
        app.router.add_get(path, inbox.guarded(answer))
    app.router.add_post("/inbox/clock", inbox.guarded(partial(_with_token, inbox, inbox.advance)))
    app.router.add_post("/inbox/faults", inbox.guarded(partial(_with_token, inbox, inbox.plan)))
    app.router.add_post("/inbox/faults/clear", inbox.guarded(partial(_with_token, inbox, inbox.clear)))


def _host_of(authority: str) -> str | None:
    """Return the host name in a ``Host`` header; None where it is none."""
    try:
        return urlsplit(f"//{authority}").hostname
    except ValueError:
        return None


async def _with_token(inbox: _Inbox, answer: Answer, request: web.Request) -> web.Response:
    origin = request.headers.get("Origin")
    if origin is not None and not inbox.is_own_origin(origin, request):
        raise _Problem(403, "Only the sandbox's own page may do this.")
    if not hmac.compare_digest(
        request.headers.get(_TOKEN_HEADER, "").encode("utf-8", "surrogateescape"), inbox.token.encode()
    ):
        raise _Problem(403, "The page is not of this sandbox; load it again.")
    return await answer(request)


class _Inbox:
    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._search = InvoiceSearch()
        self.token = secrets.token_urlsafe(32)
        self._run = secrets.token_hex(8)

    def guarded(self, answer: Answer) -> Answer:
        """Return ``answer`` for those who call the sandbox by a name of its own."""

        async def guarded(request: web.Request) -> web.Response:
            if not self._is_own_name(request):
                return web.Response(status=404)
            try:
                response = await answer(request)
            except _Problem as problem:
                response = _json({"error": str(problem)}, status=problem.status)
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return guarded

    def _is_own_name(self, request: web.Request) -> bool:
        # Browsers, which are all that can be led astray, always send one. Not aiohttp's `request.host`: where there is
        # none, that looks up this machine's own name, which may take seconds.
        authority = request.headers.get("Host")
        if authority is None:
            return True
        host = _host_of(authority)
        return host is not None and (is_loopback(host) or host == self._public.hostname)

    def is_own_origin(self, origin: str, request: web.Request) -> bool:
        """Return whether a request comes from the page as it was called, or as it is called from outside."""
        own = (f"http://{request.headers.get('Host', '')}", f"{self._public.scheme}://{self._public.netloc}")
        return origin in own

    @property
    def _public(self) -> SplitResult:
        return urlsplit(self._world.public_url)

    async def page(self, request: web.Request) -> web.Response:
        chosen = request.query.get("language")
        language = read_language(chosen, request.cookies.get(_COOKIE), request.headers.get("Accept-Language"))
        html = await anyio.to_thread.run_sync(page_in, language, self.token)
        response = web.Response(text=html, content_type="text/html")
        if language == chosen:
            response.set_cookie(_COOKIE, language, max_age=_YEAR, samesite="Strict", httponly=True)
        return response

    async def file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        text = await anyio.to_thread.run_sync(packaged, name)
        return web.Response(text=text, content_type=_FILES[name])

    async def state(self, request: web.Request) -> web.Response:
        # A page that was open before this sandbox began, at the same port, has requests of another one.
        run, _, number = request.query.get("after", "").partition(".")
        after = int(number) if run == self._run and re.fullmatch(r"[0-9]{1,12}", number) else 0
        described = describe_world(self._world, self._faults, f"{self._world.public_url}/v2", after=after)
        described["seen"] = f"{self._run}.{described['requestCount']}"
        described["isWhole"] = after == 0
        return _json(described)

    async def request(self, request: web.Request) -> web.Response:
        described = describe_request(self._world, int(request.match_info["number"]))
        if described is None:
            raise _Problem(404, "This request is not remembered.")
        return _json(described)

    async def session(self, request: web.Request) -> web.Response:
        query, mood, page = (request.query.get(name, "") for name in ("query", "mood", "page"))
        if mood not in ("", *MOODS.values()) or not re.fullmatch(r"([1-9][0-9]{0,5})?", page):
            raise _Problem(400, "There is no such page of invoices.")
        session = self._find_session(request)
        return _json(describe_session(self._world, session, self._search, query=query, mood=mood, page=int(page or 1)))

    async def invoice(self, request: web.Request) -> web.Response:
        session, invoice = self._find_invoice(request)
        described = describe_invoice(self._world, invoice)
        stored = invoice.stored
        described["document"] = None if stored is None else await anyio.to_thread.run_sync(read_text, stored)
        described["upo"] = await anyio.to_thread.run_sync(_receipt, session, invoice, described["state"]["code"])
        return _json(described)

    async def document(self, request: web.Request) -> web.Response:
        _, invoice = self._find_invoice(request)
        language = read_language(request.query.get("language"), None, request.headers.get("Accept-Language"))
        stored = invoice.stored
        number = describe_invoice(self._world, invoice)["ksefNumber"]
        drawn = None if stored is None else await anyio.to_thread.run_sync(partial(draw, stored, language, number))
        if drawn is None:
            raise _Problem(404, "This document is not drawn.")
        return web.Response(text=drawn.html, content_type="text/html", headers=drawn.headers)

    async def advance(self, request: web.Request) -> web.Response:
        seconds = (await _body(request)).get("seconds")
        if not isinstance(seconds, int | float) or not 0 < seconds <= _LONGEST_STEP:
            raise _Problem(400, f"seconds must be above 0 and at most {_LONGEST_STEP}.")
        self._world.clock.advance(seconds)
        return _json({})

    async def plan(self, request: web.Request) -> web.Response:
        body = await _body(request)
        preset = PRESETS.get(str(body.get("fault")))
        times = body.get("times", 1)
        if preset is None or not isinstance(times, int) or not 1 <= times <= _MOST_TIMES:
            raise _Problem(400, f"fault must be one of those offered, and times from 1 to {_MOST_TIMES}.")
        operation = body.get("operation") or None
        try:
            self._faults.add(operation if operation is None else str(operation), preset(), times=times)
        except ValueError as error:
            raise _Problem(400, str(error)) from error
        return _json({})

    async def clear(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return _json({})

    def _find_session(self, request: web.Request) -> Session:
        session = self._world.sessions.get(request.match_info["session"])
        if session is None:
            raise _Problem(404, "There is no such session.")
        return session

    def _find_invoice(self, request: web.Request) -> tuple[Session, Invoice]:
        session = self._find_session(request)
        invoice = session.invoices.get(request.match_info["invoice"])
        if invoice is None:
            raise _Problem(404, "There is no such invoice.")
        return session, invoice


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except json.JSONDecodeError as error:
        raise _Problem(400, "The body is not JSON.") from error
    if not isinstance(body, dict):
        raise _Problem(400, "The body is not an object.")
    return body


def _receipt(session: Session, invoice: Invoice, code: int) -> str | None:
    return invoice_upo(session, invoice).decode("utf-8") if code == InvoiceStatusCode.ACCEPTED else None


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(body, default=datetime.isoformat), content_type="application/json", status=status
    )
