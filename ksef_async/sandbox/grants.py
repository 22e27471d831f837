"""Permissions and limits: who may do what on whose behalf, since when, and how much contexts and subjects may do.

A grant begins and ends at points in time, so everything is asked about at one. Source: uprawnienia.md.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Protocol

import attrs

from ..api.common import Context, ContextType, StatusInfo
from ..api.limits import (
    CertificateQuota,
    CollectiveIdentifierLimits,
    ContextLimits,
    EnrollmentQuota,
    SessionLimits,
    SubjectLimits,
)
from ..api.permissions import EntityDescription, PermissionState, PersonDescription
from ..api.subjects import ForeignEntityDetails, TargetIdentifier, TargetType
from ..protocol.lifecycle import PERMISSION_OPERATION, PermissionOperationCode
from ..protocol.resource_lifecycles import PERMISSION
from .intake import Relations
from .subjects import ALL_PERMISSIONS, OWNER_PERMISSIONS, Registry, Subject, nip_of
from .timeline import Step, Timeline

__all__ = ["Grant", "GrantKind", "Granted", "Grants", "Holder", "PermissionOperation"]


# --- permissions -----------------------------------------------------------------------------------------------------


class GrantKind(enum.Enum):
    """The way in which a permission was granted."""

    PERSON = enum.auto()
    """To whoever acts in the context itself."""
    ENTITY = enum.auto()
    """To another company, to handle the context's invoices."""
    INDIRECT = enum.auto()
    """To a person, by a company that clients have let pass on what they granted it."""
    SUBUNIT = enum.auto()
    """To the administrator of a unit, by the company above it."""
    EU_ADMINISTRATOR = enum.auto()
    EU_REPRESENTATIVE = enum.auto()
    AUTHORIZATION = enum.auto()
    """To act in the place of another company."""


@attrs.define(kw_only=True, eq=False)
class Grant:
    """One permission of one subject."""

    kind: GrantKind
    grantor: Context
    """The context in which it was granted."""
    context: Context
    """The context in which it is valid; with INDIRECT those of `target`."""
    subject: Subject
    author: Subject | None
    """None for KSeF itself."""
    permission: str
    description: str
    since: datetime
    until: datetime | None = None
    can_delegate: bool = False
    target: TargetIdentifier | None = None
    """Only with INDIRECT."""
    person: PersonDescription | None = None
    entity: EntityDescription | None = None
    name: str | None = None
    """The name of the unit or the EU entity."""
    eu_entity: ForeignEntityDetails | None = None
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    timeline: Timeline[PermissionState] | None = attrs.field(init=False, default=None)
    """Whether it had an effect, since somebody first looked."""

    def is_in_force(self, now: datetime) -> bool:
        """Return whether it has begun and was not revoked."""
        return self.since <= now and (self.until is None or now < self.until)

    def is_for(self, context: Context) -> bool:
        """Return whether it was passed on for acting in ``context``."""
        target = self.target
        return target is not None and (
            target.type == TargetType.ALL_PARTNERS
            or (target.type.value, target.value) == (context.type.value, context.value)
        )

    def found_by(self, context: Context) -> TargetIdentifier | None:
        """Return the target by which a list in ``context`` finds it.

        The specification speaks of indirect grants only; the Ministry's tests (PersonalPermissions_*_E2ETests) find
        direct grants by the context they are in, given as the target and as the context at once.
        """
        if self.target is None and self.context == context:
            return TargetIdentifier(TargetType(context.type.value), context.value)
        return self.target


@attrs.define(kw_only=True)
class PermissionOperation:
    """A grant or revocation that KSeF has accepted for processing."""

    reference_number: str
    context: Context
    started_at: datetime
    done_at: datetime
    code: PermissionOperationCode
    """The code of its end."""
    timeline: Timeline[PermissionOperationCode] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Timeline(PERMISSION_OPERATION, self.started_at), takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        self.timeline.plan(self.started_at, Step(self.done_at, self.code))

    def status_at(self, now: datetime) -> StatusInfo:
        """Return its status in KSeF's words."""
        return self.timeline.status_at(now)


