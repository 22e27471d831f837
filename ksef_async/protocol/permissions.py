"""What KSeF asks of a request about permissions, and would refuse with 21405. Source: OpenAPI 2.9.0, /permissions.

The lengths of texts are validated by the models themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import attrs

from ..api.common import OpenStrEnum, SubjectIdentifier, SubjectType
from ..api.permission_grants import SubunitGrantRequest
from ..api.permissions import AuthorIdentifier, AuthorType, EuPermissionFilter
from ..api.subjects import (
    EntityIdentifier,
    EuSubjectDetails,
    EuSubjectDetailsType,
    FingerprintIdentifier,
    ForeignEntityDetails,
    IdDocument,
    IdentifiedPersonDetails,
    NipIdentifier,
    NipVatUeIdentifier,
    PersonDetails,
    PersonIdentifier,
    SubjectDetails,
    SubjectDetailsType,
    TargetIdentifier,
    TargetType,
    UndocumentedPersonDetails,
    UnitIdentifier,
    UnitType,
)
from .numbers import has_valid_internal_id
from .wire import camel

__all__ = ["eu_subject_details", "person_details", "problems", "subject_identifier"]

_NIP: Final = r"[1-9]((\d[1-9])|([1-9]\d))\d{7}"
# How a value is written, by the type of the identifier.
_FORMS: Final = {
    "Nip": _NIP,
    "Pesel": r"\d{2}(0[1-9]|1[0-2]|2[1-9]|3[0-2]|4[1-9]|5[0-2]|6[1-9]|7[0-2]|8[1-9]|9[0-2])\d{7}",
    "Fingerprint": r"[0-9A-Fa-f]{64}",
    "InternalId": rf"{_NIP}-\d{{5}}",
    # 15 to 25 characters; how each country writes its numbers is KSeF's to check [INF].
    "NipVatUe": rf"(?=.{{15,25}}$){_NIP}-[A-Z]{{2}}[0-9A-Z+*]+",
    "PeppolId": r"P[A-Z]{2}\d{6}",
}
_VAT_UE: Final = (
    r"ATU\d{8}|BE[01]\d{9}|BG\d{9,10}|CY\d{8}[A-Z]|CZ\d{8,10}|DE\d{9}|DK\d{8}|EE\d{9}|EL\d{9}"
    r"|ES([A-Z]\d{8}|\d{8}[A-Z]|[A-Z]\d{7}[A-Z])|FI\d{8}|FR[A-Z0-9]{2}\d{9}|HR\d{11}|HU\d{8}"
    r"|IE(\d{7}[A-Z]{2}|\d[A-Z0-9+*]\d{5}[A-Z])|IT\d{11}|LT(\d{9}|\d{12})|LU\d{8}|LV\d{11}|MT\d{8}"
    r"|NL[A-Z0-9+*]{12}|PT\d{9}|RO\d{2,10}|SE\d{12}|SI\d{8}|SK\d{10}|XI((\d{9}|\d{12})|(GD|HA)\d{3})"
)
_ISO_3166: Final = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
    "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
    "FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
    "IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
    "ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
    "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
    "TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW "
)
# The countries there are: ISO 3166-1 alpha-2.
_COUNTRIES: Final = frozenset(_ISO_3166.split())
# Types that stand for themselves.
_WITHOUT_VALUE: Final = frozenset({TargetType.ALL_PARTNERS.value, AuthorType.SYSTEM.value})

_IDENTIFIERS: Final = (
    SubjectIdentifier, AuthorIdentifier, NipIdentifier, EntityIdentifier, UnitIdentifier, TargetIdentifier,
    FingerprintIdentifier, NipVatUeIdentifier, PersonIdentifier,
)  # fmt: skip

# Which details each type promises.
_DETAILS: Final = {
    SubjectDetailsType.PERSON_BY_IDENTIFIER: "person",
    SubjectDetailsType.PERSON_BY_FINGERPRINT_WITH_IDENTIFIER: "identified_person",
    SubjectDetailsType.PERSON_BY_FINGERPRINT_WITHOUT_IDENTIFIER: "undocumented_person",
    EuSubjectDetailsType.ENTITY_BY_FINGERPRINT: "entity",
}


def subject_identifier(subject: SubjectIdentifier | str) -> SubjectIdentifier:
    """Return a person or company by what it is named by: 10 digits are a NIP, 11 a PESEL, all else is a fingerprint."""
    if isinstance(subject, SubjectIdentifier):
        return subject
    kind = {10: SubjectType.NIP, 11: SubjectType.PESEL}.get(len(subject), SubjectType.FINGERPRINT)
    return SubjectIdentifier(kind, subject)


def person_details(
    details: PersonDetails | IdentifiedPersonDetails | UndocumentedPersonDetails,
) -> SubjectDetails:
    """``details`` as KSeF wants them, with their type."""
    if isinstance(details, PersonDetails):
        return SubjectDetails(subject_details_type=SubjectDetailsType.PERSON_BY_IDENTIFIER, person=details)
    if isinstance(details, IdentifiedPersonDetails):
        return SubjectDetails(
            subject_details_type=SubjectDetailsType.PERSON_BY_FINGERPRINT_WITH_IDENTIFIER, identified_person=details
        )
    return SubjectDetails(
        subject_details_type=SubjectDetailsType.PERSON_BY_FINGERPRINT_WITHOUT_IDENTIFIER, undocumented_person=details
    )


def eu_subject_details(
    details: IdentifiedPersonDetails | UndocumentedPersonDetails | ForeignEntityDetails,
) -> EuSubjectDetails:
    """``details`` as KSeF wants them, with their type."""
    if isinstance(details, IdentifiedPersonDetails):
        return EuSubjectDetails(
            subject_details_type=EuSubjectDetailsType.PERSON_BY_FINGERPRINT_WITH_IDENTIFIER, identified_person=details
        )
    if isinstance(details, UndocumentedPersonDetails):
        return EuSubjectDetails(
            subject_details_type=EuSubjectDetailsType.PERSON_BY_FINGERPRINT_WITHOUT_IDENTIFIER,
            undocumented_person=details,
        )
    return EuSubjectDetails(subject_details_type=EuSubjectDetailsType.ENTITY_BY_FINGERPRINT, entity=details)


def problems(request: attrs.AttrsInstance) -> Iterator[tuple[str, str]]:
    """Return what KSeF would refuse: the field, in KSeF's names, and the rule it breaks."""
    yield from _walk(request, "")
    if isinstance(request, SubunitGrantRequest):
        unit = request.context_identifier
        if unit.type == UnitType.INTERNAL_ID:
            if request.subunit_name is None:
                yield "subunitName", "must not be empty when the unit has an internal identifier"
            if re.fullmatch(_FORMS["InternalId"], unit.value, re.ASCII) and not has_valid_internal_id(unit.value):
                yield "contextIdentifier.value", "must end with its check digit"
    if isinstance(request, EuPermissionFilter):
        number = request.vat_ue_identifier
        if number is not None and not re.fullmatch(_VAT_UE, number, re.ASCII):
            yield "vatUeIdentifier", "is not in the correct format"


