from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from ksef_async import Environment, LocalProtocolError
from ksef_async.api.environment import is_loopback


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        (Environment.TEST, "https://api-test.ksef.mf.gov.pl/v2"),
        (Environment.DEMO, "https://api-demo.ksef.mf.gov.pl/v2"),
        (Environment.PRODUCTION, "https://api.ksef.mf.gov.pl/v2"),
        (Environment("https://KSEF.example/v2//"), "https://KSEF.example/v2"),
        (Environment("http://127.0.0.1:8080/v2"), "http://127.0.0.1:8080/v2"),
        (Environment("http://[::1]:8080/v2"), "http://[::1]:8080/v2"),
        (Environment("http://sandbox/v2", allow_http=True), "http://sandbox/v2"),
    ],
)
def test_base_url(environment: Environment, url: str) -> None:
    assert environment.base_url == url
    assert environment.accepts(f"{url}/storage/x.xml?sig=s")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "not an absolute"),
        ("/v2", "not an absolute"),
        ("api.ksef.mf.gov.pl/v2", "not an absolute"),
        ("https:///v2", "not an absolute"),
        ("ftp://api.ksef.mf.gov.pl/v2", "not an absolute"),
        ("http://api.ksef.mf.gov.pl/v2", "plain http"),
        ("http://127.0.0.1.evil.example/v2", "plain http"),
        ("http://10.0.0.1/v2", "plain http"),
    ],
)
def test_base_url_that_would_expose_tokens_or_lead_nowhere_is_refused(url: str, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        Environment(url)


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://ksef.example/storage/x?sig=s", True),
        ("https://KSEF.EXAMPLE/storage/x", True),
        ("https://ksef.example:444/storage/x", True),
        ("https://files.example/x", True),
        ("http://ksef.example/storage/x", False),
        ("https://evil.example/storage/x", False),
        ("https://ksef.example.evil.example/x", False),
        ("https://ksef.example@evil.example/x", False),
        ("https://127.0.0.1/x", False),
        ("http://localhost/x", False),
        ("//ksef.example/x", False),
        ("file:///etc/passwd", False),
        ("", False),
        ("https://ksef.example:65535/x", True),
        ("https://ksef.example", True),
        ("https://ksef.example?sig=a%2Fb%3D", True),
        ("https://[", False),
        ("https://[::1", False),
        ("https://[::zz]/x", False),
        ("https://ksef.example:99999/x", False),
        ("https://ksef.example:0/x", False),
        ("https://ksef.example:abc/x", False),
        ("https://ksef.example:٣/x", False),
        ("https://user@ksef.example/x", False),
        ("https://user:secret@ksef.example/x", False),
        ("https://evil.example\\@ksef.example/x", False),
        ("https://ksef.example\\@evil.example/x", False),
        ("https://evil.example#@ksef.example/x", False),
        ("https://ksef.example/x\r\nHost: evil.example", False),
        ("https://ksef.example/x\n", False),
        ("\nhttps://ksef.example/x", False),
        ("https://ksef.exam\tple/x", False),
        ("https://ksef.example/x\0", False),
        ("https://ksef.example/a b", False),
        ("https://ksef.example/%zz", False),
        ("https://ｋsef.example/x", False),
        ("https://ksef.example。/x", False),
        ("https://ksef.example./x", False),
        ("https://ksef.example/\ud800", False),
    ],
)
def test_only_links_to_known_hosts_are_followed(url: str, accepted: bool) -> None:
    assert Environment("https://ksef.example/v2", storage_hosts=("files.example",)).accepts(url) is accepted


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@given(
    st.text(max_size=40)
    | st.from_regex(
        r"https?://(ksef\.example|files\.example|\[?[0-9a-f:.]{0,8}\]?|.{0,12})(:.{0,6})?([/?#\\@].{0,20})?"
    )
)
@example("https://[")
@example("https://ksef.example:99999/")
def test_whatever_a_link_is_it_is_followed_to_a_known_host_or_not_at_all(url: str) -> None:
    known = Environment("https://ksef.example/v2", storage_hosts=("Files.Example",))

    if known.accepts(url):
        # By the parser that makes the connection.
        assert URL(url, encoded=True).host in ("ksef.example", "files.example")
        assert URL(url, encoded=True).scheme == "https"
        assert URL(url, encoded=True).user is None


@given(st.text(max_size=40) | st.from_regex(r"https?://.{0,20}(:.{0,6})?(/.{0,20})?"))
def test_whatever_a_base_url_is_it_is_one_or_refused(url: str) -> None:
    try:
        environment = Environment(url)
    except LocalProtocolError:
        return
    host = URL(environment.base_url, encoded=True).host
    assert host is not None
    assert environment.host in (host, str(ipaddress.ip_address(host)) if ":" in host else host)


def test_password_in_a_base_url_is_not_told() -> None:
    with pytest.raises(LocalProtocolError, match=r"//\.\.\.@ksef") as caught:
        Environment("https://me:hush@ksef.example/v2")

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "qr_url", "latarnia_url"),
    [
        (Environment.PRODUCTION, "https://qr.ksef.mf.gov.pl", "https://api-latarnia.ksef.mf.gov.pl"),
        (Environment.DEMO, "https://qr-demo.ksef.mf.gov.pl", "https://api-latarnia-test.ksef.mf.gov.pl"),
        (Environment.TEST, "https://qr-test.ksef.mf.gov.pl", "https://api-latarnia-test.ksef.mf.gov.pl"),
        (
            Environment("https://API-TEST.ksef.mf.gov.pl/v2"),
            "https://qr-test.ksef.mf.gov.pl",
            "https://api-latarnia-test.ksef.mf.gov.pl",
        ),
        (Environment("http://127.0.0.1:80/v2"), "http://127.0.0.1:80", "http://127.0.0.1:80/latarnia"),
        (Environment("https://a.example/ksef/api/v2"), "https://a.example/ksef", "https://a.example/ksef/latarnia"),
        (
            Environment("https://a.example/v2", qr_url="https://b.example/", latarnia_url="https://c.example/x/"),
            "https://b.example",
            "https://c.example/x",
        ),
    ],
)
def test_hosts_beside_the_api_are_known(environment: Environment, qr_url: str, latarnia_url: str) -> None:
    assert (environment.qr_url, environment.latarnia_url) == (qr_url, latarnia_url)


@pytest.mark.parametrize("name", ["qr_url", "latarnia_url"])
@pytest.mark.parametrize(
    ("url", "said"),
    [("", "not an absolute"), ("qr.example", "not an absolute"), ("http://qr.example", "plain http")],
)
def test_address_beside_the_api_that_leads_nowhere_or_is_not_safe_is_refused(name: str, url: str, said: str) -> None:
    options: dict[str, Any] = {name: url}

    with pytest.raises(LocalProtocolError, match=f"{name} .*{said}"):
        Environment("https://ksef.example/v2", **options)
