from __future__ import annotations

import pytest

from ksef_async import Environment, LocalProtocolError
from ksef_async.environment import is_loopback


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
