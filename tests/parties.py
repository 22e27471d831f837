"""Who takes part in tests of permissions: companies, an accountant's office, persons, an EU entity."""

from __future__ import annotations

import secrets
from typing import Any

from clients import QUICK

from ksef_async import Cadence, Context, ContextType, KsefClient, KsefToken, Pacer
from ksef_async.api.common import SubjectIdentifier, SubjectType
from ksef_async.api.subjects import IdentifiedPersonDetails, PersonDetails, PersonIdentifier, PersonIdentifierType
from ksef_async.resources.handles import OperationHandle
from ksef_async.sandbox import Sandbox
from ksef_async.sandbox.grants import Grant, GrantKind
from ksef_async.sandbox.subjects import ALL_PERMISSIONS, Subject
from ksef_async.sandbox.world import StoredToken, new_reference_number

OFFICE = "7762811692"
OTHER = "3568707925"
PESEL = "15062788702"
FINGERPRINT = "CEB3643BAC2C111ADDE971BDA5A80163441867D65389FC0BC0DFF8B4C1CD4E59"

ADAM = PersonDetails("Adam", "Abacki")
EVE = IdentifiedPersonDetails("Ewa", "Babacka", PersonIdentifier(PersonIdentifierType.PESEL, PESEL))

#: Looks often: the sandbox takes a twentieth of a second.
SOON = Cadence(interval=0.02, factor=1.0, deadline=5.0)


def person(pesel: str = PESEL) -> SubjectIdentifier:
    return SubjectIdentifier(SubjectType.PESEL, pesel)


def company(nip: str) -> SubjectIdentifier:
    return SubjectIdentifier(SubjectType.NIP, nip)


def token_of(sandbox: Sandbox, subject: Subject, context: Context) -> str:
    """A token for a context that is no NIP, or of somebody who does not own it."""
    now = sandbox.clock.now()
    secret = f"{new_reference_number('EC', now)}|{secrets.token_hex(32)}"
    sandbox.world.tokens[secret] = StoredToken(
        reference_number=secret[:36],
        context=context,
        author=subject,
        permissions=ALL_PERMISSIONS,
        description="For a test",
        created_at=now,
        active_at=now,
    )
    return secret


def grant(sandbox: Sandbox, kind: GrantKind, context: Context, subject: Subject, permission: str) -> None:
    """A permission in a context of the grantor's own, which no call of the API would give."""
    sandbox.world.grants.add(
        Grant(
            kind=kind,
            grantor=context,
            context=context,
            subject=subject,
            author=None,
            permission=permission,
            description="For a test",
            since=sandbox.clock.now(),
        )
    )


def client_of(sandbox: Sandbox, subject: Subject, context: Context | str, **options: Any) -> KsefClient:
    """A client for ``subject`` in a context (or in that of a NIP), with the token of its own."""
    if isinstance(context, str):
        context = Context(ContextType.NIP, context)
    credentials = KsefToken(context=context, token=token_of(sandbox, subject, context))
    return KsefClient(sandbox.environment, credentials, **{"pacer": Pacer.unlimited(), "retry": QUICK, **options})


def owner_of(sandbox: Sandbox, nip: str, **options: Any) -> KsefClient:
    """A client for a company in its own context."""
    return client_of(sandbox, Subject("Nip", nip), nip, **options)


async def done(handle: OperationHandle[Any]) -> None:
    """Wait for a grant or revocation."""
    await handle.wait(SOON)
