package catalog

import (
	"slices"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// Change is what a statement did to the catalog, as physical entries.
type Change struct {
	// Applied is false for a tolerated no-op.
	Applied bool
	// Entries to be written to, and Removed keys to be deleted from SpaceCatalog.
	Entries []Entry
	Removed [][]byte
	// Dropped spaces, in the order of their removal.
	Dropped []SpaceID
	// Build lists the indexes that have to be filled from the rows of Table.
	Table *Table
	Build []*Index
}

// Apply returns the catalog that results from the statement at the given time
// in microseconds, and what changed. The receiver stays as it is.
func (c *Catalog) Apply(s Statement, at int64) (*Catalog, Change, error) {
	next := c.fork()
	var ch Change
	if err := s.apply(next, at, &ch); err != nil {
		return c, Change{}, err
	}
	if !ch.Applied {
		return c, Change{}, nil
	}
	if next.nextID != c.nextID {
		ch.Entries = append(ch.Entries, counterEntry(next.nextID))
	}
	return next, ch, nil
}

func userProject(name string) error {
	if name == SystemProject {
		return errs.New(errs.CodeValidation, "project %q is managed and read-only", name).On(name)
	}
	return nil
}

func (s CreateProject) apply(c *Catalog, at int64, ch *Change) error {
	if err := CheckName("project", s.Project); err != nil {
		return err
	}
	if err := userProject(s.Project); err != nil {
		return err
	}
	if _, ok := c.projects.Get(s.Project); ok {
		if s.MustBeNew {
			return errs.New(errs.CodeProjectAlreadyExists, "project %q already exists", s.Project).On(s.Project)
		}
		return nil
	}
	c.createProject(s.Project, at, ch)
	return nil
}

func (c *Catalog) createProject(name string, at int64, ch *Change) *Project {
	ch.Applied = true
	p := &Project{ID: c.allocate(), Name: name, CreatedMicros: at}
	c.setProject(p)
	ch.Entries = append(ch.Entries, projectEntry(p))
	c.createScope(p, DefaultScope, at, ch)
	return p
}

func (c *Catalog) createScope(p *Project, name string, at int64, ch *Change) *Scope {
	ch.Applied = true
	s := &Scope{ID: c.allocate(), ProjectID: p.ID, Project: p.Name, Name: name, CreatedMicros: at}
	c.setScope(s)
	ch.Entries = append(ch.Entries, scopeEntry(s))
	return s
}

func (s DropProject) apply(c *Catalog, _ int64, ch *Change) error {
	if err := userProject(s.Project); err != nil {
		return err
	}
	p, err := c.Project(s.Project)
	if err != nil {
		if s.MustExist {
			return err
		}
		return nil
	}
	for _, sc := range slices.Collect(c.Scopes(p)) {
		c.dropScope(sc, ch)
	}
	c.projects.Delete(p.Name)
	ch.Applied = true
	ch.Removed = append(ch.Removed, projectKey(p.ID))
	return nil
}

func (s CreateScope) apply(c *Catalog, at int64, ch *Change) error {
	if err := CheckName("scope", s.Scope); err != nil {
		return err
	}
	if err := userProject(s.Project); err != nil {
		return err
	}
	p, err := c.Project(s.Project)
	if err != nil {
		return err
	}
	if _, ok := c.scopes.Get(child(p.ID, s.Scope)); ok {
		if s.MustBeNew {
			return errs.New(errs.CodeScopeAlreadyExists, "scope %q already exists in project %q", s.Scope, s.Project).On(s.Scope)
		}
		return nil
	}
	c.createScope(p, s.Scope, at, ch)
	return nil
}

func (s DropScope) apply(c *Catalog, _ int64, ch *Change) error {
	if err := userProject(s.Project); err != nil {
		return err
	}
	sc, err := c.Scope(s.Project, s.Scope)
	if err != nil {
		if s.MustExist {
			return err
		}
		return nil
	}
	c.dropScope(sc, ch)
	return nil
}

func (c *Catalog) dropScope(s *Scope, ch *Change) {
	for _, t := range slices.Collect(c.Tables(s)) {
		c.dropTable(t, ch)
	}
	c.removeScope(s)
	ch.Applied = true
	ch.Removed = append(ch.Removed, scopeKey(s.ID))
	ch.Dropped = append(ch.Dropped, s.ID)
}

func (c *Catalog) dropTable(t *Table, ch *Change) {
	c.removeTable(t)
	ch.Applied = true
	ch.Removed = append(ch.Removed, tableKey(t.ID))
	ch.Dropped = slices.AppendSeq(ch.Dropped, t.spaces())
}

func (s CreateTable) apply(c *Catalog, at int64, ch *Change) error {
	if s.Table == kvIndexTable {
		return errs.New(errs.CodeValidation, "table name %q is reserved", s.Table).On(s.Table)
	}
	if err := CheckName("table", s.Table); err != nil {
		return err
	}
	if err := userProject(s.Project); err != nil {
		return err
	}
	sc, err := c.Scope(s.Project, s.Scope)
	if err != nil {
		return err
	}
	old, exists := c.tables.Get(child(sc.ID, s.Table))
	if exists && !s.IfNotExists {
		return errs.New(errs.CodeTableAlreadyExists, "table %q already exists in %s.%s", s.Table, s.Project, s.Scope).On(s.Table)
	}
	t, err := s.build(sc, at)
	if err != nil {
		return err
	}
	if exists {
		if !old.satisfies(t) {
			return errs.New(errs.CodeTableAlreadyExists, "table %q already exists with another definition", s.Table).On(s.Table)
		}
		return nil
	}
	c.createTable(t, ch)
	return nil
}

// createTable gives the table and its indexes their ids and enters them.
func (c *Catalog) createTable(t *Table, ch *Change) {
	t.ID = c.allocate()
	for _, x := range t.Indexes {
		x.ID = c.allocate()
	}
	c.setTable(t)
	ch.Applied = true
	ch.Entries = append(ch.Entries, tableEntry(t))
}

// build checks the definition and makes a table without ids.
func (s CreateTable) build(sc *Scope, at int64) (*Table, error) {
	if len(s.Columns) == 0 {
		return nil, errs.New(errs.CodeValidation, "table %q has no columns", s.Table).On(s.Table)
	}
	if len(s.Columns) > MaxColumns {
		return nil, errs.Exceeded("columns of table "+s.Table, "max_columns_per_table", int64(len(s.Columns)), MaxColumns)
	}
	t := &Table{
		ScopeID: sc.ID, Project: sc.Project, Scope: sc.Name, Name: s.Table, CreatedMicros: at,
		Columns: make([]Column, len(s.Columns)), nextColumn: value.ColumnID(len(s.Columns)) + 1,
	}
	for i, spec := range s.Columns {
		if err := checkColumn(spec); err != nil {
			return nil, err
		}
		t.Columns[i] = Column{
			ID: value.ColumnID(i) + 1, Name: spec.Name, Kind: spec.Kind, Nullable: spec.Nullable,
			Default: cloneDefault(spec.Default),
		}
	}
	t.derive()
	if len(t.positions) != len(t.Columns) {
		return nil, errs.New(errs.CodeValidation, "table %q names a column twice", s.Table).On(s.Table)
	}
	if len(s.PrimaryKey) == 0 {
		return nil, errs.New(errs.CodeValidation, "table %q has no primary key", s.Table).On(s.Table)
	}
	key, err := t.resolve("primary key", s.PrimaryKey)
	if err != nil {
		return nil, err
	}
	t.PrimaryKey = key
	for _, p := range key {
		t.Columns[p].Nullable = false // a key column is never null, whatever was asked
	}
	for _, c := range t.Columns {
		if c.Default == nil {
			continue
		}
		if err := value.Check(c.Name, c.Kind, c.Nullable, MaxDefaultBytes, *c.Default); err != nil {
			return nil, err
		}
	}
	t.derive()
	for _, spec := range s.Indexes {
		if t, err = t.addIndex(spec, at); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func checkColumn(spec ColumnSpec) error {
	if err := CheckName("column", spec.Name); err != nil {
		return err
	}
	if !validKind(spec.Kind) {
		return errs.New(errs.CodeValidation, "column %q has no valid type", spec.Name).On(spec.Name)
	}
	return nil
}

func validKind(k value.Kind) bool { return k > value.KindNull && k <= value.KindBlob }

// MaxDefaultBytes bounds the content of a column's default.
const MaxDefaultBytes = 64 << 10

// resolve maps distinct column names to positions.
func (t *Table) resolve(what string, names []string) ([]int, error) {
	out := make([]int, 0, len(names))
	for _, n := range names {
		p, ok := t.positions[n]
		if !ok {
			return nil, errs.New(errs.CodeUnknownColumn, "%s of table %q names unknown column %q", what, t.Name, n).On(n)
		}
		if slices.Contains(out, p) {
			return nil, errs.New(errs.CodeValidation, "%s of table %q names column %q twice", what, t.Name, n).On(n)
		}
		out = append(out, p)
	}
	return out, nil
}

// addIndex returns the table with one more index, which has no id yet.
func (t *Table) addIndex(spec IndexSpec, at int64) (*Table, error) {
	if err := CheckName("index", spec.Name); err != nil {
		return nil, err
	}
	if len(spec.Columns) == 0 {
		return nil, errs.New(errs.CodeValidation, "index %q has no columns", spec.Name).On(spec.Name)
	}
	if _, ok := t.Index(spec.Name); ok {
		return nil, errs.New(errs.CodeIndexAlreadyExists, "index %q already exists on table %q", spec.Name, t.Name).On(spec.Name)
	}
	if len(t.Indexes) >= MaxIndexes {
		return nil, errs.Exceeded("indexes of table "+t.Name, "max_indexes_per_table", int64(len(t.Indexes)+1), MaxIndexes)
	}
	columns, err := t.resolve("index "+spec.Name, spec.Columns)
	if err != nil {
		return nil, err
	}
	x := &Index{Name: spec.Name, Columns: columns, Unique: spec.Unique, CreatedMicros: at}
	return t.with(append(slices.Clone(t.Indexes), x)), nil
}

// satisfies reports whether the table is the one asked for: ids and times
// differ, and it may have got more indexes since.
func (t *Table) satisfies(asked *Table) bool {
	sameColumn := func(x, y Column) bool {
		sameDefault := (x.Default == nil) == (y.Default == nil) && (x.Default == nil || *x.Default == *y.Default)
		return x.Name == y.Name && x.Kind == y.Kind && x.Nullable == y.Nullable && sameDefault
	}
	for _, x := range asked.Indexes {
		if y, ok := t.Index(x.Name); !ok || !sameIndex(x, y) {
			return false
		}
	}
	return slices.EqualFunc(t.Columns, asked.Columns, sameColumn) && slices.Equal(t.PrimaryKey, asked.PrimaryKey)
}

func sameIndex(x, y *Index) bool {
	return x.Name == y.Name && x.Unique == y.Unique && slices.Equal(x.Columns, y.Columns)
}

func (s DropTable) apply(c *Catalog, _ int64, ch *Change) error {
	if err := userProject(s.Project); err != nil {
		return err
	}
	t, err := c.Table(s.Project, s.Scope, s.Table)
	if err != nil {
		if s.MustExist {
			return err
		}
		return nil
	}
	c.dropTable(t, ch)
	return nil
}

func (s CreateIndex) apply(c *Catalog, at int64, ch *Change) error {
	if err := userProject(s.Project); err != nil {
		return err
	}
	t, err := c.Table(s.Project, s.Scope, s.Table)
	if err != nil {
		return err
	}
	if old, ok := t.Index(s.Index.Name); ok && s.IfNotExists {
		columns, err := t.resolve("index "+s.Index.Name, s.Index.Columns)
		if err != nil {
			return err
		}
		if sameIndex(old, &Index{Name: s.Index.Name, Columns: columns, Unique: s.Index.Unique}) {
			return nil
		}
	}
	next, err := t.addIndex(s.Index, at)
	if err != nil {
		return err
	}
	x := next.Indexes[len(next.Indexes)-1]
	x.ID = c.allocate()
	c.setTable(next)
	*ch = Change{Applied: true, Entries: []Entry{tableEntry(next)}, Table: next, Build: []*Index{x}}
	return nil
}

func (s DropIndex) apply(c *Catalog, _ int64, ch *Change) error {
	if err := userProject(s.Project); err != nil {
		return err
	}
	t, err := c.Table(s.Project, s.Scope, s.Table)
	if err != nil {
		if s.MustExist {
			return err
		}
		return nil
	}
	x, ok := t.Index(s.Index)
	if !ok {
		if s.MustExist {
			return errs.New(errs.CodeIndexNotFound, "index %q does not exist on table %q", s.Index, s.Table).On(s.Index)
		}
		return nil
	}
	next := t.with(slices.DeleteFunc(slices.Clone(t.Indexes), func(y *Index) bool { return y == x }))
	c.removeTable(t)
	c.setTable(next)
	*ch = Change{Applied: true, Entries: []Entry{tableEntry(next)}, Dropped: []SpaceID{x.ID}}
	return nil
}
