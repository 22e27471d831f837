"""Through a company's network: proxies, authorities of its own, and what must not leak on the way."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import attrs
import pytest
from clients import ONCE, QUICK
from networks import HOST, Authority, ConnectProxy, behind_tls, proxying
from raw_server import listening

from ksef_async import ConnectError, Environment, KsefClient, KsefToken, LocalProtocolError, TransportError
from ksef_async.api.sessions import FormCode
from ksef_async.calling.networks import Proxies
from ksef_async.fastapi import KsefService
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Sandbox, sample_invoice

CREDENTIALS = KsefToken(nip="5265877635", token="secret-token")
BASE_URL = f"https://{HOST}/v2"
VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@attrs.frozen
class Company:
    """A sandbox that is reached as `HOST`, through the proxy and with the authority only."""

    sandbox: Sandbox
    proxy: ConnectProxy
    authority: Authority

    @property
    def ca_file(self) -> Path:
        return self.authority.ca_file

    def client(self, **options: object) -> KsefClient:
        given = {"pacer": Pacer.unlimited(), "retry": QUICK, "ca_file": self.ca_file}
        credentials = KsefToken(nip=self.sandbox.nip, token=self.sandbox.token)
        return KsefClient(Environment(BASE_URL), credentials, **{**given, **options})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def company(authority: Authority) -> AsyncIterator[Company]:
    async with (
        Sandbox(public_url=f"https://{HOST}", rate_limits=None) as sandbox,
        behind_tls(int(sandbox.environment.base_url.split(":")[2].split("/")[0]), authority) as tls_port,
        proxying(tls_port) as proxy,
    ):
        yield Company(sandbox, proxy, authority)


# --- which proxy ------------------------------------------------------------------------------------------

KSEF = "https://api.ksef.mf.gov.pl/v2"


@pytest.mark.parametrize(
    ("environ", "url", "expected"),
    [
        pytest.param({}, KSEF, None, id="nothing set"),
        pytest.param({"HTTPS_PROXY": "http://p:3128"}, KSEF, "http://p:3128", id="upper case"),
        pytest.param({"https_proxy": "http://p:3128"}, KSEF, "http://p:3128", id="lower case"),
        pytest.param({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:1"}, KSEF, "http://a:1", id="lower wins"),
        pytest.param({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, KSEF, None, id="lower, empty, wins"),
        pytest.param({"HTTPS_PROXY": "  "}, KSEF, None, id="blank"),
        pytest.param({"HTTPS_PROXY": "p"}, KSEF, "http://p:80", id="host alone"),
        pytest.param({"HTTPS_PROXY": "p:3128"}, KSEF, "http://p:3128", id="no scheme"),
        pytest.param({"HTTPS_PROXY": "https://p/"}, KSEF, "https://p:443", id="a proxy by TLS"),
        pytest.param({"HTTPS_PROXY": "http://[::1]:3128"}, KSEF, "http://[::1]:3128", id="IPv6"),
        pytest.param({"HTTP_PROXY": "http://p:1"}, KSEF, None, id="that of plain http"),
        pytest.param({"HTTP_PROXY": "http://p:1"}, "http://box/v2", "http://p:1", id="plain http"),
        pytest.param({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://box/v2", None, id="httpoxy"),
        pytest.param({"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "http://box/v2", "http://p:1", id="cgi"),
        pytest.param({"HTTP_PROXY": "http://p:1"}, "http://127.0.0.1:80/v2", None, id="loopback, plain"),
        pytest.param({"HTTPS_PROXY": "http://p:1"}, "https://localhost/v2", None, id="loopback by name"),
        pytest.param({"HTTPS_PROXY": "http://p:1"}, "https://[::1]/v2", None, id="loopback, IPv6"),
    ],
)
def test_proxy_of_the_environment(environ: Mapping[str, str], url: str, expected: str | None) -> None:
    proxy = Proxies.choose(None, environ).for_url(url)

    assert (proxy and proxy.url) == expected


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("*", KSEF, True),
        ("other.pl, *", KSEF, True),
        ("api.ksef.mf.gov.pl", KSEF, True),
        ("API.KSEF.mf.gov.pl", KSEF, True),
        ("mf.gov.pl", KSEF, True),
        (".mf.gov.pl", KSEF, True),
        ("*.mf.gov.pl", KSEF, True),
        ("a.pl mf.gov.pl", KSEF, True),
        ("a.pl,mf.gov.pl", KSEF, True),
        ("mf.gov.pl:443", KSEF, True),
        ("mf.gov.pl:8443", KSEF, False),
        ("mf.gov.pl:8443", "https://api.ksef.mf.gov.pl:8443/v2", True),
        ("f.gov.pl", KSEF, False),
        ("api.ksef.mf.gov.pl.evil", KSEF, False),
        ("", KSEF, False),
        (",.,", KSEF, False),
        ("10.0.0.0/8", "https://10.20.30.40/v2", True),
        ("10.0.0.0/8", "https://11.20.30.40/v2", False),
        ("10.20.30.40", "https://10.20.30.40/v2", True),
        ("10.20.30.40:443", "https://10.20.30.40/v2", True),
        ("20.30.40", "https://10.20.30.40/v2", False),
        ("fd00::/8", "https://[fd00::1]/v2", True),
        ("[fd00::1]:443", "https://[fd00::1]/v2", True),
        ("10.0.0.0/8", KSEF, False),
        ("10.0.0.0/99", "https://10.20.30.40/v2", False),
    ],
)
def test_exceptions_from_the_environments_proxy(no_proxy: str, url: str, is_direct: bool) -> None:
    proxies = Proxies.choose(None, {"HTTPS_PROXY": "http://p:1", "NO_PROXY": no_proxy})

    assert (proxies.for_url(url) is None) is is_direct


def test_a_proxy_that_is_given_counts_always_and_an_empty_one_never() -> None:
    environ = {"HTTPS_PROXY": "http://b:1", "NO_PROXY": "*"}

    for url in (KSEF, "https://127.0.0.1/v2", "http://127.0.0.1/v2"):
        given = Proxies.choose("http://a:1", environ).for_url(url)
        assert given is not None
        assert given.url == "http://a:1"
        assert Proxies.choose("", {"HTTPS_PROXY": "http://b:1"}).for_url(url) is None


def test_credentials_of_a_proxy_are_kept_apart_and_told_nowhere() -> None:
    proxies = Proxies.choose("http://jan:p%40ss%C4%85:x@proxy.pl:3128", {})
    proxy = proxies.for_url(KSEF)

    assert proxy is not None
    assert proxy.url == "http://proxy.pl:3128"
    assert proxy.authorization == "Basic " + b64encode("jan:p@ssą:x".encode()).decode()
    assert "jan" not in repr(proxies)
    assert proxy.authorization not in repr(proxies)
    assert "secret" not in repr(Proxies.choose(None, {"HTTPS_PROXY": "http://jan:secret@p"}))


@pytest.mark.parametrize(
    "address",
    [
        "socks5://jan:secret@p:1080",
        "http://",
        "http://jan:secret@",
        "http://jan:secret@p:99999",
        "http://jan:secret@p:abc",
        "http://jan:secret@p:0",
        "http://[",
        "http://jan:secret@p/path",
        "http://jan:secret@p?x",
        "http://jan:sec ret@p",
        "http://jan:secret@p\r\nX: y",
        "ftp://secret@p",
    ],
)
async def test_an_address_that_is_no_proxys_is_refused_without_repeating_it(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LocalProtocolError, match="proxy is not the address of an HTTP proxy") as given:
        KsefClient(Environment.TEST, CREDENTIALS, proxy=address)

    # The environment may be none of ours: it is only looked at where a proxy is needed.
    monkeypatch.setenv("HTTPS_PROXY", address)
    async with KsefClient(Environment(BASE_URL), CREDENTIALS, retry=ONCE) as client:
        with pytest.raises(LocalProtocolError, match="HTTPS_PROXY in the environment is not") as found:
            await client.log_in()

    for caught in (given, found):
        assert "sec" not in str(caught.value)


# --- arguments --------------------------------------------------------------------------------------------


async def test_arguments_that_exclude_each_other(authority: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    context = ssl.create_default_context()

    with pytest.raises(LocalProtocolError, match="ssl_context and ca_file exclude each other"):
        KsefClient(Environment.TEST, CREDENTIALS, ssl_context=context, ca_file=authority.ca_file)
    with pytest.raises(LocalProtocolError, match="not a str"):
        KsefClient(Environment.TEST, CREDENTIALS, ssl_context="x")  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match=r"missing\.pem cannot be read: there is no such file"):
        KsefClient(Environment.TEST, CREDENTIALS, ca_file=tmp_path / "missing.pem")
    with pytest.raises(LocalProtocolError, match=r"empty\.pem holds no certificate"):
        KsefClient(Environment.TEST, CREDENTIALS, ca_file=empty)
    async with aiohttp.ClientSession() as pool:
        for name, value in {"proxy": "http://p:1", "ssl_context": context, "ca_file": authority.ca_file}.items():
            with pytest.raises(LocalProtocolError, match=f"http_session and {name} exclude each other"):
                KsefClient(Environment.TEST, CREDENTIALS, http_session=pool, **{name: value})  # type: ignore[arg-type]


async def test_a_borrowed_pool_that_reads_netrc_is_refused() -> None:
    async with aiohttp.ClientSession(trust_env=True) as pool:
        with pytest.raises(LocalProtocolError, match=r"\.netrc"):
            KsefClient(Environment.TEST, CREDENTIALS, http_session=pool)


# --- the whole way ----------------------------------------------------------------------------------------


@asynccontextmanager
async def invoice_sent(client: KsefClient, nip: str) -> AsyncIterator[str]:
    """Log in, open, send, close, and follow the signed link of the UPO; give the KSeF number."""
    async with client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            accepted = await (await session.send(sample_invoice(nip))).outcome()
        upo = await session.upo()
        assert [entry.ksef_number for entry in upo.entries] == [accepted.ksef_number]
        yield accepted.ksef_number


async def test_an_invoice_goes_through_a_proxy_that_is_given(company: Company) -> None:
    company.proxy.authorization = b64encode(b"jan:s3cret").decode()
    proxy = company.proxy.url.replace("http://", "http://jan:s3cret@")

    async with invoice_sent(company.client(proxy=proxy), company.sandbox.nip):
        pass

    assert company.proxy.targets == {f"{HOST}:443"}
    # Only the way to KSeF is asked of the proxy; what is said there it cannot read.
    assert not any("Bearer" in head or "/v2" in head for head in company.proxy.heads)


async def test_an_invoice_goes_through_the_environments_proxy(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", company.proxy.url)

    async with invoice_sent(company.client(), company.sandbox.nip):
        pass

    assert company.proxy.targets == {f"{HOST}:443"}


async def test_an_invoice_goes_through_a_proxy_that_is_reached_by_tls(company: Company) -> None:
    async with proxying(company.proxy.target, company.authority.server_context()) as proxy:
        address = f"https://127.0.0.1:{proxy.port}"
        async with invoice_sent(company.client(proxy=address), company.sandbox.nip):
            pass

        assert proxy.targets == {f"{HOST}:443"}


async def test_a_context_of_the_callers_is_taken(company: Company) -> None:
    context = ssl.create_default_context(cafile=str(company.ca_file))

    async with company.client(proxy=company.proxy.url, ssl_context=context, ca_file=None) as client:
        await client.log_in()


async def test_a_sandbox_on_this_machine_is_reached_whatever_the_environment_says(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")

    async with KsefClient(sandbox.environment, KsefToken(nip=sandbox.nip, token=sandbox.token)) as client:
        await client.log_in()


async def test_netrc_is_not_read(company: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine {HOST} login jan password s3cret\ndefault login jan password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", company.proxy.url)

    # aiohttp refuses a request that has credentials from both.
    async with invoice_sent(company.client(), company.sandbox.nip):
        pass

    assert not any("Authorization" in head for head in company.proxy.heads)


# --- what goes wrong --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nsecret", r"refuses the connection to KSeF \(HTTP 403\)"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", r"refuses the connection to KSeF \(HTTP 502\)"),
        (b"HTTP/1.1 407 X\r\n\r\n", r"refuses its user or password \(HTTP 407\)"),
        (b"", r"cannot be reached through the proxy"),
        (b"nonsense\r\n\r\n", r"cannot be reached through the proxy"),
        (b"HTTP/1.1 200 OK\r\n\r\nno TLS", r"cannot be reached through the proxy"),
    ],
)
async def test_a_proxy_that_does_not_let_through(company: Company, answer: bytes, message: str) -> None:
    company.proxy.answer = answer
    proxy = company.proxy.url.replace("http://", "http://jan:s3cret@")

    async with company.client(proxy=proxy, retry=ONCE) as client:
        with pytest.raises(ConnectError, match=message) as caught:
            await client.log_in()

    assert not caught.value.maybe_delivered
    assert f"127.0.0.1:{company.proxy.port}" in str(caught.value)
    assert_tells_nothing(caught.value, "s3cret", "jan", b64encode(b"jan:s3cret").decode())


async def test_a_proxy_that_asks_for_a_password_which_is_not_given(company: Company) -> None:
    company.proxy.authorization = "x"

    async with company.client(proxy=company.proxy.url, retry=ONCE) as client:
        with pytest.raises(ConnectError, match=r"asks for a user name and a password \(HTTP 407\): write them into"):
            await client.log_in()


async def test_a_proxy_of_plain_http_that_asks_for_a_password(sandbox: Sandbox, company: Company) -> None:
    company.proxy.authorization = "x"

    async with KsefClient(sandbox.environment, CREDENTIALS, proxy=company.proxy.url, retry=ONCE) as client:
        with pytest.raises(ConnectError, match="HTTP 407"):
            await client.log_in()


async def test_a_proxy_that_says_nothing(company: Company) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as port:
        proxy = f"http://127.0.0.1:{port}"
        async with company.client(proxy=proxy, retry=ONCE, connect_timeout=0.1, answer_timeout=0.1) as client:
            with pytest.raises(ConnectError, match=f"through the proxy 127.0.0.1:{port}") as caught:
                await client.log_in()

    assert not caught.value.maybe_delivered


async def test_a_proxy_that_is_not_there(unused_port: int) -> None:
    proxy = f"http://jan:s3cret@127.0.0.1:{unused_port}"

    async with KsefClient(Environment(BASE_URL), CREDENTIALS, proxy=proxy, retry=ONCE) as client:
        with pytest.raises(ConnectError, match=f"the proxy 127.0.0.1:{unused_port} cannot be reached") as caught:
            await client.log_in()

    assert_tells_nothing(caught.value, "s3cret", "jan")


async def test_an_authority_that_nobody_named(company: Company) -> None:
    async with company.client(proxy=company.proxy.url, ca_file=None, retry=ONCE) as client:
        with pytest.raises(ConnectError, match=r"certificate verify failed.*ca_file=.*SSL_CERT_FILE") as caught:
            await client.log_in()

    assert not caught.value.maybe_delivered


async def test_a_connection_that_breaks_after_the_request_left_is_in_doubt(company: Company) -> None:
    async with company.client(proxy=company.proxy.url, retry=ONCE) as client:
        await client.log_in()
        await company.sandbox.aclose()
        with pytest.raises(TransportError) as caught:
            await client.limits.get_context()

    assert not isinstance(caught.value, ConnectError)
    assert caught.value.maybe_delivered


def assert_tells_nothing(error: BaseException, *secrets: str) -> None:
    told = "".join(traceback.format_exception(error))
    seen: BaseException | None = error
    while seen is not None:
        told += f"{seen!r} {seen.args} {vars(seen)} {getattr(seen, '__notes__', '')}"
        seen = seen.__cause__ or seen.__context__
    assert not [secret for secret in secrets if secret in told]


# --- programs ---------------------------------------------------------------------------------------------


async def run(module: str, *arguments: object, folder: Path, **variables: str) -> tuple[int | None, str]:
    """Run a program with only these variables about KSeF and the network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KSEF_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *map(str, arguments)),
        env=kept | variables,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 40)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode()


