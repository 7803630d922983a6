package feed_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/feed"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

func TestSeveralChangesOfOneRowInOneCommitAreToldInOrder(t *testing.T) {
	s := newStore(t)
	s.commit(define(catalog.CreateProject{Project: "p"}, table("t", value.KindInteger, value.KindText)))
	seq := s.commit(several(
		put("t", value.Int(1), value.Text("a")), put("t", value.Int(1), value.Text("b")),
		remove("t", value.Int(1)), put("t", value.Int(1), value.Text("c")),
	))
	deltas := s.collect(seq-1, feed.Options{})
	require.Len(t, deltas, 1)
	require.Equal(t, seq, deltas[0].Seq)
	require.Equal(t, time.UnixMicro(int64(seq)*1000).UTC(), deltas[0].Time)
	require.True(t, deltas[0].BeforeKnown)
	require.Equal(t, []string{
		"insert p.app.t [1]: - > [1 a]", "update p.app.t [1]: [1 a] > [1 b]",
		"delete p.app.t [1]: [1 b] > -", "insert p.app.t [1]: - > [1 c]",
	}, told(deltas[0]))

	s.forget(seq)
	s.commit(define(catalog.CreateScope{Project: "p", Scope: "s"}))
	logged := s.collect(seq-1, feed.Options{})[0]
	require.False(t, logged.BeforeKnown)
	require.Equal(t, []string{
		"put p.app.t [1]: - > [1 a]", "put p.app.t [1]: - > [1 b]",
		"delete p.app.t [1]: - > -", "put p.app.t [1]: - > [1 c]",
	}, told(logged))
}

func TestKeyValueChangesTellTheUsersBytes(t *testing.T) {
	s := newStore(t)
	s.commit(define(catalog.CreateProject{Project: "p"}))
	seq := s.commit(several(set("app", "k", "1"), set("app", "k", ""), unset("app", "k")))
	require.Equal(t, []string{
		`insert p.app "k": - > "1"`, `update p.app "k": "1" > ""`, `delete p.app "k": "" > -`,
	}, told(s.collect(seq-1, feed.Options{})[0]))
	require.Equal(t, []string{`insert p.app "k": - > -`, `update p.app "k": - > -`, `delete p.app "k": - > -`},
		told(s.collect(seq-1, feed.Options{KeysOnly: true})[0]))
}

func TestIndexEntriesAndTheEnginesOwnRecordsAreNoChanges(t *testing.T) {
	s := newStore(t)
	s.commit(define(catalog.CreateProject{Project: "p"},
		table("t", value.KindInteger, value.KindText, catalog.IndexSpec{Name: "by_v", Columns: []string{"v"}})))
	seq := s.commit(several(put("t", value.Int(1), value.Text("a")), func(w *state.Working) {
		w.Put(catalog.SpaceIdempotency, []byte("key"), []byte("record"))
	}))
	require.Equal(t, []string{"insert p.app.t [1]: - > [1 a]"}, told(s.collect(seq-1, feed.Options{})[0]))
	quiet := s.commit(func(w *state.Working) { w.Put(catalog.SpaceIdempotencyAge, []byte("key"), nil) })
	require.Empty(t, s.collect(quiet-1, feed.Options{}))
	require.Equal(t, quiet, s.collect(quiet-1, feed.Options{AllCommits: true})[0].Seq)
}

// A table that is dropped and made anew has another shape from one effect to the
// next, in memory and in the log.
func TestRowsAreReadWithTheShapeInForceWithinACommit(t *testing.T) {
	s := newStore(t)
	s.commit(define(catalog.CreateProject{Project: "p"}, table("t", value.KindInteger, value.KindText)))
	s.commit(put("t", value.Int(1), value.Text("a")))
	drop := catalog.DropTable{Project: "p", Scope: "app", Table: "t"}
	seq := s.commit(several(
		put("t", value.Int(2), value.Text("b")),
		define(drop, table("t", value.KindText, value.KindU64)), put("t", value.Text("x"), value.U64(7)),
		define(drop, table("t", value.KindBoolean, value.KindFloat)), put("t", value.Bool(true), value.Float(0.5)),
	))
	s.commit(put("t", value.Bool(false), value.Null()))
	want := []string{
		"insert p.app.t [2]: - > [2 b]", "drop table p.app.t", "create table p.app.t",
		"insert p.app.t [x]: - > [x 7]", "drop table p.app.t", "create table p.app.t",
		"insert p.app.t [true]: - > [true 0.5]",
	}
	deltas := s.collect(seq-1, feed.Options{})
	require.Equal(t, want, told(deltas[0]))
	require.Equal(t, []string{"insert p.app.t [false]: - > [false null]"}, told(deltas[1]))
	s.forget(seq)
	logged := s.collect(seq-1, feed.Options{})
	for i, line := range told(logged[0]) {
		require.Equal(t, want[i], replacePut(line))
	}
	require.Equal(t, deltas[1], logged[1])
}

