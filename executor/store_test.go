package executor

import (
	"testing"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/invariant"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

func limits() Limits {
	return Limits{
		MaxMutations: 50, MaxAssertions: 20, MaxTransactionSize: 1 << 20, MaxBatchRows: 3,
		MaxKVKey: 64, MaxKVValue: 1 << 10, MaxTableValue: 30 << 10, MaxPrimaryKey: 256, MaxEventPayload: 128,
	}
}

// store runs envelopes one after another, as the applier does.
type store struct {
	t testing.TB
	x *Executor
	w *state.Working
}

var (
	app   = msgs.ScopeName{Project: "p", Scope: "app"}
	users = msgs.TableName{Project: "p", Scope: "app", Table: "users"}
)

// newStore returns a store with the table users: id and, nullable, name (unique),
// age (with an index together with name) and bio; score has the default 7.
func newStore(t testing.TB) *store {
	s := &store{t: t, x: &Executor{Limits: limits()}, w: state.NewWorking()}
	seven := value.Int(7)
	s.must(define(catalog.CreateProject{Project: "p"}), define(catalog.CreateTable{
		Project: "p", Scope: "app", Table: "users", PrimaryKey: []string{"id"},
		Columns: []catalog.ColumnSpec{
			{Name: "id", Kind: value.KindInteger},
			{Name: "name", Kind: value.KindText, Nullable: true},
			{Name: "age", Kind: value.KindInteger, Nullable: true},
			{Name: "bio", Kind: value.KindText, Nullable: true},
			{Name: "score", Kind: value.KindInteger, Default: &seven},
		},
		Indexes: []catalog.IndexSpec{
			{Name: "by_name", Columns: []string{"name"}, Unique: true},
			{Name: "by_age", Columns: []string{"age", "name"}},
		},
	}))
	return s
}

func define(s catalog.Statement) msgs.Mutation { return msgs.Define{Statement: s} }

func insert(rows ...value.Row) msgs.Mutation { return msgs.WriteRows{Table: users, Rows: rows} }

func upsert(rows ...value.Row) msgs.Mutation {
	return msgs.WriteRows{Table: users, Mode: msgs.WriteUpsert, Rows: rows}
}

func update(id int64, fields ...msgs.Field) msgs.Mutation {
	return msgs.UpdateFields{Table: users, Key: key(id), Fields: fields}
}

func remove(id int64) msgs.Mutation { return msgs.DeleteRow{Table: users, Key: key(id)} }

func set(k, v string) msgs.Mutation {
	return msgs.KvSet{Scope: app, Key: []byte(k), Value: []byte(v)}
}

func unset(k string) msgs.Mutation { return msgs.KvDel{Scope: app, Key: []byte(k)} }

func key(id int64) []value.Value { return []value.Value{value.Int(id)} }

// user makes a row; an empty name and a negative age are Null.
func user(id int64, name string, age int64) value.Row {
	row := value.Row{value.Int(id), value.Null(), value.Null(), value.Null(), value.Int(7)}
	if name != "" {
		row[1] = value.Text(name)
	}
	if age >= 0 {
		row[2] = value.Int(age)
	}
	return row
}

// commit runs an envelope as the next commit. A failure must leave no trace.
func (s *store) commit(env msgs.Envelope) error {
	s.t.Helper()
	r, err := s.x.Prepare(s.w.Catalog(), &env)
	if err != nil {
		return err
	}
	return s.run(r)
}

func (s *store) run(r *msgs.Request) error {
	s.t.Helper()
	before := s.w.Freeze()
	s.w.Begin(before.Seq()+1, before.Micros()+10)
	if err := s.x.Run(s.w, r); err != nil {
		s.w.Abandon(before.Seq(), before.Micros())
		after := s.w.Freeze()
		require.Equal(s.t, before.Digest(), after.Digest(), "a failed envelope leaves everything as it was")
		require.Same(s.t, before.Catalog(), after.Catalog())
		return err
	}
	s.w.Commit()
	require.Empty(s.t, invariant.Check(s.w.Freeze()))
	return nil
}

func (s *store) do(mutations ...msgs.Mutation) error {
	s.t.Helper()
	return s.commit(msgs.Envelope{Mutations: mutations})
}

func (s *store) must(mutations ...msgs.Mutation) {
	s.t.Helper()
	require.NoError(s.t, s.do(mutations...))
}

// fails runs mutations that must fail with the code.
func (s *store) fails(code errs.Code, mutations ...msgs.Mutation) {
	s.t.Helper()
	err := s.do(mutations...)
	require.Equal(s.t, code, errs.CodeOf(err), "%v", err)
}

// row returns a row of users, or nil.
func (s *store) row(id int64) value.Row {
	t, err := s.w.Catalog().Table("p", "app", "users")
	require.NoError(s.t, err)
	k := record.AppendRowKey(nil, key(id))
	data, _, ok := s.w.Get(t.ID, k)
	if !ok {
		return nil
	}
	return record.Row{Table: t, Key: k, Data: data}.Values(nil)
}

// kv returns what is under a key, "" if there is nothing, with its versions.
func (s *store) kv(k string) (val string, created, version uint64) {
	sc, err := s.w.Catalog().Scope("p", "app")
	require.NoError(s.t, err)
	raw, version, ok := s.w.Get(sc.ID, []byte(k))
	if !ok {
		return "", 0, 0
	}
	created, payload, err := record.SplitKV(raw)
	require.NoError(s.t, err)
	return string(payload), created, version
}

// entries returns the number of entries in an index of users.
func (s *store) entries(index string) int {
	t, err := s.w.Catalog().Table("p", "app", "users")
	require.NoError(s.t, err)
	x, ok := t.Index(index)
	require.True(s.t, ok)
	return s.w.Len(x.ID)
}

func number(n uint64) uint256.Int { return *uint256.NewInt(n) }
