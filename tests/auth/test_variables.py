"""Clients made from environment variables: every way to give a login, and what is said of one that cannot be used."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio.to_thread
import pytest
from certificates import EC_KEY, key_bytes, pem
from clients import QUICK
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from ksef_async import ConfigurationError, KsefClient, LocalProtocolError
from ksef_async.auth.variables import Variables
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.fastapi import KsefService
from ksef_async.sandbox import Sandbox

NIP = "5265877635"
PASSWORD = " hasło "


def private(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


def archive(nip: str) -> bytes:
    encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
    return pkcs12.serialize_key_and_certificates(b"x", EC_KEY, self_signed_seal(nip, EC_KEY).readable, None, encryption)


def pem_values(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    certificate = pem(self_signed_seal(sandbox.nip, EC_KEY)).decode()
    return {"CERTIFICATE": f"\n{certificate}\n", "KEY": key_bytes(EC_KEY).decode()}


def escaped_pem_values(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    return {name: value.strip().replace("\n", "\\n") for name, value in pem_values(sandbox, folder).items()}


def files(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    values = pem_values(sandbox, folder)
    (folder / "company.pem").write_text(values["CERTIFICATE"])
    return {
        "CERTIFICATE_FILE": str(folder / "company.pem"),
        "KEY_FILE": private(folder / "company.key", key_bytes(EC_KEY, password=PASSWORD.encode(), der=True)),
        "KEY_PASSWORD": f"{PASSWORD}\n",
    }


def archive_value(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    return {"PKCS12": base64.b64encode(archive(sandbox.nip)).decode(), "KEY_PASSWORD": PASSWORD}


def wrapped_archive_value(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    # As `base64 company.p12` writes it.
    return {"PKCS12": base64.encodebytes(archive(sandbox.nip)).decode(), "KEY_PASSWORD": PASSWORD}


def escaped_archive_value(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    values = wrapped_archive_value(sandbox, folder)
    return {**values, "PKCS12": values["PKCS12"].replace("\n", "\\n")}


def archive_file(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    return {
        "PKCS12_FILE": private(folder / "company.p12", archive(sandbox.nip)),
        "KEY_PASSWORD_FILE": private(folder / "password", f"{PASSWORD}\n".encode()),
    }


def token_value(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    return {"TOKEN": f"  {sandbox.token}\r\n"}


def token_file(sandbox: Sandbox, folder: Path) -> dict[str, str]:
    return {"TOKEN_FILE": private(folder / "token", f"{sandbox.token}\n".encode())}


Way = Callable[[Sandbox, Path], dict[str, str]]


@pytest.mark.parametrize(
    "way",
    [
        pem_values,
        escaped_pem_values,
        files,
        archive_value,
        wrapped_archive_value,
        escaped_archive_value,
        archive_file,
        token_value,
        token_file,
    ],
)
@pytest.mark.parametrize("prefix", ["KSEF_", "ACME_"])
async def test_client_logs_in_as_the_variables_say(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: Way, prefix: str
) -> None:
    values = {"ENV": f" {sandbox.environment.base_url}\n", "NIP": f"{sandbox.nip} ", **way(sandbox, tmp_path)}
    for name, value in values.items():
        monkeypatch.setenv(prefix + name, value)

    client = await anyio.to_thread.run_sync(lambda: KsefClient.from_env(prefix, retry=QUICK))
    async with client:
        await client.log_in()

    assert client.environment == sandbox.environment
    assert {login.context.value for login in sandbox.world.logins.values()} == {sandbox.nip}


async def test_service_has_the_companies_of_all_prefixes(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {sandbox.nip: sandbox.token, NIP: sandbox.issue_token(NIP)}
    for prefix, (nip, token) in zip(("A_", "B_"), tokens.items(), strict=True):
        monkeypatch.setenv(f"{prefix}ENV", sandbox.environment.base_url)
        monkeypatch.setenv(f"{prefix}NIP", nip)
        monkeypatch.setenv(f"{prefix}TOKEN", token)
    monkeypatch.setenv("A_JOURNAL", str(tmp_path / "journal.db"))

    service = await anyio.to_thread.run_sync(lambda: KsefService.from_env("A_", "B_", deliver=False))

    assert {*service.clients} == {*tokens}
    monkeypatch.setenv("B_ENV", "TEST")
    with pytest.raises(ConfigurationError, match="A_ENV and B_ENV differ"):
        KsefService.from_env("A_", "B_")
    monkeypatch.delenv("A_JOURNAL")
    with pytest.raises(ConfigurationError, match="A_JOURNAL is not set: put it into the environment"):
        KsefService.from_env("A_")


KEY = Fernet.generate_key().decode()
GOOD = {"KSEF_ENV": "test", "KSEF_NIP": NIP, "KSEF_TOKEN": "SECRET"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"KSEF_ENV": ""}, "KSEF_ENV is not set", id="no environment"),
        pytest.param({"KSEF_ENV": "TSET"}, "KSEF_ENV: This names neither TEST, DEMO nor PRODUCTION", id="unknown name"),
        pytest.param({"KSEF_ENV": "https://api-test.ksef.mf.gov.pl"}, "such as .*/v2", id="no version"),
        pytest.param({"KSEF_NIP": ""}, "KSEF_NIP is not set", id="no company"),
        pytest.param({"KSEF_NIP": "526-587-76-35"}, "KSEF_NIP: .* '5265877635', without hyphens", id="hyphens"),
        pytest.param({"KSEF_NIP": "PL5265877635"}, "KSEF_NIP: .* '5265877635', without", id="with the country"),
        pytest.param({"KSEF_TOKEN": " \n"}, "KSEF_TOKEN is not set", id="blank token"),
        pytest.param({"KSEF_TOKEN": "SEC RET"}, "KSEF_TOKEN: The KSeF token has a blank", id="two words"),
        pytest.param({"KSEF_KEY_PASSWORD": "SECRET", "KSEF_TOKEN": ""}, "KSEF_KEY_PASSWORD is set, but", id="password"),
        pytest.param({"KSEF_KEY_PASSWORD": "x"}, "KSEF_KEY_PASSWORD is set, but a token has", id="token's password"),
        pytest.param(
            {"KSEF_TOKEN": "", "KSEF_PKCS12": "/run/company"},
            "KSEF_PKCS12 is not Base64; a path",
            id="path of an archive",
        ),
        pytest.param({"KSEF_PROXY": "htp:/x"}, "^KSEF_PROXY is not the address of an HTTP proxy", id="proxy"),
        pytest.param({"KSEF_PROXY_FILE": "/none"}, "^/none cannot be read: there is no such file", id="proxy's file"),
        pytest.param({"KSEF_CA_FILE": "/none"}, "^KSEF_CA_FILE: /none cannot be read: there is no", id="no authority"),
        pytest.param({"KSEF_CA_FILE": __file__}, "^KSEF_CA_FILE: .* holds no certificate", id="another file"),
        pytest.param({"KSEF_JOURNAL_KEY": "abc"}, "^KSEF_JOURNAL_KEY: The key is 32 bytes in", id="journal's key"),
        pytest.param({"KSEF_JOURNAL_KEY": f"{KEY}, SECRET"}, "^KSEF_JOURNAL_KEY: ", id="journal's second key"),
        pytest.param({"KSEF_TOKEN_FILE": "/none"}, "Both KSEF_TOKEN and KSEF_TOKEN_FILE are set", id="value and file"),
    ],
)
def test_variables_that_cannot_be_used_are_named(changed: Mapping[str, str], said: str) -> None:
    variables = Variables.of({**GOOD, **changed})

    with pytest.raises(ConfigurationError, match=said) as caught:
        _ = variables.environment, variables.nip, variables.credentials()
        _ = variables.proxy, variables.ca_file, variables.journal_keys

    assert "SECRET" not in str(caught.value)


def test_certificate_names_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {"KSEF_NIP": NIP, "KSEF_PKCS12_FILE": str(tmp_path / "none.p12")}
    monkeypatch.setattr("ksef_async.auth.variables.find_spec", lambda name: None)

    with pytest.raises(ConfigurationError, match=r"pip install 'ksef_async\[xades\]'"):
        Variables.of(values).credentials()


def read_only_file() -> Path | None:
    """A file that others may read, on a file system that is mounted read-only."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    for folder in (Path(mount[1]) for mount in mounts if "ro" in mount[3].split(",")):
        found = [folder] if folder.is_file() else sorted(folder.glob("*/*"))[:200] if folder.is_dir() else []
        for file in found:
            if file.is_file() and os.access(file, os.R_OK) and file.stat().st_mode & 0o077 and file.stat().st_size:
                return file
    return None


def test_secrets_mounted_read_only_may_be_readable_for_others() -> None:
    file = read_only_file()
    if file is None:
        pytest.skip("no file system is mounted read-only")

    with pytest.raises((ConfigurationError, LocalProtocolError)) as caught:
        Variables.of({"KSEF_NIP": "x", "KSEF_TOKEN_FILE": str(file)}).credentials()

    assert "can be read by others" not in str(caught.value)
