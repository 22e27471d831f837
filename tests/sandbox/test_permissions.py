"""Permissions at the sandbox, in JSON written by hand from the specification."""

from __future__ import annotations

import re
from typing import Any

import pytest
from parties import FINGERPRINT, OFFICE, OTHER, PESEL, token_of
from sandbox.wire import Answer, Tokens, Wire

from ksef_async import Context, ContextType
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.numbers import has_valid_internal_id
from ksef_async.protocol.wire import camel
from ksef_async.sandbox.subjects import Subject

ADAM = {"subjectDetailsType": "PersonByIdentifier", "personById": {"firstName": "Adam", "lastName": "Abacki"}}
EVE = {
    "subjectDetailsType": "PersonByFingerprintWithIdentifier",
    "personByFpWithId": {
        "firstName": "Ewa",
        "lastName": "Babacka",
        "identifier": {"type": "Pesel", "value": PESEL},
    },
}
PERSON = {"type": "Pesel", "value": PESEL}

BY_CERTIFICATE = {"type": "Fingerprint", "value": FINGERPRINT}

Body = dict[str, Any]


def from_country(country: str) -> Body:
    """A person without NIP and PESEL, whose passport is of this country."""
    return {
        "subjectDetailsType": "PersonByFingerprintWithoutIdentifier",
        "personByFpNoId": {
            "firstName": "Ewa",
            "lastName": "Babacka",
            "birthDate": "1990-01-01",
            "idDocument": {"type": "Passport", "number": "AB123456", "country": country},
        },
    }


def for_person(*permissions: str, **changes: Any) -> Body:
    return {
        "subjectIdentifier": PERSON,
        "permissions": list(permissions),
        "description": "Description",
        "subjectDetails": ADAM,
    } | changes


def for_entity(*permissions: str, nip: str = OFFICE, delegate: bool = False) -> Body:
    return {
        "subjectIdentifier": {"type": "Nip", "value": nip},
        "permissions": [{"type": each, "canDelegate": delegate} for each in permissions],
        "description": "Description",
        "subjectDetails": {"fullName": "Biuro sp. z o.o."},
    }


def authorization(permission: str, kind: str = "Nip", value: str = OFFICE) -> Body:
    return {
        "subjectIdentifier": {"type": kind, "value": value},
        "permission": permission,
        "description": "Description",
        "subjectDetails": {"fullName": "Biuro sp. z o.o."},
    }


def administrator(kind: str, value: str, **changes: Any) -> Body:
    return {
        "subjectIdentifier": PERSON,
        "contextIdentifier": {"type": kind, "value": value},
        "description": "Description",
        "subunitName": "Oddział 1",
        "subjectDetails": ADAM,
    } | changes


def eu_administration(context: str) -> Body:
    return {
        "subjectIdentifier": {"type": "Fingerprint", "value": FINGERPRINT},
        "contextIdentifier": {"type": "NipVatUe", "value": context},
        "description": "Description",
        "euEntityName": "Firma G.m.b.H., Berlin",
        "subjectDetails": EVE,
        "euEntityDetails": {"fullName": "Firma G.m.b.H.", "address": "Berlin"},
    }


def unit_of(nip: str) -> str:
    return next(f"{nip}-{number:05}" for number in range(10) if has_valid_internal_id(f"{nip}-{number:05}"))


async def status_of(wire: Wire, access: str, started: Answer) -> int:
    path = f"/permissions/operations/{started.json['referenceNumber']}"
    return int((await wire.call("GET", path, access)).json["status"]["code"])


async def change(wire: Wire, access: str, path: str, body: Body | None, method: str = "POST") -> int:
    """Start a grant or revocation and move on to its end: the status code."""
    started = await wire.call(method, f"/permissions/{path}", access, json=body)
    assert started.status == 202, started.body
    assert re.fullmatch(r"\d{8}-EG-[0-9A-F]{10}-[0-9A-F]{10}-[0-9A-F]{2}", started.json["referenceNumber"])
    wire.advance(1)
    return await status_of(wire, access, started)


async def rows(wire: Wire, access: str, path: str, body: Body, page: str = "") -> list[Body]:
    answer = await wire.call("POST", f"/permissions/query/{path}{page}", access, json=body)
    assert answer.status == 200, answer.body
    (found,) = [value for name, value in answer.json.items() if name not in ("hasMore", "ownerPermissions")]
    return list(found)


