package main

import (
	"encoding/hex"
	"slices"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
)

// A cursor of scan is the primary key of a row, in the encoding of keys and in
// hexadecimal: where the next part goes on, whoever asks and at whatever snapshot. It
// says nothing that the row does not, and proves nothing, so it needs no seal.

// scanCursor returns the cursor behind a row; at has the place of each column of the
// primary key.
func scanCursor(row aedb.Row, at []int) string {
	var key []byte
	for _, i := range at {
		key = value.AppendKey(key, row[i])
	}
	return hex.EncodeToString(key)
}

// behind returns the condition that a row comes after that of a cursor. It bounds the
// first column by itself, so that a scan begins there.
func behind(cursor string, info aedb.TableInfo) (condition query.Expr, err error) {
	notOfTable := usagef("--cursor is not one of table %s", info.Name)
	raw, err := hex.DecodeString(cursor)
	if err != nil {
		return condition, notOfTable
	}
	key, rest, err := value.DecodeKeyRow(raw, len(info.PrimaryKey))
	if err != nil || len(rest) > 0 {
		return condition, notOfTable
	}
	for i, name := range slices.Backward(info.PrimaryKey) {
		at := slices.IndexFunc(info.Columns, func(c aedb.ColumnSpec) bool { return c.Name == name })
		switch {
		case key[i].Kind() != info.Columns[at].Kind:
			return condition, notOfTable
		case i == len(key)-1:
			condition = query.Gt(name, key[i])
		default:
			condition = query.And(query.Gte(name, key[i]), query.Or(query.Gt(name, key[i]), condition))
		}
	}
	return condition, nil
}

// withKey adds those columns of the primary key to a selection that it lacks: a cursor
// needs them. The empty selection is all columns.
func withKey(columns, primaryKey []string) []string {
	if len(columns) == 0 {
		return nil
	}
	all := slices.Clone(columns)
	for _, name := range primaryKey {
		if !slices.Contains(columns, name) {
			all = append(all, name)
		}
	}
	return all
}

// placesOf returns where names stand among columns.
func placesOf(names, columns []string) []int {
	at := make([]int, len(names))
	for i, name := range names {
		at[i] = slices.Index(columns, name)
	}
	return at
}
