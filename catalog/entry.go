package catalog

import (
	"bytes"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/empyrealapp/aedb-go/value"
)

// Entry is one catalog object as it is stored in SpaceCatalog. A key is one
// byte for the sort of object and eight big-endian bytes for its id; a value is
// a list of tagged fields, of which unknown ones are skipped.
type Entry struct {
	Key, Value []byte
}

// Sort is the sort of an Object. Part of the format: appended, never renumbered.
type Sort byte

// Sorts of object.
const (
	// SortCounter is the one object that holds the next id.
	SortCounter Sort = 1
	SortProject Sort = 2
	SortScope   Sort = 3
	SortTable   Sort = 4
)

// Object is an Entry taken apart. It need not make sense together with others: that
// is for Load to find out. Fields that the sort does not have are zero.
type Object struct {
	Sort          Sort
	ID            SpaceID // 0 for the counter
	Name          string
	Parent        SpaceID // the project of a scope, the scope of a table
	CreatedMicros int64
	Managed       bool
	NextID        uint64 // of the objects in a counter, of the columns in a table
	Columns       []Column
	PrimaryKey    []value.ColumnID
	Indexes       []ObjectIndex
}

// ObjectIndex is an index in an Object.
type ObjectIndex struct {
	ID            SpaceID
	Name          string
	Columns       []value.ColumnID
	Unique        bool
	CreatedMicros int64
}

// Field tags. Part of the format: appended, never reused.
const (
	tagName    protowire.Number = 1
	tagParent  protowire.Number = 2
	tagCreated protowire.Number = 3
	tagManaged protowire.Number = 4
	tagColumn  protowire.Number = 5
	tagKey     protowire.Number = 6
	tagIndex   protowire.Number = 7
	tagNextID  protowire.Number = 8

	tagColumnID       protowire.Number = 1
	tagColumnName     protowire.Number = 2
	tagColumnKind     protowire.Number = 3
	tagColumnNullable protowire.Number = 4
	tagColumnDefault  protowire.Number = 5

	tagIndexID      protowire.Number = 1
	tagIndexName    protowire.Number = 2
	tagIndexColumn  protowire.Number = 3
	tagIndexUnique  protowire.Number = 4
	tagIndexCreated protowire.Number = 5
)

func objectKey(sort Sort, id SpaceID) []byte {
	return binary.BigEndian.AppendUint64([]byte{byte(sort)}, uint64(id))
}

func projectKey(id SpaceID) []byte { return objectKey(SortProject, id) }
func scopeKey(id SpaceID) []byte   { return objectKey(SortScope, id) }
func tableKey(id SpaceID) []byte   { return objectKey(SortTable, id) }

func counterEntry(next SpaceID) Entry {
	return (&Object{Sort: SortCounter, NextID: uint64(next)}).Entry()
}

// Entries returns all objects as they are to be stored, in key order.
func (c *Catalog) Entries() []Entry {
	var all []Entry
	if c.nextID > FirstUserSpace {
		all = append(all, counterEntry(c.nextID))
	}
	for p := range c.Projects() {
		all = append(all, projectEntry(p))
		for s := range c.Scopes(p) {
			all = append(all, scopeEntry(s))
			for t := range c.Tables(s) {
				all = append(all, tableEntry(t))
			}
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return bytes.Compare(a.Key, b.Key) })
	return all
}

func projectEntry(p *Project) Entry {
	return (&Object{Sort: SortProject, ID: p.ID, Name: p.Name, CreatedMicros: p.CreatedMicros}).Entry()
}

func scopeEntry(s *Scope) Entry {
	return (&Object{Sort: SortScope, ID: s.ID, Name: s.Name, Parent: s.ProjectID, CreatedMicros: s.CreatedMicros}).Entry()
}

func tableEntry(t *Table) Entry {
	o := Object{
		Sort: SortTable, ID: t.ID, Name: t.Name, Parent: t.ScopeID, CreatedMicros: t.CreatedMicros,
		Managed: t.Managed, NextID: uint64(t.nextColumn), Columns: t.Columns, PrimaryKey: t.columnIDs(t.PrimaryKey),
	}
	for _, x := range t.Indexes {
		o.Indexes = append(o.Indexes, ObjectIndex{x.ID, x.Name, t.columnIDs(x.Columns), x.Unique, x.CreatedMicros})
	}
	return o.Entry()
}

// columnIDs returns the ids of the columns at positions.
func (t *Table) columnIDs(positions []int) []value.ColumnID {
	ids := make([]value.ColumnID, len(positions))
	for i, p := range positions {
		ids[i] = t.Columns[p].ID
	}
	return ids
}

// Entry returns the object as it is stored.
func (o *Object) Entry() Entry {
	var b []byte
	if o.Sort != SortCounter {
		b = appendText(b, tagName, o.Name)
	}
	if o.Sort == SortScope || o.Sort == SortTable {
		b = appendUint(b, tagParent, uint64(o.Parent))
	}
	if o.Sort != SortCounter {
		b = appendUint(b, tagCreated, uint64(o.CreatedMicros))
	}
	if o.Managed {
		b = appendUint(b, tagManaged, 1)
	}
	if o.Sort == SortCounter || o.Sort == SortTable {
		b = appendUint(b, tagNextID, o.NextID)
	}
	for _, c := range o.Columns {
		b = appendBytes(b, tagColumn, appendColumn(nil, c))
	}
	for _, id := range o.PrimaryKey {
		b = appendUint(b, tagKey, uint64(id))
	}
	for _, x := range o.Indexes {
		b = appendBytes(b, tagIndex, appendIndex(nil, x))
	}
	return Entry{objectKey(o.Sort, o.ID), b}
}

func appendColumn(b []byte, c Column) []byte {
	b = appendUint(b, tagColumnID, uint64(c.ID))
	b = appendText(b, tagColumnName, c.Name)
	b = appendUint(b, tagColumnKind, uint64(c.Kind))
	if c.Nullable {
		b = appendUint(b, tagColumnNullable, 1)
	}
	if c.Default != nil {
		b = appendBytes(b, tagColumnDefault, value.AppendKey(nil, *c.Default))
	}
	return b
}

func appendIndex(b []byte, x ObjectIndex) []byte {
	b = appendUint(b, tagIndexID, uint64(x.ID))
	b = appendText(b, tagIndexName, x.Name)
	for _, id := range x.Columns {
		b = appendUint(b, tagIndexColumn, uint64(id))
	}
	if x.Unique {
		b = appendUint(b, tagIndexUnique, 1)
	}
	return appendUint(b, tagIndexCreated, uint64(x.CreatedMicros))
}

func appendUint(b []byte, tag protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, tag, protowire.VarintType), v)
}

func appendBytes(b []byte, tag protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, tag, protowire.BytesType), v)
}

func appendText(b []byte, tag protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, tag, protowire.BytesType), v)
}
