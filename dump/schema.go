package dump

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// definition is a catalog object in a line of the schema.
type definition struct {
	Sort       string          `json:"sort"`
	ID         catalog.SpaceID `json:"id,omitempty"`
	Name       string          `json:"name,omitempty"`
	Parent     catalog.SpaceID `json:"in,omitempty"`
	Created    int64           `json:"created_micros,omitempty"`
	Managed    bool            `json:"managed,omitempty"`
	NextID     uint64          `json:"next_id,omitempty"`
	Columns    []definedColumn `json:"columns,omitempty"`
	PrimaryKey []string        `json:"primary_key,omitempty"`
	Indexes    []definedIndex  `json:"indexes,omitempty"`
}

type definedColumn struct {
	ID value.ColumnID `json:"id"`
	column
	Nullable bool            `json:"nullable,omitempty"`
	Default  json.RawMessage `json:"default,omitempty"`
}

type definedIndex struct {
	ID      catalog.SpaceID `json:"id"`
	Name    string          `json:"name"`
	Columns []string        `json:"columns"`
	Unique  bool            `json:"unique,omitempty"`
	Created int64           `json:"created_micros,omitempty"`
}

// sorts are the names of the sorts of catalog object.
var sorts = []string{
	catalog.SortCounter: "counter", catalog.SortProject: "project",
	catalog.SortScope: "scope", catalog.SortTable: "table",
}

// define returns the definition in a catalog entry, if the very same bytes come out of
// its line again.
func define(key, stored []byte) (line []byte, ok bool) {
	o, err := catalog.ParseObject(key, stored)
	if err != nil || int(o.Sort) >= len(sorts) {
		return nil, false
	}
	d := definition{
		Sort: sorts[o.Sort], ID: o.ID, Name: o.Name, Parent: o.Parent, Created: o.CreatedMicros,
		Managed: o.Managed, NextID: o.NextID, PrimaryKey: columnNames(&o, o.PrimaryKey),
	}
	for _, c := range o.Columns {
		column := definedColumn{ID: c.ID, column: column{c.Name, c.Kind.String()}, Nullable: c.Nullable}
		if c.Default != nil {
			column.Default = value.AppendJSON(nil, *c.Default)
		}
		d.Columns = append(d.Columns, column)
	}
	for _, x := range o.Indexes {
		d.Indexes = append(d.Indexes, definedIndex{x.ID, x.Name, columnNames(&o, x.Columns), x.Unique, x.CreatedMicros})
	}
	if line, err = json.Marshal(d); err != nil {
		return nil, false
	}
	var back definition
	if err := json.Unmarshal(line, &back); err != nil {
		return nil, false
	}
	entry, err := back.entry()
	return line, err == nil && bytes.Equal(entry.Key, key) && bytes.Equal(entry.Value, stored)
}

// entry returns the catalog entry of a definition.
func (d *definition) entry() (catalog.Entry, error) {
	o := catalog.Object{
		Sort: catalog.Sort(max(0, slices.Index(sorts, d.Sort))), ID: d.ID, Name: d.Name, Parent: d.Parent,
		CreatedMicros: d.Created, Managed: d.Managed, NextID: d.NextID,
	}
	if o.Sort == 0 {
		return catalog.Entry{}, errs.New(errs.CodeDecode, "no catalog object is a %q", d.Sort)
	}
	if len(d.Columns) > catalog.MaxColumns { // names are looked up one by one
		return catalog.Entry{}, errs.New(errs.CodeDecode, "%s has %d columns, more than %d", d.Name, len(d.Columns), catalog.MaxColumns)
	}
	for _, c := range d.Columns {
		kind, err := value.ParseKind(c.Type)
		if err != nil {
			return catalog.Entry{}, errs.Wrap(errs.CodeDecode, err, "column %s of %s", c.Name, d.Name)
		}
		column := catalog.Column{ID: c.ID, Name: c.Name, Kind: kind, Nullable: c.Nullable}
		if c.Default != nil {
			v, err := value.ParseJSON(kind, c.Default)
			if err != nil {
				return catalog.Entry{}, errs.Wrap(errs.CodeDecode, err, "the default of column %s of %s", c.Name, d.Name)
			}
			column.Default = &v
		}
		o.Columns = append(o.Columns, column)
	}
	var err error
	if o.PrimaryKey, err = columnIDs(&o, d.PrimaryKey); err != nil {
		return catalog.Entry{}, err
	}
	for _, x := range d.Indexes {
		columns, err := columnIDs(&o, x.Columns)
		if err != nil {
			return catalog.Entry{}, err
		}
		o.Indexes = append(o.Indexes, catalog.ObjectIndex{
			ID: x.ID, Name: x.Name, Columns: columns, Unique: x.Unique, CreatedMicros: x.Created,
		})
	}
	return o.Entry(), nil
}

// columnNames names columns by their ids, an unknown one by nothing.
func columnNames(o *catalog.Object, ids []value.ColumnID) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		if at := slices.IndexFunc(o.Columns, func(c catalog.Column) bool { return c.ID == id }); at >= 0 {
			names[i] = o.Columns[at].Name
		}
	}
	return names
}

func columnIDs(o *catalog.Object, names []string) ([]value.ColumnID, error) {
	ids := make([]value.ColumnID, len(names))
	for i, name := range names {
		at := slices.IndexFunc(o.Columns, func(c catalog.Column) bool { return c.Name == name })
		if at < 0 {
			return nil, errs.New(errs.CodeDecode, "%s has no column %q", o.Name, name)
		}
		ids[i] = o.Columns[at].ID
	}
	return ids, nil
}
