package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite" // the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors of this package, for errors.Is.
var (
	// ErrUnavailable: the database cannot be reached, is busy, full or broken.
	ErrUnavailable = errors.New("the inventory cannot be used")
	// ErrNotFound: there is no such certificate.
	ErrNotFound = errors.New("not in the inventory")
)

// DefaultFile is the name of the SQLite file in the directory of a CA.
const DefaultFile = "inventory.db"

// patience bounds each operation, waiting for others included.
const patience = 10 * time.Second

// A Store is an inventory in a database. Close it after use.
type Store struct {
	db       *sql.DB
	postgres bool
	name     string // for people: without a password
}

// Open opens an inventory and brings its schema up to date. The place is the
// path of an SQLite file, which is made with mode 0600 if it is not there, or a
// URL that begins with postgres:// or postgresql://.
//
// A URL that cannot be read and a path whose directory is not there are errors
// of their own; else errors match [ErrUnavailable].
func Open(ctx context.Context, place string) (*Store, error) {
	s, err := connect(place)
	if err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		s.db.Close()
		return nil, s.failed("opening", err)
	}
	return s, nil
}

// prepare brings the schema up to date. While one process turns a new SQLite
// file to its write-ahead log, others are told "busy" without having waited for
// as long as busy_timeout says, so the waiting is done here.
func (s *Store) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := s.migrate(ctx)
		if !isBusy(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY // the low byte, without the extension
}

// IsURL reports whether a place is a PostgreSQL URL rather than a path.
func IsURL(place string) bool {
	return strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://")
}

func connect(place string) (*Store, error) {
	if IsURL(place) {
		u, err := url.Parse(place)
		if err != nil {
			return nil, errors.New("the inventory's URL cannot be read; write postgres://user@host/database") // err has the password
		}
		q := u.Query()
		if !q.Has("connect_timeout") {
			q.Set("connect_timeout", fmt.Sprint(int(patience.Seconds())))
			u.RawQuery = q.Encode()
		}
		db, err := openPostgres(u.String())
		if err != nil {
			return nil, fmt.Errorf("the inventory %s: %w", u.Redacted(), err)
		}
		return &Store{db: db, postgres: true, name: u.Redacted()}, nil
	}
	if i := strings.Index(place, "://"); i > 0 {
		return nil, fmt.Errorf("the inventory cannot be in %s; write postgres://user@host/database or the path of an SQLite file", place[:i])
	}
	path, err := filepath.Abs(place)
	if err != nil {
		return nil, err
	}
	// SQLite would make it readable to others; its journals take over the mode.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	f.Close()
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", patience.Milliseconds()), "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
	}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	return &Store{db: db, name: path}, nil
}

// Close ends the use of the store.
func (s *Store) Close() error { return s.db.Close() }

// String returns where the store is, without a password.
func (s *Store) String() string { return s.name }

// sql writes a query in the database's dialect: ?1 is $1 to PostgreSQL.
func (s *Store) sql(query string) string {
	if s.postgres {
		return strings.ReplaceAll(query, "?", "$")
	}
	return query
}

// failed makes an error for people and callers of one of the database's.
func (s *Store) failed(step string, err error) error {
	if err == nil || errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &unavailableError{fmt.Sprintf("%s the inventory %s", step, s.name), err}
}

type unavailableError struct {
	step string
	err  error
}

func (e *unavailableError) Error() string { return fmt.Sprintf("%s: %v", e.step, e.err) }

func (e *unavailableError) Unwrap() []error { return []error{ErrUnavailable, e.err} }

// inTx runs one transaction: all of it or nothing.
func (s *Store) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit there is nothing left to roll back
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
