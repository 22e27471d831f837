"""The eight lists at the sandbox, in JSON written by hand from the specification."""

from __future__ import annotations

from typing import Any

import pytest
from parties import FINGERPRINT, OFFICE, OTHER, PESEL
from sandbox.test_permissions import (
    Body,
    administrator,
    authorization,
    change,
    eu_administration,
    for_entity,
    for_person,
    log_in_as,
    rows,
    unit_of,
)
from sandbox.wire import Tokens, Wire

from ksef_async.sandbox.subjects import Subject

IN_CONTEXT = {"queryType": "PermissionsInCurrentContext"}
GRANTED = {"queryType": "PermissionsGrantedInCurrentContext"}
OTHER_PERSON = "22271569167"


async def grant_all(wire: Wire, access: str) -> None:
    """One of each: to a person, a company, indirectly, to the administrator of a unit."""
    nip = wire.sandbox.nip
    for path, body in [
        ("persons/grants", for_person("CredentialsRead", "InvoiceRead")),
        ("entities/grants", for_entity("InvoiceWrite", delegate=True)),
        ("indirect/grants", for_person("InvoiceRead", subjectIdentifier={"type": "Pesel", "value": OTHER_PERSON})),
        ("subunits/grants", administrator("InternalId", unit_of(nip))),
    ]:
        assert await change(wire, access, path, body) == 200


#: Each filter of the list of persons, and what it finds: scopes by who is authorized.
FILTERS: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "in context": (
        IN_CONTEXT,
        [(OTHER_PERSON, "InvoiceRead"), (OFFICE, "InvoiceWrite"), (PESEL, "CredentialsRead"), (PESEL, "InvoiceRead")],
    ),
    "granted": (
        GRANTED,
        [
            (PESEL, "CredentialsManage"),
            (OTHER_PERSON, "InvoiceRead"),
            (OFFICE, "InvoiceWrite"),
            (PESEL, "CredentialsRead"),
            (PESEL, "InvoiceRead"),
        ],
    ),
    "authorized": (
        IN_CONTEXT | {"authorizedIdentifier": {"type": "Nip", "value": OFFICE}},
        [(OFFICE, "InvoiceWrite")],
    ),
    "types": (
        IN_CONTEXT | {"permissionTypes": ["InvoiceRead"]},
        [(OTHER_PERSON, "InvoiceRead"), (PESEL, "InvoiceRead")],
    ),
    "inactive": (IN_CONTEXT | {"permissionState": "Inactive"}, [(OTHER_PERSON, "InvoiceRead")]),
    "target": (IN_CONTEXT | {"targetIdentifier": {"type": "AllPartners"}}, [(OTHER_PERSON, "InvoiceRead")]),
    "another target": (IN_CONTEXT | {"targetIdentifier": {"type": "Nip", "value": OTHER}}, []),
    "another author": (IN_CONTEXT | {"authorIdentifier": {"type": "Pesel", "value": PESEL}}, []),
    "the system": (IN_CONTEXT | {"authorIdentifier": {"type": "System"}}, []),
    "another unit": (GRANTED | {"contextIdentifier": {"type": "Nip", "value": OTHER}}, []),
    "in any case": (
        {"QUERYTYPE": "permissionsincurrentcontext", "PermissionTypes": ["invoicewrite"]},
        [(OFFICE, "InvoiceWrite")],
    ),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_persons_are_found_by_every_filter(wire: Wire, tokens: Tokens, name: str) -> None:
    await grant_all(wire, tokens.access)
    wanted, expected = FILTERS[name]

    found = await rows(wire, tokens.access, "persons/grants", wanted)

    # What was granted in one call began at one time and is sorted by its identifiers, which are random.
    assert sorted((row["authorizedIdentifier"]["value"], row["permissionScope"]) for row in found) == sorted(expected)
    order = [(row["startDate"], row["id"]) for row in found]
    assert order == sorted(sorted(order, key=lambda pair: pair[1]), key=lambda pair: pair[0], reverse=True)


async def test_author_is_found_by_what_it_logged_in_with(wire: Wire, tokens: Tokens) -> None:
    await grant_all(wire, tokens.access)
    author = {"type": "Nip", "value": wire.sandbox.nip}

    assert len(await rows(wire, tokens.access, "persons/grants", IN_CONTEXT | {"authorIdentifier": author})) == 4


