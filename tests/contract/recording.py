"""What crosses the wire, kept and put as openapi-core wants it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

from ksef_async.calling.transport import AiohttpTransport
from ksef_async.protocol.messages import FileBody, RawRequest, RawResponse

HOST = "https://api-test.ksef.mf.gov.pl"


class Recorder(AiohttpTransport):
    """Keeps everything that goes out and comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[tuple[RawRequest, RawResponse]] = []

    async def send(self, request: RawRequest) -> RawResponse:
        response = await super().send(request)
        self.exchanges.append((request, response))
        return response


class SpecRequest:
    """A request as openapi-core wants it."""

    def __init__(self, request: RawRequest) -> None:
        url = urlsplit(request.url)
        self.host_url = HOST
        self.path = url.path
        self.method = request.method.lower()
        self.content_type = request.headers.get("Content-Type", "")
        assert not isinstance(request.body, FileBody), "files go to signed links, not to the API"
        self.body = request.body
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(parse_qsl(url.query)), header=Headers(dict(request.headers)), cookie={}
        )


class SpecResponse:
    """An answer as openapi-core wants it."""

    def __init__(self, response: RawResponse) -> None:
        self.status_code = response.status
        self.content_type = response.content_type
        self.headers = dict(response.headers)
        self.data = response.body or None