def _walk(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, OpenStrEnum):
        if not value.is_known:
            yield path, f"has no value '{value}'"
    elif isinstance(value, tuple):
        # What is asked for may be empty, what is granted may not [INF].
        if path == "permissions":
            yield from _granted(value, path)
        for place, item in enumerate(value):
            yield from _walk(item, f"{path}[{place}]")
    elif attrs.has(cls := type(value)):
        for field in attrs.fields(cls):
            name = field.metadata.get("wire_name") or camel(field.name)
            yield from _walk(getattr(value, field.name), f"{path}.{name}".removeprefix("."))
        if isinstance(value, _IDENTIFIERS):
            yield from _identifier(value, path)
        elif isinstance(value, SubjectDetails | EuSubjectDetails):
            yield from _details(value, path)
        elif isinstance(value, IdDocument) and value.country not in _COUNTRIES:
            yield f"{path}.country", "must be a country's code of ISO 3166-1 alpha-2, in capitals"


def _granted(permissions: tuple[Any, ...], path: str) -> Iterator[tuple[str, str]]:
    if not permissions:
        yield path, "must not be empty"
    kinds = [str(getattr(each, "type", getattr(each, "permission_type", each))) for each in permissions]
    if len(set(kinds)) < len(kinds):
        yield path, "must have each value once"


def _identifier(identifier: Any, path: str) -> Iterator[tuple[str, str]]:
    value: str | None = identifier.value
    if identifier.type in _WITHOUT_VALUE:
        if value is not None:
            yield f"{path}.value", f"must be empty for {identifier.type}"
    elif (form := _FORMS.get(identifier.type)) and (value is None or not re.fullmatch(form, value, re.ASCII)):
        yield f"{path}.value", f"is not in the correct format of {identifier.type}"


def _details(details: SubjectDetails | EuSubjectDetails, path: str) -> Iterator[tuple[str, str]]:
    name = _DETAILS.get(details.subject_details_type)
    if name is not None and getattr(details, name) is None:
        wire_name = attrs.fields_dict(type(details))[name].metadata["wire_name"]
        yield f"{path}.{wire_name}", f"must not be empty for {details.subject_details_type}"
