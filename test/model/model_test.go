package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/value"
	"github.com/empyrealapp/aedb-go/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Lengths of a run, in envelopes, and numbers of runs.
const (
	envelopes = 1500
	runs      = 24
)

func baseSeed(t *testing.T) uint64 {
	seed := uint64(1)
	if s := os.Getenv("AEDB_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, "AEDB_SEED")
	}
	return seed
}

// TestEngineAndModelAgree carries out the same envelopes on both sides.
func TestEngineAndModelAgree(t *testing.T) {
	many := runs
	if os.Getenv("AEDB_LONG") != "" {
		many = 200
	}
	for i := range uint64(many) {
		seed := baseSeed(t) + i
		mode := []aedb.Durability{aedb.Full, aedb.Batch, aedb.OsBuffered}[seed%3]
		t.Run(fmt.Sprintf("seed %d, %s", seed, mode), func(t *testing.T) {
			t.Parallel()
			s := newSession(t, seed, mode)
			defer s.close()
			n := envelopes
			if testing.Short() {
				n = envelopes / 5
			}
			for range n {
				s.step()
			}
			s.compareAll()
			t.Logf("AEDB_SEED=%d: %d envelopes, %d refused, %d duplicates, %d crashes, head %d",
				seed, s.requests, s.refused, s.duplicates, s.crashes, s.world.seq)
		})
	}
}

// session is one store with its model.
type session struct {
	*generator
	t     *testing.T
	ctx   context.Context
	cfg   aedb.Config
	disk  *vfs.Mem
	db    *aedb.DB
	world *world
	// past are the worlds that a crash or a read of the past may lead back to, by
	// seq, and recent the labels of what was asked for last.
	past   map[uint64]*world
	recent []string
	keyed  []*request

	refused, duplicates, crashes int
}

func newSession(t *testing.T, seed uint64, mode aedb.Durability) *session {
	s := &session{
		generator: &generator{Rand: rand.New(rand.NewPCG(seed, 7))}, t: t, ctx: context.Background(),
		disk: vfs.NewMem(), world: newWorld(), past: map[uint64]*world{},
	}
	s.cfg = aedb.DefaultConfig()
	s.cfg.Clock, s.cfg.Logger = vfs.NewManualClock(time.Unix(1_700_000_000, 0), 0), aedb.Zerolog(zerolog.Nop())
	s.cfg.Durability, s.cfg.BatchInterval = mode, time.Millisecond
	s.cfg.SegmentBytes, s.cfg.Checkpoint.OnClose = 16<<10, seed%2 == 0
	s.cfg.Reads.HistoryCommits = 64
	s.open()
	for _, name := range [][2]string{{"p", "app"}, {"p", "other"}, {"q", "app"}} {
		if name[1] == "app" {
			s.define(func() (aedb.Result, error) { return s.db.NoAuth().CreateProject(s.ctx, name[0]) })
		} else {
			s.define(func() (aedb.Result, error) { return s.db.NoAuth().CreateScope(s.ctx, name[0], name[1]) })
		}
		s.world.scopes[name[0]+"/"+name[1]] = newScope(s.world.seq)
	}
	for _, at := range s.scopes("") {
		c := s.createTable(at, "t", true)
		s.define(func() (aedb.Result, error) { return at.engine.Commit(s.ctx, c.engine) })
		_, f := c.run(s.world)
		require.Nil(t, f)
	}
	s.past[s.world.seq] = s.world
	_, err := s.db.Flush(s.ctx)
	require.NoError(t, err)
	return s
}

func (s *session) define(do func() (aedb.Result, error)) {
	r, err := do()
	require.NoError(s.t, err)
	s.world.seq++
	require.Equal(s.t, s.world.seq, r.CommitSeq)
}

func (s *session) open() {
	s.cfg.FS = s.disk
	var err error
	s.db, err = aedb.OpenNoAuth("store", s.cfg)
	require.NoError(s.t, err)
}

func (s *session) close() {
	if s.db != nil {
		require.NoError(s.t, s.db.Close(s.ctx))
	}
}

// scopes are those of a caller.
func (s *session) scopes(caller string) []where {
	as := s.db.NoAuth()
	if caller != "" {
		as = s.db.As(caller)
	}
	return []where{{"p/app", as.Scope("p", "app")}, {"p/other", as.Scope("p", "other")}, {"q/app", as.Scope("q", "app")}}
}

func (s *session) step() {
	switch s.IntN(120) {
	case 0:
		s.compareAll()
	case 1:
		s.compareThePast()
	case 2:
		_, err := s.db.Checkpoint(s.ctx)
		require.NoError(s.t, err)
	case 3:
		s.crash()
	case 4:
		s.reopen()
	case 5, 6, 7:
		s.retry()
	default:
		s.commit(s.request(s.world, s.scopes(""), false))
	}
}

// failed ends the test with what was asked for last.
func (s *session) failed(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\nlast requests:\n%s", fmt.Sprintf(format, args...), bytes.Join(labels(s.recent), []byte("\n")))
}

func labels(list []string) (out [][]byte) {
	for _, l := range list {
		out = append(out, []byte(l))
	}
	return out
}