async def log_in_as(wire: Wire, subject: Subject, kind: str, value: str) -> Tokens:
    context = Context(ContextType(kind), value)
    token = token_of(wire.sandbox, subject, context)
    started = await wire.log_in(token=token, contextIdentifier={"type": kind, "value": value})
    operation = started.json["authenticationToken"]["token"]
    wire.advance(1)
    pair = (await wire.call("POST", "/auth/token/redeem", operation)).json
    return Tokens(
        started.json["referenceNumber"], operation, pair["accessToken"]["token"], pair["refreshToken"]["token"]
    )


# --- operations ------------------------------------------------------------------------------------------


async def test_operation_is_in_progress_until_its_time_has_come(wire: Wire, tokens: Tokens) -> None:
    started = await wire.call("POST", "/permissions/persons/grants", tokens.access, json=for_person("InvoiceRead"))

    assert await status_of(wire, tokens.access, started) == 100
    assert await rows(wire, tokens.access, "persons/grants", {"queryType": "PermissionsInCurrentContext"}) == []
    wire.advance(1)
    assert await status_of(wire, tokens.access, started) == 200
    assert len(await rows(wire, tokens.access, "persons/grants", {"queryType": "PermissionsInCurrentContext"})) == 1


#: Each grant, and the code it ends with.
CODES: dict[str, tuple[str, Any, int]] = {
    "enforcement without the role": ("persons/grants", for_person("EnforcementOperations"), 430),
    "person described as if by certificate": ("persons/grants", for_person("InvoiceRead", subjectDetails=EVE), 410),
    "fingerprint described as if by PESEL": (
        "persons/grants",
        for_person("InvoiceRead", subjectIdentifier={"type": "Fingerprint", "value": FINGERPRINT}),
        410,
    ),
    "fingerprint": (
        "persons/grants",
        for_person("InvoiceRead", subjectIdentifier={"type": "Fingerprint", "value": FINGERPRINT}, subjectDetails=EVE),
        200,
    ),
    "fingerprint of a foreigner": (
        "persons/grants",
        for_person("InvoiceRead", subjectIdentifier=BY_CERTIFICATE, subjectDetails=from_country("UA")),
        200,
    ),
    "entity": ("entities/grants", for_entity("InvoiceRead", "InvoiceWrite"), 200),
    "self-invoicing": ("authorizations/grants", authorization("SelfInvoicing"), 200),
    "Peppol provider": ("authorizations/grants", authorization("PefInvoicing", "PeppolId", "PPL000001"), 200),
    "Peppol provider for others": (
        "authorizations/grants",
        authorization("SelfInvoicing", "PeppolId", "PPL000001"),
        450,
    ),
    "company for Peppol": ("authorizations/grants", authorization("PefInvoicing"), 450),
    "client that lets nothing be passed on": (
        "indirect/grants",
        for_person("InvoiceRead", targetIdentifier={"type": "Nip", "value": OTHER}),
        410,
    ),
    "all clients": ("indirect/grants", for_person("InvoiceRead"), 200),
    "company below one that is above none": ("subunits/grants", administrator("Nip", OTHER), 430),
    "unit of another": ("subunits/grants", administrator("InternalId", unit_of(OTHER)), 410),
    "EU entity of another": (
        "eu-entities/administration/grants",
        eu_administration(f"{OTHER}-DE123456789"),
        410,
    ),
}


@pytest.mark.parametrize("name", CODES)
async def test_grant_ends_with_the_code_of_its_mistake(wire: Wire, tokens: Tokens, name: str) -> None:
    path, body, code = CODES[name]

    assert await change(wire, tokens.access, path, body) == code


async def test_company_cannot_grant_to_itself(wire: Wire, tokens: Tokens) -> None:
    nip = wire.sandbox.nip

    assert await change(wire, tokens.access, "entities/grants", for_entity("InvoiceRead", nip=nip)) == 440
    body = authorization("SelfInvoicing", value=nip)
    assert await change(wire, tokens.access, "authorizations/grants", body) == 440


async def test_unit_may_let_its_own_company_handle_its_invoices(wire: Wire, tokens: Tokens) -> None:
    nip = wire.sandbox.nip
    unit = unit_of(nip)
    assert await change(wire, tokens.access, "subunits/grants", administrator("InternalId", unit)) == 200
    there = await log_in_as(wire, Subject("Pesel", PESEL), "InternalId", unit)

    assert await change(wire, there.access, "entities/grants", for_entity("InvoiceRead", nip=nip)) == 200

    (row,) = await rows(wire, tokens.access, "entities/grants", {})
    assert row["contextIdentifier"] == {"type": "InternalId", "value": unit}


