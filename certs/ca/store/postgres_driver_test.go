package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func newPostgresStore(t *testing.T, settings string) *Store {
	t.Helper()
	return mustOpen(t, newPostgres(t)+strings.Replace(settings, "?", "&", 1))
}

func TestPostgresValues(t *testing.T) {
	s := newPostgresStore(t, "")
	rows, err := s.db.Query("SELECT n, n::text, NULLIF(n, 2), n = $2 FROM generate_series(1, $1::bigint) AS n ORDER BY 1", 3, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for want := int64(1); rows.Next(); want++ {
		var n int64
		var text string
		var null sql.NullInt64
		var last bool
		if err := rows.Scan(&n, &text, &null, &last); err != nil {
			t.Fatal(err)
		}
		if n != want || text != string(rune('0'+want)) || null.Valid != (want != 2) || last != (want == 3) {
			t.Errorf("row %d: got %d, %q, %v, %v", want, n, text, null, last)
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	var none *string
	if err := s.db.QueryRow("SELECT $1::text", nil).Scan(&none); err != nil || none != nil {
		t.Errorf("NULL came back as %v, %v", none, err)
	}
	if err := s.db.QueryRow("SELECT 1 WHERE $1 = 2", 1).Scan(new(int)); !errors.Is(err, sql.ErrNoRows) {
		t.Error("no row:", err)
	}
	if _, err := s.db.Exec("SELECT $1::float8", 1.5); err == nil {
		t.Error("a value is sent that is neither number nor text")
	}
	if err := s.db.QueryRow("SELECT 1 / (n - 2) FROM generate_series(1, 3) AS n OFFSET 1").Scan(new(int)); err == nil {
		t.Error("an error among the rows is not told")
	}
}

func TestPostgresTransactions(t *testing.T) {
	ctx := context.Background()
	s := newPostgresStore(t, "")
	count := func() (n int) {
		if err := s.db.QueryRow("SELECT count(*) FROM answered").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const insert = "INSERT INTO answered (digest, at) VALUES ($1, 1)"
	t.Run("one that went wrong is told apart at its end", func(t *testing.T) {
		err := s.inTx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.Exec(insert, "a"); err != nil {
				return err
			}
			_, err := tx.Exec(insert, "a")
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || pg.Code != "23505" {
				t.Errorf("got %v", err)
			}
			return nil // as if nothing had been
		})
		if err == nil || count() != 0 {
			t.Errorf("got %v and %d rows", err, count())
		}
	})
	t.Run("one that is cut off leaves nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		err := s.inTx(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, insert, "b"); err != nil {
				return err
			}
			time.AfterFunc(10*time.Millisecond, cancel)
			_, err := tx.ExecContext(ctx, "SELECT pg_sleep($1::int)", 60)
			return err
		})
		if !errors.Is(err, context.Canceled) || count() != 0 {
			t.Errorf("got %v and %d rows", err, count())
		}
	})
	t.Run("others than the usual kind are refused", func(t *testing.T) {
		if tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err == nil {
			_ = tx.Rollback()
			t.Error("got a transaction")
		}
	})
}

func TestPostgresConnectionsThatWereCut(t *testing.T) {
	s := newPostgresStore(t, "")
	s.db.SetMaxOpenConns(1)
	var pid int
	if err := s.db.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	admin, err := connect(postgresURL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.db.Exec("SELECT pg_terminate_backend($1, 5000)", pid); err != nil {
		t.Fatal(err)
	}
	// Later than trusted, the connection is asked whether it is there; before,
	// the statement on it fails, and the next has another.
	var next int
	for range 2 {
		if err = s.db.QueryRow("SELECT pg_backend_pid()").Scan(&next); err == nil {
			break
		}
	}
	if err != nil || next == pid {
		t.Errorf("got %v on connection %d after %d", err, next, pid)
	}
}

func TestPostgresURLs(t *testing.T) {
	t.Run("pgx's own settings are not sent", func(t *testing.T) {
		s := newPostgresStore(t, "?default_query_exec_mode=simple_protocol&statement_cache_capacity=0&application_name=issuer")
		var name string
		if err := s.db.QueryRow("SELECT current_setting('application_name')").Scan(&name); err != nil || name != "issuer" {
			t.Errorf("got %q, %v", name, err)
		}
	})
	t.Run("a setting that is wrong is an error without the password", func(t *testing.T) {
		_, err := connect("postgres://someone:secret@127.0.0.1:1/x?sslmode=perhaps")
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Error(err)
		}
	})
}
