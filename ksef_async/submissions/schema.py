"""The journal's tables, and the numbered steps that make or change them: no data is ever dropped.

For users with migrations of their own (Alembic), `METADATA` holds the same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.schema import CreateColumn

from ..errors import LocalProtocolError
from ..protocol.offline import OfflineMode

__all__ = ["CLAIM_ORDER", "CONTEXTS", "METADATA", "NEVER", "SESSIONS", "SUBMISSIONS", "UPOS", "VERSION", "migrate"]

METADATA: Final = MetaData()

NEVER: Final = 32_503_680_000.0
"""What ``send_by`` is where it is not known when a submission should be sent: the year 3000, behind all others."""

# SQLite numbers rows by itself only in a column of type INTEGER.
_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")

_SCHEMA: Final = Table("ksef_schema", METADATA, Column("version", Integer, nullable=False))

SUBMISSIONS: Final = Table(
    "ksef_submissions",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("context", String(32), nullable=False),
    # The caller's own, e.g. an order number.
    Column("caller_key", String(255)),
    Column("seller_nip", String(32), nullable=False),
    # VAT, KOR, ZAL, ... (RodzajFaktury), and the seller's number (P_2): see `Identity`.
    Column("kind", String(32), nullable=False),
    Column("number", String(512), nullable=False),
    Column("form_code", String(32), nullable=False),
    # Seller, kind and number while they are taken; NULL once the submission is rejected or cancelled.
    Column("taken_identity", String(600)),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("document", LargeBinary, nullable=False),
    # Whether it is sent with ``offlineMode: true``, from the next time it is sent on.
    Column("offline", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    # Who may write to it while it is being delivered, and which of their tries it is.
    Column("owner", String(64)),
    Column("attempt", Integer, nullable=False),
    Column("session", String(64)),
    Column("reference_number", String(64)),
    Column("ksef_number", String(64)),
    Column("acquired_at", Float),
    Column("is_duplicate", Boolean, nullable=False),
    Column("reason_code", Integer),
    Column("reason", Text),
    Column("upo_id", _NUMBER, ForeignKey("ksef_upos.id")),
    Column("acknowledged", Boolean, nullable=False),
    Column("submitted_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    # Of a technical correction: SHA-256 of the rejected offline invoice.
    Column("corrects", LargeBinary(32)),
    # How often KSeF failed on it by itself, though nothing is wrong with it (435, 500, 550).
    Column("failures", Integer, nullable=False, server_default="0"),
    # How many batches that it was in have come to nothing.
    Column("lost_batches", Integer, nullable=False, server_default="0"),
    # Its date (P_1) in ISO 8601; NULL where it could not be read, or where an earlier version wrote the row.
    Column("issued_on", String(10)),
    # The offline mode that it was issued in, see `OfflineMode`; NULL for one issued online. What is late when sent
    # counts as issued in the mode offline24.
    Column("mode", String(16)),
    # Of one issued offline: when it is too late; NULL where no deadline is known, or none holds any more.
    Column("due_by", Float),
    # When it should be with KSeF, for the order of claims: ``due_by``, or the midnight that ends its date.
    Column("send_by", Float, nullable=False, server_default=text(f"{NEVER:.1f}")),
    # Link of KOD II, where it has one.
    Column("certificate_link", Text),
    # Of a technical correction: the submission of the rejected offline invoice, where it is in this journal.
    Column("corrects_id", _NUMBER),
    # ``Online`` or ``Offline``, as KSeF decided when it accepted it.
    Column("invoicing_mode", String(16)),
    # What was reported about its deadline: 0 nothing, 1 that it is near, 2 that it has passed.
    Column("due_told", Integer, nullable=False, server_default="0"),
    # Of one issued online that cannot be online any more: ``offline`` or ``hold``, as the settings say.
    Column("late", String(16)),
    Index("ksef_submissions_session", "session", "sha256"),
    Index("ksef_submissions_identity", "seller_nip", "kind", "number"),
    Index("ksef_submissions_results", "acknowledged", "state", "id"),
)
"""Times are seconds since 1970 (UTC)."""

_T: Final = SUBMISSIONS.c
CLAIM_ORDER: Final = (_T.priority.desc(), _T.send_by, _T.attempt, _T.id)
"""In which submissions are claimed: what is due sooner first, and what failed before behind what did not."""
# So that a claim takes no longer the more are waiting.
_QUEUE: Final = Index("ksef_submissions_deadlines", _T.state, _T.context, _T.form_code, *CLAIM_ORDER)
# Only those issued offline, which are few.
_DUE: Final = Index(
    "ksef_submissions_due",
    _T.state,
    _T.context,
    _T.due_by,
    sqlite_where=_T.mode.is_not(None),
    postgresql_where=_T.mode.is_not(None),
)
# Of one company: what another has is nothing to it. The context comes second, so that a key alone is found as well.
_UNIQUE: Final = (
    Index("ksef_submissions_key", _T.caller_key, _T.context, unique=True),
    Index("ksef_submissions_taken", _T.taken_identity, _T.context, unique=True),
)

SESSIONS: Final = Table(
    "ksef_sessions",
    METADATA,
    Column("reference_number", String(64), primary_key=True),
    Column("context", String(32), nullable=False),
    Column("form_code", String(32), nullable=False),
    # ``online`` or ``batch``, for people: the library goes by the reference number.
    Column("kind", String(16), nullable=False),
    # With the session's AES key and, of a batch, the links to upload to; encrypted. NULL where the journal has no key
    # to encrypt it with.
    Column("snapshot", LargeBinary),
    # False once it is final at KSeF and its UPO, if any, is in the journal.
    Column("is_open", Boolean, nullable=False),
    Column("status_code", Integer),
    Column("opened_at", Float, nullable=False),
    # Of a batch: the ordinal numbers of the parts that are in.
    Column("uploaded", Text),
    # Of a batch: whether KSeF may have been asked to close it.
    Column("is_closing", Boolean),
    Index("ksef_sessions_work", "context", "is_open"),
)
"""Sessions that were opened, so that another process can go on with them, close them and fetch their UPO."""

UPOS: Final = Table(
    "ksef_upos",
    METADATA,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("session", String(64), nullable=False),
    # ``1``, ``2``, ... for a page of a session's UPO; the KSeF number for the UPO of one invoice.
    Column("part", String(64), nullable=False),
    Column("document", LargeBinary, nullable=False),
    UniqueConstraint("session", "part"),
)

CONTEXTS: Final = Table(
    "ksef_contexts",
    METADATA,
    Column("context", String(32), primary_key=True),
    Column("owner", String(64)),
    Column("expires_at", Float, nullable=False),
    Column("pacing", Text),
    Column("trouble", Text),
)
"""Who delivers for which context, until when; what is left of its rate limits follows it."""


def _first(connection: Connection) -> None:
    METADATA.create_all(connection)


def _corrections(connection: Connection) -> None:
    _add(connection, SUBMISSIONS, "corrects")


def _batches(connection: Connection) -> None:
    _add(connection, SESSIONS, "uploaded")
    _add(connection, SESSIONS, "is_closing")


def _queue(connection: Connection) -> None:
    # The index it made, of columns that were there then, is replaced by version 6.
    connection.exec_driver_sql("DROP INDEX IF EXISTS ksef_submissions_work")


def _companies_apart(connection: Connection) -> None:
    """Keys and identities of one company each.

    They were unique among all, by constraints of their columns, which SQLite cannot drop: so they move to new columns,
    and the old ones stay empty.
    """
    for name in ("caller_key", "taken_identity", "failures", "lost_batches"):
        _add(connection, SUBMISSIONS, name)
    if any(column["name"] == "identity" for column in inspect(connection).get_columns(SUBMISSIONS.name)):
        connection.exec_driver_sql(
            f"UPDATE {SUBMISSIONS.name} SET caller_key = key, taken_identity = identity, key = NULL, identity = NULL"  # noqa: S608  # no input
        )
    for index in _UNIQUE:
        index.create(connection, checkfirst=True)


def _deadlines(connection: Connection) -> None:
    for name in (
        "issued_on", "mode", "due_by", "send_by", "certificate_link", "corrects_id", "invoicing_mode", "due_told",
        "late",
    ):  # fmt: skip
        _add(connection, SUBMISSIONS, name)
    # Documents may be encrypted, so their dates, and with them the deadlines, stay unknown.
    connection.execute(
        update(SUBMISSIONS).where(_T.offline.is_(True), _T.mode.is_(None)).values(mode=OfflineMode.OFFLINE24.value)
    )
    for index in (_QUEUE, _DUE):
        index.create(connection, checkfirst=True)
    connection.exec_driver_sql("DROP INDEX IF EXISTS ksef_submissions_queue")


def _add(connection: Connection, table: Table, name: str) -> None:
    # The first step makes the tables as they are by now.
    if all(column["name"] != name for column in inspect(connection).get_columns(table.name)):
        kind = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {kind}")


# From each version to the next; a released step never changes.
_STEPS: Final[Mapping[int, Callable[[Connection], None]]] = {
    1: _first,
    2: _corrections,
    3: _batches,
    4: _queue,
    5: _companies_apart,
    6: _deadlines,
}

VERSION: Final = max(_STEPS)


def migrate(connection: Connection) -> None:
    """Bring the tables to `VERSION`; the caller's transaction keeps others from doing the same at once.

    Raises:
        LocalProtocolError: A later version of this library has been here.
    """
    _SCHEMA.create(connection, checkfirst=True)
    found = connection.execute(select(_SCHEMA.c.version)).scalar()
    if found is not None and found > VERSION:
        raise LocalProtocolError(
            f"The journal has version {found}; this ksef_async knows versions up to {VERSION}: update it."
        )
    for version in range((found or 0) + 1, VERSION + 1):
        _STEPS[version](connection)
    if found is None:
        connection.execute(insert(_SCHEMA).values(version=VERSION))
    elif found < VERSION:
        connection.execute(update(_SCHEMA).values(version=VERSION))
