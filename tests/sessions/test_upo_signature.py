from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import attrs
import pytest
from certificates import pem
from signing import ds, xades

from ksef_async import FormCode, KsefClient, RemoteProtocolError, UPODocument, upo_signer
from ksef_async.api.sessions import GET_INVOICE_UPO
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sessions.upo import verify_upo

XMLSEC = shutil.which("xmlsec1")


async def receipts(client: KsefClient, sandbox: Sandbox) -> list[UPODocument]:
    """That of a session, and that of its invoice."""
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(sample_invoice(sandbox.nip))
        await sent.outcome()
    upo = await session.upo()
    path = {"reference_number": session.reference_number, "invoice_reference_number": sent.reference_number}
    of_invoice = [await client.call(GET_INVOICE_UPO, path=path) for _ in range(2)]
    assert of_invoice[0] == of_invoice[1]
    return [upo.documents[0], await verify_upo(of_invoice[0], session_reference_number=session.reference_number)]


async def test_receipts_are_signed_by_the_seal_of_the_sandbox(client: KsefClient, sandbox: Sandbox) -> None:
    signers = [await upo_signer(document) for document in await receipts(client, sandbox)]

    assert len({signer.fingerprint for signer in signers}) == 1
    assert "SYMULATOR" in signers[0].subject["common_name"]


async def test_receipt_that_was_changed_is_refused(client: KsefClient, sandbox: Sandbox) -> None:
    document, _ = await receipts(client, sandbox)
    changed = attrs.evolve(document, xml=document.xml.replace(b"<TrybWysylki>Online", b"<TrybWysylki>Offline"))
    assert changed.xml != document.xml
    unsigned = attrs.evolve(document, xml=b"<Potwierdzenie/>")

    with pytest.raises(RemoteProtocolError, match="must not be trusted: its signature is not good"):
        await upo_signer(changed)
    with pytest.raises(RemoteProtocolError, match="it is not signed"):
        await upo_signer(unsigned)


@pytest.mark.skipif(XMLSEC is None, reason="the xmlsec1 command is not here (Debian: apt-get install xmlsec1)")
async def test_xmlsec1_verifies_the_receipts(client: KsefClient, sandbox: Sandbox, tmp_path: Path) -> None:
    assert XMLSEC is not None
    names = [name.strip("{").replace("}", ":") for name in (xades("SignedProperties"), ds("KeyInfo"))]
    ids = [word for name in names for word in ("--id-attr:Id", name)]
    for document in await receipts(client, sandbox):
        (receipt := tmp_path / "upo.xml").write_bytes(document.xml)
        (trusted := tmp_path / "seal.pem").write_bytes(pem(await upo_signer(document)))

        command = [XMLSEC, "--verify", "--trusted-pem", str(trusted), *ids, str(receipt)]
        result = await anyio.run_process(command, check=False)

        assert (result.returncode, b"References (ok/all): 3/3" in result.stderr) == (0, True), result.stderr