func TestDefinitionsAreToldByName(t *testing.T) {
	s := newStore(t)
	index := catalog.IndexSpec{Name: "by_v", Columns: []string{"v"}}
	s.commit(define(catalog.CreateProject{Project: "p"}))
	s.commit(define(catalog.CreateScope{Project: "p", Scope: "more"}, table("t", value.KindInteger, value.KindText, index)))
	s.commit(define(catalog.DropIndex{Project: "p", Scope: "app", Table: "t", Index: "by_v"},
		catalog.CreateIndex{Project: "p", Scope: "app", Table: "t", Index: index}))
	s.commit(several(set("more", "k", "v"), define(catalog.DropScope{Project: "p", Scope: "more"})))
	s.commit(define(catalog.CreateSystem{}))
	s.commit(define(catalog.DropProject{Project: "p"}))
	want := [][]string{
		{"create project p", "create scope p.app"},
		{"create scope p.more", "create table p.app.t"},
		{"drop index p.app.t.by_v", "create index p.app.t.by_v"},
		{`insert p.more "k": - > "v"`, "drop scope p.more"},
		{"drop table p.app.t", "drop scope p.app", "drop project p"},
	}
	check := func(from uint64) {
		var got [][]string
		for _, d := range s.collect(from, feed.Options{}) {
			lines := told(d)
			for i := range lines {
				lines[i] = replacePut(lines[i])
			}
			got = append(got, lines)
		}
		require.Equal(t, want[min(from, 4):], got)
	}
	for from := range uint64(6) {
		check(from)
	}
	s.forget(6)
	for from := range uint64(6) {
		check(from)
	}
	require.Equal(t, []string{"create project _system", "create scope _system.app", "create table _system.app.event_outbox"},
		told(s.collect(4, feed.Options{Only: []feed.Selector{{Project: "_system"}}})[0]))
}

func TestSelectorsLeaveOnlyWhatTheySelect(t *testing.T) {
	s := newStore(t)
	from := s.commit(define(catalog.CreateProject{Project: "p"}, catalog.CreateProject{Project: "q"}))
	s.commit(several(
		define(table("t", value.KindInteger, value.KindText), table("u", value.KindInteger, value.KindText),
			catalog.CreateScope{Project: "p", Scope: "s"}),
		put("t", value.Int(1), value.Null()), put("u", value.Int(2), value.Null()),
		set("app", "a/1", "x"), set("app", "b/1", "x"), set("s", "a/1", "x"),
	))
	s.commit(define(catalog.DropProject{Project: "p"}, catalog.DropProject{Project: "q"}))
	var (
		makeT, makeU, makeS = "create table p.app.t", "create table p.app.u", "create scope p.s"
		t1, u2              = "insert p.app.t [1]: - > [1 null]", "insert p.app.u [2]: - > [2 null]"
		a1, b1, s1          = `insert p.app "a/1": - > "x"`, `insert p.app "b/1": - > "x"`, `insert p.s "a/1": - > "x"`
		dropT, dropU        = "drop table p.app.t", "drop table p.app.u"
		dropApp, dropS      = "drop scope p.app", "drop scope p.s"
	)
	for name, c := range map[string]struct {
		only []feed.Selector
		want []string
	}{
		"project":  {[]feed.Selector{{Project: "q"}}, []string{"drop scope q.app", "drop project q"}},
		"scope":    {[]feed.Selector{{Project: "p", Scope: "s"}}, []string{makeS, s1, dropS}},
		"table":    {[]feed.Selector{{Project: "p", Table: "t"}}, []string{makeT, t1, dropT}},
		"tables":   {[]feed.Selector{{Table: "t"}, {Table: "u"}}, []string{makeT, makeU, t1, u2, dropT, dropU}},
		"prefix":   {[]feed.Selector{{Scope: "app", KeyPrefix: []byte("a/")}}, []string{a1, dropApp, "drop scope q.app"}},
		"all keys": {[]feed.Selector{{Project: "p", KeyPrefix: []byte{}}}, []string{makeS, a1, b1, s1, dropApp, dropS}},
		"nothing":  {[]feed.Selector{{Project: "r"}}, nil},
	} {
		var got []string
		for _, d := range s.collect(from, feed.Options{Only: c.only}) {
			got = append(got, told(d)...)
		}
		require.Equal(t, c.want, got, name)
	}
}

// replacePut gives a line from the log the kind it has in memory, for a first
// insert.
func replacePut(line string) string {
	if len(line) > 4 && line[:4] == "put " {
		return "insert " + line[4:]
	}
	return line
}