async def test_unit_is_found_by_its_identifier(wire: Wire, tokens: Tokens) -> None:
    await grant_all(wire, tokens.access)
    unit = {"type": "InternalId", "value": unit_of(wire.sandbox.nip)}

    (row,) = await rows(wire, tokens.access, "subunits/grants", {"subunitIdentifier": unit})
    (granted,) = await rows(wire, tokens.access, "persons/grants", GRANTED | {"contextIdentifier": unit})

    assert granted["id"] == row["id"]
    assert {
        name: row[name] for name in row if name not in ("id", "startDate", "authorIdentifier", "subunitIdentifier")
    } == {
        "authorizedIdentifier": {"type": "Pesel", "value": PESEL},
        "permissionScope": "CredentialsManage",
        "description": "Description",
        "subunitName": "Oddział 1",
        "subjectPersonDetails": {
            "subjectDetailsType": "PersonByIdentifier",
            "firstName": "Adam",
            "lastName": "Abacki",
        },
    }
    other = {"type": "Nip", "value": OTHER}
    assert await rows(wire, tokens.access, "subunits/grants", {"subunitIdentifier": other}) == []


async def test_own_permissions_are_those_of_the_person_and_of_the_context(wire: Wire, tokens: Tokens) -> None:
    await grant_all(wire, tokens.access)
    clerk = await log_in_as(wire, Subject("Pesel", PESEL), "Nip", wire.sandbox.nip)
    office = await wire.tokens(nip=OFFICE, token=wire.sandbox.issue_token(OFFICE))

    own = await rows(wire, clerk.access, "personal/grants", {})
    received = await rows(wire, office.access, "personal/grants", {})

    assert {row["permissionScope"] for row in own} == {"CredentialsRead", "InvoiceRead"}
    (row,) = received
    assert (row["contextIdentifier"]["value"], row["canDelegate"]) == (wire.sandbox.nip, True)
    expected: list[tuple[Body, int]] = [
        ({"permissionTypes": ["InvoiceWrite"]}, 1),
        ({"permissionTypes": ["InvoiceRead"]}, 0),
        ({"contextIdentifier": {"type": "Nip", "value": wire.sandbox.nip}}, 1),
        ({"contextIdentifier": {"type": "Nip", "value": OTHER}}, 0),
        ({"permissionState": "Inactive"}, 0),
        ({"targetIdentifier": {"type": "AllPartners"}}, 0),
    ]
    for wanted, count in expected:
        assert len(await rows(wire, office.access, "personal/grants", wanted)) == count


async def test_received_permissions_are_found_by_who_granted_them(wire: Wire, tokens: Tokens) -> None:
    await grant_all(wire, tokens.access)
    office = await wire.tokens(nip=OFFICE, token=wire.sandbox.issue_token(OFFICE))
    grantor = {"contextIdentifier": {"type": "Nip", "value": wire.sandbox.nip}}
    stranger = {"contextIdentifier": {"type": "Nip", "value": OTHER}}

    (row,) = await rows(wire, office.access, "entities/grants", grantor)

    assert row["permissionScope"] == "InvoiceWrite"
    assert await rows(wire, office.access, "entities/grants", stranger) == []
    assert await rows(wire, tokens.access, "entities/grants", {}) == []


async def test_authorizations_are_found_in_both_directions(wire: Wire, tokens: Tokens) -> None:
    for permission in ("SelfInvoicing", "TaxRepresentative"):
        assert await change(wire, tokens.access, "authorizations/grants", authorization(permission)) == 200
    office = await wire.tokens(nip=OFFICE, token=wire.sandbox.issue_token(OFFICE))

    expected: list[tuple[str, Body, int]] = [
        (tokens.access, {"queryType": "Granted"}, 2),
        (tokens.access, {"queryType": "Received"}, 0),
        (tokens.access, {"queryType": "Granted", "authorizedIdentifier": {"type": "Nip", "value": OFFICE}}, 2),
        (tokens.access, {"queryType": "Granted", "authorizedIdentifier": {"type": "Nip", "value": OTHER}}, 0),
        (tokens.access, {"queryType": "Granted", "permissionTypes": ["SelfInvoicing"]}, 1),
        (office.access, {"queryType": "Received"}, 2),
        (
            office.access,
            {"queryType": "Received", "authorizingIdentifier": {"type": "Nip", "value": wire.sandbox.nip}},
            2,
        ),
        (office.access, {"queryType": "Received", "authorizingIdentifier": {"type": "Nip", "value": OTHER}}, 0),
    ]
    for access, wanted, count in expected:
        assert len(await rows(wire, access, "authorizations/grants", wanted)) == count


