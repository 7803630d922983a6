package applier

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// bench drives an applier one request at a time.
type bench struct {
	t      testing.TB
	a      *Applier
	micros int64
}

var (
	app   = scopeOf("app")
	table = tableOf("app", "t")
)

func newBench(t testing.TB, w Window) *bench {
	x := &executor.Executor{Limits: testLimits}
	working := state.NewWorking()
	b := &bench{t: t, a: New(x, w, working, working.Freeze(), nil)}
	b.must(
		define(catalog.CreateProject{Project: "p"}),
		define(op{kind: opCreateTable, scope: "app", table: "t"}.statement()),
	)
	return b
}

func define(s catalog.Statement) msgs.Mutation { return msgs.Define{Statement: s} }

func set(k, v string) msgs.Mutation {
	return msgs.KvSet{Scope: app, Key: []byte(k), Value: []byte(v)}
}

func insert(id int64) msgs.Mutation {
	return msgs.WriteRows{Table: table, Rows: []value.Row{{value.Int(id), value.Null(), value.Null()}}}
}

func remove(id int64) msgs.Mutation {
	return msgs.DeleteRow{Table: table, Key: []value.Value{value.Int(id)}}
}

func (b *bench) prepare(env msgs.Envelope) (*msgs.Request, error) {
	r, err := b.a.executor.Prepare(b.a.image.Catalog(), &env)
	if err != nil {
		return nil, err
	}
	if env.IdempotencyKey != nil {
		r.Idempotency, r.Fingerprint = identity(b.t, &env)
	}
	return r, nil
}

// identity is what a request with an idempotency key is known by.
func identity(t require.TestingT, env *msgs.Envelope) (key []byte, fingerprint [32]byte) {
	fingerprint, err := executor.Fingerprint(env)
	require.NoError(t, err)
	return record.IdempotencyKey("", false, *env.IdempotencyKey), fingerprint
}

// known looks a request up in the published image, as a caller's goroutine does.
func known(t require.TestingT, a *Applier, micros int64, env *msgs.Envelope) (msgs.Answer, bool, error) {
	if env.IdempotencyKey == nil {
		return msgs.Answer{}, false, nil
	}
	key, fingerprint := identity(t, env)
	m, found, err := a.window.FindRetry(a.image, key, fingerprint, micros)
	return msgs.Answer{Seq: m.Seq, Outcome: msgs.Duplicate, Replies: m.Replies, RepliesLost: m.Lost}, found, err
}

// send executes one prepared request as an epoch of its own.
func (b *bench) send(r *msgs.Request) (msgs.Answer, error) {
	r.Ticket = msgs.NewTicket(nil, 0)
	e := &msgs.Epoch{Micros: b.micros, Requests: []*msgs.Request{r}}
	b.a.Step(e)
	require.Len(b.t, e.Answers, 1)
	require.Same(b.t, r.Ticket, e.Answers[0].Ticket)
	if err := e.Answers[0].Err; err != nil {
		require.Empty(b.t, e.Sets)
		return msgs.Answer{}, err
	}
	return e.Answers[0], nil
}

func (b *bench) commit(env msgs.Envelope) (msgs.Answer, error) {
	if answer, found, err := known(b.t, b.a, b.micros, &env); found || err != nil {
		return answer, err
	}
	r, err := b.prepare(env)
	if err != nil {
		return msgs.Answer{}, err
	}
	return b.send(r)
}

func (b *bench) must(mutations ...msgs.Mutation) uint64 {
	b.t.Helper()
	answer, err := b.commit(msgs.Envelope{Mutations: mutations})
	require.NoError(b.t, err)
	return answer.Seq
}

// keyed commits under an idempotency key.
func (b *bench) keyed(key byte, mutations ...msgs.Mutation) (msgs.Answer, error) {
	return b.commit(msgs.Envelope{IdempotencyKey: &msgs.IdempotencyKey{key}, Mutations: mutations})
}

