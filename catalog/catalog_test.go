package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/value"
)

// mustApply applies statements, which must succeed.
func mustApply(t require.TestingT, c *Catalog, statements ...Statement) *Catalog {
	for _, s := range statements {
		next, _, err := c.Apply(s, 7)
		require.NoError(t, err, "%#v", s)
		c = next
	}
	return c
}

func columns(names ...string) (specs []ColumnSpec) {
	for _, n := range names {
		specs = append(specs, ColumnSpec{Name: n, Kind: value.KindInteger, Nullable: true})
	}
	return specs
}

// users is a table with the columns id, a and b.
func users() CreateTable {
	return CreateTable{
		Project: "p", Scope: "app", Table: "users",
		Columns: columns("id", "a", "b"), PrimaryKey: []string{"id"},
		Indexes: []IndexSpec{{Name: "by_a", Columns: []string{"a"}}},
	}
}

func withUsers(t require.TestingT) *Catalog {
	return mustApply(t, New(), CreateProject{Project: "p"}, users())
}

func TestCreatingAProjectMakesItsDefaultScope(t *testing.T) {
	c, ch, err := New().Apply(CreateProject{Project: "p"}, 42)
	require.NoError(t, err)
	require.True(t, ch.Applied)
	p, err := c.Project("p")
	require.NoError(t, err)
	require.Equal(t, &Project{ID: FirstUserSpace, Name: "p", CreatedMicros: 42}, p)
	s, err := c.Scope("p", DefaultScope)
	require.NoError(t, err)
	require.Equal(t, &Scope{ID: FirstUserSpace + 1, ProjectID: p.ID, Project: "p", Name: "app", CreatedMicros: 42}, s)
	require.Len(t, ch.Entries, 3, "project, scope and counter")
}

func TestApplyLeavesTheReceiverAsItWas(t *testing.T) {
	c := withUsers(t)
	before := c.Entries()
	for _, s := range []Statement{
		CreateProject{Project: "q"}, DropProject{Project: "p"}, CreateScope{Project: "p", Scope: "s"},
		DropScope{Project: "p", Scope: "app"}, DropTable{Project: "p", Scope: "app", Table: "users"},
		CreateIndex{Project: "p", Scope: "app", Table: "users", Index: IndexSpec{Name: "by_b", Columns: []string{"b"}}},
		DropIndex{Project: "p", Scope: "app", Table: "users", Index: "by_a"}, CreateSystem{},
	} {
		next, ch, err := c.Apply(s, 9)
		require.NoError(t, err)
		require.True(t, ch.Applied, "%#v", s)
		require.NotEqual(t, before, next.Entries(), "%#v", s)
		require.Equal(t, before, c.Entries(), "%#v", s)
	}
}

func TestNamesHaveOneRule(t *testing.T) {
	long := strings.Repeat("x", MaxNameBytes)
	for name, want := range map[string]errs.Code{
		"a": "", "_global": "", "A-b_9": "", long: "",
		"": errs.CodeValidation, "A::B": errs.CodeValidation, "users.v2": errs.CodeValidation,
		"by name": errs.CodeValidation, "é": errs.CodeValidation, "a\x00": errs.CodeValidation,
		long + "x": errs.CodeLimitExceeded,
	} {
		for field, s := range map[string]Statement{
			"project": CreateProject{Project: name},
			"scope":   CreateScope{Project: "p", Scope: name},
			"table": CreateTable{
				Project: "p", Scope: "app", Table: name, Columns: columns("id"), PrimaryKey: []string{"id"},
			},
			"column": CreateTable{
				Project: "p", Scope: "app", Table: "t", Columns: columns("id", name), PrimaryKey: []string{"id"},
			},
			"index": CreateIndex{
				Project: "p", Scope: "app", Table: "users", Index: IndexSpec{Name: name, Columns: []string{"a"}},
			},
		} {
			_, _, err := withUsers(t).Apply(s, 1)
			require.Equal(t, want, errs.CodeOf(err), "%s %q: %v", field, name, err)
			if want != "" {
				require.Equal(t, errs.Validation, errs.ClassOf(err))
				var e *errs.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, field, e.Object, "the error names the field")
			}
		}
	}
}