class Grants:
    """All grants, and the persons and companies they are about."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.operations: dict[str, PermissionOperation] = {}
        """By their reference numbers."""
        self._grants: list[Grant] = []

    def add(self, *grants: Grant) -> None:
        """Add grants; one that exists already stays as it is."""
        for grant in grants:
            if not any(_is_same(grant, other) for other in self._grants):
                self._grants.append(grant)

    def end(self, matches: Callable[[Grant], bool], now: datetime) -> None:
        """End at once every grant that matches and has not ended, whether it has begun or not."""
        for grant in self._grants:
            if (grant.until is None or now < grant.until) and matches(grant):
                grant.until = now

    def in_force(self, now: datetime) -> Iterator[Grant]:
        """Return every grant that has begun and was not revoked, newest first."""
        ordered = sorted(self._grants, key=lambda grant: grant.id)
        ordered.sort(key=lambda grant: grant.since, reverse=True)
        return (grant for grant in ordered if grant.is_in_force(now))

    # --- who may do what ----------------------------------------------------------------------------------

    def is_owner(self, subject: Subject, context: Context, now: datetime) -> bool:
        """Return whether a context is the subject's own: by NIP, or by the PESEL of the person whose NIP it is."""
        if context.type != ContextType.NIP:
            return False
        return Subject("Nip", context.value) in self.registry.aliases(subject, now)

    def owned(self, subject: Subject, context: Context, now: datetime) -> tuple[str, ...]:
        """Return the permissions of a subject in a context that it owns; none in another."""
        if self.is_owner(subject, context, now):
            enforcing = ("EnforcementOperations",) if self.registry.may_enforce(context.value, now) else ()
            return (*OWNER_PERMISSIONS, *enforcing)
        is_provider = context.type == ContextType.PEPPOL_ID and subject == Subject("PeppolId", context.value)
        return ("PefInvoiceWrite",) if is_provider else ()

    def permissions(self, subject: Subject, context: Context, now: datetime) -> tuple[str, ...]:
        """Return the permissions of a subject in a context."""
        names = self.registry.aliases(subject, now)
        held = set(self.owned(subject, context, now))
        for grant in self.in_force(now):
            if grant.subject in names and grant.permission not in held and self._reaches(grant, context, now):
                held.add(grant.permission)
        return tuple(permission for permission in ALL_PERMISSIONS if permission in held)

    def _reaches(self, grant: Grant, context: Context, now: datetime) -> bool:
        if grant.kind is GrantKind.AUTHORIZATION:
            return False
        if grant.kind is GrantKind.INDIRECT:
            return grant.is_for(context) and self._lets_pass_on(context, grant, now)
        return grant.context == context

    def _lets_pass_on(self, client: Context | None, indirect: Grant, now: datetime) -> bool:
        """Return whether a client (for None: any client) allows an indirect grant."""
        return any(
            grant.kind is GrantKind.ENTITY
            and grant.can_delegate
            and grant.permission == indirect.permission
            and grant.subject == Subject("Nip", indirect.grantor.value)
            and client in (None, grant.context)
            for grant in self.in_force(now)
        )

    def state_of(self, grant: Grant, now: datetime) -> PermissionState:
        """Return whether a grant has an effect; what was passed on has none while no client allows it."""
        state = PermissionState.ACTIVE if self._is_active(grant, now) else PermissionState.INACTIVE
        if grant.timeline is None:
            grant.timeline = Timeline(PERMISSION, now, state)
        return grant.timeline.observe(now, state)

    def _is_active(self, grant: Grant, now: datetime) -> bool:
        if grant.kind is not GrantKind.INDIRECT or grant.target is None:
            return True
        if grant.target.type == TargetType.ALL_PARTNERS:
            return self._lets_pass_on(None, grant, now)
        client = Context(ContextType(grant.target.type.value), grant.target.value or "")
        return self._lets_pass_on(client, grant, now)

    def has_client(self, intermediary: Context, client: Context, now: datetime) -> bool:
        """Return whether a company may grant permissions on behalf of a client.

        It may where it can pass on a permission of the client, or manage the client's permissions.

        The specification asks for something that may be passed on. Two of the Ministry's tests grant for a client that
        gave CredentialsManage only, and see the operation succeed; what was granted so is inactive.
        """
        return any(
            ((grant.kind is GrantKind.ENTITY and grant.can_delegate) or grant.permission == "CredentialsManage")
            and grant.context == client
            and grant.subject == Subject("Nip", intermediary.value)
            for grant in self.in_force(now)
        )

    def has_lost_all(self, subject: Subject, context: Context, since: datetime, now: datetime) -> bool:
        """Return whether a subject was without any permission at some moment between ``since`` and ``now``.

        What it was granted afterwards does not count: tokens that have died by this stay dead.
        """
        ends = {grant.until for grant in self._grants if grant.until is not None and since < grant.until <= now}
        return any(not self.permissions(subject, context, end) for end in ends)

    # --- what follows for invoices ------------------------------------------------------------------------

    def relations_of(self, context: Context, now: datetime) -> Relations:
        """Return the relations of a context to the companies for which it may issue invoices."""
        kind, value = ("PeppolId", context.value) if context.type == ContextType.PEPPOL_ID else ("Nip", nip_of(context))
        roles = list(self.registry.roles_of(nip_of(context), now))
        return Relations(
            authorizations=frozenset(
                (grant.context.value, grant.permission)
                for grant in self.in_force(now)
                if grant.kind is GrantKind.AUTHORIZATION and (grant.subject.type, grant.subject.value) == (kind, value)
            ),
            roles=frozenset(role.role for role in roles),
            parents=frozenset(role.parent for role in roles if role.parent is not None),
        )

    def has_attachment_consent(self, context: Context, now: datetime) -> bool:
        """Return whether a context may send invoices with attachments in a batch."""
        return self.registry.may_send_attachments(context, now)


