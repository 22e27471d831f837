"""``ksef-async qr``, ``latarnia`` and ``issue``, sending what was issued offline, and planning before midnight."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from certificates import EC_KEY, key_bytes, pem
from codes import decode_png, decode_svg
from shell import Shell

from ksef_async import Environment, verification_link
from ksef_async.api.certificates import CertificateType, EnrollmentData
from ksef_async.protocol.polish_calendar import next_midnight
from ksef_async.sandbox import Fault, Sandbox
from ksef_async.sandbox.authority import Authority

KSEF_NUMBER = "5265877635-20250826-0100001AF629-AF"


@pytest.fixture
def anonymous(shell: Shell) -> Shell:
    """A shell that knows where KSeF is, and nobody who logs in."""
    shell.set(KSEF_NIP=None, KSEF_TOKEN=None)
    return shell


async def test_link_is_printed_and_drawn(sandbox: Sandbox, anonymous: Shell) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)
    link = verification_link(file.read_bytes(), sandbox.environment)

    result = await anonymous.run("qr", file, "--picture", "code.svg")
    assert (result.code, result.out) == (0, f"{link}\n")
    svg = (anonymous.folder / "code.svg").read_text()
    assert decode_svg(svg) == [link]
    assert ">OFFLINE<" in svg

    result = await anonymous.run("qr", file, "--picture", "code.PNG", "--ksef-number", KSEF_NUMBER, "--json")
    assert result.json == {"link": link, "label": KSEF_NUMBER, "picture": "code.PNG"}
    assert decode_png((anonymous.folder / "code.PNG").read_bytes()) == [link]


async def test_link_leads_where_the_invoice_is_sent(sandbox: Sandbox, anonymous: Shell) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)
    anonymous.set(KSEF_ENV="production")

    result = await anonymous.run("qr", file)

    assert result.out.strip() == verification_link(file.read_bytes(), Environment.PRODUCTION)


async def test_what_cannot_be_drawn_is_told(sandbox: Sandbox, anonymous: Shell) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)
    (anonymous.folder / "odd.xml").write_bytes(b"no invoice")

    for arguments, code, sentence in (
        ((file, "--picture", "code.pdf"), 2, "neither .svg nor .png"),
        (("missing.xml",), 2, "no file missing.xml"),
        (("odd.xml",), 2, "cannot be read"),
        ((file, "--ksef-number", "ł", "--json"), 2, "cannot be a label"),
    ):
        result = await anonymous.run("qr", *arguments)
        assert (result.code, sentence in result.err) == (code, True), result.err
    assert not list(anonymous.folder.glob("code.*"))


async def test_announcements_are_shown(sandbox: Sandbox, anonymous: Shell) -> None:
    calm = await anonymous.run("latarnia")
    sandbox.latarnia.announce("FAILURE", end=2 * 3600)

    shown, told = await anonymous.run("latarnia"), await anonymous.run("latarnia", "--json")

    assert (calm.code, calm.out) == (0, f"AVAILABLE, by {sandbox.environment.latarnia_url}.\n")
    assert shown.out.splitlines()[0].startswith("FAILURE, by ")
    assert "FAILURE_START" in shown.out
    assert (told.json["status"], told.json["is_dummy"]) == ("FAILURE", False)
    assert [message["category"] for message in told.json["messages"]] == ["FAILURE"]


async def test_latarnia_that_is_down_is_a_failure_of_the_command(sandbox: Sandbox, anonymous: Shell) -> None:
    sandbox.faults.add("get_latarnia_status", Fault.html(502), times=5)

    result = await anonymous.run("latarnia")

    assert result.code == 1
    assert result.err.startswith("ServerError: get_latarnia_status: HTTP 502")


async def test_invoices_of_today_are_planned_before_midnight(anonymous: Shell) -> None:
    now = datetime.now(UTC)
    if next_midnight(now) - now < timedelta(minutes=1):
        pytest.skip("the day is over before the commands are")
    few = await anonymous.run("plan", "--count", 10, "--today", "--offline", "--json")
    many = await anonymous.run("plan", "--count", 100_000, "--within", 1_000_000, "--today", "--offline")
    told = await anonymous.run("plan", "--count", 100_000, "--within", 1_000_000, "--today", "--offline", "--json")

    assert (few.code, few.json["route"], few.json["online"], few.json["late"]) == (0, "online", 10, 0)
    assert told.json["route"] == "both"
    assert told.json["open_by"].endswith(("T23:00:00+00:00", "T22:00:00+00:00"))
    assert re.search(r": [0-9,]+ online, the others in 10 batch session\(s\)", many.out)
    assert "opened before midnight in Poland" in many.out


@pytest.fixture
def signing(shell: Shell) -> Shell:
    """A shell with a certificate of the type Offline and its key in the folder."""
    now = datetime.now(UTC)
    subject = EnrollmentData(common_name="Firma", country_name="PL")
    issue = Authority(now - timedelta(days=30)).issue
    for name, kind in (("offline", CertificateType.OFFLINE), ("login", CertificateType.AUTHENTICATION)):
        certificate = issue(subject, EC_KEY.public_key(), now - timedelta(days=1), kind)[1]
        (shell.folder / f"{name}.pem").write_bytes(pem(certificate))
    (shell.folder / "offline.key").write_bytes(key_bytes(EC_KEY, password=b"secret"))
    shell.set(KSEF_OFFLINE_KEY_PASSWORD="secret")
    return shell


SIGNED = ("--certificate", "offline.pem", "--key", "offline.key")


async def test_invoice_is_issued_online_where_ksef_answers(sandbox: Sandbox, signing: Shell) -> None:
    (file,) = signing.invoices(sandbox.nip, 1)

    result = await signing.run("issue", file, *SIGNED, "--within", 60, "--codes", "codes")

    assert result.code == 0, result.err
    number, link, picture = result.out.splitlines()
    assert (link, picture) == (verification_link(file.read_bytes(), sandbox.environment), "codes/invoice-001.kod1.svg")
    assert f">{number}<" in (signing.folder / picture).read_text()
    status = await signing.run("status", file, "--json")
    assert status.json["invoices"][0]["invoicing_mode"] == "Online"


async def test_invoice_is_issued_offline_where_ksef_is_away_and_sent_later(sandbox: Sandbox, signing: Shell) -> None:
    (file,) = signing.invoices(sandbox.nip, 1)
    sandbox.faults.add(None, Fault.html(503), times=10**9)

    issued = await signing.run("issue", file, *SIGNED, "--within", 0.3, "--codes", "codes")
    again = await signing.run("issue", file, *SIGNED, "--within", 60, "--json")
    sandbox.faults.clear()
    sent = await signing.run("send", file, "--json")

    assert issued.code == again.code == 4
    until, first, second, *pictures = issued.out.splitlines()
    assert re.fullmatch(r"OFFLINE, to be delivered before [0-9-]{10} 2[23]:00 UTC", until)
    assert [decode_svg((signing.folder / path).read_text()) for path in pictures] == [[first], [second]]
    assert (again.json["verification_link"], again.json["certificate_link"]) == (first, second)
    (invoice,) = sent.json["invoices"]
    assert (invoice["state"], invoice["offline"], invoice["invoicing_mode"]) == ("accepted", "offline24", "Offline")


async def test_refused_invoice_is_not_issued(sandbox: Sandbox, signing: Shell) -> None:
    (file,) = signing.invoices(sandbox.nip, 1)
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))

    result = await signing.run("issue", file, *SIGNED, "--within", 60)

    assert (result.code, "450" in result.out) == (3, True)


async def test_signer_that_cannot_be_used_is_a_wrong_argument(sandbox: Sandbox, signing: Shell) -> None:
    (file,) = signing.invoices(sandbox.nip, 1)
    for arguments, said in (
        (("issue", file, "--certificate", "login.pem", "--key", "offline.key"), "Authentication"),
        (("issue", file, "--certificate", "nowhere.pem", "--key", "offline.key"), "nowhere.pem"),
        (("send", file, *SIGNED), "--offline"),
    ):
        result = await signing.run(*arguments)
        assert (result.code, said in result.err) == (2, True), result.err
    signing.set(KSEF_OFFLINE_KEY_PASSWORD="wrong")
    assert (await signing.run("issue", file, *SIGNED)).code == 2


async def test_what_was_issued_offline_is_sent_as_such(sandbox: Sandbox, signing: Shell) -> None:
    file, other = signing.invoices(sandbox.nip, 2)
    sandbox.faults.add(None, Fault.html(503), times=10**9)
    waits = await signing.run("send", file, "--offline", "offline24", *SIGNED, "--timeout", 1, "--json")
    sandbox.faults.clear()

    sent = await signing.run("send", file, other, "--offline", "offline24", "--json")

    assert (waits.code, waits.json["invoices"][0]["offline"]) == (4, "offline24")
    assert waits.json["invoices"][0]["due_by"]
    assert (sent.code, {one["invoicing_mode"] for one in sent.json["invoices"]}) == (0, {"Offline"})