// caller returns the session of the engine that makes a request.
func (s *session) caller(q *request) *aedb.Session {
	if q.caller == "" {
		return s.db.NoAuth()
	}
	return s.db.As(q.caller)
}

// commit does a request on both sides and compares.
func (s *session) commit(q *request) {
	s.t.Helper()
	s.recent = append(s.recent, q.label)
	s.recent = s.recent[max(0, len(s.recent)-12):]
	want := q.carryOut(s.world)
	finality := pick(s.generator, aedb.Visible, aedb.Visible, aedb.Durable)
	got, err := s.caller(q).CommitEnvelope(s.ctx, q.env, finality)
	s.compare(want, got, err)
	s.advance(want)
	if q.env.IdempotencyKey != nil && err == nil && got.Outcome != aedb.Checked {
		s.keyed = append(s.keyed, q)
	}
}

func (s *session) compare(want outcome, got aedb.Result, err error) {
	s.t.Helper()
	if want.refused != nil || want.early != nil {
		s.compareFailure(want, err)
		return
	}
	if err != nil {
		s.failed("the model applies it as %d, the engine says: %v", want.result.CommitSeq, err)
	}
	if got.CommitSeq != want.result.CommitSeq || got.Outcome != want.result.Outcome {
		s.failed("commit %d, %v; want %d, %v", got.CommitSeq, got.Outcome, want.result.CommitSeq, want.result.Outcome)
	}
	if want.result.Outcome == aedb.Duplicate {
		s.duplicates++
	}
	if !slices.EqualFunc(got.Replies, want.result.Replies, sameReply) {
		s.failed("replies %+v\nwant    %+v", got.Replies, want.result.Replies)
	}
}

func (s *session) compareFailure(want outcome, err error) {
	s.t.Helper()
	s.refused++
	if err == nil {
		s.failed("the engine applies it, the model refuses it: %v, early %v", want.refused, want.early)
	}
	code := aedb.CodeOf(err)
	if want.early != nil && code == want.early.code {
		return
	}
	if want.refused == nil || code != want.refused.code {
		s.failed("refused with %v; want %+v, early %+v", err, want.refused, want.early)
	}
	if want.refused.detail == nil {
		return
	}
	var got *aedb.AssertionError
	if !errors.As(err, &got) {
		s.failed("%v tells of no assertion", err)
	}
	d := want.refused.detail
	if got.Index != d.Index || got.Actual.Kind != d.Actual.Kind || !bytes.Equal(got.Actual.Bytes, d.Actual.Bytes) ||
		got.Actual.Bool != d.Actual.Bool || got.Actual.Version != d.Actual.Version || got.Actual.Count != d.Actual.Count ||
		value.Compare(got.Actual.Value, d.Actual.Value) != 0 {
		s.failed("assertion %d found %+v; want %d, %+v", got.Index, got.Actual, d.Index, d.Actual)
	}
}

func sameReply(a, b aedb.Reply) bool {
	return a.Mutation == b.Mutation && a.Affected == b.Affected && a.Version == b.Version && value.Compare(a.Value, b.Value) == 0 &&
		slices.EqualFunc(a.Rows, b.Rows, func(x, y aedb.RowChange) bool {
			return sameRow(x.Before, y.Before) && sameRow(x.After, y.After)
		})
}

// advance goes on from what a request has led to.
func (s *session) advance(o outcome) {
	s.world = o.world
	s.past[s.world.seq] = s.world
}

// retry sends a request again that was applied before, as it was, rebuilt on newer
// reads, under another caller, or another one under its key.
func (s *session) retry() {
	if len(s.keyed) == 0 {
		return
	}
	q := *pick(s.generator, s.keyed...)
	switch s.IntN(4) {
	case 0:
		q.env.BaseSeq = s.world.seq
	case 1:
		other := s.request(s.world, s.scopes(""), true)
		other.env.IdempotencyKey, other.caller = q.env.IdempotencyKey, q.caller
		other.label += " under the key of " + q.label
		q = *other
	}
	s.commit(&q)
}

// crash sends some requests without waiting, loses power in their midst, and finds
// the store as it was after one of them, or after an earlier one that was not
// durable yet.
func (s *session) crash() {
	s.crashes++
	s.recent = append(s.recent, "crash")
	var tickets []*aedb.Ticket
	for range s.IntN(6) {
		q := s.request(s.world, s.scopes(""), true)
		s.recent = append(s.recent, "in flight: "+q.label)
		want := q.carryOut(s.world)
		ticket, err := s.caller(q).Submit(s.ctx, q.env)
		if err != nil {
			s.compareFailure(want, err)
			continue
		}
		tickets = append(tickets, ticket)
		s.advance(want)
	}
	promised := s.db.Heads().DurableSeq
	fate := pick(s.generator, vfs.AllLost(), vfs.AllKept(), vfs.RandomBlocks(s.Uint64(), 50), vfs.MixedSectors(s.Uint64(), 50), vfs.TornLastWrite(s.Uint64()))
	left := s.disk.Clone(fate)
	for _, ticket := range tickets {
		<-ticket.Done()
	}
	s.close()
	s.disk = left
	s.open()
	s.resume(promised)
}

