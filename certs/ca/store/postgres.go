package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// openPostgres returns the database of a URL. It speaks to it by pgx's own
// connection, in text: what the inventory holds are numbers and texts, and the
// table of PostgreSQL's types that comes with pgx's own driver is a tenth of a
// program that mostly never opens a database.
func openPostgres(url string) (*sql.DB, error) {
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	for _, name := range pgxSettings {
		delete(config.RuntimeParams, name)
	}
	return sql.OpenDB(&pgConnector{config}), nil
}

// pgxSettings are pgx's own settings in a URL; without prepared statements, which
// there are none of here, they choose nothing. A server would refuse them.
var pgxSettings = []string{"default_query_exec_mode", "statement_cache_capacity", "description_cache_capacity"}

// pgConnector is how [sql.DB] makes a connection.
type pgConnector struct{ config *pgconn.Config }

func (c *pgConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := pgconn.ConnectConfig(ctx, c.config)
	if err != nil {
		return nil, err
	}
	return &pgConn{conn, time.Now()}, nil
}

func (c *pgConnector) Driver() driver.Driver { return pgDriver{} }

// pgDriver is there for [sql.DB.Driver] alone.
type pgDriver struct{}

func (pgDriver) Open(url string) (driver.Conn, error) {
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	return (&pgConnector{config}).Connect(context.Background())
}

// pgConn is one connection. [sql.DB] has it used by one at a time.
type pgConn struct {
	conn *pgconn.PgConn
	used time.Time // when it was last taken into use
}

// trusted is how long after its last use a connection is taken to be there
// without asking.
const trusted = time.Second

func (c *pgConn) ResetSession(ctx context.Context) error {
	if !c.IsValid() {
		return driver.ErrBadConn
	}
	if time.Since(c.used) > trusted && c.conn.Ping(ctx) != nil {
		return driver.ErrBadConn
	}
	c.used = time.Now()
	return nil
}

// IsValid reports whether the connection may be kept: 'I' is idle, outside of
// any transaction (PostgreSQL's protocol 3.0, ReadyForQuery).
func (c *pgConn) IsValid() bool { return !c.conn.IsClosed() && c.conn.TxStatus() == 'I' }

func (c *pgConn) Ping(ctx context.Context) error { return retryable(c.conn.Ping(ctx)) }

func (c *pgConn) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.conn.Close(ctx)
}

func (c *pgConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 { // the simple protocol, which alone takes several statements
		results, err := c.conn.Exec(ctx, query).ReadAll()
		var changed driver.RowsAffected
		if len(results) > 0 {
			changed = driver.RowsAffected(results[len(results)-1].CommandTag.RowsAffected())
		}
		return changed, retryable(err)
	}
	reader, err := c.start(ctx, query, args)
	if err != nil {
		return nil, err
	}
	tag, err := reader.Close()
	return driver.RowsAffected(tag.RowsAffected()), retryable(err)
}

func (c *pgConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	reader, err := c.start(ctx, query, args)
	if err != nil {
		return nil, err
	}
	rows := &pgRows{reader: reader, waiting: reader.NextRow()} // what is wrong is known with the first
	for _, f := range reader.FieldDescriptions() {
		rows.names, rows.types = append(rows.names, f.Name), append(rows.types, f.DataTypeOID)
	}
	if !rows.waiting {
		if _, err := reader.Close(); err != nil {
			return nil, retryable(err)
		}
	}
	return rows, nil
}

// start sends one statement with its values in text, whose types the server
// finds from where they stand.
func (c *pgConn) start(ctx context.Context, query string, args []driver.NamedValue) (*pgconn.ResultReader, error) {
	values := make([][]byte, len(args))
	for i, a := range args {
		text, err := pgText(a.Value)
		if err != nil {
			return nil, err
		}
		values[i] = text
	}
	return c.conn.ExecParams(ctx, query, values, nil, nil, nil), nil
}

// pgText writes a value as PostgreSQL reads it; nil is NULL.
func pgText(v driver.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(v), nil
	case int64:
		return strconv.AppendInt(nil, v, 10), nil
	}
	return nil, fmt.Errorf("a %T is nothing that an inventory holds", v)
}

func (c *pgConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if opts != (driver.TxOptions{}) {
		return nil, errors.New("only transactions of the usual kind are made")
	}
	return pgTx{c}, c.run(ctx, "BEGIN")
}

// Begin and Prepare are of [driver.Conn]; [sql.DB] calls the others.

func (c *pgConn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

func (c *pgConn) Prepare(string) (driver.Stmt, error) {
	return nil, errors.New("statements are not prepared")
}

func (c *pgConn) run(ctx context.Context, command string) error {
	_, err := c.ExecContext(ctx, command, nil)
	return err
}

// retryable has [sql.DB] try another connection where nothing was sent on this one.
func retryable(err error) error {
	if err != nil && pgconn.SafeToRetry(err) {
		return driver.ErrBadConn
	}
	return err
}

// pgTx is the transaction of a connection.
type pgTx struct{ c *pgConn }

// Commit makes the transaction last. After a statement that went wrong the server
// answers COMMIT with ROLLBACK, and no error.
func (t pgTx) Commit() error {
	broken := t.c.conn.TxStatus() == 'E'
	if err := t.end("COMMIT"); err != nil {
		return err
	}
	if broken {
		return errors.New("the transaction was rolled back: a statement in it went wrong")
	}
	return nil
}

func (t pgTx) Rollback() error { return t.end("ROLLBACK") }

func (t pgTx) end(command string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return t.c.run(ctx, command)
}
