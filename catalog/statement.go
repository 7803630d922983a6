package catalog

import (
	"slices"

	"github.com/empyrealapp/aedb-go/value"
)

// Statement is one definition statement. The set is closed.
type Statement interface {
	apply(c *Catalog, at int64, ch *Change) error
}

// CreateProject makes a project together with its scope "app". A project that
// exists already is left as it is, unless MustBeNew.
type CreateProject struct {
	Project   string
	MustBeNew bool
}

// DropProject removes a project with all its scopes, tables and data. A missing
// project is no error, unless MustExist.
type DropProject struct {
	Project   string
	MustExist bool
}

// CreateScope makes a scope. A scope that exists is left as it is, unless
// MustBeNew.
type CreateScope struct {
	Project, Scope string
	MustBeNew      bool
}

// DropScope removes a scope with its tables and its key-value data. A missing
// scope is no error, unless MustExist.
type DropScope struct {
	Project, Scope string
	MustExist      bool
}

// ColumnSpec describes a column to be made.
type ColumnSpec struct {
	Name     string
	Kind     value.Kind
	Nullable bool
	// Default is stored where an insert leaves the column out; nil means none.
	Default *value.Value
}

// IndexSpec describes an index to be made.
type IndexSpec struct {
	Name    string
	Columns []string
	Unique  bool
}

// CreateTable makes a table, with indexes if any are listed. With IfNotExists a
// table that has just these columns and key, and the listed indexes among its
// own, is left as it is; a different one is still an error.
type CreateTable struct {
	Project, Scope, Table string
	Columns               []ColumnSpec
	PrimaryKey            []string
	Indexes               []IndexSpec
	IfNotExists           bool
}

// DropTable removes a table with its rows and indexes. A missing table is no
// error, unless MustExist.
type DropTable struct {
	Project, Scope, Table string
	MustExist             bool
}

// CreateIndex makes an index and fills it from the rows there are, within the
// same commit. With IfNotExists an identical index is left as it is.
type CreateIndex struct {
	Project, Scope, Table string
	Index                 IndexSpec
	IfNotExists           bool
}

// DropIndex removes an index. A missing index is no error, unless MustExist.
type DropIndex struct {
	Project, Scope, Table, Index string
	MustExist                    bool
}

// Clone returns a copy of the statement that shares nothing with it that could be
// modified, or nil for what is no statement.
func Clone(s Statement) Statement {
	switch s := s.(type) {
	case CreateProject, DropProject, CreateScope, DropScope, DropTable, DropIndex, CreateSystem:
		return s
	case CreateTable:
		s.Columns = slices.Clone(s.Columns)
		for i := range s.Columns {
			s.Columns[i].Default = cloneDefault(s.Columns[i].Default)
		}
		s.PrimaryKey = slices.Clone(s.PrimaryKey)
		s.Indexes = slices.Clone(s.Indexes)
		for i := range s.Indexes {
			s.Indexes[i] = s.Indexes[i].clone()
		}
		return s
	case CreateIndex:
		s.Index = s.Index.clone()
		return s
	}
	return nil
}

func cloneDefault(d *value.Value) *value.Value {
	if d == nil {
		return nil
	}
	v := *d
	return &v
}

func (s IndexSpec) clone() IndexSpec {
	s.Columns = slices.Clone(s.Columns)
	return s
}