func (b *bench) requireKeyed(outcome msgs.Outcome, seq uint64, key byte, mutations ...msgs.Mutation) {
	b.t.Helper()
	answer, err := b.keyed(key, mutations...)
	require.NoError(b.t, err)
	require.Equal(b.t, outcome, answer.Outcome)
	require.Equal(b.t, seq, answer.Seq)
}

func TestARetryIsADuplicateWithTheSeqOfTheOriginal(t *testing.T) {
	b := newBench(t, Window{Commits: 10}) // commit 1
	b.requireKeyed(msgs.Applied, 2, 1, set("k", "a"))
	b.must(set("k", "b"))
	before := b.a.image
	b.requireKeyed(msgs.Duplicate, 2, 1, set("k", "a"))
	require.Same(t, before, b.a.image, "nothing is applied")

	// Assertions and read sets are not evaluated again.
	answer, err := b.commit(msgs.Envelope{
		IdempotencyKey: &msgs.IdempotencyKey{1}, Mutations: []msgs.Mutation{set("k", "a")},
		ReadSet: msgs.ReadSet{Keys: []msgs.KeyRead{{Scope: app, Key: []byte("k"), Version: 1}}},
	})
	require.NoError(t, err)
	require.Equal(t, msgs.Duplicate, answer.Outcome)

	_, err = b.keyed(1, set("k", "c"))
	require.ErrorIs(t, err, errs.ErrIdempotencyMismatch)
	require.ErrorContains(t, err, "idempotency key reuse with different request")
	b.requireKeyed(msgs.Applied, 4, 2, set("k", "a")) // another key is another request
}

// The lookup depends on nothing that a request names.
func TestARetryIsKnownWhenWhatItNamesIsNoMore(t *testing.T) {
	b := newBench(t, Window{Commits: 10})
	stale, err := b.prepare(msgs.Envelope{IdempotencyKey: &msgs.IdempotencyKey{1}, Mutations: []msgs.Mutation{insert(1)}})
	require.NoError(t, err)
	b.requireKeyed(msgs.Applied, 2, 1, insert(1))
	b.must(define(catalog.DropTable{Project: "p", Scope: "app", Table: "t"}))
	b.requireKeyed(msgs.Duplicate, 2, 1, insert(1)) // found in the published image
	answer, err := b.send(stale)                    // and at the commit point
	require.NoError(t, err)
	require.Equal(t, msgs.Duplicate, answer.Outcome)
	_, err = b.keyed(2, insert(1))
	require.ErrorIs(t, err, errs.ErrTableNotFound)
}

func TestADuplicateTellsWhatTheOriginalTold(t *testing.T) {
	b := newBench(t, Window{Commits: 10})
	b.must(insert(1), insert(2))
	add := msgs.KvArithmetic{Scope: app, Key: []byte("n"), Width: msgs.Width64, Amount: *uint256.NewInt(5)}
	claim := msgs.UpdateRows{
		Selection: msgs.Selection{Table: table, Where: query.IsNull("a"), Limit: 1},
		Set:       []query.Assignment{query.Assign("a", query.Lit(7))}, Return: true,
	}
	drop := msgs.DeleteRows{Selection: msgs.Selection{Table: table, Where: query.Eq("id", 2)}, Return: true}
	first, err := b.keyed(1, add, claim, drop)
	require.NoError(t, err)
	require.Len(t, first.Replies, 3)
	b.must(add, remove(1))
	again, err := b.keyed(1, add, claim, drop)
	require.NoError(t, err)
	require.Equal(t, msgs.Duplicate, again.Outcome)
	require.Equal(t, first.Replies, again.Replies)
	require.False(t, again.RepliesLost)
}

func TestRepliesTooLongToBeKeptAreLostAndSaidToBe(t *testing.T) {
	many := make([]msgs.Reply, 1000)
	for i := range many {
		many[i] = msgs.Reply{Mutation: i, Value: value.Text(strings.Repeat("x", 100))}
	}
	kept := appendReplies(nil, many)
	require.Less(t, len(kept), 10)
	replies, lost, err := parseReplies(kept)
	require.NoError(t, err)
	require.Empty(t, replies)
	require.True(t, lost)
}

