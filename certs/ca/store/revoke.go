package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"mtlsproxy/certs/ca"
)

// ErrRevoked: the certificate is revoked already.
var ErrRevoked = errors.New("revoked already")

// Revoke marks a certificate as revoked and returns its record. One that is not
// there gives an error that matches [ErrNotFound]. One that is revoked already
// stays as it is, and the error matches [ErrRevoked]; only a hold may become
// something else.
func (s *Store) Revoke(ctx context.Context, serial string, reason ca.Reason, at time.Time) (ca.Record, error) {
	var changed int64
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.sql("UPDATE certificates SET revoked_at = ?1, reason = ?2 WHERE serial = ?3 AND (revoked_at IS NULL OR reason = ?4 AND ?2 <> ?4)"),
			at.Unix(), string(reason), serial, string(ca.CertificateHold))
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return ca.Record{}, s.failed("writing to", err)
	}
	r, err := s.Get(ctx, serial)
	if err == nil && changed == 0 {
		return r, fmt.Errorf("%s: %w", serial, ErrRevoked)
	}
	return r, err
}

// NextCRLNumber returns the number for an issuer's next CRL: one more than the
// last, and at least least.
func (s *Store) NextCRLNumber(ctx context.Context, issuerKeyID string, least int64) (n int64, err error) {
	// Both databases say what excluded means: the row that was to be inserted.
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, s.sql(`INSERT INTO crl_numbers (issuer_key_id, number) VALUES (?1, ?2)
			ON CONFLICT (issuer_key_id) DO UPDATE SET number =
				CASE WHEN crl_numbers.number >= excluded.number THEN crl_numbers.number + 1 ELSE excluded.number END
			RETURNING number`), issuerKeyID, max(1, least)).Scan(&n)
	})
	return n, s.failed("writing to", err)
}

// Answer remembers a request by a digest of it, and reports whether it is new.
// Of several that ask at the same time one is told so.
func (s *Store) Answer(ctx context.Context, digest string, at time.Time) (fresh bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, s.sql("INSERT INTO answered (digest, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING"), digest, at.Unix())
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		fresh = n == 1
		return err
	})
	return fresh, s.failed("writing to", err)
}
