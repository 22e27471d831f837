from __future__ import annotations

from datetime import date

import pytest

from ksef_async.api.common import SubjectIdentifier, SubjectType
from ksef_async.api.permission_grants import AuthorizationGrantRequest
from ksef_async.api.permissions import EuPermissionFilter
from ksef_async.api.subjects import (
    EntityDetails,
    EntityIdentifier,
    EntityType,
    EuSubjectDetailsType,
    ForeignEntityDetails,
    IdDocument,
    PersonDetails,
    SubjectDetailsType,
    UndocumentedPersonDetails,
)
from ksef_async.protocol.permissions import eu_subject_details, person_details, problems, subject_identifier


@pytest.mark.parametrize(
    ("text", "kind"),
    [("7762811692", SubjectType.NIP), ("15062788702", SubjectType.PESEL), ("AB" * 32, SubjectType.FINGERPRINT)],
)
def test_subject_is_known_by_the_length_of_its_identifier(text: str, kind: SubjectType) -> None:
    assert subject_identifier(text) == SubjectIdentifier(kind, text)
    assert subject_identifier(SubjectIdentifier(SubjectType.NIP, text)) == SubjectIdentifier(SubjectType.NIP, text)


@pytest.mark.parametrize(
    ("number", "is_fine"),
    [
        ("DE123456789", True),
        ("ATU12345678", True),
        ("NL123456789B01", True),
        ("XIGD123", True),
        ("DE12345678", False),
        ("DE123456789 ", False),
        ("PL7762811692", False),
        ("DE１２３４５６７８９", False),
    ],
)
def test_eu_vat_number_is_written_as_its_country_writes_it(number: str, is_fine: bool) -> None:
    assert (list(problems(EuPermissionFilter(vat_ue_identifier=number))) == []) is is_fine


@pytest.mark.parametrize(
    ("kind", "value", "is_fine"),
    [
        (EntityType.NIP, "7762811692", True),
        (EntityType.PEPPOL_ID, "PPL123456", True),
        (EntityType.PEPPOL_ID, "7762811692", False),
        (EntityType.NIP, "PPL123456", False),
        (EntityType.NIP, "7762811692\n", False),
    ],
)
def test_value_fits_the_type_of_its_identifier(kind: EntityType, value: str, is_fine: bool) -> None:
    request = AuthorizationGrantRequest(
        subject_identifier=EntityIdentifier(kind, value),
        permission="SelfInvoicing",  # type: ignore[arg-type]  # as good as the enum's own
        description="Description",
        subject_details=EntityDetails("Biuro sp. z o.o."),
    )

    assert (list(problems(request)) == []) is is_fine


def test_details_are_put_where_their_kind_belongs() -> None:
    somebody = UndocumentedPersonDetails("Jan", "Cabacki", date(1990, 1, 2), IdDocument("Passport", "X1", "DE"))
    firm = ForeignEntityDetails("Firma G.m.b.H.", "Berlin")

    by_identifier = person_details(PersonDetails("Adam", "Abacki"))
    assert by_identifier.subject_details_type is SubjectDetailsType.PERSON_BY_IDENTIFIER
    undocumented = person_details(somebody)
    assert undocumented.subject_details_type is SubjectDetailsType.PERSON_BY_FINGERPRINT_WITHOUT_IDENTIFIER
    assert undocumented.undocumented_person is somebody
    assert eu_subject_details(somebody).undocumented_person is somebody
    assert eu_subject_details(firm).subject_details_type is EuSubjectDetailsType.ENTITY_BY_FINGERPRINT
    assert eu_subject_details(firm).entity is firm