func TestChecksAloneTakeNoCommit(t *testing.T) {
	b := newBench(t, Window{Commits: 10})
	b.must(set("k", "v"))
	before := b.a.image
	holds := msgs.PostflightCheck{Assertions: []msgs.Assertion{msgs.KeyExists{Scope: app, Key: []byte("k"), Expected: true}}}
	for range 2 {
		answer, err := b.keyed(1, holds, holds)
		require.NoError(t, err)
		require.Equal(t, msgs.Checked, answer.Outcome)
		require.EqualValues(t, 2, answer.Seq, "the commit it was checked on")
	}
	b.must(msgs.KvDel{Scope: app, Key: []byte("k")})
	_, err := b.keyed(1, holds)
	require.ErrorIs(t, err, errs.ErrAssertionFailed)
	require.EqualValues(t, 3, b.a.image.Seq())
	require.Zero(t, before.Len(catalog.SpaceIdempotency), "a check is never remembered")
}

func TestOnlySuccessIsRemembered(t *testing.T) {
	b := newBench(t, Window{Commits: 10})
	b.must(insert(1))
	_, err := b.keyed(1, insert(1))
	require.ErrorIs(t, err, errs.ErrDuplicatePrimaryKey)
	b.must(remove(1))
	b.requireKeyed(msgs.Applied, 4, 1, insert(1))
	b.requireKeyed(msgs.Duplicate, 4, 1, insert(1))
}

func TestARetriedDefinitionIsADuplicate(t *testing.T) {
	b := newBench(t, Window{Commits: 10})
	create := define(catalog.CreateTable{
		Project: "p", Scope: "app", Table: "new", PrimaryKey: []string{"id"},
		Columns: []catalog.ColumnSpec{{Name: "id", Kind: value.KindInteger}},
	})
	fill := msgs.WriteRows{Table: tableOf("app", "new"), Rows: []value.Row{{value.Int(1)}}}
	b.requireKeyed(msgs.Applied, 2, 1, create, fill)
	b.requireKeyed(msgs.Duplicate, 2, 1, create, fill)
	drop := define(catalog.DropTable{Project: "p", Scope: "app", Table: "new", MustExist: true})
	b.requireKeyed(msgs.Applied, 3, 2, drop)
	b.requireKeyed(msgs.Duplicate, 3, 2, drop)
	_, err := b.keyed(3, drop)
	require.ErrorIs(t, err, errs.ErrTableNotFound)
}

func TestRequestsAreForgottenOutsideEitherBound(t *testing.T) {
	t.Run("commits", func(t *testing.T) {
		b := newBench(t, Window{Commits: 3})
		b.requireKeyed(msgs.Applied, 2, 1, set("k", "a"))
		b.must(set("k", "b"))
		b.must(set("k", "c"))
		b.requireKeyed(msgs.Duplicate, 2, 1, set("k", "a")) // two commits ago
		b.must(set("k", "d"))
		b.requireKeyed(msgs.Applied, 6, 1, set("k", "e")) // another request, too
	})
	t.Run("age", func(t *testing.T) {
		b := newBench(t, Window{Age: 5 * time.Microsecond})
		b.micros = 100
		b.requireKeyed(msgs.Applied, 2, 1, set("k", "a"))
		b.micros = 105
		b.requireKeyed(msgs.Duplicate, 2, 1, set("k", "a"))
		b.micros = 106
		b.requireKeyed(msgs.Applied, 3, 1, set("k", "a"))
	})
	t.Run("off", func(t *testing.T) {
		b := newBench(t, Window{})
		b.requireKeyed(msgs.Applied, 2, 1, set("k", "a"))
		b.requireKeyed(msgs.Applied, 3, 1, set("k", "b"))
		require.Zero(t, b.a.image.Len(catalog.SpaceIdempotency))
	})
}