// A name is never cut: one that is too long must not find the object whose name
// is its beginning.
func TestATooLongNameFindsNothing(t *testing.T) {
	name := strings.Repeat("x", MaxNameBytes)
	c := mustApply(t, New(), CreateProject{Project: "p"}, CreateScope{Project: "p", Scope: name})
	_, err := c.Scope("p", name+"y")
	require.ErrorIs(t, err, errs.ErrScopeNotFound)
}

func TestStatementsFailWithTheirCode(t *testing.T) {
	base := mustApply(t, withUsers(t), CreateScope{Project: "p", Scope: "s"}, CreateSystem{})
	with := func(change func(*CreateTable)) CreateTable {
		s := users()
		s.Table = "other"
		change(&s)
		return s
	}
	index := func(x IndexSpec) CreateIndex {
		return CreateIndex{Project: "p", Scope: "app", Table: "users", Index: x}
	}
	integer, text := value.Int(1), value.Text("x")
	null := value.Null()
	cases := []struct {
		name string
		s    Statement
		code errs.Code
	}{
		{"project exists", CreateProject{Project: "p", MustBeNew: true}, errs.CodeProjectAlreadyExists},
		{"system project created", CreateProject{Project: SystemProject}, errs.CodeValidation},
		{"system project dropped", DropProject{Project: SystemProject}, errs.CodeValidation},
		{"system scope created", CreateScope{Project: SystemProject, Scope: "s"}, errs.CodeValidation},
		{"system scope dropped", DropScope{Project: SystemProject, Scope: DefaultScope}, errs.CodeValidation},
		{"system table dropped", DropTable{Project: SystemProject, Scope: DefaultScope, Table: EventOutbox}, errs.CodeValidation},
		{"system index created", CreateIndex{Project: SystemProject, Scope: DefaultScope, Table: EventOutbox}, errs.CodeValidation},
		{"system index dropped", DropIndex{Project: SystemProject, Scope: DefaultScope, Table: EventOutbox}, errs.CodeValidation},
		{"table in the system project", with(func(s *CreateTable) { s.Project = SystemProject }), errs.CodeValidation},
		{"project missing", DropProject{Project: "no", MustExist: true}, errs.CodeProjectNotFound},
		{"scope exists", CreateScope{Project: "p", Scope: "s", MustBeNew: true}, errs.CodeScopeAlreadyExists},
		{"scope in a missing project", CreateScope{Project: "no", Scope: "s"}, errs.CodeProjectNotFound},
		{"scope missing", DropScope{Project: "p", Scope: "no", MustExist: true}, errs.CodeScopeNotFound},
		{"scope of a missing project", DropScope{Project: "no", Scope: "s", MustExist: true}, errs.CodeProjectNotFound},
		{"table exists", users(), errs.CodeTableAlreadyExists},
		{"reserved table name", with(func(s *CreateTable) { s.Table = kvIndexTable }), errs.CodeValidation},
		{"table in a missing project", with(func(s *CreateTable) { s.Project = "no" }), errs.CodeProjectNotFound},
		{"table in a missing scope", with(func(s *CreateTable) { s.Scope = "no" }), errs.CodeScopeNotFound},
		{"no columns", with(func(s *CreateTable) { s.Columns = nil }), errs.CodeValidation},
		{"column twice", with(func(s *CreateTable) { s.Columns = columns("id", "a", "a") }), errs.CodeValidation},
		{"too many columns", with(func(s *CreateTable) { s.Columns = make([]ColumnSpec, MaxColumns+1) }), errs.CodeLimitExceeded},
		{"column of no type", with(func(s *CreateTable) { s.Columns[1].Kind = value.KindNull }), errs.CodeValidation},
		{"column of unknown type", with(func(s *CreateTable) { s.Columns[1].Kind = value.KindBlob + 1 }), errs.CodeValidation},
		{"no key", with(func(s *CreateTable) { s.PrimaryKey = nil }), errs.CodeValidation},
		{"key of unknown column", with(func(s *CreateTable) { s.PrimaryKey = []string{"no"} }), errs.CodeUnknownColumn},
		{"key column twice", with(func(s *CreateTable) { s.PrimaryKey = []string{"id", "id"} }), errs.CodeValidation},
		{"mistyped default", with(func(s *CreateTable) { s.Columns[1].Default = &text }), errs.CodeTypeMismatch},
		{"Null as default of a key column", with(func(s *CreateTable) { s.Columns[0].Default = &null }), errs.CodeNotNullViolation},
		{"good defaults", with(func(s *CreateTable) { s.Columns[1].Default, s.Columns[2].Default = &integer, &null }), ""},
		{"listed index twice", with(func(s *CreateTable) { s.Indexes = append(s.Indexes, s.Indexes[0]) }), errs.CodeIndexAlreadyExists},
		{"table missing", DropTable{Project: "p", Scope: "app", Table: "no", MustExist: true}, errs.CodeTableNotFound},
		{"index on a missing table", CreateIndex{Project: "p", Scope: "app", Table: "no"}, errs.CodeTableNotFound},
		{"index exists", index(IndexSpec{Name: "by_a", Columns: []string{"a"}}), errs.CodeIndexAlreadyExists},
		{"index of no columns", index(IndexSpec{Name: "x"}), errs.CodeValidation},
		{"index of unknown column", index(IndexSpec{Name: "x", Columns: []string{"no"}}), errs.CodeUnknownColumn},
		{"index column twice", index(IndexSpec{Name: "x", Columns: []string{"a", "a"}}), errs.CodeValidation},
		{"index missing", DropIndex{Project: "p", Scope: "app", Table: "users", Index: "no", MustExist: true}, errs.CodeIndexNotFound},
		{"index of a missing table", DropIndex{Project: "p", Scope: "app", Table: "no", Index: "x", MustExist: true}, errs.CodeTableNotFound},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			next, ch, err := base.Apply(tc.s, 1)
			require.Equal(t, tc.code, errs.CodeOf(err), "%v", err)
			if err != nil {
				require.Same(t, base, next)
				require.Equal(t, Change{}, ch)
			}
		})
	}
}

