package catalog

import (
	"bytes"
	"encoding/binary"
	"iter"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/tagged"
	"github.com/empyrealapp/aedb-go/value"
)

// Load builds a catalog from all entries of SpaceCatalog in key order. It checks
// what everything else relies on: names and ids are legal and single, parents are
// there, and whatever refers to a column has one. An entry that breaks a rule is
// an error of code decode or integrity_error, one of an unknown sort or with a
// column of unknown type is unavailable.
func Load(entries iter.Seq2[[]byte, []byte]) (*Catalog, error) {
	l := loader{
		c: New(), ids: map[SpaceID]struct{}{},
		projects: map[SpaceID]*Project{}, scopes: map[SpaceID]*Scope{},
	}
	var last []byte
	for key, val := range entries {
		if len(key) != 9 || bytes.Compare(key, last) <= 0 {
			return nil, errs.New(errs.CodeDecode, "catalog key of %d bytes, which is not 9 or out of order", len(key))
		}
		last = append(last[:0], key...)
		id := SpaceID(binary.BigEndian.Uint64(key[1:]))
		f, err := parse(val)
		if err != nil {
			return nil, errs.Wrap(errs.CodeDecode, err, "catalog object %d", id)
		}
		if err := l.object(key[0], id, &f); err != nil {
			return nil, err
		}
	}
	return l.c, nil
}

// loader is a catalog that is being loaded.
type loader struct {
	c        *Catalog
	ids      map[SpaceID]struct{}
	projects map[SpaceID]*Project
	scopes   map[SpaceID]*Scope
}

func broken(format string, args ...any) error {
	return errs.New(errs.CodeIntegrity, format, args...)
}

func (l *loader) object(sort byte, id SpaceID, f *fields) error {
	switch sort {
	case sortCounter:
		if id != 0 || f.nextID <= uint64(FirstUserSpace) {
			return broken("the catalog's counter %d says %d", id, f.nextID)
		}
		l.c.nextID = SpaceID(f.nextID)
		return nil
	case sortProject, sortScope, sortTable:
	default:
		return errs.New(errs.CodeUnavailable, "catalog object of unknown sort %d: the store was written by a newer version", sort)
	}
	if err := CheckName("catalog object", f.name); err != nil {
		return errs.Wrap(errs.CodeIntegrity, err, "catalog object %d", id)
	}
	if err := l.take(id); err != nil {
		return err
	}
	switch sort {
	case sortProject:
		return l.project(id, f)
	case sortScope:
		return l.scope(id, f)
	}
	return l.table(id, f)
}

// take claims an id, which must have been handed out and not be in use.
func (l *loader) take(id SpaceID) error {
	if id < FirstUserSpace || id >= l.c.nextID {
		return broken("catalog id %d was never handed out; the next is %d", id, l.c.nextID)
	}
	if _, taken := l.ids[id]; taken {
		return broken("catalog id %d is in use twice", id)
	}
	l.ids[id] = struct{}{}
	return nil
}

func (l *loader) project(id SpaceID, f *fields) error {
	if _, ok := l.c.projects.Get(f.name); ok {
		return broken("project %q is there twice", f.name)
	}
	p := &Project{ID: id, Name: f.name, CreatedMicros: f.created}
	l.projects[id] = p
	l.c.setProject(p)
	return nil
}

func (l *loader) scope(id SpaceID, f *fields) error {
	p := l.projects[f.parent]
	if p == nil {
		return broken("scope %q has no project", f.name)
	}
	if _, ok := l.c.scopes.Get(child(p.ID, f.name)); ok {
		return broken("scope %q is there twice in project %q", f.name, p.Name)
	}
	s := &Scope{ID: id, ProjectID: p.ID, Project: p.Name, Name: f.name, CreatedMicros: f.created}
	l.scopes[id] = s
	l.c.setScope(s)
	return nil
}

func (l *loader) table(id SpaceID, f *fields) error {
	s := l.scopes[f.parent]
	if s == nil {
		return broken("table %q has no scope", f.name)
	}
	if _, ok := l.c.tables.Get(child(s.ID, f.name)); ok {
		return broken("table %q is there twice in %s.%s", f.name, s.Project, s.Name)
	}
	t, err := f.table(id, s)
	if err != nil {
		return err
	}
	for _, x := range t.Indexes {
		if err := l.take(x.ID); err != nil {
			return err
		}
	}
	l.c.setTable(t)
	return nil
}