func TestForgottenRequestsAreRemoved(t *testing.T) {
	b := newBench(t, Window{Commits: 5})
	for i := range byte(100) {
		_, err := b.keyed(i, set("k", "a"))
		require.NoError(t, err)
		require.LessOrEqual(t, b.a.image.Len(catalog.SpaceIdempotency), 5+1, "the window and the commit itself")
		require.Equal(t, b.a.image.Len(catalog.SpaceIdempotency), b.a.image.Len(catalog.SpaceIdempotencyAge))
	}
	// Many that expire at once go a few at a time.
	b = newBench(t, Window{Age: time.Microsecond})
	for i := range byte(40) {
		_, err := b.keyed(i, set("k", "a"))
		require.NoError(t, err)
	}
	b.micros = 1000
	for i := range byte(10) {
		_, err := b.keyed(100+i, set("k", "a"))
		require.NoError(t, err)
	}
	require.Equal(t, 10, b.a.image.Len(catalog.SpaceIdempotency))
}

func TestConcurrentRetriesInOneEpochApplyOnce(t *testing.T) {
	b := newBench(t, Window{Commits: 10})
	e := &msgs.Epoch{}
	for range 3 {
		r, err := b.prepare(msgs.Envelope{IdempotencyKey: &msgs.IdempotencyKey{1}, Mutations: []msgs.Mutation{insert(1)}})
		require.NoError(t, err)
		e.Requests = append(e.Requests, r)
	}
	b.a.Step(e)
	require.Len(t, e.Sets, 1)
	require.Len(t, e.Answers, 3)
	for i, a := range e.Answers {
		require.NoError(t, a.Err)
		require.Equal(t, uint64(2), a.Seq)
		require.Equal(t, i > 0, a.Outcome == msgs.Duplicate)
	}
}

func TestAnEpochOfFailuresLeavesNothing(t *testing.T) {
	b := newBench(t, Window{})
	before := b.a.image
	r, err := b.prepare(msgs.Envelope{Mutations: []msgs.Mutation{insert(1), insert(1)}})
	require.NoError(t, err)
	_, err = b.send(r)
	require.ErrorIs(t, err, errs.ErrDuplicatePrimaryKey)
	require.Same(t, before, b.a.image)
	require.Equal(t, uint64(2), b.must(insert(1)), "the seq was given back")
}

func TestOneFailureOfAnEpochDoesNotTouchTheOthers(t *testing.T) {
	b := newBench(t, Window{})
	e := &msgs.Epoch{Micros: 9}
	for _, m := range []msgs.Mutation{insert(1), insert(1), insert(2)} {
		r, err := b.prepare(msgs.Envelope{Mutations: []msgs.Mutation{m}})
		require.NoError(t, err)
		r.Ticket = msgs.NewTicket(nil, 0)
		e.Requests = append(e.Requests, r)
	}
	second := e.Requests[1].Ticket
	b.a.Step(e)
	require.NoError(t, e.Answers[0].Err)
	require.Same(t, second, e.Answers[1].Ticket)
	require.ErrorIs(t, e.Answers[1].Err, errs.ErrDuplicatePrimaryKey)
	require.NoError(t, e.Answers[2].Err)
	require.Equal(t, []uint64{2, 3}, []uint64{e.Sets[0].Seq, e.Sets[1].Seq})
	require.Nil(t, e.Requests)
}

func TestAFlushAnswersWithTheLastCommit(t *testing.T) {
	b := newBench(t, Window{})
	answer, err := b.send(&msgs.Request{Flush: true})
	require.NoError(t, err)
	require.Equal(t, uint64(1), answer.Seq)
}

func TestACommitTooLargeForTheLogIsRefused(t *testing.T) {
	const each = 16 << 20
	var effects []msgs.Effect
	big := make([]byte, each)
	for range 17 {
		effects = append(effects, msgs.Effect{Value: big})
	}
	require.NoError(t, checkSize(effects[:15]))
	require.ErrorIs(t, checkSize(effects), errs.ErrLimitExceeded)
}

