"""The sandbox itself: a KSeF on 127.0.0.1 while its block lasts."""

from __future__ import annotations

import email.utils
import math
import re
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from aiohttp import web

from ..api.common import Context, ContextType
from ..api.environment import Environment
from ..api.rates import PRODUCTION_LIMITS, RateLimits
from ..calling.finishing import finish
from ..protocol.numbers import make_up_nip
from ..protocol.pacing import UNLIMITED_RATES
from .clock import Clock, Timings
from .document_file import Documents
from .faults import Faults
from .handlers import HANDLERS
from .inbox.pages import add_inbox
from .latarnia import SandboxLatarnia, add_latarnia
from .router import add_routes
from .schemas import Schemas
from .shapes import ShapeCheck
from .storage import add_storage
from .subjects import ALL_PERMISSIONS, OWNER_PERMISSIONS, Subject
from .uploads import add_uploads
from .verification_pages import add_verification_pages
from .versions import ApiVersion
from .world import StoredToken, World, new_reference_number

if TYPE_CHECKING:
    from .auth_documents import AuthSchema

__all__ = ["Sandbox", "checked_url"]

_SIMULATOR_HEADER: Final = {"X-KSeF-Simulator": "ksef_async sandbox, no legal effect"}

# A 3 MB invoice, encrypted, in Base64, in JSON.
_LARGEST_REQUEST = 16_000_000

# How aiohttp calls the route that takes what no other does.
_EVERYTHING = "/{path}"


