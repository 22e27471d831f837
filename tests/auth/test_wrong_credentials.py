"""Credentials and environments that cannot be meant: each is refused at once, with a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from ksef_async import CertificateCredentials, Environment, KsefClient, KsefToken, LocalProtocolError

NIP = "5265877635"
WRONG_CHECK_DIGIT = "5265877636"
TOKEN = KsefToken(nip=NIP, token="T")


@pytest.mark.parametrize(
    ("nip", "said"),
    [
        (5265877635, "A NIP is text, such as '5265877635', and not of type int."),
        (b"5265877635", "and not of type bytes."),
        ("526-587-76-35", "'5265877635', without hyphens, blanks or PL"),
        ("526 587 76 35", "'5265877635', without hyphens, blanks or PL"),
        ("pl5265877635", "'5265877635', without hyphens, blanks or PL"),
        ("526587763", "'526587763' is not a NIP: ten digits"),
        ("0265877635", "'0265877635' is not a NIP: ten digits"),
    ],
    ids=repr,
)
async def test_nip_is_refused(nip: Any, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        KsefToken(nip=nip, token="T")
    with pytest.raises(LocalProtocolError, match=said):
        await CertificateCredentials.self_signed(nip)


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "A KSeF token is text, and not of type NoneType"),
        (b"T", "not of type bytes"),
        ("", "The KSeF token is empty"),
        (" \n", "The KSeF token is empty"),
        ("a b", "has a blank, a newline or another character inside"),
        ("a\nb", "has a blank, a newline or another character inside"),
        ("ą", "has a blank, a newline or another character inside"),
    ],
    ids=repr,
)
def test_token_is_refused(token: Any, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        KsefToken(nip=NIP, token=token)


def test_blanks_around_token_and_nip_do_not_count() -> None:
    credentials = KsefToken(nip=f" {NIP}\n", token="  20260101-EC-X\r\n")

    assert (credentials.token, credentials.context.value) == ("20260101-EC-X", NIP)


@pytest.mark.parametrize("name", ["TEST", "test", " Demo\n", "PRODUCTION", "https://ksef.example/v2"])
def test_environment_by_its_name(name: str) -> None:
    known = {"TEST": Environment.TEST, "DEMO": Environment.DEMO, "PRODUCTION": Environment.PRODUCTION}

    client = KsefClient(name, TOKEN)

    assert client.environment == known.get(name.strip().upper(), Environment("https://ksef.example/v2"))


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("TSET", "This names neither TEST, DEMO nor PRODUCTION"),
        ("https://api-test.ksef.mf.gov.pl", "with the API's version, such as https://api-test.ksef.mf.gov.pl/v2"),
        (Environment("https://api-test.ksef.mf.gov.pl/"), "such as https://api-test.ksef.mf.gov.pl/v2"),
        (None, "and not of type NoneType"),
        (KsefToken, "and not of type type"),
    ],
    ids=repr,
)
def test_environment_is_refused(environment: Any, said: str) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        KsefClient(environment, TOKEN)


@pytest.mark.parametrize("credentials", [None, "20260101-EC-X", (NIP, "T")], ids=repr)
def test_credentials_of_another_type_are_refused(credentials: Any) -> None:
    with pytest.raises(LocalProtocolError, match="Credentials are a KsefToken or CertificateCredentials"):
        KsefClient("TEST", credentials)


def test_wrong_check_digit_is_refused_by_production_only() -> None:
    # On TEST companies are made up, and KSeF looks at the form of a NIP only.
    credentials = KsefToken(nip=WRONG_CHECK_DIGIT, token="T")

    for environment in ("TEST", "DEMO", "http://127.0.0.1:8080/v2"):
        KsefClient(environment, credentials)
    with pytest.raises(LocalProtocolError, match=f"{WRONG_CHECK_DIGIT} is nobody's NIP: its last digit"):
        KsefClient("PRODUCTION", credentials)
