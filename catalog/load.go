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
		if bytes.Compare(key, last) <= 0 {
			return nil, errs.New(errs.CodeDecode, "the keys of the catalog are out of order")
		}
		last = append(last[:0], key...)
		o, err := ParseObject(key, val)
		if err != nil {
			return nil, err
		}
		if err := l.object(&o); err != nil {
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

func (l *loader) object(o *Object) error {
	switch o.Sort {
	case SortCounter:
		if o.ID != 0 || o.NextID <= uint64(FirstUserSpace) {
			return broken("the catalog's counter %d says %d", o.ID, o.NextID)
		}
		l.c.nextID = SpaceID(o.NextID)
		return nil
	case SortProject, SortScope, SortTable:
	default:
		return errs.New(errs.CodeUnavailable, "catalog object of unknown sort %d: the store was written by a newer version", o.Sort)
	}
	if err := CheckName("catalog object", o.Name); err != nil {
		return errs.Wrap(errs.CodeIntegrity, err, "catalog object %d", o.ID)
	}
	if err := l.take(o.ID); err != nil {
		return err
	}
	switch o.Sort {
	case SortProject:
		return l.project(o)
	case SortScope:
		return l.scope(o)
	}
	return l.table(o)
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

func (l *loader) project(o *Object) error {
	if _, ok := l.c.projects.Get(o.Name); ok {
		return broken("project %q is there twice", o.Name)
	}
	p := &Project{ID: o.ID, Name: o.Name, CreatedMicros: o.CreatedMicros}
	l.projects[o.ID] = p
	l.c.setProject(p)
	return nil
}

func (l *loader) scope(o *Object) error {
	p := l.projects[o.Parent]
	if p == nil {
		return broken("scope %q has no project", o.Name)
	}
	if _, ok := l.c.scopes.Get(child(p.ID, o.Name)); ok {
		return broken("scope %q is there twice in project %q", o.Name, p.Name)
	}
	s := &Scope{ID: o.ID, ProjectID: p.ID, Project: p.Name, Name: o.Name, CreatedMicros: o.CreatedMicros}
	l.scopes[o.ID] = s
	l.c.setScope(s)
	return nil
}

func (l *loader) table(o *Object) error {
	s := l.scopes[o.Parent]
	if s == nil {
		return broken("table %q has no scope", o.Name)
	}
	if _, ok := l.c.tables.Get(child(s.ID, o.Name)); ok {
		return broken("table %q is there twice in %s.%s", o.Name, s.Project, s.Name)
	}
	t, err := o.table(s)
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

// table gives an object the shape of a table.
func (o *Object) table(s *Scope) (*Table, error) {
	t := &Table{
		ID: o.ID, ScopeID: s.ID, Project: s.Project, Scope: s.Name, Name: o.Name,
		CreatedMicros: o.CreatedMicros, Managed: o.Managed, Columns: o.Columns, nextColumn: value.ColumnID(o.NextID),
	}
	if len(o.Columns) > MaxColumns || len(o.Indexes) > MaxIndexes {
		return nil, broken("table %s has %d columns and %d indexes", t, len(o.Columns), len(o.Indexes))
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
	if t.PrimaryKey, err = resolve("primary key", o.PrimaryKey); err != nil {
		return nil, err
	}
	for _, stored := range o.Indexes {
		x := Index{ID: stored.ID, Name: stored.Name, Unique: stored.Unique, CreatedMicros: stored.CreatedMicros}
		if x.Columns, err = resolve("index "+x.Name, stored.Columns); err != nil {
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

// ParseObject takes an entry apart. Errors have code decode; a sort that is not known
// is none.
func ParseObject(key, val []byte) (o Object, err error) {
	if len(key) != 9 {
		return o, errs.New(errs.CodeDecode, "catalog key of %d bytes, not 9", len(key))
	}
	o.Sort, o.ID = Sort(key[0]), SpaceID(binary.BigEndian.Uint64(key[1:]))
	err = tagged.Each(val, func(tag protowire.Number, n uint64, raw []byte) error {
		switch tag {
		case tagName:
			o.Name = string(raw)
		case tagParent:
			o.Parent = SpaceID(n)
		case tagCreated:
			o.CreatedMicros = int64(n)
		case tagManaged:
			o.Managed = n != 0
		case tagNextID:
			o.NextID = n
		case tagKey:
			o.PrimaryKey = append(o.PrimaryKey, value.ColumnID(n))
		case tagColumn:
			c, err := parseColumn(raw)
			o.Columns = append(o.Columns, c)
			return err
		case tagIndex:
			x, err := parseIndex(raw)
			o.Indexes = append(o.Indexes, x)
			return err
		}
		return nil
	})
	if err != nil {
		return o, errs.Wrap(errs.CodeDecode, err, "catalog object %d", o.ID)
	}
	return o, nil
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

func parseIndex(b []byte) (x ObjectIndex, err error) {
	err = tagged.Each(b, func(tag protowire.Number, n uint64, raw []byte) error {
		switch tag {
		case tagIndexID:
			x.ID = SpaceID(n)
		case tagIndexName:
			x.Name = string(raw)
		case tagIndexColumn:
			x.Columns = append(x.Columns, value.ColumnID(n))
		case tagIndexUnique:
			x.Unique = n != 0
		case tagIndexCreated:
			x.CreatedMicros = int64(n)
		}
		return nil
	})
	return x, err
}