func TestAbortAnswersEverythingInTheEpoch(t *testing.T) {
	first, second := msgs.NewTicket(nil, 0), msgs.NewTicket(nil, 0)
	cause := errors.New("disk gone")
	Abort(&msgs.Epoch{Requests: []*msgs.Request{{Ticket: first}}, Answers: make([]msgs.Answer, 1)}, cause) // broken off
	Abort(&msgs.Epoch{Answers: []msgs.Answer{{Ticket: second}}}, cause)
	for _, ticket := range []*msgs.Ticket{first, second} {
		_, err := ticket.Wait(context.Background())
		require.ErrorIs(t, err, errs.ErrUnavailable)
		require.ErrorIs(t, err, cause)
	}
}

// under is what was read at a snapshot, by space and with the catalog of then, as
// an interactive transaction does.
func (b *bench) under(image *state.Image, reads msgs.Dependencies, mutations ...msgs.Mutation) error {
	b.t.Helper()
	bound := make([]msgs.Operation, len(mutations))
	for i, m := range mutations {
		var err error
		bound[i], err = b.a.executor.Bind(image.Catalog(), m)
		require.NoError(b.t, err)
	}
	r, err := b.a.executor.Assemble(image.Catalog(), mutations, bound, reads)
	require.NoError(b.t, err)
	_, err = b.send(r)
	return err
}

func TestAReadConflictsWithWhatHappenedSince(t *testing.T) {
	key := record.AppendRowKey(nil, []value.Value{value.Int(1)})
	again := op{kind: opCreateTable, scope: "app", table: "t"}.statement()
	drop := catalog.DropTable{Project: "p", Scope: "app", Table: "t"}
	index := op{kind: opCreateIndex, scope: "app", table: "t", column: "u"}.statement()
	for name, tc := range map[string]struct {
		before, since            []msgs.Mutation
		point, table, other, kvs bool // do reads of these conflict?
	}{
		"nothing":                   {nil, nil, false, false, false, false},
		"insert":                    {nil, []msgs.Mutation{insert(1)}, true, true, false, false},
		"another insert":            {nil, []msgs.Mutation{insert(2)}, false, true, true, false},
		"update":                    {[]msgs.Mutation{insert(1)}, []msgs.Mutation{msgs.UpdateFields{Table: table, Key: []value.Value{value.Int(1)}, Fields: []msgs.Field{{Column: "a"}}}}, true, true, false, false},
		"delete":                    {[]msgs.Mutation{insert(1)}, []msgs.Mutation{remove(1)}, true, true, false, false},
		"delete and insert":         {[]msgs.Mutation{insert(1)}, []msgs.Mutation{remove(1), insert(1)}, true, true, false, false},
		"delete of nothing":         {nil, []msgs.Mutation{remove(1)}, false, false, false, false},
		"key":                       {nil, []msgs.Mutation{set("k", "v")}, false, false, false, true},
		"drop of the full table":    {[]msgs.Mutation{insert(1)}, []msgs.Mutation{define(drop)}, true, true, true, false},
		"drop of the empty table":   {nil, []msgs.Mutation{define(drop)}, true, true, true, false},
		"drop and recreate":         {[]msgs.Mutation{insert(1)}, []msgs.Mutation{define(drop), define(again)}, true, true, true, false},
		"drop, recreate, fill":      {nil, []msgs.Mutation{define(drop), define(again), insert(1)}, true, true, true, false},
		"index that rows lead into": {[]msgs.Mutation{insert(1)}, []msgs.Mutation{define(index)}, false, true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, read := range []struct {
				name     string
				conflict bool
				reads    func(space, scope catalog.SpaceID, image *state.Image) msgs.Dependencies
			}{
				{"point", tc.point, func(space, _ catalog.SpaceID, image *state.Image) (d msgs.Dependencies) {
					_, version, _ := image.Get(space, key)
					d.Points = []msgs.PointRead{{Space: space, Key: key, Version: version}}
					return d
				}},
				{"table", tc.table, func(space, _ catalog.SpaceID, image *state.Image) (d msgs.Dependencies) {
					d.Ranges = []msgs.RangeRead{{Space: space, Version: image.Seq()}}
					return d
				}},
				{"another row", tc.other, func(space, _ catalog.SpaceID, image *state.Image) (d msgs.Dependencies) {
					two := record.AppendRowKey(nil, []value.Value{value.Int(2)})
					_, version, _ := image.Get(space, two)
					d.Points = []msgs.PointRead{{Space: space, Key: two, Version: version}}
					return d
				}},
				{"keys", tc.kvs, func(_, scope catalog.SpaceID, image *state.Image) (d msgs.Dependencies) {
					d.Ranges = []msgs.RangeRead{{Space: scope, Start: []byte("a"), End: []byte("z"), Version: image.Seq()}}
					return d
				}},
			} {
				b := newBench(t, Window{})
				for _, m := range tc.before {
					b.must(m)
				}
				image := b.a.image
				tbl, err := image.Catalog().Table("p", "app", "t")
				require.NoError(t, err)
				for _, m := range tc.since {
					b.must(m)
				}
				err = b.under(image, read.reads(tbl.ID, tbl.ScopeID, image), set("done", "x"))
				if read.conflict {
					require.ErrorIs(t, err, errs.ErrConflict, read.name)
				} else {
					require.NoError(t, err, read.name)
				}
			}
		})
	}
}

