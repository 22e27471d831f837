from __future__ import annotations

import sys
from pathlib import Path

import pytest
from clients import connected
from official import FA_SCHEMAS, SAMPLES, needs
from parties import token_of

from ksef_async import Context, ContextType, FormCode, InvoiceRejectedError, KsefClient, KsefToken
from ksef_async.protocol.xml import parse_xml
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sandbox.subjects import Subject


@needs(FA_SCHEMAS)
async def test_invoice_is_validated_against_the_schema() -> None:
    async with Sandbox(schema_folder=FA_SCHEMAS) as sandbox, connected(sandbox) as client:
        wrong = sample_invoice(sandbox.nip, "FV/2").replace(b"<P_16>2</P_16>", b"<P_16>3</P_16>")
        async with await client.sessions.open_online(FormCode.FA3) as session:
            accepted = await session.send(sample_invoice(sandbox.nip))
            rejected = await session.send(wrong)
            await accepted.outcome()
            with pytest.raises(InvoiceRejectedError, match="P_16") as caught:
                await rejected.outcome()

    assert caught.value.code == 450


@needs(SAMPLES)
@pytest.mark.parametrize("number", range(1, 13))
async def test_official_samples_pass_the_schema(number: int) -> None:
    xml = (SAMPLES / f"fa3-example-{number}.xml").read_bytes()
    nip = parse_xml(xml).findtext("{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP")

    async with (
        Sandbox(nip=nip, schema_folder=FA_SCHEMAS) as sandbox,
        connected(sandbox) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        await (await session.send(xml)).outcome()


@needs(FA_SCHEMAS)
async def test_form_without_a_schema_is_checked_as_without_a_folder() -> None:
    provider = Context(ContextType.PEPPOL_ID, "PPL123456")
    async with Sandbox(schema_folder=FA_SCHEMAS) as sandbox:
        token = token_of(sandbox, Subject("PeppolId", "PPL123456"), provider)
        async with (
            KsefClient(sandbox.environment, KsefToken(context=provider, token=token)) as client,
            await client.sessions.open_online(FormCode.PEF3) as session,
        ):
            sent = await session.send(b"<Faktura/>")
            with pytest.raises(InvoiceRejectedError, match="'Invoice' or 'CreditNote'"):
                await sent.outcome()


UBL = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:x" elementFormDefault="qualified">
<xs:element name="{0}"><xs:complexType><xs:sequence><xs:element name="ID" type="xs:integer"/></xs:sequence>
</xs:complexType></xs:element></xs:schema>"""


@pytest.mark.parametrize(("form", "root"), [(FormCode.PEF3, "Invoice"), (FormCode.PEF_KOR3, "CreditNote")])
async def test_peppol_invoice_is_validated_where_there_is_a_schema(tmp_path: Path, form: FormCode, root: str) -> None:
    (tmp_path / "Schemat_PEF(3)_v2-1.xsd").write_text(UBL.format("Invoice"))
    (tmp_path / "Schemat_PEF_KOR(3)_v2-1.xsd").write_text(UBL.format("CreditNote"))
    provider = Context(ContextType.PEPPOL_ID, "PPL123456")
    async with Sandbox(schema_folder=tmp_path) as sandbox:
        token = token_of(sandbox, Subject("PeppolId", "PPL123456"), provider)
        async with (
            KsefClient(sandbox.environment, KsefToken(context=provider, token=token)) as client,
            await client.sessions.open_online(form) as session,
        ):
            sent = await session.send(f'<{root} xmlns="urn:x">\n<ID>FV/1</ID></{root}>'.encode())
            with pytest.raises(InvoiceRejectedError, match=r"'FV/1' is not a valid value .* \(line 2\)"):
                await sent.outcome()


async def test_forms_that_the_folder_lacks_are_checked_as_without_it(tmp_path: Path) -> None:
    (tmp_path / "Schemat_PEF(3)_v2-1.xsd").write_text(UBL.format("Invoice"))
    async with (
        Sandbox(schema_folder=tmp_path) as sandbox,
        connected(sandbox) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        sent = await session.send(sample_invoice(sandbox.nip).replace(b"<P_16>2", b"<P_16>3"))
        with pytest.raises(InvoiceRejectedError, match="/Faktura/Fa/Adnotacje/P_16, line 2"):
            await sent.outcome()


async def test_folder_without_schemas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no schema of any form"):
        async with Sandbox(schema_folder=tmp_path):
            pass


@pytest.mark.parametrize(
    "schema",
    [
        "no schema",
        '<schema xmlns="http://www.w3.org/2001/XMLSchema"><import namespace="x" schemaLocation="http://a.b/c.xsd"/></schema>',
    ],
)
async def test_schema_that_cannot_be_used_is_refused(tmp_path: Path, schema: str) -> None:
    (tmp_path / "schemat_FA(3)_v1-0E.xsd").write_text(schema)

    with pytest.raises(ValueError, match="cannot be used"):
        async with Sandbox(schema_folder=tmp_path):
            pass


async def test_lxml_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lxml", None)

    with pytest.raises(ModuleNotFoundError, match=r"needs lxml: pip install 'ksef_async\[xsd\]'"):
        async with Sandbox(schema_folder=tmp_path):
            pass