async def test_grant_for_a_client_that_let_manage_permissions_only_is_inactive(wire: Wire, tokens: Tokens) -> None:
    client = await wire.tokens(nip=OTHER, token=wire.sandbox.issue_token(OTHER))
    target = {"type": "Nip", "value": OTHER}
    for_client = for_person("InvoiceRead", targetIdentifier=target)
    assert await change(wire, tokens.access, "indirect/grants", for_client) == 410
    office = {"type": "Nip", "value": wire.sandbox.nip}
    manager = for_person("CredentialsManage", subjectIdentifier=office)
    assert await change(wire, client.access, "persons/grants", manager) == 200

    assert await change(wire, tokens.access, "indirect/grants", for_client) == 200

    wanted = {"queryType": "PermissionsInCurrentContext", "targetIdentifier": target}
    (row,) = await rows(wire, tokens.access, "persons/grants", wanted)
    assert row["permissionState"] == "Inactive"
    # It begins to count once the client lets the permission itself be passed on.
    passed_on = for_entity("InvoiceRead", nip=wire.sandbox.nip, delegate=True)
    assert await change(wire, client.access, "entities/grants", passed_on) == 200
    (row,) = await rows(wire, tokens.access, "persons/grants", wanted)
    assert row["permissionState"] == "Active"


async def test_company_above_others_appoints_their_administrators(wire: Wire, tokens: Tokens) -> None:
    group = {
        "subjectNip": wire.sandbox.nip,
        "subjectType": "VatGroup",
        "description": "The group",
        "subunits": [{"subjectNip": OTHER, "description": "A member"}],
    }
    assert (await wire.call("POST", "/testdata/subject", json=group)).status == 200

    assert await change(wire, tokens.access, "subunits/grants", administrator("Nip", OFFICE)) == 410
    assert await change(wire, tokens.access, "subunits/grants", administrator("Nip", OTHER)) == 200

    there = await log_in_as(wire, Subject("Pesel", PESEL), "Nip", OTHER)
    (row,) = await rows(wire, there.access, "persons/grants", {"queryType": "PermissionsInCurrentContext"})
    assert row["contextIdentifier"] == {"type": "Nip", "value": OTHER}
    assert row["authorIdentifier"] == {"type": "Nip", "value": wire.sandbox.nip}


async def test_caller_that_lost_its_permission_since_its_token_was_issued_is_told_so(
    wire: Wire, tokens: Tokens
) -> None:
    assert await change(wire, tokens.access, "persons/grants", for_person("CredentialsManage")) == 200
    there = await log_in_as(wire, Subject("Pesel", PESEL), "Nip", wire.sandbox.nip)
    (row,) = await rows(wire, tokens.access, "persons/grants", {"queryType": "PermissionsInCurrentContext"})
    assert await change(wire, tokens.access, f"common/grants/{row['id']}", None, "DELETE") == 200

    assert await change(wire, there.access, "entities/grants", for_entity("InvoiceRead")) == 420


async def test_only_what_exists_here_and_is_of_that_kind_can_be_revoked(wire: Wire, tokens: Tokens) -> None:
    assert await change(wire, tokens.access, "entities/grants", for_entity("InvoiceRead")) == 200
    (row,) = await rows(wire, tokens.access, "persons/grants", {"queryType": "PermissionsInCurrentContext"})
    stranger = await wire.tokens(nip=OTHER, token=wire.sandbox.issue_token(OTHER))

    for access, path in [
        (tokens.access, "common/grants/0c9a72e8-f344-457f-9c16-7c640eb60242"),
        (tokens.access, f"authorizations/grants/{row['id']}"),
        (stranger.access, f"common/grants/{row['id']}"),
    ]:
        assert await change(wire, access, path, None, "DELETE") == 410
    assert await change(wire, tokens.access, f"common/grants/{row['id']}", None, "DELETE") == 200
    assert await change(wire, tokens.access, f"common/grants/{row['id']}", None, "DELETE") == 410


async def test_operations_are_told_of_in_their_own_context_only(wire: Wire, tokens: Tokens) -> None:
    started = await wire.call("POST", "/permissions/entities/grants", tokens.access, json=for_entity("InvoiceRead"))
    stranger = await wire.stranger()
    path = f"/permissions/operations/{started.json['referenceNumber']}"

    assert (await wire.call("GET", path, stranger.access)).error == (400, 21405)
    wire.advance(30 * 24 * 3600 + 1)
    fresh = await wire.tokens()
    assert (await wire.call("GET", path, fresh.access)).status == 410


