"""``ksef-async doctor``: what it reports where all is well, and of everything that can be wrong."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from certificates import EC_KEY, key_bytes, pem
from networks import HOST, Authority, ConnectProxy, behind_tls, proxying
from processes import open_sessions, running
from raw_server import listening
from shell import Result, Shell

from ksef_async import CertificateCredentials, Environment, KsefClient
from ksef_async.cli.doctor.checking import Checker, CheckResult, ok
from ksef_async.cli.doctor.network import API_VERSION
from ksef_async.cli.doctor.report import Finding, write_finding
from ksef_async.cli.doctor.trial import may_try
from ksef_async.crypto.certificates import Certificate
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.sandbox import Fault, Sandbox
from ksef_async.sandbox.versions import VERSIONS

pytest.importorskip("signxml", reason="the extra xades is not installed")

NETWORK = ("DNS", "proxy", "TLS", "KSeF answers", "clock", "API version", "Latarnia")
COMPANY = ("credentials", "login", "permissions", "limits", "journal")
TRIAL = ("made-up company", "session", "invoice", "UPO")


@pytest.fixture(autouse=True)
def no_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def states(result: Result) -> dict[str, str]:
    return {one["check"]: one["state"] for one in result.json["findings"]}


def found(result: Result, check: str) -> Mapping[str, Any]:
    (one,) = (one for one in result.json["findings"] if one["check"] == check)
    return dict(one)


def port_of(sandbox: Sandbox) -> int:
    return int(sandbox.environment.base_url.split(":")[2].split("/")[0])


async def test_all_is_well(sandbox: Sandbox, shell: Shell) -> None:
    result = await shell.run("doctor", "--send", "--json")

    assert (result.code, result.err) == (0, "")
    assert states(result) == {
        **dict.fromkeys((*NETWORK, *COMPANY, *TRIAL), "ok"),
        "journal": "skipped",
    }
    (invoice,) = sandbox.world.invoices()
    assert (invoice.verdict.ksef_number or "?") in found(result, "invoice")["found"]
    assert not open_sessions(sandbox)
    assert datetime.now(UTC) - datetime.fromisoformat(result.json["made_at"]) < timedelta(minutes=1)
    assert result.json["versions"]["KSeF API"] == API_VERSION == VERSIONS[-1]
    assert not {one["seconds"] < 0 for one in result.json["findings"]} - {False}


async def test_people_read_the_same(sandbox: Sandbox, shell: Shell) -> None:
    result = await shell.run("doctor")

    assert result.code == 0
    assert result.out.startswith(f"ksef-async doctor, {datetime.now(UTC):%Y-%m-%d}")
    assert f"of {sandbox.environment.base_url}" in result.out
    for name in (*NETWORK, *COMPANY):
        assert f" s  {name} " in result.out
    assert result.out.splitlines()[-1].startswith("11 ok, 0 warning, 0 failed, 1 skipped, in ")
    assert max(map(len, result.out.splitlines())) <= 96
    assert len(result.out.splitlines()) <= 50
    assert not [*sandbox.world.invoices()]


async def test_report_has_no_secrets(sandbox: Sandbox, shell: Shell) -> None:
    shell.set(KSEF_PROXY="http://user:PASSWORD@127.0.0.1:9")
    broken = await shell.run("doctor", "--send")
    shell.set(KSEF_PROXY="")
    sandbox.faults.add("redeem_tokens", Fault.html(500), times=20)
    worse = await shell.run("doctor", "--send", "--json")
    fine = await shell.run("doctor", "--send", "--json")

    printed = "".join(one.out + one.err for one in (broken, worse, fine))
    for secret in (sandbox.token, sandbox.token.rpartition("|")[2], "PASSWORD", "eyJ"):
        assert secret not in printed


# --- through a company's network ----------------------------------------------------------------------------------


@attrs.frozen
class Company:
    sandbox: Sandbox
    proxy: ConnectProxy
    authority: Authority
    tls_port: int
    shell: Shell


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def company(authority: Authority, shell_at: Callable[[Sandbox], Shell]) -> AsyncIterator[Company]:
    async with (
        Sandbox(public_url=f"https://{HOST}", rate_limits=None) as sandbox,
        behind_tls(port_of(sandbox), authority) as tls_port,
        proxying(tls_port) as proxy,
    ):
        shell = shell_at(sandbox)
        shell.set(KSEF_ENV=f"https://{HOST}/v2", KSEF_PROXY=proxy.url, KSEF_CA_FILE=str(authority.ca_file))
        yield Company(sandbox, proxy, authority, tls_port, shell)


async def test_all_is_well_through_a_proxy_that_opens_tls(company: Company) -> None:
    result = await company.shell.run("doctor", "--send", "--json")

    assert result.code == 0, result.out
    assert "failed" not in states(result).values()
    assert f"the proxy 127.0.0.1:{company.proxy.port} looks it up" in found(result, "DNS")["found"]
    assert "(given) lets through" in found(result, "proxy")["found"]
    assert "Company Authority" in found(result, "TLS")["found"]
    assert company.proxy.targets == {f"{HOST}:443"}
    assert [invoice.is_accepted for invoice in company.sandbox.world.invoices()] == [True]


async def test_proxy_of_the_environment_is_named(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    company.shell.set(KSEF_PROXY=None)
    monkeypatch.setenv("HTTPS_PROXY", company.proxy.url)

    result = await company.shell.run("doctor", "--json")

    assert result.code == 0
    assert "(of HTTPS_PROXY)" in found(result, "proxy")["found"]


async def test_authority_that_is_not_trusted_is_named(company: Company) -> None:
    company.shell.set(KSEF_CA_FILE=None)

    result = await company.shell.run("doctor", "--send", "--json")

    tls = found(result, "TLS")
    assert (result.code, tls["state"]) == (1, "failed")
    assert f"is of Company Authority, for {HOST}" in tls["found"]
    assert "--ca-file" in tls["advice"]
    assert states(result)["proxy"] == "ok"
    assert found(result, "made-up company")["state"] == "failed"
    assert not company.sandbox.world.logins


async def test_certificate_for_another_name_is_told(company: Company) -> None:
    company.shell.set(KSEF_ENV=f"https://localhost:{company.tls_port}/v2", KSEF_PROXY="")

    result = await company.shell.run("doctor", "--json")

    tls = found(result, "TLS")
    assert tls["state"] == "failed"
    assert "Check KSEF_ENV" in tls["advice"]


@pytest.mark.parametrize(
    ("answer", "authorization", "sentence", "advice"),
    [
        pytest.param(None, "c2VjcmV0", "asks for a user name", "KSEF_PROXY: http://user:password@", id="password"),
        pytest.param(b"HTTP/1.1 403 Forbidden\r\n\r\n", None, "HTTP 403", f"allow {HOST}, port 443", id="forbids"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", None, "no answer of HTTP", "Ask who runs it", id="no proxy"),
        pytest.param(b"", None, "no answer of HTTP", "Ask who runs it", id="hangs up"),
    ],
)
async def test_proxy_that_does_not_let_through(
    company: Company, answer: bytes | None, authorization: str | None, sentence: str, advice: str
) -> None:
    company.proxy.answer, company.proxy.authorization = answer, authorization

    result = await company.shell.run("doctor", "--json")

    proxy = found(result, "proxy")
    assert (result.code, proxy["state"]) == (1, "failed")
    assert sentence in proxy["found"]
    assert advice in proxy["advice"]
    assert (states(result)["credentials"], states(result)["clock"]) == ("ok", "skipped")


async def test_proxy_that_cannot_be_reached(shell: Shell, unused_port: int) -> None:
    shell.set(KSEF_ENV=f"https://{HOST}/v2", KSEF_PROXY=f"http://127.0.0.1:{unused_port}")

    result = await shell.run("doctor", "--json")

    assert "cannot be reached" in found(result, "proxy")["found"]
    assert found(result, "TLS")["state"] == "failed"


# --- a way that is broken -----------------------------------------------------------------------------------------


async def test_name_that_nobody_knows(shell: Shell) -> None:
    shell.set(KSEF_ENV=f"https://{HOST}/v2")

    result = await shell.run("doctor", "--send", "--json")

    assert result.code == 1
    assert states(result) == {
        **dict.fromkeys(("DNS", "TLS", "KSeF answers", "API version", "login", "made-up company"), "failed"),
        **dict.fromkeys(("proxy", "credentials"), "ok"),
        **dict.fromkeys(("clock", "permissions", "limits", "journal", "session", "invoice", "UPO"), "skipped"),
        "Latarnia": "warning",
    }
    assert "KSEF_ENV" in found(result, "DNS")["advice"]


async def test_port_that_nobody_listens_at(shell: Shell, unused_port: int) -> None:
    shell.set(KSEF_ENV=f"http://127.0.0.1:{unused_port}/v2")

    result = await shell.run("doctor", "--json")

    assert (result.code, states(result)["DNS"]) == (1, "ok")
    assert found(result, "TLS")["state"] == "failed"
    assert "Connect" in found(result, "TLS")["found"]


async def test_server_without_tls(sandbox: Sandbox, shell: Shell) -> None:
    shell.set(KSEF_ENV=f"https://127.0.0.1:{port_of(sandbox)}/v2")

    result = await shell.run("doctor", "--json")

    assert found(result, "TLS")["found"].startswith("No TLS: ")
    assert states(result)["login"] == "failed"


async def test_server_of_something_else(shell: Shell) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b"<html>Hotel Wi-Fi: please pay</html>"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    async with listening(page) as port:
        shell.set(KSEF_ENV=f"http://127.0.0.1:{port}/v2")
        result = await shell.run("doctor", "--json")

    assert result.code == 1
    assert states(result)["KSeF answers"] == "failed"
    assert found(result, "clock")["found"] == "KSeF's answer does not tell the time."
    assert "does not tell its version" in found(result, "API version")["found"]


@pytest.mark.parametrize(
    ("ahead", "state", "sentence"),
    [(10, "ok", "s behind"), (60, "warning", "s behind"), (7_200, "failed", "120 min behind")],
)
async def test_clock_that_is_wrong(sandbox: Sandbox, shell: Shell, ahead: int, state: str, sentence: str) -> None:
    sandbox.clock.advance(ahead)

    result = await shell.run("doctor", "--json")

    assert found(result, "clock")["state"] == state
    assert sentence in found(result, "clock")["found"]
    assert result.code == (1 if state == "failed" else 0)
    assert states(result)["limits"] == "ok"


@pytest.mark.parametrize(
    ("version", "state", "sentence"),
    [
        ("2.8.0", "ok", "older than"),
        ("2.9.4", "ok", "speaks 2.9.4"),
        ("2.10.0", "warning", "newer than"),
        ("3.0.0", "failed", "speaks 3.0.0"),
    ],
)
async def test_version_of_the_api(sandbox: Sandbox, shell: Shell, version: str, state: str, sentence: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"info": {"description": f"**Wersja API:** {version} (build {version}-te)"}}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with listening(answer) as port:
        shell.set(KSEF_ENV=f"http://127.0.0.1:{port}/v2")
        result = await shell.run("doctor", "--json")

    assert found(result, "API version")["state"] == state
    assert sentence in found(result, "API version")["found"]


async def test_announced_failure_is_a_warning(sandbox: Sandbox, shell: Shell) -> None:
    sandbox.latarnia.announce("FAILURE", end=3600)

    announced = await shell.run("doctor", "--json")
    sandbox.faults.add("get_latarnia_status", Fault.html(502), times=10)
    down = await shell.run("doctor", "--json")

    assert (announced.code, found(announced, "Latarnia")["state"]) == (0, "warning")
    assert (down.code, found(down, "Latarnia")["state"]) == (0, "warning")


# --- who logs in --------------------------------------------------------------------------------------------------


async def test_wrong_token(sandbox: Sandbox, shell: Shell) -> None:
    shell.set(KSEF_TOKEN="20260101-EC-0000000000-0000000000-00|nip-1111111111|" + "0" * 64)

    result = await shell.run("doctor", "--send", "--json")

    login = found(result, "login")
    assert (result.code, login["state"]) == (2, "failed")
    assert "450" in login["found"]
    assert "Copy the token anew" in login["advice"]
    assert [states(result)[name] for name in ("permissions", "limits")] == ["skipped"] * 2
    assert [states(result)[name] for name in TRIAL] == ["ok"] * 4


async def test_nobody_logs_in(shell: Shell) -> None:
    shell.set(KSEF_TOKEN=None)

    result = await shell.run("doctor", "--json")

    assert result.code == 0
    assert [states(result)[name] for name in COMPANY] == ["skipped"] * 5


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"KSEF_TOKEN": None, "KSEF_PKCS12_FILE": "nowhere.p12"}, "cannot be read"),
        ({"KSEF_NIP": "123"}, "KSEF_NIP"),
        ({"KSEF_NIP": None}, "KSEF_NIP is not set"),
    ],
)
async def test_credentials_that_cannot_be_used(shell: Shell, variables: dict[str, str | None], sentence: str) -> None:
    shell.set(**variables)

    result = await shell.run("doctor", "--json")

    assert (result.code, found(result, "credentials")["state"]) == (2, "failed")
    assert sentence in found(result, "credentials")["found"]
    assert "help credentials" in found(result, "credentials")["advice"]
    assert states(result)["login"] == "skipped"


@pytest.mark.parametrize(
    ("from_days", "until_days", "state", "sentence"),
    [
        (-400, 300, "ok", "A certificate of "),
        (-400, 10, "warning", "9 days are left"),
        (-400, -1, "failed", "has expired"),
        (1, 300, "failed", "not valid before"),
    ],
)
async def test_end_of_a_certificate(
    sandbox: Sandbox, shell: Shell, from_days: int, until_days: int, state: str, sentence: str
) -> None:
    begin = datetime.now(UTC) + timedelta(days=from_days)
    certificate = self_signed_seal(sandbox.nip, EC_KEY, valid_from=begin, lifetime=(until_days - from_days) * 86_400)
    shell.set(KSEF_TOKEN=None, **written(shell.folder, certificate))

    result = await shell.run("doctor", "--json")

    assert found(result, "credentials")["state"] == state
    assert sentence in found(result, "credentials")["found"]
    assert f"(NIP {sandbox.nip}), until" in found(result, "credentials")["found"]
    assert result.code == (2 if state == "failed" else 0)


async def test_expired_certificate_is_not_sent_to_a_login_that_it_cannot_make(sandbox: Sandbox, shell: Shell) -> None:
    begin = datetime.now(UTC) - timedelta(days=3)
    certificate = self_signed_seal(sandbox.nip, EC_KEY, valid_from=begin, lifetime=86_400)
    shell.set(KSEF_TOKEN=None, **written(shell.folder, certificate))

    result = await shell.run("doctor", "--json")

    assert "Aplikacja Podatnika KSeF" in found(result, "credentials")["advice"]
    assert "client." not in found(result, "credentials")["advice"]


async def test_permissions_that_do_not_suffice(sandbox: Sandbox, shell: Shell) -> None:
    # Tokens are generated by certificate only.
    credentials = await CertificateCredentials.self_signed(sandbox.nip)
    async with KsefClient(sandbox.environment, credentials) as client:
        token = await client.tokens.generate(["InvoiceRead"], "reads")
        await token.wait()
    shell.set(KSEF_TOKEN=token.token)

    result = await shell.run("doctor", "--json")

    permissions = found(result, "permissions")
    assert (result.code, permissions["state"]) == (0, "warning")
    assert permissions["found"] == "InvoiceRead. Not to send invoices."


async def test_limits_that_are_spent(sandbox: Sandbox, shell: Shell) -> None:
    sandbox.faults.add("get_rate_limits", Fault.too_many_requests(retry_after=77))

    result = await shell.run("doctor", "--json")

    limits = found(result, "limits")
    assert (result.code, limits["state"]) == (1, "failed")
    assert "wait 77 s" in limits["advice"]
    assert states(result)["login"] == "ok"


async def test_journal_is_looked_into(sandbox: Sandbox, shell: Shell) -> None:
    pytest.importorskip("sqlalchemy", reason="the extra durable is not installed")
    shell.invoices(sandbox.nip, 2)
    await shell.run("send", ".", "--journal", "own.db")

    named = await shell.run("doctor", "--json", "--journal", "own.db")
    missing = await shell.run("doctor", "--json", "--journal", "none.db")
    Path(shell.folder / "broken.db").write_bytes(b"no database" * 1000)
    broken = await shell.run("doctor", "--json", "--journal", "broken.db")

    assert found(named, "journal")["found"] == "own.db: 2 accepted."
    assert (missing.code, found(missing, "journal")["state"]) == (2, "failed")
    assert not (shell.folder / "none.db").exists()
    assert found(broken, "journal")["state"] == "failed"
    assert "Traceback" not in broken.err


async def test_journal_is_passed_over_without_its_extra(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    (shell.folder / "own.db").touch()

    result = await shell.run("doctor", "--json", "--journal", "own.db")

    journal = found(result, "journal")
    assert (result.code, journal["state"], journal["found"]) == (0, "skipped", "own.db was not looked into.")
    assert "pip install 'ksef_async[cli]'" in journal["advice"]


# --- the whole flow -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "may"),
    [
        (Environment.TEST, True),
        (Environment.DEMO, False),
        (Environment.PRODUCTION, False),
        (Environment("https://API.KSEF.MF.GOV.PL/v2"), False),
        (Environment("https://ksef.mf.gov.pl/api/v2"), False),
        (Environment("https://api-test.ksef.mf.gov.pl:443/v2"), True),
        (Environment("http://127.0.0.1:8080/v2"), True),
        (Environment("https://sandbox.example/v2"), True),
    ],
    ids=lambda value: value.base_url if isinstance(value, Environment) else "",
)
def test_nothing_is_sent_where_it_would_count(environment: Environment, may: bool) -> None:
    assert may_try(environment) == may


@pytest.mark.parametrize("name", ["PRODUCTION", "DEMO"])
async def test_sending_there_is_refused_at_once(shell: Shell, name: str) -> None:
    shell.set(KSEF_ENV=name)

    result = await shell.run("doctor", "--send")

    assert (result.code, result.out) == (2, "")
    assert "--send is for TEST and the sandbox" in result.err


async def test_rejected_invoice_closes_the_session(sandbox: Sandbox, shell: Shell) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))

    result = await shell.run("doctor", "--send", "--json")

    assert (result.code, found(result, "invoice")["state"]) == (3, "failed")
    assert states(result)["session closed"] == "ok"
    assert states(result)["UPO"] == "skipped"
    assert not open_sessions(sandbox)


async def test_session_that_cannot_be_closed_is_a_finding(sandbox: Sandbox, shell: Shell) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    sandbox.faults.add("close_online_session", Fault.refuse(21405), times=10)

    result = await shell.run("doctor", "--send", "--json")

    assert states(result)["session closed"] == "failed"


async def test_interrupted_doctor_closes_its_session(sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.stuck())
    async with running(sandbox, "doctor", "--send") as process:
        await process.printed("is open")
        await asyncio.sleep(0.3)
        process.send(signal.SIGINT)

        assert await process.end() == 130

    assert not open_sessions(sandbox)
    assert all(login.is_revoked for login in sandbox.world.logins.values())


# --- its parts ----------------------------------------------------------------------------------------------------


async def test_check_that_hangs_ends_in_its_time() -> None:
    async def hang() -> CheckResult:
        await anyio.sleep(600)
        return ok("")

    async def fail() -> CheckResult:
        raise ZeroDivisionError("a fault of the check")

    checker = Checker()

    assert not await checker.run("hangs", hang, 0.05)
    assert not await checker.run("fails", fail, 1)
    assert [(one.state, int(one.code)) for one in checker.findings] == [("failed", 1)] * 2
    assert checker.findings[0].text == "No end after 0.05 s."
    assert "report this" in checker.findings[1].advice


def test_finding_is_quoted_and_wrapped() -> None:
    said = "Bearer eyJhbGciOi.abc.def \x1b[31m" + "word " * 30
    finding = Finding(name="login", state="failed", text=said, advice="Do.")

    text = write_finding(finding)

    assert "eyJ" not in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 96
    assert text.splitlines()[-1].strip() == "-> Do."


def written(folder: Path, certificate: Certificate) -> dict[str, str]:
    files = {"KSEF_CERTIFICATE_FILE": folder / "own.pem", "KSEF_KEY_FILE": folder / "own.key"}
    files["KSEF_CERTIFICATE_FILE"].write_bytes(pem(certificate))
    files["KSEF_KEY_FILE"].write_bytes(key_bytes(EC_KEY))
    files["KSEF_KEY_FILE"].chmod(0o600)
    return {name: str(path) for name, path in files.items()}
