-- One row for each certificate. A serial number is there once, whoever issued
-- it: two issuers against one database never repeat one. Times are seconds
-- since 1970; BIGINT and TEXT mean the same to SQLite and PostgreSQL.
CREATE TABLE certificates (
    serial        TEXT   NOT NULL PRIMARY KEY, -- lower-case hexadecimal
    issuer_key_id TEXT   NOT NULL,
    subject       TEXT   NOT NULL,
    sans          TEXT   NOT NULL,             -- a JSON list, with kinds
    profile       TEXT   NOT NULL,
    not_before    BIGINT NOT NULL,
    not_after     BIGINT NOT NULL,
    issued_at     BIGINT NOT NULL,
    revoked_at    BIGINT,
    reason        TEXT,
    pem           TEXT   NOT NULL,
    CHECK ((revoked_at IS NULL) = (reason IS NULL))
);
CREATE INDEX certificates_not_after ON certificates (not_after);
CREATE INDEX certificates_revoked ON certificates (issuer_key_id, revoked_at);

-- The number of each issuer's last CRL.
CREATE TABLE crl_numbers (
    issuer_key_id TEXT   NOT NULL PRIMARY KEY,
    number        BIGINT NOT NULL
);

-- Requests that were answered, so that a copy of one is not.
CREATE TABLE answered (
    digest TEXT   NOT NULL PRIMARY KEY,
    at     BIGINT NOT NULL
);
