package feed

import (
	"bytes"

	"github.com/empyrealapp/aedb-go/catalog"
)

// Options choose what a subscription is told of. The zero Options are everything
// but the engine's own tables.
type Options struct {
	// Only, unless empty, leaves only changes that at least one selector selects.
	Only []Selector
	// KeysOnly leaves out the contents before and after.
	KeysOnly bool
	// AllCommits also yields commits in which nothing was selected, without changes.
	AllCommits bool
	// SkipMissed goes on with the oldest commit retained where the next one is not,
	// after a Delta that says how many were missed, instead of ending with
	// seq_garbage_collected.
	SkipMissed bool
}

// Selector selects changes. Names that are empty stand for all; the engine's own
// project is selected by its name alone.
type Selector struct {
	Project, Scope string
	// Table selects the rows and the definition of a table, and nothing else.
	Table string
	// KeyPrefix, unless nil, selects the key-value entries whose keys begin with it,
	// and no rows. The definition of their scope is selected with them.
	KeyPrefix []byte
}

func (s *Selector) project(name string) bool {
	return s.Project == name || s.Project == "" && name != catalog.SystemProject
}

func (s *Selector) scope(project, name string) bool {
	return s.project(project) && (s.Scope == "" || s.Scope == name)
}

func (s *Selector) selectsProject(name string) bool {
	return s.project(name) && s.Scope == "" && s.Table == "" && s.KeyPrefix == nil
}

func (s *Selector) selectsScope(project, name string) bool {
	return s.scope(project, name) && s.Table == ""
}

func (s *Selector) selectsTable(t *catalog.Table) bool {
	return s.scope(t.Project, t.Scope) && (s.Table == "" || s.Table == t.Name) && s.KeyPrefix == nil
}

// hasPrefix tells whether a key begins with one of the prefixes.
func hasPrefix(key []byte, prefixes [][]byte) bool {
	for _, p := range prefixes {
		if bytes.HasPrefix(key, p) {
			return true
		}
	}
	return false
}