func TestReadSetsByNameNoticeAnotherIncarnation(t *testing.T) {
	b := newBench(t, Window{})
	b.must(insert(1)) // commit 2
	b.must(define(catalog.DropTable{Project: "p", Scope: "app", Table: "t"}))
	b.must(define(op{kind: opCreateTable, scope: "app", table: "t"}.statement()))
	for _, reads := range []msgs.ReadSet{
		{Rows: []msgs.RowRead{{Table: table, Key: []value.Value{value.Int(1)}, Version: 2}}},
		{RowRanges: []msgs.RowRangeRead{{Table: table, Version: 2}}},
	} {
		_, err := b.commit(msgs.Envelope{ReadSet: reads, Mutations: []msgs.Mutation{set("k", "v")}})
		require.ErrorIs(t, err, errs.ErrConflict)
	}
}

func TestConflictsNameTheSeqs(t *testing.T) {
	b := newBench(t, Window{})
	b.must(set("k", "v"))
	b.must(set("k", "w"))
	_, err := b.commit(msgs.Envelope{
		ReadSet:   msgs.ReadSet{Keys: []msgs.KeyRead{{Scope: app, Key: []byte("k"), Version: 2}}},
		Mutations: []msgs.Mutation{set("k", "x")},
	})
	require.ErrorIs(t, err, errs.ErrConflict)
	require.ErrorContains(t, err, "read set conflict: read at 2, changed at 3")
	_, err = b.commit(msgs.Envelope{
		ReadSet:   msgs.ReadSet{KeyRanges: []msgs.KeyRangeRead{{Scope: app, Version: 2}}},
		Mutations: []msgs.Mutation{set("k", "x")},
	})
	require.ErrorContains(t, err, "range read set conflict: read at 2, changed at 3")
}

func TestAReadSetFromTheFutureIsRefused(t *testing.T) {
	b := newBench(t, Window{})
	for _, reads := range []msgs.ReadSet{
		{Keys: []msgs.KeyRead{{Scope: app, Key: []byte("k"), Version: 2}}},
		{KeyRanges: []msgs.KeyRangeRead{{Scope: app, Version: 2}}},
	} {
		_, err := b.commit(msgs.Envelope{ReadSet: reads, Mutations: []msgs.Mutation{set("k", "x")}})
		require.ErrorIs(t, err, errs.ErrValidation)
	}
}