# --- who is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation", [row for row in OPERATIONS if row.permissions], ids=lambda operation: operation.name
)
async def test_login_without_the_permission_is_told_what_it_lacks(wire: Wire, operation: Any) -> None:
    harmless = ("SubunitManage", "CollectiveIdentifierManage")
    lacking = next(each for each in harmless if each not in operation.permissions)
    granted = {
        "contextIdentifier": {"type": "Nip", "value": wire.sandbox.nip},
        "authorizedIdentifier": PERSON,
        "permissions": [{"description": "Description", "permissionType": lacking}],
    }
    assert (await wire.call("POST", "/testdata/permissions", json=granted)).status == 200
    clerk = await log_in_as(wire, Subject("Pesel", PESEL), "Nip", wire.sandbox.nip)
    path = re.sub(r"{\w+}", "20250625-SO-2C3E6C8000-B675CF5D68-07", operation.path)

    answer = await wire.call(operation.method.value, path, clerk.access)

    assert answer.status == 403
    assert answer.json["reasonCode"] == "missing-permissions"
    assert answer.json["security"] == {
        "requiredAnyOfPermissions": list(operation.permissions),
        "presentPermissions": [lacking],
    }


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        pytest.param("persons/grants", for_person(), "'permissions' must not be empty.", id="nothing"),
        pytest.param(
            "persons/grants",
            for_person("InvoiceRead", "invoiceread"),
            "'permissions' must have each value once.",
            id="twice",
        ),
        pytest.param(
            "persons/grants",
            for_person("VatUeManage"),
            "'permissions[0]' has no value 'VatUeManage'.",
            id="not for persons",
        ),
        pytest.param(
            "persons/grants",
            for_person("InvoiceRead", description="abcd"),
            "'description' must be between 5 and 256 characters. You entered 4 characters.",
            id="description",
        ),
        pytest.param(
            "persons/grants",
            for_person("InvoiceRead", subjectDetails={"subjectDetailsType": "PersonByIdentifier"}),
            "'subjectDetails.personById' must not be empty for PersonByIdentifier.",
            id="details",
        ),
        *(
            pytest.param(
                "persons/grants",
                for_person("InvoiceRead", subjectIdentifier=BY_CERTIFICATE, subjectDetails=from_country(country)),
                "'subjectDetails.personByFpNoId.idDocument.country' must be a country's code of ISO 3166-1 alpha-2, in "
                "capitals.",
                id=f"country {country}",
            )
            for country in ("ZZ", "XX", "pl", "EU")
        ),
        pytest.param(
            "entities/grants",
            for_entity("InvoiceRead", nip="0000000000"),
            "'subjectIdentifier.value' is not in the correct format of Nip.",
            id="NIP",
        ),
        pytest.param(
            "subunits/grants",
            administrator("InternalId", "6824515772-12344"),
            "'contextIdentifier.value' must end with its check digit.",
            id="unit",
        ),
        pytest.param(
            "subunits/grants",
            administrator("InternalId", "6824515772-12343", subunitName=None),
            "'subunitName' must not be empty when the unit has an internal identifier.",
            id="unit's name",
        ),
        pytest.param(
            "query/persons/grants",
            {"queryType": "Everything"},
            "'queryType' has no value 'Everything'.",
            id="list",
        ),
        pytest.param(
            "query/eu-entities/grants",
            {"vatUeIdentifier": "DE12"},
            "'vatUeIdentifier' is not in the correct format.",
            id="EU VAT number",
        ),
    ],
)
async def test_malformed_request_is_refused_with_the_field(
    wire: Wire, tokens: Tokens, path: str, body: Body, detail: str
) -> None:
    answer = await wire.call("POST", f"/permissions/{path}", tokens.access, json=body)

    assert answer.error == (400, 21405)
    assert answer.details == [detail]


@pytest.mark.parametrize("page", ["pageSize=9", "pageSize=101", "pageSize=x", "pageOffset=-1"])
async def test_page_out_of_bounds_is_refused(wire: Wire, tokens: Tokens, page: str) -> None:
    answer = await wire.call("POST", f"/permissions/query/subunits/grants?{page}", tokens.access, json={})

    assert answer.error == (400, 21405)


async def test_short_permission_identifier_is_refused(wire: Wire, tokens: Tokens) -> None:
    answer = await wire.call("DELETE", "/permissions/common/grants/1", tokens.access)

    assert answer.error == (400, 21405)
    assert camel("permission_id") in answer.details[0]