def who(company: Company) -> dict[str, str]:
    return {"KSEF_ENV": BASE_URL, "KSEF_NIP": company.sandbox.nip, "KSEF_TOKEN": company.sandbox.token}


async def test_the_demo_runs_through_a_proxy_with_an_authority_of_the_companys(
    company: Company, tmp_path: Path
) -> None:
    company.proxy.authorization = b64encode(b"jan:s3cret").decode()
    network = {
        "HTTPS_PROXY": company.proxy.url.replace("http://", "http://jan:s3cret@"),
        "SSL_CERT_FILE": str(company.ca_file),
    }

    code, out = await run("ksef_async", "demo", folder=tmp_path, **who(company), **network)

    assert code == 0, out
    assert "verified" in out
    assert company.proxy.targets == {f"{HOST}:443"}
    assert "s3cret" not in out


@pytest.mark.parametrize("by", ["arguments", "variables", "file"])
async def test_the_command_line_goes_through_a_proxy(company: Company, tmp_path: Path, by: str) -> None:
    invoice = tmp_path / "invoice.xml"
    invoice.write_bytes(sample_invoice(company.sandbox.nip))
    network = {"KSEF_PROXY": company.proxy.url, "KSEF_CA_FILE": str(company.ca_file)}
    arguments: list[object] = ["send", invoice, "--json"]
    variables = who(company)
    if by == "arguments":
        arguments += ["--proxy", company.proxy.url, "--ca-file", company.ca_file]
    elif by == "variables":
        variables |= network
    else:
        file = tmp_path / "credentials"
        file.write_text("".join(f"{name}={value}\n" for name, value in network.items()))
        file.chmod(0o600)
        arguments += ["--credentials", file]

    code, out = await run("ksef_async", *arguments, folder=tmp_path, **variables)

    assert code == 0, out
    assert '"accepted"' in out
    assert company.proxy.targets == {f"{HOST}:443"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--proxy", "http://jan:s3cret@p:1"), "--proxy takes no password"),
        (("--proxy", "socks5://p:1"), "not the address of an HTTP proxy, not socks5"),
        (("--ca-file", "missing.pem"), "missing.pem cannot be read"),
    ],
)
async def test_the_command_line_says_what_is_wrong_with_a_network(
    company: Company, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out = await run("ksef_async", "plan", "--count", "10", *arguments, folder=tmp_path, **who(company))

    assert code == 2, out
    assert message in out
    assert "s3cret" not in out


async def test_a_service_takes_one_proxy_and_one_authority_for_all_its_clients(company: Company) -> None:
    credentials = KsefToken(nip=company.sandbox.nip, token=company.sandbox.token)
    service = KsefService(
        Environment(BASE_URL),
        {company.sandbox.nip: credentials},
        journal="sqlite+aiosqlite://",
        proxy=company.proxy.url,
        ca_file=company.ca_file,
    )

    async with service.client_of(None) as client:
        await client.log_in()

    assert company.proxy.targets == {f"{HOST}:443"}
