"""Certificates for ``ksef-async``: from environment and files, and what is said of those that cannot be used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import EC_KEY, RSA_KEY, key_bytes, pem
from clients import connected
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from parties import EVE, done
from shell import Shell

from ksef_async.api.common import SubjectIdentifier, SubjectType
from ksef_async.crypto.certificates import Certificate, PrivateKey
from ksef_async.crypto.issuing import self_signed, self_signed_person, self_signed_seal
from ksef_async.sandbox import Fault, Sandbox

PASSWORD = "hasło 'w' środku"


def private(path: Path, data: bytes | str) -> str:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(0o600)
    return str(path)


def archive(certificate: Certificate, key: PrivateKey, password: str | None = None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password.encode())
    return pkcs12.serialize_key_and_certificates(b"x", key, certificate.readable, None, encryption)


def as_pem(folder: Path, certificate: Certificate) -> dict[str, str | None]:
    public = folder / "company.pem"
    public.write_bytes(pem(certificate))
    return {
        "KSEF_CERTIFICATE_FILE": str(public),
        "KSEF_KEY_FILE": private(folder / "company.key", key_bytes(EC_KEY)),
    }


def as_encrypted_pem(folder: Path, certificate: Certificate) -> dict[str, str | None]:
    values = as_pem(folder, certificate)
    private(folder / "company.key", key_bytes(EC_KEY, password=PASSWORD.encode()))
    return values | {"KSEF_KEY_PASSWORD": PASSWORD}


def as_pkcs12(folder: Path, certificate: Certificate) -> dict[str, str | None]:
    return {
        "KSEF_PKCS12_FILE": private(folder / "company.p12", archive(certificate, EC_KEY, PASSWORD)),
        "KSEF_KEY_PASSWORD_FILE": private(folder / "password", f"{PASSWORD}\n"),
    }


def as_open_pkcs12(folder: Path, certificate: Certificate) -> dict[str, str | None]:
    return {"KSEF_PKCS12_FILE": private(folder / "company.p12", archive(certificate, EC_KEY))}


Form = Callable[[Path, Certificate], dict[str, str | None]]


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("form", [as_pem, as_encrypted_pem, as_pkcs12, as_open_pkcs12])
async def test_invoices_are_sent_with_a_certificate(sandbox: Sandbox, shell: Shell, secrets: Path, form: Form) -> None:
    shell.invoices(sandbox.nip, 2)
    shell.set(KSEF_TOKEN=None, **form(secrets, self_signed_seal(sandbox.nip, EC_KEY)))

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.states) == (0, {"accepted": 2})
    assert {login.method.name for login in sandbox.world.logins.values()} == {"QualifiedSeal"}
    assert PASSWORD not in result.out + result.err


async def test_certificate_is_named_in_the_credentials_file(sandbox: Sandbox, shell: Shell, secrets: Path) -> None:
    shell.invoices(sandbox.nip, 1)
    named = as_encrypted_pem(secrets, self_signed_seal(sandbox.nip, EC_KEY))
    values = {"KSEF_ENV": sandbox.environment.base_url, "KSEF_NIP": sandbox.nip, **named}
    file = private(secrets / "ksef.env", "".join(f'export {name}="{value}"\n' for name, value in values.items()))
    shell.set(KSEF_ENV=None, KSEF_NIP=None, KSEF_TOKEN=None)

    result = await shell.run("send", shell.folder, "--credentials", file)

    assert result.code == 0
    assert len([*sandbox.world.invoices()]) == 1


async def test_certificate_without_nip_and_pesel_is_known_by_its_fingerprint(
    sandbox: Sandbox, shell: Shell, secrets: Path
) -> None:
    shell.invoices(sandbox.nip, 1)
    certificate = self_signed({"common_name": "Adam", "given_name": "Adam", "country_name": "PL"}, EC_KEY)
    who = SubjectIdentifier(SubjectType.FINGERPRINT, certificate.fingerprint)
    async with connected(sandbox) as client:
        await done(await client.permissions.grant_to_person(who, ["InvoiceWrite"], "Sends", EVE))
    shell.set(KSEF_TOKEN=None, **as_pem(secrets, certificate))

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.states) == (0, {"accepted": 1})


def expired(nip: str) -> Certificate:
    then = datetime.now(UTC) - timedelta(days=3)
    return self_signed_seal(nip, EC_KEY, valid_from=then, lifetime=86400)


def _public_key_file(folder: Path, values: dict[str, str | None]) -> None:
    (folder / "company.key").chmod(0o640)


def _public_password(folder: Path, values: dict[str, str | None]) -> None:
    (folder / "password").chmod(0o604)


def _pem_for_archive(folder: Path, values: dict[str, str | None]) -> None:
    private(folder / "company.p12", pem(self_signed_seal("5265877635", EC_KEY)))


def _other_key(folder: Path, values: dict[str, str | None]) -> None:
    private(folder / "company.key", key_bytes(RSA_KEY))


def _damaged(folder: Path, values: dict[str, str | None]) -> None:
    (folder / "company.pem").write_bytes(b"no certificate")


@pytest.mark.parametrize(
    ("form", "change", "said"),
    [
        pytest.param(
            as_pem, {"KSEF_TOKEN": "SECRET"}, "Both KSEF_CERTIFICATE_FILE and KSEF_TOKEN are set", id="both"
        ),
        pytest.param(
            as_pem,
            {"KSEF_PKCS12_FILE": "x.p12"},
            "Both KSEF_PKCS12_FILE and KSEF_CERTIFICATE_FILE are set",
            id="two certificates",
        ),
        pytest.param(
            as_pem, {"KSEF_CERTIFICATE_FILE": None}, "is not set, but KSEF_KEY_FILE is", id="key alone"
        ),
        pytest.param(as_pem, {"KSEF_KEY_FILE": None}, "KSEF_KEY_FILE is not set, but ", id="certificate alone"),
        pytest.param(as_pem, {"KSEF_CERTIFICATE_FILE": "none.pem"}, "read: there is no such file.", id="no file"),
        pytest.param(as_pem, {"KSEF_KEY_FILE": "."}, ". cannot be read: it is a folder.", id="a folder"),
        pytest.param(
            as_pem,
            {"KSEF_CERTIFICATE_FILE": None, "KSEF_CERTIFICATE": "company.pem"},
            "KSEF_CERTIFICATE is not PEM text; a path belongs into KSEF_CERTIFICATE_FILE",
            id="a path in place of text",
        ),
        pytest.param(
            as_open_pkcs12,
            {"KSEF_PKCS12_FILE": None, "KSEF_PKCS12": "company.p12"},
            "KSEF_PKCS12 is not Base64; a path belongs into KSEF_PKCS12_FILE",
            id="a path in place of an archive",
        ),
        pytest.param(
            as_open_pkcs12, _pem_for_archive, "is PEM, not PKCS#12 (.p12, .pfx)", id="PEM in place of an archive"
        ),
        pytest.param(as_pem, _public_key_file, "can be read by others: chmod 600 ", id="others read the key"),
        pytest.param(as_pkcs12, _public_password, "can be read by others: chmod 600 ", id="others read the password"),
        pytest.param(as_pem, _other_key, "do not belong together.\n", id="another's key"),
        pytest.param(as_pem, _damaged, "neither PEM nor DER.\n", id="no certificate"),
        pytest.param(as_pem, {"KSEF_KEY_PASSWORD": "SECRET"}, "It comes from KSEF_KEY_PASSWORD.\n", id="needless"),
        pytest.param(as_encrypted_pem, {"KSEF_KEY_PASSWORD": None}, "give its password", id="no password"),
        pytest.param(as_encrypted_pem, {"KSEF_KEY_PASSWORD": "SECRET"}, "password is wrong", id="wrong"),
        pytest.param(
            as_pkcs12,
            {"KSEF_KEY_PASSWORD": "SECRET", "KSEF_KEY_PASSWORD_FILE": None},
            "its password is wrong",
            id="wrong password of an archive",
        ),
        pytest.param(
            as_pkcs12,
            {"KSEF_KEY_PASSWORD": "SECRET"},
            "Both KSEF_KEY_PASSWORD and KSEF_KEY_PASSWORD_FILE",
            id="two passwords",
        ),
    ],
)  # fmt: skip
async def test_what_cannot_be_used_is_told_before_anything_is_asked(
    sandbox: Sandbox,
    shell: Shell,
    secrets: Path,
    form: Form,
    change: dict[str, str | None] | Callable[[Path, dict[str, str | None]], None],
    said: str,
) -> None:
    shell.invoices(sandbox.nip, 1)
    values = {"KSEF_TOKEN": None, **form(secrets, self_signed_seal(sandbox.nip, EC_KEY))}
    shell.set(**values)
    if callable(change):
        change(secrets, values)
    else:
        shell.set(**change)

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.json["error"]["type"]) == (2, "UsageError")
    assert said in result.err
    assert "SECRET" not in result.out + result.err
    assert not sandbox.world.challenges
    assert not [*shell.folder.glob("ksef-*.db")]


async def test_neither_token_nor_certificate(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_TOKEN=None)

    result = await shell.run("send", shell.folder)

    assert result.code == 2
    assert result.err.startswith("KSEF_CERTIFICATE_FILE or KSEF_PKCS12_FILE or KSEF_TOKEN is not set")


async def test_nip_that_nobody_has_is_no_fault_of_the_network(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_ENV="PRODUCTION", KSEF_NIP="5265877636")

    result = await shell.run("send", shell.folder)

    assert result.code == 2
    assert result.err.startswith("5265877636 is nobody's NIP")


async def test_expired_certificate_sends_nothing(sandbox: Sandbox, shell: Shell, secrets: Path) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_TOKEN=None, **as_pem(secrets, expired(sandbox.nip)))

    result = await shell.run("send", shell.folder)

    assert result.code == 2
    assert "\nThe certificate expired on " in result.err
    assert not sandbox.world.logins


async def test_certificate_that_ksef_refuses_is_no_failure_of_ksef(
    sandbox: Sandbox, shell: Shell, secrets: Path
) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_TOKEN=None, **as_pem(secrets, self_signed_person(EC_KEY, pesel="15062788702")))

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.json["error"]["type"]) == (2, "LoginFailedError")


async def test_without_the_extra_the_way_to_it_is_told(
    sandbox: Sandbox, shell: Shell, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_TOKEN=None, **as_pem(secrets, self_signed_seal(sandbox.nip, EC_KEY)))
    monkeypatch.setitem(sys.modules, "signxml", None)

    result = await shell.run("send", shell.folder)

    assert result.code == 2
    assert result.err.endswith("\nA certificate needs signxml: pip install 'ksef_async[xades]'\n")


async def test_key_of_the_journal_that_is_none_is_named(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_JOURNAL_KEY="abc")

    result = await shell.run("send", shell.folder)

    assert (result.code, result.err.startswith("KSEF_JOURNAL_KEY: ")) == (2, True)


@pytest.mark.parametrize(("name", "value"), [("KSEF_PROXY", "htp:/x"), ("KSEF_CA_FILE", "none.pem")])
async def test_setting_of_the_network_that_cannot_be_used_is_named(
    sandbox: Sandbox, shell: Shell, name: str, value: str
) -> None:
    shell.set(**{name: value})

    result = await shell.run("latarnia")

    assert (result.code, result.err.startswith(name)) == (2, True), result.err


async def test_certificate_is_applied_for_and_logs_in(sandbox: Sandbox, shell: Shell, secrets: Path) -> None:
    shell.set(KSEF_TOKEN=None, **as_encrypted_pem(secrets, self_signed_seal(sandbox.nip, EC_KEY)))

    made = await shell.run("certificate", "ksef.pem", "--json")
    shell.set(KSEF_CERTIFICATE_FILE="ksef.pem", KSEF_KEY_FILE=None)
    shell.invoices(sandbox.nip, 1)
    sent = await shell.run("send", ".", "--json")

    assert (made.code, made.json["file"], made.json["type"]) == (0, "ksef.pem", "authentication")
    assert (shell.folder / "ksef.pem").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in (shell.folder / "ksef.pem").read_bytes()
    assert (sent.code, sent.states) == (0, {"accepted": 1})
    assert next(reversed(sandbox.world.logins.values())).method.name == "InternalCertificate"


async def test_offline_certificate_of_a_command_issues_an_invoice(
    sandbox: Sandbox, shell: Shell, secrets: Path
) -> None:
    shell.set(KSEF_TOKEN=None, **as_pem(secrets, self_signed_seal(sandbox.nip, EC_KEY)))
    (file,) = shell.invoices(sandbox.nip, 1)

    made = await shell.run("certificate", "offline.pem", "--type", "offline")
    in_place_of_it = await shell.run("certificate", "offline.pem")
    sandbox.faults.add(None, Fault.html(503), times=10**9)
    alone = await shell.run("issue", file, "--within", 0.2)
    issued = await shell.run("issue", file, "--within", 0.2, "--certificate", "offline.pem")

    assert (made.code, "is in offline.pem." in made.out) == (0, True), made.err
    assert (in_place_of_it.code, "name another file" in in_place_of_it.err) == (2, True)
    assert (alone.code, "it is not issued" in alone.err) == (4, True), alone.err
    assert (issued.code, issued.out.splitlines()[0].startswith("OFFLINE")) == (4, True), issued.err


async def test_token_gets_no_certificate(sandbox: Sandbox, shell: Shell) -> None:
    result = await shell.run("certificate", "ksef.pem")

    assert (result.code, "log in with a certificate" in result.err) == (2, True)
    assert not sandbox.world.challenges
    assert not (shell.folder / "ksef.pem").exists()