func TestToleratedStatementsChangeNothing(t *testing.T) {
	c := withUsers(t)
	again := users()
	again.IfNotExists = true
	for _, s := range []Statement{
		CreateProject{Project: "p"}, CreateScope{Project: "p", Scope: "app"}, again,
		DropProject{Project: "no"}, DropScope{Project: "p", Scope: "no"}, DropScope{Project: "no", Scope: "s"},
		DropTable{Project: "p", Scope: "app", Table: "no"}, DropTable{Project: "no", Scope: "app", Table: "no"},
		DropIndex{Project: "p", Scope: "app", Table: "users", Index: "no"},
		DropIndex{Project: "p", Scope: "app", Table: "no", Index: "no"},
		CreateIndex{Project: "p", Scope: "app", Table: "users", Index: users().Indexes[0], IfNotExists: true},
	} {
		next, ch, err := c.Apply(s, 99)
		require.NoError(t, err, "%#v", s)
		require.False(t, ch.Applied)
		require.Same(t, c, next, "the very same catalog: nothing is bound anew")
	}
}

func TestIfNotExistsRefusesAnotherDefinition(t *testing.T) {
	c := withUsers(t)
	one := value.Int(1)
	for name, change := range map[string]func(*CreateTable){
		"column name":   func(s *CreateTable) { s.Columns[2].Name = "c" },
		"column kind":   func(s *CreateTable) { s.Columns[2].Kind = value.KindText },
		"nullability":   func(s *CreateTable) { s.Columns[2].Nullable = false },
		"default":       func(s *CreateTable) { s.Columns[2].Default = &one },
		"more columns":  func(s *CreateTable) { s.Columns = columns("id", "a", "b", "c") },
		"primary key":   func(s *CreateTable) { s.PrimaryKey = []string{"id", "a"} },
		"unique index":  func(s *CreateTable) { s.Indexes[0].Unique = true },
		"index columns": func(s *CreateTable) { s.Indexes[0].Columns = []string{"b"} },
		"another index": func(s *CreateTable) { s.Indexes[0].Name = "by_c" },
	} {
		s := users()
		s.IfNotExists = true
		change(&s)
		_, _, err := c.Apply(s, 1)
		require.ErrorIs(t, err, errs.ErrTableAlreadyExists, name)
	}
	for _, x := range []IndexSpec{
		{Name: "by_a", Columns: []string{"b"}}, {Name: "by_a", Columns: []string{"a", "b"}},
		{Name: "by_a", Columns: []string{"a"}, Unique: true},
	} {
		_, _, err := c.Apply(CreateIndex{Project: "p", Scope: "app", Table: "users", Index: x, IfNotExists: true}, 1)
		require.ErrorIs(t, err, errs.ErrIndexAlreadyExists)
	}
}