// Removals older than the memory of them make reads that depend on absence
// conflict; reads of what is there go on.
func TestReadsOlderThanTheMemoryOfRemovalsConflict(t *testing.T) {
	b := newBench(t, Window{})
	b.must(insert(1)) // commit 2
	old := b.a.image
	tbl, err := old.Catalog().Table("p", "app", "t")
	require.NoError(t, err)
	key := record.AppendRowKey(nil, []value.Value{value.Int(1)})
	elsewhere := catalog.SpaceID(9999)
	for i := range maxRemovals + 2 {
		set := &msgs.Changeset{Seq: uint64(i/2 + 3), Priors: []msgs.Prior{{Version: 1}}}
		set.Effects = []msgs.Effect{{Op: msgs.EffectDelete, Space: elsewhere, Key: fmt.Append(nil, i)}}
		b.a.removals.record(set)
	}
	require.Equal(t, uint64(3), b.a.removals.floor)
	require.Equal(t, maxRemovals, b.a.removals.bySpace[elsewhere].Len())
	range2 := msgs.Dependencies{Ranges: []msgs.RangeRead{{Space: tbl.ID, Version: old.Seq()}}}
	require.ErrorIs(t, b.under(old, range2, set("k", "v")), errs.ErrConflict)
	absent := msgs.Dependencies{Points: []msgs.PointRead{{Space: tbl.ID, Key: []byte("x"), Version: old.Seq()}}}
	require.ErrorIs(t, b.under(old, absent, set("k", "v")), errs.ErrConflict)
	there := msgs.Dependencies{Points: []msgs.PointRead{{Space: tbl.ID, Key: key, Version: 2}}}
	require.NoError(t, b.under(old, there, set("k", "v")))
}

// A removal is remembered for long, and nothing of the request with it.
func TestRemovalHoldsItsKeyOnly(t *testing.T) {
	request := make([]byte, 4<<10)
	gone := make(chan struct{})
	runtime.AddCleanup(&request[0], func(gone chan struct{}) { close(gone) }, gone)
	r := newRemovals(0)
	r.record(&msgs.Changeset{
		Seq:     1,
		Effects: []msgs.Effect{{Op: msgs.EffectDelete, Space: catalog.FirstUserSpace, Key: request[:8:8]}},
		Priors:  []msgs.Prior{{Version: 1}},
	})
	request = nil
	require.Eventually(t, func() bool {
		runtime.GC()
		select {
		case <-gone:
			return true
		default:
			return false
		}
	}, 5*time.Second, time.Millisecond)
	require.Len(t, r.queue, 1)
}

func TestTheMemoryOfRemovalsIsBounded(t *testing.T) {
	r := newRemovals(0)
	there := msgs.Prior{Version: 1}
	for i := range 3*maxRemovals + 7 {
		r.record(&msgs.Changeset{Seq: uint64(i + 1), Effects: []msgs.Effect{
			{Op: msgs.EffectDelete, Space: catalog.SpaceID(100 + i%3), Key: fmt.Append(nil, i%100_000)},
			{Op: msgs.EffectDelete, Space: catalog.SpaceIdempotency, Key: fmt.Append(nil, i)},
			{Op: msgs.EffectDelete, Space: 200, Key: fmt.Append(nil, i)},
		}, Priors: []msgs.Prior{there, there, {}}})
	}
	held := 0
	for _, tree := range r.bySpace {
		held += tree.Len()
	}
	require.LessOrEqual(t, held, maxRemovals)
	require.LessOrEqual(t, len(r.queue), 2*maxRemovals)
	require.Equal(t, uint64(2*maxRemovals+7), r.floor)
	require.Nil(t, r.bySpace[catalog.SpaceIdempotency], "nobody can have read those")
	require.Nil(t, r.bySpace[200], "they were not there")
	r.record(&msgs.Changeset{Seq: 1 << 40, Effects: []msgs.Effect{{Op: msgs.EffectDropSpace, Space: 100}}})
	require.Nil(t, r.bySpace[100])
	for i := range maxRemovals {
		r.record(&msgs.Changeset{Seq: uint64(1<<40 + i), Effects: []msgs.Effect{
			{Op: msgs.EffectDelete, Space: 500, Key: []byte("k")},
		}, Priors: []msgs.Prior{there}})
	}
	require.Len(t, r.bySpace, 1, "empty trees go too")
}
