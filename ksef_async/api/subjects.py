"""Persons and companies: how KSeF names them, and what it asks about them. Source: OpenAPI 2.9.0, /permissions."""

from __future__ import annotations

from datetime import date

import attrs

from .common import OpenStrEnum, text, wire_name

__all__ = [
    "EntityDetails",
    "EntityIdentifier",
    "EntityType",
    "EuSubjectDetails",
    "EuSubjectDetailsType",
    "FingerprintIdentifier",
    "FingerprintType",
    "ForeignEntityDetails",
    "IdDocument",
    "IdentifiedPersonDetails",
    "NipIdentifier",
    "NipType",
    "NipVatUeIdentifier",
    "NipVatUeType",
    "PersonDetails",
    "PersonIdentifier",
    "PersonIdentifierType",
    "SubjectDetails",
    "SubjectDetailsType",
    "TargetIdentifier",
    "TargetType",
    "UndocumentedPersonDetails",
    "UnitIdentifier",
    "UnitType",
]

# --- identifiers -----------------------------------------------------------------------------------------


class NipType(OpenStrEnum):
    """Where nothing but a NIP will do."""

    NIP = "Nip"


@attrs.frozen
class NipIdentifier:
    """A company, where nothing but its NIP will do."""

    type: NipType
    value: str


class EntityType(OpenStrEnum):
    """The kind of identifier that names a company or a Peppol provider."""

    NIP = "Nip"
    PEPPOL_ID = "PeppolId"


@attrs.frozen
class EntityIdentifier:
    """A company or a Peppol provider."""

    type: EntityType
    value: str


class UnitType(OpenStrEnum):
    """The kind of identifier that names a company or a unit of one."""

    NIP = "Nip"
    INTERNAL_ID = "InternalId"
    """A NIP, a hyphen and five digits, the last of them a check digit."""


@attrs.frozen
class UnitIdentifier:
    """A company or a unit of one."""

    type: UnitType
    value: str


class TargetType(OpenStrEnum):
    """For whom an indirect permission is."""

    NIP = "Nip"
    INTERNAL_ID = "InternalId"
    ALL_PARTNERS = "AllPartners"
    """Every client that lets its permissions be passed on."""


@attrs.frozen
class TargetIdentifier:
    """A client, or all of them."""

    type: TargetType
    value: str | None = None
    """None for `TargetType.ALL_PARTNERS`."""


class FingerprintType(OpenStrEnum):
    """Where nothing but a fingerprint will do."""

    FINGERPRINT = "Fingerprint"


@attrs.frozen
class FingerprintIdentifier:
    """The holder of a certificate: its SHA-256 in 64 hex digits."""

    type: FingerprintType
    value: str


class NipVatUeType(OpenStrEnum):
    """Where nothing but a NIP together with an EU VAT number will do."""

    NIP_VAT_UE = "NipVatUe"


@attrs.frozen
class NipVatUeIdentifier:
    """A Polish company and an EU entity that issues invoices in its name: ``7762811692-DE123456789``."""

    type: NipVatUeType
    value: str


class PersonIdentifierType(OpenStrEnum):
    """The kind of identifier that names a person."""

    PESEL = "Pesel"
    """The number of a person in Poland's register."""
    NIP = "Nip"
    """The person's tax number."""


@attrs.frozen
class PersonIdentifier:
    """A person, by PESEL or NIP."""

    type: PersonIdentifierType
    """NIP or PESEL."""
    value: str
    """The number itself."""


# --- who they are ----------------------------------------------------------------------------------------


@attrs.frozen
class PersonDetails:
    """A person whose certificate tells a NIP or PESEL, or who uses the Trusted Profile."""

    first_name: str = attrs.field(validator=text(2, 30))
    """First name."""
    last_name: str = attrs.field(validator=text(2, 81))
    """Last name."""


@attrs.frozen
class IdentifiedPersonDetails:
    """A person whose certificate tells neither NIP nor PESEL, but who has one."""

    first_name: str = attrs.field(validator=text(2, 30))
    """First name."""
    last_name: str = attrs.field(validator=text(2, 81))
    """Last name."""
    identifier: PersonIdentifier
    """Their NIP or PESEL."""


@attrs.frozen
class IdDocument:
    """A passport, or another document of identity."""

    type: str = attrs.field(validator=text(most=20))
    """The kind of document, for people."""
    number: str = attrs.field(validator=text(most=20))
    """The number on it."""
    country: str = attrs.field(validator=text(2, 2))
    """ISO 3166-1 alpha-2: two capital letters."""


@attrs.frozen
class UndocumentedPersonDetails:
    """A person who has neither NIP nor PESEL, but a passport or the like."""

    first_name: str = attrs.field(validator=text(2, 30))
    """First name."""
    last_name: str = attrs.field(validator=text(2, 81))
    """Last name."""
    birth_date: date
    """Date of birth."""
    id_document: IdDocument
    """What the person proves who they are with."""


@attrs.frozen
class EntityDetails:
    """A company that has a NIP."""

    full_name: str = attrs.field(validator=text(5, 90))


@attrs.frozen
class ForeignEntityDetails:
    """A company that has no NIP."""

    full_name: str = attrs.field(validator=text(most=100))
    address: str = attrs.field(validator=text(most=512))


class SubjectDetailsType(OpenStrEnum):
    """Which of the details of `SubjectDetails` is there."""

    PERSON_BY_IDENTIFIER = "PersonByIdentifier"
    PERSON_BY_FINGERPRINT_WITH_IDENTIFIER = "PersonByFingerprintWithIdentifier"
    PERSON_BY_FINGERPRINT_WITHOUT_IDENTIFIER = "PersonByFingerprintWithoutIdentifier"


@attrs.frozen(kw_only=True)
class SubjectDetails:
    """Who a person is, in one of three ways."""

    subject_details_type: SubjectDetailsType
    person: PersonDetails | None = attrs.field(default=None, metadata=wire_name("personById"))
    identified_person: IdentifiedPersonDetails | None = attrs.field(
        default=None, metadata=wire_name("personByFpWithId")
    )
    undocumented_person: UndocumentedPersonDetails | None = attrs.field(
        default=None, metadata=wire_name("personByFpNoId")
    )


class EuSubjectDetailsType(OpenStrEnum):
    """Which of the details of `EuSubjectDetails` is there."""

    PERSON_BY_FINGERPRINT_WITH_IDENTIFIER = "PersonByFingerprintWithIdentifier"
    PERSON_BY_FINGERPRINT_WITHOUT_IDENTIFIER = "PersonByFingerprintWithoutIdentifier"
    ENTITY_BY_FINGERPRINT = "EntityByFingerprint"


@attrs.frozen(kw_only=True)
class EuSubjectDetails:
    """Who acts for an EU entity, in one of three ways."""

    subject_details_type: EuSubjectDetailsType
    identified_person: IdentifiedPersonDetails | None = attrs.field(
        default=None, metadata=wire_name("personByFpWithId")
    )
    undocumented_person: UndocumentedPersonDetails | None = attrs.field(
        default=None, metadata=wire_name("personByFpNoId")
    )
    entity: ForeignEntityDetails | None = attrs.field(default=None, metadata=wire_name("entityByFp"))