// A program that declares its schema at every start must succeed the second time
// too, whether it lists an index with the table or makes it afterwards.
func TestIfNotExistsAcceptsATableThatHasMoreIndexes(t *testing.T) {
	table := users()
	table.IfNotExists, table.Indexes = true, nil
	index := CreateIndex{Project: "p", Scope: "app", Table: "users", Index: users().Indexes[0], IfNotExists: true}
	c := mustApply(t, New(), CreateProject{Project: "p"}, table, index)
	require.Same(t, c, mustApply(t, c, table, index))
}

func TestKeyColumnsAreNeverNullable(t *testing.T) {
	table, err := withUsers(t).Table("p", "app", "users")
	require.NoError(t, err)
	require.False(t, table.Columns[0].Nullable)
	require.True(t, table.Columns[1].Nullable)
	require.Equal(t, []int{1, 2}, table.Stored())
	require.Equal(t, 0, table.KeyOrdinal(0))
	require.Equal(t, -1, table.KeyOrdinal(1))
}

func TestObjectsDoNotShareMemoryWithStatements(t *testing.T) {
	one := value.Int(1)
	s := users()
	s.Columns[1].Default = &one
	c := mustApply(t, New(), CreateProject{Project: "p"}, s)
	before := c.Entries()
	copied := Clone(s)
	one, s.Columns[0].Name, s.PrimaryKey[0], s.Indexes[0].Columns[0] = value.Int(2), "x", "x", "x"
	require.Equal(t, before, c.Entries())
	require.Equal(t, before, mustApply(t, New(), CreateProject{Project: "p"}, copied).Entries())
	require.Nil(t, Clone(nil))
	require.Nil(t, Clone(&s), "a pointer is not one of the statements")
}

func TestDroppingAProjectDropsAllItsSpaces(t *testing.T) {
	c := mustApply(t, withUsers(t), CreateProject{Project: "q"}, CreateScope{Project: "p", Scope: "s"})
	app, err := c.Scope("p", "app")
	require.NoError(t, err)
	s, err := c.Scope("p", "s")
	require.NoError(t, err)
	table, err := c.Table("p", "app", "users")
	require.NoError(t, err)

	next, ch, err := c.Apply(DropProject{Project: "p"}, 1)
	require.NoError(t, err)
	require.ElementsMatch(t, []SpaceID{app.ID, s.ID, table.ID, table.Indexes[0].ID}, ch.Dropped)
	require.Len(t, ch.Removed, 4)
	for _, space := range ch.Dropped {
		_, ok := next.Definition(space)
		require.False(t, ok)
	}
	require.Nil(t, next.TableByID(table.ID))
	require.Len(t, slices.Collect(next.Projects()), 1)
}