// table gives parsed fields the shape of a table.
func (f *fields) table(id SpaceID, s *Scope) (*Table, error) {
	t := &Table{
		ID: id, ScopeID: s.ID, Project: s.Project, Scope: s.Name, Name: f.name,
		CreatedMicros: f.created, Managed: f.managed, Columns: f.columns, nextColumn: value.ColumnID(f.nextID),
	}
	if len(f.columns) > MaxColumns || len(f.indexes) > MaxIndexes {
		return nil, broken("table %s has %d columns and %d indexes", t, len(f.columns), len(f.indexes))
	}
	position := make(map[value.ColumnID]int, len(t.Columns))
	for i, c := range t.Columns {
		if err := t.checkStoredColumn(c); err != nil {
			return nil, err
		}
		position[c.ID] = i
	}
	resolve := func(what string, ids []value.ColumnID) ([]int, error) {
		seen := make(map[int]struct{}, len(ids))
		out := make([]int, 0, len(ids))
		for _, id := range ids {
			p, ok := position[id]
			if _, twice := seen[p]; twice || !ok {
				return nil, broken("%s of table %s has column id %d, which is missing or used twice", what, t, id)
			}
			seen[p] = struct{}{}
			out = append(out, p)
		}
		if len(out) == 0 {
			return nil, broken("%s of table %s has no columns", what, t)
		}
		return out, nil
	}
	var err error
	if t.PrimaryKey, err = resolve("primary key", f.key); err != nil {
		return nil, err
	}
	for i := range f.indexes {
		x := f.indexes[i].Index
		if x.Columns, err = resolve("index "+x.Name, f.indexes[i].columns); err != nil {
			return nil, err
		}
		if _, ok := t.Index(x.Name); ok || x.Name == "" {
			return nil, broken("index %q of table %s has no name or is there twice", x.Name, t)
		}
		t.Indexes = append(t.Indexes, &x)
	}
	t.derive()
	if len(position) != len(t.Columns) || len(t.positions) != len(t.Columns) {
		return nil, broken("table %s has a column twice", t)
	}
	return t, nil
}

// checkStoredColumn checks a column by itself.
func (t *Table) checkStoredColumn(c Column) error {
	switch {
	case c.Name == "" || c.ID == 0 || c.ID >= t.nextColumn:
		return broken("table %s has a column without a name or with id %d, which was never handed out", t, c.ID)
	case !validKind(c.Kind):
		return errs.New(errs.CodeUnavailable, "column %q of table %s has an unknown type: the store was written by a newer version", c.Name, t)
	case c.Default != nil && c.Default.Kind() != c.Kind && !(c.Nullable && c.Default.IsNull()):
		return broken("the default of column %q of table %s is of another type", c.Name, t)
	}
	return nil
}

// fields is what a parsed object holds, before it is given a shape.
type fields struct {
	name    string
	parent  SpaceID
	created int64
	managed bool
	nextID  uint64
	columns []Column
	key     []value.ColumnID
	indexes []indexFields
}

type indexFields struct {
	Index
	columns []value.ColumnID
}

func parse(b []byte) (f fields, err error) {
	err = tagged.Each(b, func(tag protowire.Number, n uint64, raw []byte) error {
		switch tag {
		case tagName:
			f.name = string(raw)
		case tagParent:
			f.parent = SpaceID(n)
		case tagCreated:
			f.created = int64(n)
		case tagManaged:
			f.managed = n != 0
		case tagNextID:
			f.nextID = n
		case tagKey:
			f.key = append(f.key, value.ColumnID(n))
		case tagColumn:
			c, err := parseColumn(raw)
			f.columns = append(f.columns, c)
			return err
		case tagIndex:
			x, err := parseIndex(raw)
			f.indexes = append(f.indexes, x)
			return err
		}
		return nil
	})
	return f, err
}

func parseColumn(b []byte) (c Column, err error) {
	err = tagged.Each(b, func(tag protowire.Number, n uint64, raw []byte) error {
		switch tag {
		case tagColumnID:
			c.ID = value.ColumnID(n)
		case tagColumnName:
			c.Name = string(raw)
		case tagColumnKind:
			c.Kind = value.Kind(n)
		case tagColumnNullable:
			c.Nullable = n != 0
		case tagColumnDefault:
			v, rest, err := value.DecodeKey(raw)
			if err == nil && len(rest) > 0 {
				err = errs.New(errs.CodeDecode, "default has %d bytes too many", len(rest))
			}
			c.Default = &v
			return err
		}
		return nil
	})
	return c, err
}

func parseIndex(b []byte) (x indexFields, err error) {
	err = tagged.Each(b, func(tag protowire.Number, n uint64, raw []byte) error {
		switch tag {
		case tagIndexID:
			x.ID = SpaceID(n)
		case tagIndexName:
			x.Name = string(raw)
		case tagIndexColumn:
			x.columns = append(x.columns, value.ColumnID(n))
		case tagIndexUnique:
			x.Unique = n != 0
		case tagIndexCreated:
			x.CreatedMicros = int64(n)
		}
		return nil
	})
	return x, err
}
