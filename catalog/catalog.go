package catalog

import (
	"encoding/binary"
	"iter"

	"github.com/tidwall/btree"

	"github.com/empyrealapp/aedb-go/errs"
)

// Catalog is the schema at one commit. It is immutable: Apply returns another.
// The zero Catalog is not usable; call New.
type Catalog struct {
	nextID   SpaceID
	projects *btree.Map[string, *Project] // by name
	scopes   *btree.Map[string, *Scope]   // by project id and name
	tables   *btree.Map[string, *Table]   // by scope id and name
	// spaces holds every space of users' data: that of a table and of its indexes
	// with the table, the key-value space of a scope with nil.
	spaces *btree.Map[SpaceID, *Table]
}

// New returns an empty catalog.
func New() *Catalog {
	return &Catalog{
		nextID:   FirstUserSpace,
		projects: new(btree.Map[string, *Project]),
		scopes:   new(btree.Map[string, *Scope]),
		tables:   new(btree.Map[string, *Table]),
		spaces:   new(btree.Map[SpaceID, *Table]),
	}
}

// child builds the key of a named object below a parent. All children of one
// parent are neighbours, ordered by name.
func child(parent SpaceID, name string) string {
	var b [8 + MaxNameBytes]byte
	binary.BigEndian.PutUint64(b[:8], uint64(parent))
	return string(append(b[:8], name...))
}

// Project returns the named project.
func (c *Catalog) Project(name string) (*Project, error) {
	if p, ok := c.projects.Get(name); ok {
		return p, nil
	}
	return nil, errs.New(errs.CodeProjectNotFound, "project %q does not exist", name).On(name)
}

// Scope returns the named scope of a project.
func (c *Catalog) Scope(project, name string) (*Scope, error) {
	p, err := c.Project(project)
	if err != nil {
		return nil, err
	}
	if s, ok := c.scopes.Get(child(p.ID, name)); ok {
		return s, nil
	}
	return nil, errs.New(errs.CodeScopeNotFound, "scope %q does not exist in project %q", name, project).On(name)
}

// Table returns the named table of a scope.
func (c *Catalog) Table(project, scope, name string) (*Table, error) {
	s, err := c.Scope(project, scope)
	if err != nil {
		return nil, err
	}
	if t, ok := c.tables.Get(child(s.ID, name)); ok {
		return t, nil
	}
	return nil, errs.New(errs.CodeTableNotFound, "table %q does not exist in %s.%s", name, project, scope).On(name)
}

// TableByID returns the table whose rows live in the given space, or nil.
func (c *Catalog) TableByID(id SpaceID) *Table {
	if t, _ := c.spaces.Get(id); t != nil && t.ID == id {
		return t
	}
	return nil
}

// IsIndex reports whether a space holds the entries of an index.
func (c *Catalog) IsIndex(id SpaceID) bool {
	t, _ := c.spaces.Get(id)
	return t != nil && t.ID != id
}

// Definition returns the key, in SpaceCatalog, of the object that defines a space
// of users' data: its scope, or the table that its rows or index entries belong
// to. It is false if there is no such space, or no longer.
func (c *Catalog) Definition(space SpaceID) (key []byte, ok bool) {
	t, ok := c.spaces.Get(space)
	switch {
	case !ok:
		return nil, false
	case t == nil:
		return scopeKey(space), true
	}
	return tableKey(t.ID), true
}

// Projects yields all projects by name.
func (c *Catalog) Projects() iter.Seq[*Project] {
	return func(yield func(*Project) bool) {
		c.projects.Scan(func(_ string, p *Project) bool { return yield(p) })
	}
}

// Scopes yields the scopes of a project by name.
func (c *Catalog) Scopes(p *Project) iter.Seq[*Scope] {
	return children(c.scopes, p.ID)
}

// Tables yields the tables of a scope by name.
func (c *Catalog) Tables(s *Scope) iter.Seq[*Table] {
	return children(c.tables, s.ID)
}

func children[V any](m *btree.Map[string, V], parent SpaceID) iter.Seq[V] {
	return func(yield func(V) bool) {
		first, end := child(parent, ""), child(parent+1, "")
		m.Ascend(first, func(key string, v V) bool { return key < end && yield(v) })
	}
}

// fork returns a catalog that can be changed without the receiver seeing it.
// The maps are copied by value first, because taking a copy marks the map it is
// taken from, and the receiver may be in use by others.
func (c *Catalog) fork() *Catalog {
	projects, scopes, tables, spaces := *c.projects, *c.scopes, *c.tables, *c.spaces
	return &Catalog{
		nextID:   c.nextID,
		projects: projects.Copy(),
		scopes:   scopes.Copy(),
		tables:   tables.Copy(),
		spaces:   spaces.Copy(),
	}
}

func (c *Catalog) allocate() SpaceID {
	id := c.nextID
	c.nextID++
	return id
}

func (c *Catalog) setProject(p *Project) { c.projects.Set(p.Name, p) }

func (c *Catalog) setScope(s *Scope) {
	c.scopes.Set(child(s.ProjectID, s.Name), s)
	c.spaces.Set(s.ID, nil)
}

func (c *Catalog) removeScope(s *Scope) {
	c.scopes.Delete(child(s.ProjectID, s.Name))
	c.spaces.Delete(s.ID)
}

func (c *Catalog) setTable(t *Table) {
	c.tables.Set(child(t.ScopeID, t.Name), t)
	for id := range t.spaces() {
		c.spaces.Set(id, t)
	}
}

func (c *Catalog) removeTable(t *Table) {
	c.tables.Delete(child(t.ScopeID, t.Name))
	for id := range t.spaces() {
		c.spaces.Delete(id)
	}
}
