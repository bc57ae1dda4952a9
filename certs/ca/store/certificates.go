package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"mtlsproxy/certs/ca"
)

// Add writes a record, of a revoked certificate as one. A serial number that is there already gives an error
// that matches [ca.ErrDuplicateSerial]; see [ca.Inventory].
func (s *Store) Add(ctx context.Context, r ca.Record) error {
	sans, err := json.Marshal(r.SANs)
	if err != nil {
		return err
	}
	revoked := !r.RevokedAt.IsZero()
	revokedAt, reason := sql.NullInt64{Int64: r.RevokedAt.Unix(), Valid: revoked}, sql.NullString{String: string(r.Reason), Valid: revoked}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.sql(`INSERT INTO certificates
			(serial, issuer_key_id, subject, sans, profile, not_before, not_after, issued_at, revoked_at, reason, pem)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)`),
			r.Serial, r.IssuerKeyID, r.Subject, string(sans), r.Profile, r.NotBefore.Unix(), r.NotAfter.Unix(), r.IssuedAt.Unix(), revokedAt, reason, r.PEM)
		return err
	})
	if isDuplicate(err) {
		return fmt.Errorf("%s: %w", r.Serial, ca.ErrDuplicateSerial)
	}
	return s.failed("writing to", err)
}

func isDuplicate(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" // unique_violation
}

// Remove takes a record away. One that is not there is no error; one that is
// revoked stays.
func (s *Store) Remove(ctx context.Context, serial string) error {
	return s.failed("writing to", s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, s.sql("DELETE FROM certificates WHERE serial = ?1 AND revoked_at IS NULL"), serial)
		return err
	}))
}

const columns = "serial, issuer_key_id, subject, sans, profile, not_before, not_after, issued_at, revoked_at, reason, pem"

// Get returns the record of a serial number, as [ca.ParseSerial] writes it. One
// that is not there gives an error that matches [ErrNotFound].
func (s *Store) Get(ctx context.Context, serial string) (ca.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := scan(s.db.QueryRowContext(ctx, s.sql("SELECT "+columns+" FROM certificates WHERE serial = ?1"), serial))
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("serial number %s: %w", serial, ErrNotFound)
	}
	return r, s.failed("reading", err)
}

// A Filter says which records to list. Its zero value is all.
type Filter struct {
	Status        ca.Status // if empty, any
	ExpiresBefore time.Time // if zero, any; expired ones are left out then
	IssuerKeyID   string    // if empty, any
	Now           time.Time // if zero, the time it is
}

// List returns records, those that end first before the others.
func (s *Store) List(ctx context.Context, f Filter) ([]ca.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if f.Now.IsZero() {
		f.Now = time.Now()
	}
	var where []string
	var args []any
	and := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", fmt.Sprintf("\x00%d", len(args)), 1)
		}
		where = append(where, strings.ReplaceAll(condition, "\x00", "?"))
	}
	now := f.Now.Unix()
	switch f.Status {
	case ca.StatusRevoked:
		and("revoked_at IS NOT NULL")
	case ca.StatusExpired:
		and("revoked_at IS NULL AND not_after < ?", now)
	case ca.StatusGood:
		and("revoked_at IS NULL AND not_after >= ?", now)
	}
	if !f.ExpiresBefore.IsZero() {
		and("not_after >= ? AND not_after <= ?", now, f.ExpiresBefore.Unix())
	}
	if f.IssuerKeyID != "" {
		and("issuer_key_id = ?", f.IssuerKeyID)
	}
	query := "SELECT " + columns + " FROM certificates"
	if len(where) > 0 {
		query += " WHERE " + strings.Join(where, " AND ")
	}
	rows, err := s.db.QueryContext(ctx, s.sql(query+" ORDER BY not_after, serial"), args...)
	if err != nil {
		return nil, s.failed("reading", err)
	}
	defer rows.Close()
	out := []ca.Record{}
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, s.failed("reading", err)
		}
		out = append(out, r)
	}
	return out, s.failed("reading", rows.Err())
}

func scan(row interface{ Scan(...any) error }) (r ca.Record, err error) {
	var (
		sans                          string
		notBefore, notAfter, issuedAt int64
		revokedAt                     sql.NullInt64
		reason                        sql.NullString
	)
	if err := row.Scan(&r.Serial, &r.IssuerKeyID, &r.Subject, &sans, &r.Profile, &notBefore, &notAfter, &issuedAt, &revokedAt, &reason, &r.PEM); err != nil {
		return r, err
	}
	r.NotBefore, r.NotAfter, r.IssuedAt = time.Unix(notBefore, 0).UTC(), time.Unix(notAfter, 0).UTC(), time.Unix(issuedAt, 0).UTC()
	if revokedAt.Valid {
		r.RevokedAt, r.Reason = time.Unix(revokedAt.Int64, 0).UTC(), ca.Reason(reason.String)
	}
	return r, json.Unmarshal([]byte(sans), &r.SANs)
}