def _is_same(grant: Grant, other: Grant) -> bool:
    """Return whether two grants are of one permission, and both last."""
    return other.until is None and (
        (grant.kind, grant.grantor, grant.context, grant.subject, grant.permission, grant.target, grant.can_delegate)
        == (other.kind, other.grantor, other.context, other.subject, other.permission, other.target, other.can_delegate)
    )


# --- limits ----------------------------------------------------------------------------------------------------------


class Holder(Protocol):
    """A subject that can have limits of its own: a `world.Subject`."""

    @property
    def type(self) -> str:
        """Return ``Nip``, ``Pesel`` or ``Fingerprint``."""
        ...


class Granted:
    """The limits of contexts and subjects other than rate limits, which are in `RateLimiter`.

    Args:
        max_invoices: How many invoices a session takes.
    """

    def __init__(self, max_invoices: int) -> None:
        session = SessionLimits(max_invoice_size_mb=1, max_invoice_with_attachment_size_mb=3, max_invoices=max_invoices)
        self._default = ContextLimits(
            online_session=session, batch_session=session, collective_identifier=CollectiveIdentifierLimits(500)
        )
        self._contexts: dict[Context, ContextLimits] = {}
        self._subjects: dict[Holder, SubjectLimits] = {}

    def context(self, context: Context) -> ContextLimits:
        """Return the limits of a context."""
        return self._contexts.get(context, self._default)

    def override_context(self, context: Context, limits: ContextLimits) -> None:
        """Give a context limits of its own."""
        self._contexts[context] = limits

    def restore_context(self, context: Context) -> None:
        """Give a context the default limits again."""
        self._contexts.pop(context, None)

    def subject(self, subject: Holder) -> SubjectLimits:
        """Return the limits of a subject: 300 applications and 100 certificates with a NIP, otherwise 12 and 6."""
        enrollments, certificates = (300, 100) if subject.type == "Nip" else (12, 6)
        default = SubjectLimits(enrollment=EnrollmentQuota(enrollments), certificate=CertificateQuota(certificates))
        return self._subjects.get(subject, default)

    def override_subject(
        self, subject: Holder, enrollment: EnrollmentQuota | None, certificate: CertificateQuota | None
    ) -> None:
        """Give a subject limits of its own; None leaves one as it is."""
        limits = self.subject(subject)
        self._subjects[subject] = SubjectLimits(
            enrollment=enrollment or limits.enrollment, certificate=certificate or limits.certificate
        )

    def restore_subject(self, subject: Holder) -> None:
        """Give a subject the default limits again."""
        self._subjects.pop(subject, None)
