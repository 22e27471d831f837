CREATE TABLE ksef_contexts (
    context VARCHAR(32) NOT NULL,
    owner VARCHAR(64),
    expires_at FLOAT NOT NULL,
    pacing TEXT,
    trouble TEXT,
    PRIMARY KEY (context)
);
CREATE TABLE ksef_schema (
    version INTEGER NOT NULL
);
CREATE TABLE ksef_sessions (
    reference_number VARCHAR(64) NOT NULL,
    context VARCHAR(32) NOT NULL,
    form_code VARCHAR(32) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    snapshot BYTEA,
    is_open BOOLEAN NOT NULL,
    status_code INTEGER,
    opened_at FLOAT NOT NULL,
    uploaded TEXT,
    is_closing BOOLEAN,
    PRIMARY KEY (reference_number)
);
CREATE INDEX ksef_sessions_work ON ksef_sessions (context, is_open);
CREATE TABLE ksef_upos (
    id BIGSERIAL NOT NULL,
    session VARCHAR(64) NOT NULL,
    part VARCHAR(64) NOT NULL,
    document BYTEA NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (session, part)
);
CREATE TABLE ksef_submissions (
    id BIGSERIAL NOT NULL,
    key VARCHAR(255),
    context VARCHAR(32) NOT NULL,
    seller_nip VARCHAR(32) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    number VARCHAR(512) NOT NULL,
    form_code VARCHAR(32) NOT NULL,
    identity VARCHAR(600),
    sha256 BYTEA NOT NULL,
    document BYTEA NOT NULL,
    offline BOOLEAN NOT NULL,
    priority INTEGER NOT NULL,
    state VARCHAR(16) NOT NULL,
    owner VARCHAR(64),
    attempt INTEGER NOT NULL,
    session VARCHAR(64),
    reference_number VARCHAR(64),
    ksef_number VARCHAR(64),
    acquired_at FLOAT,
    is_duplicate BOOLEAN NOT NULL,
    reason_code INTEGER,
    reason TEXT,
    upo_id BIGINT,
    acknowledged BOOLEAN NOT NULL,
    submitted_at FLOAT NOT NULL,
    updated_at FLOAT NOT NULL,
    corrects BYTEA,
    PRIMARY KEY (id),
    UNIQUE (key),
    UNIQUE (identity),
    FOREIGN KEY(upo_id) REFERENCES ksef_upos (id)
);
CREATE INDEX ksef_submissions_identity ON ksef_submissions (seller_nip, kind, number);
CREATE INDEX ksef_submissions_queue ON ksef_submissions (state, context, form_code, priority DESC, attempt, id);
CREATE INDEX ksef_submissions_results ON ksef_submissions (acknowledged, state, id);
CREATE INDEX ksef_submissions_session ON ksef_submissions (session, sha256);