func TestSpacesKnowTheirDefinition(t *testing.T) {
	c := withUsers(t)
	scope, err := c.Scope("p", "app")
	require.NoError(t, err)
	table, err := c.Table("p", "app", "users")
	require.NoError(t, err)
	for space, want := range map[SpaceID][]byte{
		scope.ID: scopeKey(scope.ID), table.ID: tableKey(table.ID), table.Indexes[0].ID: tableKey(table.ID),
	} {
		key, ok := c.Definition(space)
		require.True(t, ok)
		require.Equal(t, want, key)
	}
	_, ok := c.Definition(scope.ProjectID)
	require.False(t, ok, "a project is no space")
	require.Same(t, table, c.TableByID(table.ID))
	require.Nil(t, c.TableByID(table.Indexes[0].ID))
	require.Nil(t, c.TableByID(scope.ID))

	x := table.Indexes[0].ID
	c = mustApply(t, c, DropIndex{Project: "p", Scope: "app", Table: "users", Index: "by_a"})
	_, ok = c.Definition(x)
	require.False(t, ok)
	require.NotSame(t, table, c.TableByID(table.ID))
}

func TestObjectsAreListedByName(t *testing.T) {
	c := New()
	for _, p := range []string{"b", "a-", "a", "ab", "B"} {
		c = mustApply(t, c, CreateProject{Project: p})
		for _, s := range []string{"z", "y", "y-", "yy"} {
			c = mustApply(t, c, CreateScope{Project: p, Scope: s})
			for _, n := range []string{"t2", "t1", "t10"} {
				c = mustApply(t, c, CreateTable{
					Project: p, Scope: s, Table: n, Columns: columns("id"), PrimaryKey: []string{"id"},
				})
			}
		}
	}
	var projects, scopes, tables []string
	for p := range c.Projects() {
		projects = append(projects, p.Name)
		if p.Name != "a" {
			continue
		}
		for s := range c.Scopes(p) {
			scopes = append(scopes, s.Name)
			for table := range c.Tables(s) {
				tables = append(tables, table.String())
			}
		}
	}
	require.Equal(t, []string{"B", "a", "a-", "ab", "b"}, projects)
	require.Equal(t, []string{"app", "y", "y-", "yy", "z"}, scopes)
	require.Equal(t, []string{"a.y.t1", "a.y.t10", "a.y.t2"}, tables[:3])
	require.Len(t, tables, 12)
}

func TestSystemTablesAreMadeOnce(t *testing.T) {
	c := mustApply(t, New(), CreateSystem{})
	table, err := c.Table(SystemProject, DefaultScope, EventOutbox)
	require.NoError(t, err)
	require.True(t, table.Managed)
	require.Equal(t, []int{0, 4, 5}, table.PrimaryKey)
	require.Same(t, c, mustApply(t, c, CreateSystem{}))
}

// anyStatement draws a statement over so few names that most find something.
func anyStatement(t *rapid.T) Statement {
	name := func(what string, names ...string) string { return rapid.SampledFrom(names).Draw(t, what) }
	project, scope := name("project", "p", "q"), name("scope", "app", "s")
	table, index := name("table", "t", "u"), name("index", "x", "y", "z")
	flag := rapid.Bool().Draw(t, "flag")
	spec := IndexSpec{
		Name: index, Unique: rapid.Bool().Draw(t, "unique"),
		Columns: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"id", "a", "b"}), 1, 3, rapid.ID).Draw(t, "columns"),
	}
	switch rapid.IntRange(0, 8).Draw(t, "statement") {
	case 0:
		return CreateProject{Project: project, MustBeNew: flag}
	case 1:
		return DropProject{Project: project, MustExist: flag}
	case 2:
		return CreateScope{Project: project, Scope: scope, MustBeNew: flag}
	case 3:
		return DropScope{Project: project, Scope: scope, MustExist: flag}
	case 4:
		return DropTable{Project: project, Scope: scope, Table: table, MustExist: flag}
	case 5:
		return CreateIndex{Project: project, Scope: scope, Table: table, Index: spec, IfNotExists: flag}
	case 6:
		return DropIndex{Project: project, Scope: scope, Table: table, Index: index, MustExist: flag}
	case 7:
		return CreateSystem{}
	}
	s := CreateTable{
		Project: project, Scope: scope, Table: table, IfNotExists: flag,
		Columns: columns("id", "a", "b"), PrimaryKey: []string{"id"}, Indexes: []IndexSpec{spec},
	}
	if rapid.Bool().Draw(t, "default") {
		one := value.Int(1)
		s.Columns[2].Default = &one
	}
	return s
}