// resume finds out which of the worlds the store has come back to.
func (s *session) resume(promised uint64) {
	seq := s.db.Heads().VisibleSeq
	w, found := s.past[seq]
	if !found || seq < promised || seq > s.world.seq {
		s.failed("the store has come back at %d; durable was %d, the head %d", seq, promised, s.world.seq)
	}
	s.world = w.clone()
	s.world.floor = seq
	s.past = map[uint64]*world{seq: s.world}
	s.keyed = slices.DeleteFunc(s.keyed, func(q *request) bool { _, kept := s.world.known[q.keyName()]; return !kept })
	s.compareAll()
}

func (s *session) reopen() {
	s.recent = append(s.recent, "reopen")
	s.close()
	s.open()
	s.resume(s.world.seq)
}

// compareAll compares all that there is.
func (s *session) compareAll() {
	s.t.Helper()
	for _, at := range s.scopes("") {
		s.compareScope(at, s.world, nil)
		for name, t := range s.world.scopes[at.name].tables {
			s.compareIndexes(at, name, t)
		}
		for name, c := range s.world.scopes[at.name].counters {
			sum, _, err := at.engine.KV().Counter(s.ctx, []byte(name))
			want, over := uint64(0), false
			for _, n := range c.shards {
				over = over || want+n < want
				want += n
			}
			if over != (err != nil) || !over && sum != want {
				s.failed("counter %s of %s is %d, %v; want %d", name, at.name, sum, err, want)
			}
		}
	}
	violations, err := s.db.CheckInvariants(aedb.AtLatest)
	require.NoError(s.t, err)
	require.Empty(s.t, violations)
}

// compareThePast compares with what there was at a seq that is still retained.
func (s *session) compareThePast() {
	seq := s.recently()
	for _, at := range s.scopes("") {
		s.compareScope(at, s.past[seq], []aedb.ReadOption{aedb.At(aedb.AtSeq(seq))})
	}
}

// recently returns a seq that is still retained.
func (s *session) recently() uint64 {
	var seqs []uint64
	for seq := range s.past {
		if seq+40 > s.world.seq {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs[s.IntN(len(seqs))]
}

func (s *session) compareScope(at where, w *world, opts []aedb.ReadOption) {
	s.t.Helper()
	want := w.scopes[at.name]
	found := 0
	for e, err := range at.engine.KV().Scan(s.ctx, aedb.Range{}, opts...) {
		require.NoError(s.t, err)
		k, there := want.keys[string(e.Key)]
		if !there || !bytes.Equal(k.val, e.Value) || k.version != e.Version || k.created != e.Created {
			s.failed("key %q of %s at %d is %+v, want %+v (%v)", e.Key, at.name, w.seq, e, k, there)
		}
		found++
	}
	if found != len(want.keys) {
		s.failed("%s has %d keys at %d, want %d", at.name, found, w.seq, len(want.keys))
	}
	for _, name := range []string{"t", "u"} {
		t := want.tables[name]
		result, err := at.engine.Query(s.ctx, query.Select("*").From(name).OrderBy("id", query.Asc), append(slices.Clone(opts), aedb.AllowFullScan())...)
		if t == nil {
			if aedb.CodeOf(err) != tableNotFound {
				s.failed("table %s of %s at %d: %v", name, at.name, w.seq, err)
			}
			continue
		}
		require.NoError(s.t, err)
		rows := t.sorted()
		if len(rows) != len(result.Rows) {
			s.failed("table %s of %s has %d rows at %d, want %d", name, at.name, len(result.Rows), w.seq, len(rows))
		}
		for i, r := range rows {
			if !sameRow(r.Row, result.Rows[i]) {
				s.failed("row %v of %s at %d, want %v", result.Rows[i], name, w.seq, r.Row)
			}
			var version uint64
			err := at.engine.View(s.ctx, func(v *aedb.View) (err error) {
				_, version, err = v.Row(s.ctx, name, r.Row[id])
				return err
			}, opts...)
			require.NoError(s.t, err)
			if version != r.version {
				s.failed("row %v of %s has version %d, want %d", r.Row[id], name, version, r.version)
			}
		}
	}
}

// compareIndexes asks for rows in the order of each index.
func (s *session) compareIndexes(at where, name string, t *table) {
	for index := range t.indexes {
		if !t.indexes[index] {
			continue
		}
		column := map[string]string{"by_owner": "owner", "by_n": "n", "one_kind": "kind"}[index]
		result, err := at.engine.Query(s.ctx, query.Select("*").From(name).OrderBy(column, query.Asc).UseIndex(index), aedb.AllowFullScan())
		require.NoError(s.t, err)
		rows := t.by(index, false)
		if len(rows) != len(result.Rows) {
			s.failed("index %s of %s has %d rows, want %d", index, name, len(result.Rows), len(rows))
		}
		for i, r := range rows {
			if !sameRow(r.Row, result.Rows[i]) {
				s.failed("index %s of %s: row %d is %v, want %v", index, name, i, result.Rows[i], r.Row)
			}
		}
	}
}