class Sandbox(anyio.AsyncContextManagerMixin):
    """A simulated KSeF without legal effect: ``async with Sandbox() as sandbox:``.

    Args:
        port: Of 127.0.0.1; any free one by default.
        nip: The company that can log in; made up by default.
        token: Its KSeF token; made up by default.
        clock: What time it is; real time by default.
        timings: How long things take.
        public_url: Where clients reach it, for the signed links; ``http://127.0.0.1:port`` by default.
        max_invoices: How many invoices a session takes.
        rate_limits: What every context is granted; None for as many calls as one likes.
        strict: Refuse invoices of FA(3), FA(2) and FA_RR(1) whose shape is wrong, as KSeF does, by the library's own
            data; False takes whatever has the few fields that the sandbox itself needs.
        schema_folder: With the Ministry's schemas (``*.xsd``), to validate with them the invoices of the forms that it
            has (PEF, too) and logins by certificate; needs the extra ``xsd``.
        api_version: As which it answers: ``2.9``, or an older one such as ``2.6`` (see `sandbox.versions`), which lacks
            newer operations and fields.
        production: Behave as production where that differs from TEST: discouraged XML is taken with a warning, FA(2)
            and certificates that sign themselves are refused, and ``/testdata`` is not there.

    Raises:
        ModuleNotFoundError: On entering: ``schema_folder`` is given, but lxml is not installed.
        ValueError: ``api_version`` is unknown, or ``public_url`` is no address; on entering: ``schema_folder`` has no
            schema, or one that cannot be used.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        nip: str | None = None,
        token: str | None = None,
        clock: Clock | None = None,
        timings: Timings | None = None,
        public_url: str | None = None,
        max_invoices: int = 10_000,
        rate_limits: RateLimits | None = PRODUCTION_LIMITS,
        strict: bool = True,
        schema_folder: Path | None = None,
        api_version: str = "2.9",
        production: bool = False,
    ) -> None:
        self._port = port
        self._public_url = None if public_url is None else checked_url(public_url)
        self._strict = strict
        self._schema_folder = schema_folder
        self._own_url = ""
        self.clock = clock or Clock()
        self.faults = Faults()
        """What goes wrong on purpose."""
        self.latarnia = SandboxLatarnia(self.clock)
        """What outages are announced."""
        self.world = World(
            self.clock,
            timings or Timings(),
            max_invoices=max_invoices,
            rate_limits=rate_limits or UNLIMITED_RATES,
            version=ApiVersion.parse(api_version),
            is_production=production,
        )
        """Everything that the simulated KSeF knows; for tests that look behind it."""
        if production:
            self.world.exports.folder = "/storage/06/{reference}/invoice-package"
        self.nip = nip or make_up_nip()
        self.token = self.issue_token(self.nip, token)
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        state = f"serving {self.world.public_url}" if self._runner else "not serving"
        return f"<Sandbox {state}, {len(self.world.sessions)} sessions>"

    @property
    def environment(self) -> Environment:
        """Return the environment for a client."""
        return Environment(f"{self._own_url}/v2")

    def issue_token(self, nip: str, token: str | None = None, *, author: Subject | None = None) -> str:
        """Issue a KSeF token, with which a company can log in.

        Args:
            nip: Of the company.
            token: Its KSeF token; made up by default.
            author: Who logs in with it; the company itself by default. Anybody else may do what they were granted.

        Returns:
            The KSeF token.
        """
        now = self.clock.now()
        reference_number = new_reference_number("EC", now)
        secret = token or f"{reference_number}|nip-{nip}|{secrets.token_hex(32)}"
        self.world.tokens[secret] = StoredToken(
            reference_number=reference_number,
            context=Context(ContextType.NIP, nip),
            author=author or Subject("Nip", nip),
            permissions=ALL_PERMISSIONS if author else OWNER_PERMISSIONS,
            description="Issued by the sandbox",
            created_at=now,
            active_at=now,
        )
        return secret

    async def rotate_keys(self, *, withdraw: bool = True) -> None:
        """Publish new public keys.

        Args:
            withdraw: Accept the old ones no longer, as in an emergency; otherwise both work, as when it is planned.
        """
        await anyio.to_thread.run_sync(partial(self.world.ministry.rotate, self.clock.now(), withdraw=withdraw))

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        """Start the sandbox, and stop it at the end of the block."""
        await anyio.to_thread.run_sync(self.world.ministry.publish_first_keys, self.clock.now())
        schemas = None
        if self._schema_folder is not None:
            schemas = await anyio.to_thread.run_sync(Schemas, self._schema_folder)
            self.world.auth_schema = await anyio.to_thread.run_sync(_auth_schema, self._schema_folder)
        self.world.shape_check = ShapeCheck(schemas, strict=self._strict)
        self.world.spool = Path(await anyio.to_thread.run_sync(partial(tempfile.mkdtemp, prefix="ksef-sandbox-")))
        self.world.documents = Documents(self.world.spool / "documents")
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.on_response_prepare.append(self._mark)
        add_routes(app, self.world, self.faults, HANDLERS)
        add_storage(app, self.world, self.faults)
        add_uploads(app, self.world, self.faults)
        add_inbox(app, self.world, self.faults)
        add_verification_pages(app, self.world)
        add_latarnia(app, self.latarnia, self.clock, self.faults)
        app.router.add_get("/docs/v2/openapi.json", self._describe)
        app.router.add_route("*", "/{path:.*}", _refuse)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
            self._own_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
            self.world.public_url = self._public_url or self._own_url
            yield self
        finally:
            await self.aclose()

    async def _describe(self, _: web.Request) -> web.Response:
        # Of the Ministry's specification only what tells the version; that it lies here is inferred.
        info = {"title": "KSeF API (sandbox)", "description": f"**Wersja API:** {self.world.version}", "version": "v2"}
        return web.json_response({"openapi": "3.0.4", "info": info, "paths": {}})

    async def _mark(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_SIMULATOR_HEADER)
        # Clients take the time from every answer, so all of them must tell the sandbox's.
        response.headers["Date"] = email.utils.format_datetime(self.clock.now(), usegmt=True)

    async def aclose(self) -> None:
        """Stop serving; leaving the block does it."""
        await finish(self._close(), math.inf)

    async def _close(self) -> None:
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
        await self.world.background.aclose()
        self.world.documents.close()
        spool, self.world.spool = self.world.spool, Path()
        if spool != Path():
            await anyio.to_thread.run_sync(shutil.rmtree, spool)


def checked_url(text: str) -> str:
    """Return an address that links can begin with, without a final slash.

    Raises:
        ValueError: It is none: ``http`` or ``https``, a host, perhaps a port and a path.
    """
    # Nothing that would end the path of a link, or break its line.
    if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:_-]+(?:/[A-Za-z0-9._~/-]*)?", text):
        raise ValueError(f"{text!r} is not an address such as https://ksef.example:8443")
    try:
        _ = urlsplit(text).port
    except ValueError:
        raise ValueError(f"{text!r} has no such port") from None
    return text.rstrip("/")


def _auth_schema(folder: Path) -> AuthSchema | None:
    try:
        from .auth_documents import AuthSchema
    except ModuleNotFoundError:  # without signxml nobody logs in by certificate
        return None
    return AuthSchema(folder)


async def _refuse(request: web.Request) -> web.Response:
    """404, or 405 where the path is known but not the method; KSeF gives neither a body."""
    allowed: set[str] = set()
    for resource in request.app.router.resources():
        if resource.canonical != _EVERYTHING:
            _, methods = await resource.resolve(request)
            allowed |= methods
    headers = {"Allow": ", ".join(sorted(allowed))} if allowed else None
    return web.Response(status=405 if allowed else 404, headers=headers)
