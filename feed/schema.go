package feed

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// schema is a catalog as a subscription sees it: what each id stands for, and
// whether the subscription is told of it.
type schema struct {
	catalog *catalog.Catalog
	objects map[catalog.SpaceID]object
}

// object is a project, a scope, a table or an index.
type object struct {
	// created is the kind of change that made it; the next kind drops it.
	created        Kind
	project, scope string
	table          *catalog.Table // of a table or an index
	index          string
	selected       bool
	// prefixes are those of the keys that are selected in a scope.
	prefixes [][]byte
}

func (o *object) change(kind Kind) Change {
	c := Change{Kind: kind, Project: o.project, Scope: o.scope, Index: o.index}
	if o.table != nil {
		c.Table = o.table.Name
	}
	return c
}

// newSchema resolves the selectors for a catalog.
func newSchema(c *catalog.Catalog, only []Selector) *schema {
	if len(only) == 0 {
		only = []Selector{{}}
	}
	s := &schema{catalog: c, objects: map[catalog.SpaceID]object{}}
	for p := range c.Projects() {
		o := object{created: CreateProject, project: p.Name}
		for i := range only {
			o.selected = o.selected || only[i].selectsProject(p.Name)
		}
		s.objects[p.ID] = o
		for sc := range c.Scopes(p) {
			s.addScope(sc, only)
			for t := range c.Tables(sc) {
				s.addTable(t, only)
			}
		}
	}
	return s
}

func (s *schema) addScope(sc *catalog.Scope, only []Selector) {
	o := object{created: CreateScope, project: sc.Project, scope: sc.Name}
	for i := range only {
		if only[i].selectsScope(sc.Project, sc.Name) {
			o.selected = true
			o.prefixes = append(o.prefixes, only[i].KeyPrefix)
		}
	}
	s.objects[sc.ID] = o
}

func (s *schema) addTable(t *catalog.Table, only []Selector) {
	o := object{created: CreateTable, project: t.Project, scope: t.Scope, table: t}
	for i := range only {
		o.selected = o.selected || only[i].selectsTable(t)
	}
	s.objects[t.ID] = o
	o.created = CreateIndex
	for _, x := range t.Indexes {
		o.index = x.Name
		s.objects[x.ID] = o
	}
}

// definitions follows the catalog through the effects of one commit.
//
// A statement removes entries, then writes others, and last the counter of ids if
// it has used any. In between, what is written need not make a catalog: ids above
// the counter do not. So new objects are told of when they make one, which is
// before anything is written to them.
type definitions struct {
	only    []Selector
	schema  *schema
	entries map[string][]byte // as the effects so far have left them
	written []catalog.SpaceID // and not yet in schema
	removed bool              // schema still has objects that are gone
}

func newDefinitions(s *schema, only []Selector) *definitions {
	return &definitions{only: only, schema: s, entries: entriesOf(s.catalog)}
}

// apply takes an effect on the catalog and appends the changes that are complete
// with it.
func (d *definitions) apply(changes []Change, e *msgs.Effect) ([]Change, error) {
	id, err := objectID(e.Key)
	if err != nil {
		return changes, err
	}
	if e.Op == msgs.EffectDelete {
		delete(d.entries, string(e.Key))
		d.removed = true
		// The object stays in the schema until that is made anew, its data being
		// gone too.
		if o := d.schema.objects[id]; o.selected {
			changes = append(changes, o.change(o.created+1))
		}
		return changes, nil
	}
	d.entries[string(e.Key)] = e.Value
	if id != 0 {
		d.written = append(d.written, id)
	}
	c, err := load(d.entries)
	if err != nil {
		return changes, nil // not yet; finish finds out if it stays like that
	}
	before := d.schema
	d.schema, d.removed = newSchema(c, d.only), false
	for _, id := range d.written {
		changes = d.tell(changes, before, id)
	}
	d.written = d.written[:0]
	return changes, nil
}

// tell appends what the writing of one object has changed.
func (d *definitions) tell(changes []Change, before *schema, id catalog.SpaceID) []Change {
	now := d.schema.objects[id]
	if !now.selected {
		return changes
	}
	old, existed := before.objects[id]
	if !existed {
		return append(changes, now.change(now.created))
	}
	if now.table == nil {
		return changes
	}
	for _, x := range old.table.Indexes {
		if _, kept := d.schema.objects[x.ID]; !kept {
			changes = append(changes, indexChange(DropIndex, old, x))
		}
	}
	for _, x := range now.table.Indexes {
		if _, known := before.objects[x.ID]; !known {
			changes = append(changes, indexChange(CreateIndex, now, x))
		}
	}
	return changes
}

func indexChange(kind Kind, table object, x *catalog.Index) Change {
	table.index = x.Name
	return table.change(kind)
}

// finish returns the catalog after the commit, and an error if the effects do not
// make one.
func (d *definitions) finish() (*catalog.Catalog, error) {
	if len(d.written) == 0 && !d.removed {
		return d.schema.catalog, nil
	}
	return load(d.entries)
}

// objectID returns the id in the key of an entry of the catalog; 0 is the counter.
func objectID(key []byte) (catalog.SpaceID, error) {
	if len(key) != 9 {
		return 0, errs.New(errs.CodeIntegrity, "catalog key of %d bytes, which is not 9", len(key))
	}
	return catalog.SpaceID(binary.BigEndian.Uint64(key[1:])), nil
}

func entriesOf(c *catalog.Catalog) map[string][]byte {
	all := c.Entries()
	m := make(map[string][]byte, len(all))
	for _, e := range all {
		m[string(e.Key)] = e.Value
	}
	return m
}

func load(entries map[string][]byte) (*catalog.Catalog, error) {
	return catalog.Load(func(yield func(key, value []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			if !yield([]byte(key), entries[key]) {
				return
			}
		}
	})
}

func defines(set *msgs.Changeset) bool {
	return slices.ContainsFunc(set.Effects, func(e msgs.Effect) bool { return e.Space == catalog.SpaceCatalog })
}

// catalogBefore returns the schema before a commit that knows what it replaced.
func catalogBefore(set *msgs.Changeset) (*catalog.Catalog, error) {
	if !defines(set) {
		return set.Catalog, nil
	}
	entries := entriesOf(set.Catalog)
	for i := len(set.Effects) - 1; i >= 0; i-- {
		e := &set.Effects[i]
		if e.Space != catalog.SpaceCatalog {
			continue
		}
		if prior := set.Prior(i); prior.Version != 0 {
			entries[string(e.Key)] = prior.Value
		} else {
			delete(entries, string(e.Key))
		}
	}
	return load(entries)
}

// catalogAfter returns the schema after a commit that was made under another.
func catalogAfter(c *catalog.Catalog, set *msgs.Changeset) (*catalog.Catalog, error) {
	if !defines(set) {
		return c, nil
	}
	entries := entriesOf(c)
	for i := range set.Effects {
		switch e := &set.Effects[i]; {
		case e.Space != catalog.SpaceCatalog:
		case e.Op == msgs.EffectDelete:
			delete(entries, string(e.Key))
		default:
			entries[string(e.Key)] = e.Value
		}
	}
	return load(entries)
}
