"""Calling one operation: build the request, send it, decipher the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from .environment import Environment
from .errors import LocalProtocolError, RemoteProtocolError
from .operations import Bearer, Operation
from .protocol.requests import Query, build_link_request, build_request
from .protocol.responses import decipher_link_response, decipher_response
from .transport import Transport

__all__ = ["Api", "Caller"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")


class Api(Protocol):
    """Something operations can be called with; whose token goes with them is its business."""

    async def call(
        self,
        operation: Operation[RequestT, ResponseT],
        body: RequestT | None = None,
        *,
        path: Mapping[str, str] | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ResponseT:
        """Call ``operation``; `Caller.call` describes the arguments and errors."""
        ...

    async def download(self, name: str, url: str) -> bytes:
        """Fetch what is behind a signed link; see `Caller.download`."""
        ...


class Caller:
    """Calls operations of one environment, with the token it is given.

    Args:
        environment: Where KSeF is.
        transport: How to get there.
    """

    def __init__(self, environment: Environment, transport: Transport) -> None:
        self.environment = environment
        self._transport = transport

    async def call(
        self,
        operation: Operation[RequestT, ResponseT],
        body: RequestT | None = None,
        *,
        path: Mapping[str, str] | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        bearer: str | None = None,
    ) -> ResponseT:
        """Call one row of the table.

        Args:
            operation: The row.
            body: Its JSON body.
            path: A value for each placeholder of its path.
            query: An attrs instance or a mapping with its query parameters.
            headers: Sent besides the usual ones.
            bearer: The JWT it is called with.

        Returns:
            The answer as the row's model, ``bytes`` for an XML document, None where there is none.

        Raises:
            LocalProtocolError: The arguments do not fit the row; nothing was sent.
            TransportError: No answer came.
            ApiError: KSeF said no.
            RemoteProtocolError: The answer does not fit the specification.
        """
        if bearer is None and operation.bearer is not Bearer.NONE:
            raise LocalProtocolError(f"{operation.name} needs a token ({operation.bearer.value}).")
        request = build_request(
            operation,
            self.environment.base_url,
            body=body,
            path=path,
            query=query,
            headers=headers,
            bearer=bearer,
        )
        return decipher_response(operation, await self._transport.send(request))

    async def download(self, name: str, url: str) -> bytes:
        """Fetch what is behind a signed link and check its SHA-256; no token goes with it.

        Args:
            name: What it is, for errors: the link itself is a secret.
            url: As KSeF gave it.

        Raises:
            RemoteProtocolError: The link leads to another host, or over plain http, and is not followed; or the
                document is not the one KSeF vouches for (``x-ms-meta-hash``).
            TransportError: No answer came.
            ApiError: The storage said no; 403 means the link has expired.
        """
        if not self.environment.accepts(url):
            raise RemoteProtocolError(
                f"{name}: KSeF's link does not lead to {self.environment.host} by https, so it is not followed; "
                "if the host is right, name it in Environment(storage_hosts=...).",
                operation=name,
            )
        return decipher_link_response(name, await self._transport.send(build_link_request(name, url)))
