"""``ksef-async qr``, ``latarnia``, ``issue`` and ``correct``, sending what was issued offline, and planning."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import EC_KEY, key_bytes, pem
from codes import decode_png, decode_svg
from shell import Shell

from ksef_async import Environment, verification_link
from ksef_async.api.certificates import CertificateType, EnrollmentData
from ksef_async.protocol.polish_calendar import next_midnight
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
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


async def rejected_offline(sandbox: Sandbox, shell: Shell) -> Path:
    """An invoice issued offline that KSeF has rejected."""
    (file,) = shell.invoices(sandbox.nip, 1)
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    sent = await shell.run("send", file, "--offline", "offline24", *SIGNED, "--json")
    assert sent.states == {"rejected": 1}, sent.err
    return file


async def test_rejected_offline_invoice_is_corrected(sandbox: Sandbox, signing: Shell) -> None:
    rejected = await rejected_offline(sandbox, signing)
    corrected = signing.folder / "corrected.xml"
    corrected.write_bytes(sample_invoice(sandbox.nip, "FV/1", buyer_nip="7010002137"))

    done = await signing.run("correct", "FV/1", corrected, *SIGNED)
    again = await signing.run("correct", rejected, corrected, *SIGNED, "--json")

    assert done.code == again.code == 0, done.err + again.err
    number, link = done.out.splitlines()
    assert (again.json["ksef_number"], again.json["certificate_link"]) == (number, link)
    assert (again.json["corrects"], again.json["offline"], again.json["has_upo"]) == (1, "offline24", True)
    assert sandbox.world.corrected_hashes == {hashlib.sha256(rejected.read_bytes()).digest()}
    assert len([one for one in sandbox.world.invoices() if one.is_accepted]) == 1


async def test_correction_that_ksef_rejects_can_be_corrected_itself(sandbox: Sandbox, signing: Shell) -> None:
    await rejected_offline(sandbox, signing)
    for place, buyer in enumerate(("7010002137", "5265877635")):
        file = signing.folder / f"corrected-{place}.xml"
        file.write_bytes(sample_invoice(sandbox.nip, "FV/1", buyer_nip=buyer))
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))

    first = await signing.run("correct", "FV/1", signing.folder / "corrected-0.xml")
    second = await signing.run("correct", "FV/1", signing.folder / "corrected-1.xml", "--json")

    assert (first.code, "FV/1 is rejected" in first.out) == (3, True), first.err
    assert (second.code, second.json["state"], second.json["corrects"]) == (0, "accepted", 2)


async def test_correction_waits_in_the_journal_where_ksef_is_away(sandbox: Sandbox, signing: Shell) -> None:
    await rejected_offline(sandbox, signing)
    corrected = signing.folder / "corrected.xml"
    corrected.write_bytes(sample_invoice(sandbox.nip, "FV/1", buyer_nip="7010002137"))
    sandbox.faults.add(None, Fault.html(503), times=10**9)

    waits = await signing.run("correct", "FV/1", corrected, "--timeout", 0.5)
    sandbox.faults.clear()
    sent = await signing.run("send", corrected, "--json")

    assert (waits.code, "FV/1 is queued, to be delivered before" in waits.out) == (4, True), waits.out + waits.err
    assert sent.states == {"accepted": 1}
    assert len(sandbox.world.corrected_hashes) == 1


async def test_what_cannot_be_corrected_is_a_wrong_argument(sandbox: Sandbox, signing: Shell) -> None:
    (file,) = signing.invoices(sandbox.nip, 1)
    other = signing.folder / "other.xml"
    other.write_bytes(sample_invoice(sandbox.nip, "FV/2"))
    nothing = await signing.run("correct", "FV/1", file)
    await signing.run("send", file)

    for arguments, said in (
        (("FV/1", other), "only a rejected offline invoice"),
        (("FV/3", other), "not in the journal"),
        (("FV/1", "nowhere.xml"), "no file nowhere.xml"),
        (("FV/1", other, "--key", "offline.key"), "--certificate"),
    ):
        result = await signing.run("correct", *arguments)
        assert (result.code, said in result.err) == (2, True), result.err
    assert (nothing.code, "no journal" in nothing.err) == (2, True)
