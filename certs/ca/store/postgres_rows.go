package store

import (
	"database/sql/driver"
	"io"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgRows are the rows of one answer, read as they are asked for.
type pgRows struct {
	reader  *pgconn.ResultReader
	waiting bool // the reader stands before a row that was not handed on
	names   []string
	types   []uint32 // OIDs
}

func (r *pgRows) Columns() []string { return r.names }

func (r *pgRows) Close() error {
	_, err := r.reader.Close()
	return err
}

func (r *pgRows) Next(dest []driver.Value) error {
	if !r.waiting && !r.reader.NextRow() {
		if _, err := r.reader.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	r.waiting = false
	for i, text := range r.reader.Values() {
		v, err := pgValue(r.types[i], text)
		if err != nil {
			return err
		}
		dest[i] = v
	}
	return nil
}

// OIDs of the types that are numbers: src/include/catalog/pg_type.dat.
const (
	oidInt8 = 20
	oidInt2 = 21
	oidInt4 = 23
)

// pgValue reads a value in PostgreSQL's text; nil is NULL.
func pgValue(oid uint32, text []byte) (driver.Value, error) {
	switch {
	case text == nil:
		return nil, nil
	case oid == oidInt8 || oid == oidInt2 || oid == oidInt4:
		return strconv.ParseInt(string(text), 10, 64)
	}
	return string(text), nil
}
