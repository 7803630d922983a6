package acceptance

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is a store in memory with the scope p.app and the table "users".
type store struct {
	t    testing.TB
	fsys *vfs.Mem
	db   *aedb.DB
	app  *aedb.Scope
}

func newStore(t testing.TB, tune ...func(*aedb.Config)) *store {
	s := &store{t: t, fsys: vfs.NewMem()}
	s.open(tune...)
	_, err := s.db.NoAuth().CreateProject(t.Context(), "p")
	require.NoError(t, err)
	s.must(s.app.CreateTable("users", aedb.TableSpec{
		Columns: []aedb.ColumnSpec{
			aedb.Column("region", aedb.TypeText), aedb.Column("id", aedb.TypeInteger),
			aedb.NullableColumn("name", aedb.TypeText), aedb.NullableColumn("coins", aedb.TypeU256),
		},
		PrimaryKey: []string{"region", "id"},
		Indexes:    []aedb.IndexSpec{{Name: "by_name", Columns: []string{"name"}, Unique: true}},
	}))
	return s
}

func (s *store) open(tune ...func(*aedb.Config)) {
	cfg := aedb.DefaultConfig()
	cfg.FS, cfg.Logger = s.fsys, aedb.Zerolog(zerolog.Nop())
	for _, f := range tune {
		f(&cfg)
	}
	db, err := aedb.OpenNoAuth("store", cfg)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = db.Close(context.Background()) })
	s.db, s.app = db, db.NoAuth().Scope("p", "app")
}

// crash loses the power, with everything that was not synced, and opens again.
func (s *store) crash(tune ...func(*aedb.Config)) {
	s.fsys = s.fsys.Crash(vfs.AllLost())
	s.open(tune...)
}

func (s *store) commit(mutations ...aedb.Mutation) (aedb.Result, error) {
	return s.app.Commit(s.t.Context(), mutations...)
}

func (s *store) send(env aedb.Envelope) (aedb.Result, error) {
	return s.app.CommitEnvelope(s.t.Context(), env, aedb.Visible)
}

// must commits and returns the seq.
func (s *store) must(mutations ...aedb.Mutation) uint64 {
	s.t.Helper()
	r, err := s.commit(mutations...)
	require.NoError(s.t, err)
	return r.CommitSeq
}

// refused commits what fails with an error, and checks that nothing has come of it.
func (s *store) refused(want error, mutations ...aedb.Mutation) error {
	s.t.Helper()
	return s.refusedEnvelope(want, aedb.Envelope{Mutations: mutations})
}

func (s *store) refusedEnvelope(want error, env aedb.Envelope) error {
	s.t.Helper()
	before := s.head()
	_, err := s.send(env)
	require.ErrorIs(s.t, err, want)
	require.Equal(s.t, before, s.head(), "a refusal takes no seq")
	return err
}

func (s *store) head() uint64 { return s.db.Heads().VisibleSeq }

func (s *store) set(k, v string) aedb.Mutation { return s.app.KvSet([]byte(k), []byte(v)) }

func (s *store) user(region string, id int64, name string) aedb.Mutation {
	return s.app.Insert("users", user(region, id, name))
}

func user(region string, id int64, name string) aedb.Row {
	return aedb.Row{aedb.Text(region), aedb.Int(id), aedb.Text(name), aedb.Null()}
}

func pk(region string, id int64) []aedb.Value { return []aedb.Value{aedb.Text(region), aedb.Int(id)} }

// get returns the value and the version of a key.
func (s *store) get(k string, opts ...aedb.ReadOption) (val string, version uint64, found bool) {
	s.t.Helper()
	e, found, err := s.app.KV().Get(s.t.Context(), []byte(k), opts...)
	require.NoError(s.t, err)
	return string(e.Value), e.Version, found
}

// row returns a row and its version.
func (s *store) row(region string, id int64) (aedb.Row, uint64) {
	s.t.Helper()
	row, version, err := s.app.Row(s.t.Context(), "users", pk(region, id)...)
	require.NoError(s.t, err)
	return row, version
}

// number returns the number of 8 bytes under a key.
func (s *store) number(k string) uint64 {
	s.t.Helper()
	val, _, found := s.get(k)
	require.True(s.t, found)
	require.Len(s.t, val, 8)
	return binary.BigEndian.Uint64([]byte(val))
}

func big(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// together runs n calls at once.
func together(n int, call func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { call(i) })
	}
	all.Wait()
}

// everything is a condition that all rows meet.
var everything query.Expr
