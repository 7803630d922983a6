package reader

import (
	"sync/atomic"

	"github.com/empyrealapp/aedb-go/catalog"
)

// Names remembers what the names of one scope mean. What it remembers holds for
// one catalog only, the last one it was asked about: a change of the schema makes
// another catalog. It may be used concurrently; a nil Names remembers nothing.
type Names struct {
	known atomic.Pointer[known]
}

// known is immutable.
type known struct {
	catalog *catalog.Catalog
	scope   *catalog.Scope
	tables  []*catalog.Table
}

// maxKnownTables bounds the tables that a Names remembers, which it looks through
// one by one. Those beyond it are looked up in the catalog.
const maxKnownTables = 16

// of returns what is known of a catalog.
func (n *Names) of(c *catalog.Catalog) known {
	if k := n.known.Load(); k != nil && k.catalog == c {
		return *k
	}
	return known{catalog: c}
}

func (n *Names) remember(k known) { n.known.Store(&k) }

// Scope is catalog.Scope for the scope that these are the names of.
func (n *Names) Scope(c *catalog.Catalog, project, scope string) (*catalog.Scope, error) {
	if n == nil {
		return c.Scope(project, scope)
	}
	k := n.of(c)
	if k.scope != nil {
		return k.scope, nil
	}
	s, err := c.Scope(project, scope)
	if err != nil {
		return nil, err
	}
	k.scope = s
	n.remember(k)
	return s, nil
}

// Table is catalog.Table for a table of the scope that these are the names of.
func (n *Names) Table(c *catalog.Catalog, project, scope, table string) (*catalog.Table, error) {
	if n == nil {
		return c.Table(project, scope, table)
	}
	k := n.of(c)
	for _, t := range k.tables {
		if t.Name == table {
			return t, nil
		}
	}
	t, err := c.Table(project, scope, table)
	if err != nil {
		return nil, err
	}
	if len(k.tables) < maxKnownTables {
		k.tables = append(k.tables[:len(k.tables):len(k.tables)], t)
		n.remember(k)
	}
	return t, nil
}