// The entries that changes leave behind are those of the live catalog, and Load
// makes the same catalog of them. No id comes twice.
func TestStoredEntriesAreTheCatalog(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New()
		stored := map[string]string{}
		seen := map[SpaceID]string{}
		for range rapid.IntRange(1, 40).Draw(t, "statements") {
			s := anyStatement(t)
			before := c.nextID
			next, ch, err := c.Apply(s, rapid.Int64().Draw(t, "at"))
			if err != nil {
				require.Same(t, c, next)
				continue
			}
			for _, k := range ch.Removed {
				require.Contains(t, stored, string(k))
				delete(stored, string(k))
			}
			for _, e := range ch.Entries {
				stored[string(e.Key)] = string(e.Value)
			}
			for _, id := range ch.Dropped {
				_, ok := c.Definition(id)
				require.True(t, ok, "only what was there is dropped")
			}
			require.GreaterOrEqual(t, next.nextID, before)
			for name, id := range liveIDs(next) {
				if was, ok := seen[id]; ok {
					require.Equal(t, was, name, "id %d has two owners", id)
				} else {
					require.GreaterOrEqual(t, id, before, "a new object has a new id")
				}
				seen[id] = name
			}
			c = next

			live := c.Entries()
			require.Len(t, stored, len(live))
			for _, e := range live {
				require.Equal(t, stored[string(e.Key)], string(e.Value))
			}
			loaded, err := Load(sequence(live))
			require.NoError(t, err)
			require.Equal(t, live, loaded.Entries())
			require.Equal(t, c.nextID, loaded.nextID)
			requireSameObjects(t, c, loaded)
		}
	})
}

// liveIDs maps the full name of every object, made single by its id where a name
// may come back, to its id.
func liveIDs(c *Catalog) map[string]SpaceID {
	ids := map[string]SpaceID{}
	add := func(id SpaceID, format string, args ...any) {
		ids[fmt.Sprintf(format, args...)+fmt.Sprintf("#%d", id)] = id
	}
	for p := range c.Projects() {
		add(p.ID, "project %s", p.Name)
		for s := range c.Scopes(p) {
			add(s.ID, "scope %s.%s", p.Name, s.Name)
			for t := range c.Tables(s) {
				add(t.ID, "table %s", t)
				for _, x := range t.Indexes {
					add(x.ID, "index %s.%s", t, x.Name)
				}
			}
		}
	}
	return ids
}

// requireSameObjects compares two catalogs through what they answer.
func requireSameObjects(t require.TestingT, a, b *Catalog) {
	for p := range a.Projects() {
		q, err := b.Project(p.Name)
		require.NoError(t, err)
		require.Equal(t, p, q)
		for s := range a.Scopes(p) {
			r, err := b.Scope(p.Name, s.Name)
			require.NoError(t, err)
			require.Equal(t, s, r)
			for x := range a.Tables(s) {
				y, err := b.Table(p.Name, s.Name, x.Name)
				require.NoError(t, err)
				require.Same(t, y, b.TableByID(x.ID))
				if len(x.Indexes) == 0 {
					y = y.with(x.Indexes) // none, as nil or empty
				}
				require.Equal(t, x, y)
			}
		}
	}
	require.Equal(t, liveIDs(a), liveIDs(b))
	for _, id := range liveIDs(a) {
		key, ok := a.Definition(id)
		other, same := b.Definition(id)
		require.Equal(t, ok, same)
		require.Equal(t, key, other)
	}
}