async def test_eu_entities_are_found_by_number_fingerprint_and_permission(wire: Wire, tokens: Tokens) -> None:
    body = eu_administration(f"{wire.sandbox.nip}-DE123456789")
    assert await change(wire, tokens.access, "eu-entities/administration/grants", body) == 200

    expected: list[tuple[Body, int]] = [
        ({}, 4),
        ({"vatUeIdentifier": "DE123456789"}, 4),
        ({"vatUeIdentifier": "DE987654321"}, 0),
        ({"authorizedFingerprintIdentifier": FINGERPRINT[3:9].lower()}, 4),
        ({"authorizedFingerprintIdentifier": "XYZ"}, 0),
        ({"permissionTypes": ["VatUeManage", "Introspection"]}, 2),
    ]
    for wanted, count in expected:
        assert len(await rows(wire, tokens.access, "eu-entities/grants", wanted)) == count


async def test_every_list_comes_in_pages(wire: Wire, tokens: Tokens) -> None:
    for number in range(11):
        body = for_person("InvoiceRead", subjectIdentifier={"type": "Pesel", "value": f"150627887{number:02}"})
        assert await change(wire, tokens.access, "persons/grants", body) == 200

    first = await wire.call("POST", "/permissions/query/persons/grants", tokens.access, json=IN_CONTEXT)
    path = "/permissions/query/persons/grants?pageOffset=1&pageSize=10"
    second = await wire.call("POST", path, tokens.access, json=IN_CONTEXT)

    assert (len(first.json["permissions"]), first.json["hasMore"]) == (10, True)
    assert (len(second.json["permissions"]), second.json["hasMore"]) == (1, False)
    assert second.json["permissions"][0]["authorizedIdentifier"]["value"] == "15062788700"


@pytest.mark.parametrize("named", ["context", "target", "both"])
async def test_direct_grants_are_found_by_the_context_they_are_in(wire: Wire, tokens: Tokens, named: str) -> None:
    await grant_all(wire, tokens.access)
    own = {"type": "Nip", "value": wire.sandbox.nip}
    filters = {"context": ("contextIdentifier",), "target": ("targetIdentifier",)}
    wanted = dict.fromkeys(filters.get(named, ("contextIdentifier", "targetIdentifier")), own)
    clerk = await log_in_as(wire, Subject("Pesel", PESEL), "Nip", wire.sandbox.nip)

    held = await rows(wire, clerk.access, "personal/grants", wanted | {"permissionState": "Active"})
    granted = await rows(wire, tokens.access, "persons/grants", IN_CONTEXT | wanted)

    assert sorted(row["permissionScope"] for row in held) == ["CredentialsRead", "InvoiceRead"]
    # What was passed on to others is found by the context it was granted from, and by its own target only.
    passed_on = [(OTHER_PERSON, "InvoiceRead")] if named == "context" else []
    assert sorted((row["authorizedIdentifier"]["value"], row["permissionScope"]) for row in granted) == sorted(
        [(OFFICE, "InvoiceWrite"), (PESEL, "CredentialsRead"), (PESEL, "InvoiceRead"), *passed_on]
    )


async def test_grants_are_not_found_by_another_context(wire: Wire, tokens: Tokens) -> None:
    await grant_all(wire, tokens.access)
    clerk = await log_in_as(wire, Subject("Pesel", PESEL), "Nip", wire.sandbox.nip)

    for name in ("contextIdentifier", "targetIdentifier"):
        other = {name: {"type": "Nip", "value": OTHER}}
        assert await rows(wire, clerk.access, "personal/grants", other) == []
        assert await rows(wire, tokens.access, "persons/grants", IN_CONTEXT | other) == []


async def test_own_permissions_name_their_holder_only_where_it_is_another(wire: Wire, tokens: Tokens) -> None:
    await grant_all(wire, tokens.access)
    person = {"nip": OTHER, "pesel": PESEL, "isBailiff": False, "description": "Sole trader"}
    assert (await wire.call("POST", "/testdata/person", json=person)).status == 200

    told = {}
    for subject in (Subject("Pesel", PESEL), Subject("Nip", OTHER)):
        login = await log_in_as(wire, subject, "Nip", wire.sandbox.nip)
        found = await rows(wire, login.access, "personal/grants", {})
        told[subject.type] = {row.get("authorizedIdentifier", {}).get("value") for row in found}

    assert told == {"Pesel": {None}, "Nip": {PESEL}}


async def test_what_one_granted_by_nip_is_listed_by_pesel(wire: Wire, tokens: Tokens) -> None:
    await grant_all(wire, tokens.access)
    person = {"nip": wire.sandbox.nip, "pesel": OTHER_PERSON, "isBailiff": False, "description": "Sole trader"}
    assert (await wire.call("POST", "/testdata/person", json=person)).status == 200
    by_pesel = await log_in_as(wire, Subject("Pesel", OTHER_PERSON), "Nip", wire.sandbox.nip)

    assert len(await rows(wire, by_pesel.access, "persons/grants", GRANTED)) == 5
