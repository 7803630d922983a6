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

// Sorts of object. Part of the format: appended, never renumbered.
const (
	sortCounter byte = 1
	sortProject byte = 2
	sortScope   byte = 3
	sortTable   byte = 4
)

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

func objectKey(sort byte, id SpaceID) []byte {
	return binary.BigEndian.AppendUint64([]byte{sort}, uint64(id))
}

func projectKey(id SpaceID) []byte { return objectKey(sortProject, id) }
func scopeKey(id SpaceID) []byte   { return objectKey(sortScope, id) }
func tableKey(id SpaceID) []byte   { return objectKey(sortTable, id) }

func counterEntry(next SpaceID) Entry {
	return Entry{objectKey(sortCounter, 0), appendUint(nil, tagNextID, uint64(next))}
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
	b := appendText(nil, tagName, p.Name)
	b = appendUint(b, tagCreated, uint64(p.CreatedMicros))
	return Entry{projectKey(p.ID), b}
}

func scopeEntry(s *Scope) Entry {
	b := appendText(nil, tagName, s.Name)
	b = appendUint(b, tagParent, uint64(s.ProjectID))
	b = appendUint(b, tagCreated, uint64(s.CreatedMicros))
	return Entry{scopeKey(s.ID), b}
}

func tableEntry(t *Table) Entry {
	b := appendText(nil, tagName, t.Name)
	b = appendUint(b, tagParent, uint64(t.ScopeID))
	b = appendUint(b, tagCreated, uint64(t.CreatedMicros))
	if t.Managed {
		b = appendUint(b, tagManaged, 1)
	}
	b = appendUint(b, tagNextID, uint64(t.nextColumn))
	for _, c := range t.Columns {
		f := appendUint(nil, tagColumnID, uint64(c.ID))
		f = appendText(f, tagColumnName, c.Name)
		f = appendUint(f, tagColumnKind, uint64(c.Kind))
		if c.Nullable {
			f = appendUint(f, tagColumnNullable, 1)
		}
		if c.Default != nil {
			f = appendBytes(f, tagColumnDefault, value.AppendKey(nil, *c.Default))
		}
		b = appendBytes(b, tagColumn, f)
	}
	for _, p := range t.PrimaryKey {
		b = appendUint(b, tagKey, uint64(t.Columns[p].ID))
	}
	for _, x := range t.Indexes {
		f := appendUint(nil, tagIndexID, uint64(x.ID))
		f = appendText(f, tagIndexName, x.Name)
		for _, p := range x.Columns {
			f = appendUint(f, tagIndexColumn, uint64(t.Columns[p].ID))
		}
		if x.Unique {
			f = appendUint(f, tagIndexUnique, 1)
		}
		f = appendUint(f, tagIndexCreated, uint64(x.CreatedMicros))
		b = appendBytes(b, tagIndex, f)
	}
	return Entry{tableKey(t.ID), b}
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
