package applier

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/invariant"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// request is an envelope in the model's terms.
type request struct {
	checks []check
	ops    []op
	key    byte // of idempotency; 0: none
	reads  []read
}

// body tells requests apart that ask different things.
func (q request) body() [32]byte {
	env := msgs.Envelope{Assertions: assertions(q.checks)}
	for _, o := range q.ops {
		env.Mutations = append(env.Mutations, o.mutation())
	}
	body, err := executor.Fingerprint(&env)
	if err != nil {
		panic(err) // there is no such request
	}
	return body
}

// read is something that a request was decided on, at a snapshot. A table of ""
// is the scope's keys.
type read struct {
	scope, table string
	ranged       bool
	key          string // of a point
	start, end   string // of a range; an end of "" is none
	snapshot     uint64
	exact        bool // tell the entry's own version instead of the snapshot's
}

// memory is what the model knows of an idempotency key.
type memory struct {
	seq    uint64
	micros int64
	body   [32]byte
}

// rig runs the same requests through an applier and the model.
type rig struct {
	*rand.Rand
	t       require.TestingT
	a       *Applier
	m       *model
	history map[uint64]*model
	keyed   map[byte]memory
	past    []request
	micros  int64
	log     []msgs.Changeset
	answers map[string]int // outcomes seen, to know that the test tests something
}

var testWindow = Window{Commits: 8, Age: 60 * time.Microsecond}

func newRig(t require.TestingT, seed uint64) *rig {
	x := &executor.Executor{Limits: testLimits}
	w := state.NewWorking()
	r := &rig{
		Rand: rand.New(rand.NewPCG(seed, 1)), t: t,
		a: New(x, testWindow, w, w.Freeze(), nil),
		m: &model{scopes: map[string]*modelScope{}, touched: map[string]uint64{}}, history: map[uint64]*model{}, keyed: map[byte]memory{}, answers: map[string]int{},
	}
	r.keepHistory()
	setup := r.prepare(msgs.Envelope{Mutations: []msgs.Mutation{msgs.Define{Statement: catalog.CreateProject{Project: "p"}}}})
	e := &msgs.Epoch{Requests: []*msgs.Request{setup}}
	r.a.Step(e)
	require.NoError(t, e.Answers[0].Err)
	r.log = append(r.log, e.Sets...)
	r.m.seq = 1
	r.m.scopes["app"] = newModelScope(1)
	r.keepHistory()
	r.send([]request{{ops: []op{
		{kind: opCreateScope, scope: "s"}, {kind: opCreateTable, scope: "s", table: "t"},
		{kind: opCreateTable, scope: "app", table: "t"}, {kind: opCreateTable, scope: "app", table: "v"},
		{kind: opCreateIndex, scope: "app", table: "t", column: "u"},
	}}})
	return r
}

var testLimits = executor.Limits{
	MaxMutations: 100, MaxAssertions: 100, MaxTransactionSize: 1 << 20, MaxBatchRows: 100,
	MaxKVKey: 100, MaxKVValue: 1 << 10, MaxTableValue: 1 << 10, MaxPrimaryKey: 1 << 10, MaxEventPayload: 1 << 10,
}

func (r *rig) keepHistory() { r.history[r.m.seq] = r.m.clone() }

// prepare does what a caller's goroutine does.
func (r *rig) prepare(env msgs.Envelope) *msgs.Request {
	q, err := r.tryPrepare(env)
	require.NoError(r.t, err)
	return q
}

func (r *rig) tryPrepare(env msgs.Envelope) (*msgs.Request, error) {
	q, err := r.a.executor.Prepare(r.a.image.Catalog(), &env)
	if err != nil {
		return nil, err
	}
	q.Ticket = msgs.NewTicket(nil, 0)
	if env.IdempotencyKey != nil {
		q.Idempotency, q.Fingerprint = identity(r.t, &env)
	}
	return q, nil
}

func (r *rig) one(of ...string) string { return of[r.IntN(len(of))] }

func (r *rig) scopeName() string { return r.one("app", "app", "app", "s") }
func (r *rig) tableName() string { return r.one("t", "t", "t", "v") }
func (r *rig) keyName() string   { return r.one("", "a", "b", "ba", "c", "n", "n") }
func (r *rig) rowID() int64      { return r.Int64N(5) }

func (r *rig) cell() cell {
	if r.IntN(4) == 0 {
		return cell{null: true}
	}
	return cell{n: r.Int64N(6)}
}

func (r *rig) op() op {
	o := op{
		kind: opKind(r.IntN(int(opCreateScope))), scope: r.scopeName(), table: r.tableName(), column: r.one("u", "a"),
		key: r.keyName(), val: r.one("", "x", "y", number(3)), id: r.rowID(), n: r.Uint64N(4), value: r.cell(),
		flag: r.IntN(2) == 0, policy: r.IntN(4),
	}
	if r.IntN(10) == 0 {
		o.kind = []opKind{
			opCreateScope, opCreateScope, opCreateTable, opCreateTable, opCreateTable, opCreateTable,
			opCreateIndex, opCreateIndex, opCreateIndex, opDropScope, opDropTable, opDropIndex,
		}[r.IntN(12)]
		o.flag = r.IntN(4) == 0
	}
	for range 1 + r.IntN(3) {
		row := inRow{id: cell{n: r.rowID()}, u: r.cell(), a: r.cell(), mistyped: r.IntN(100) == 0}
		row.id.null = r.IntN(100) == 0
		o.rows = append(o.rows, row)
	}
	o.conflict = conflictKind(r.IntN(2 * int(conflictUpdates)))
	if o.conflict > conflictUpdates {
		o.conflict = conflictFails
	}
	switch o.kind {
	case opCheck:
		o.checks = r.checks(2)
	case opGuarded:
		o.checks = r.checks(1)
		inner := r.op()
		for inner.kind == opCheck || inner.kind == opGuarded || inner.definition() {
			inner = r.op()
		}
		o.inner = []op{inner}
	}
	return o
}

func (r *rig) checks(most int) (list []check) {
	for range r.IntN(most + 1) {
		list = append(list, r.check(2))
	}
	return list
}

func (r *rig) check(depth int) check {
	kinds := checkKinds
	if depth == 0 {
		kinds = checkNot
	}
	c := check{
		kind: checkKind(r.IntN(int(kinds))), scope: r.scopeName(), table: r.tableName(), key: r.keyName(),
		val: r.one("", "x"), id: r.rowID(), value: r.cell(), expected: r.IntN(2) == 0,
	}
	if s := r.m.scopes[c.scope]; s != nil && r.IntN(2) == 0 {
		c.seq = s.keys[c.key].version
		if t := s.tables[c.table]; t != nil && c.kind == checkRowVersion {
			c.seq = t.rows[c.id].version
		}
	}
	if c.kind >= checkNot {
		c.inner = []check{r.check(depth - 1)}
		if c.kind > checkNot && r.IntN(2) == 0 {
			c.inner = append(c.inner, r.check(depth-1))
		}
	}
	return c
}

func (r *rig) request() request {
	if len(r.past) > 0 && r.IntN(6) == 0 {
		q := r.past[len(r.past)-1-r.IntN(min(len(r.past), 12))] // a retry
		q.reads = nil
		return q
	}
	q := request{}
	for range 1 + r.IntN(4) {
		q.ops = append(q.ops, r.op())
	}
	if r.IntN(3) == 0 {
		q.checks = r.checks(2)
	}
	if r.IntN(3) == 0 {
		q.key = byte(1 + r.IntN(8))
	}
	for range r.IntN(5) - 2 {
		q.reads = append(q.reads, r.read())
	}
	r.past = append(r.past, q)
	return q
}

func (r *rig) read() read {
	d := read{
		scope: r.scopeName(), ranged: r.IntN(2) == 0, exact: r.IntN(2) == 0,
		snapshot: r.m.seq - min(r.m.seq, r.Uint64N(8)),
	}
	if r.IntN(2) == 0 {
		d.table, d.key = r.tableName(), fmt.Sprint(r.rowID())
		if r.IntN(2) == 0 {
			d.start = d.key
		}
		return d
	}
	d.key, d.start, d.end = r.keyName(), r.keyName(), r.keyName()
	return d
}

// versions returns the entries that the read covers, with their versions.
func (d read) versions(m *model) map[string]uint64 {
	out := map[string]uint64{}
	s := m.scopes[d.scope]
	if s == nil {
		return out
	}
	if d.table == "" {
		for k, e := range s.keys {
			if d.covers(k) {
				out[k] = e.version
			}
		}
	} else if t := s.tables[d.table]; t != nil {
		for id, row := range t.rows {
			if d.covers(fmt.Sprint(id)) {
				out[fmt.Sprint(id)] = row.version
			}
		}
	}
	return out
}

func (d read) covers(key string) bool {
	switch {
	case !d.ranged:
		return key == d.key
	case d.table != "":
		return d.start == "" || key == d.start
	}
	return key >= d.start && (d.end == "" || key < d.end)
}

// judge says whether the read conflicts with the state: it must if what it saw is
// different now; it may if something happened there all the same.
func (d read) judge(then, now *model) (must, may bool) {
	was, is := d.versions(then), d.versions(now)
	if len(was) != len(is) {
		return true, true
	}
	for k, v := range was {
		if is[k] != v {
			return true, true
		}
	}
	for k, seq := range now.touched {
		parts := strings.SplitN(k, "/", 3)
		if parts[0] == d.scope && parts[1] == d.table && d.covers(parts[2]) && seq > then.seq {
			may = true
		}
	}
	s := now.scopes[d.scope]
	switch {
	case s == nil:
		return false, true
	case d.table == "":
		return false, may || s.defined > then.seq
	case s.tables[d.table] == nil:
		return false, true
	}
	return false, may || s.tables[d.table].defined > then.seq || s.defined > then.seq
}

// preparation is the model of what is refused before the pipeline.
func (r *rig) preparation(q request) errs.Code {
	schema := r.m.clone()
	if code := schema.bindChecks(q.checks); code != "" {
		return code
	}
	// Points are bound before ranges, keys before rows.
	for _, pass := range []func(read) bool{
		func(d read) bool { return !d.ranged && d.table == "" }, func(d read) bool { return !d.ranged && d.table != "" },
		func(d read) bool { return d.ranged && d.table == "" }, func(d read) bool { return d.ranged && d.table != "" },
	} {
		for _, d := range q.reads {
			if !pass(d) {
				continue
			}
			_, code := schema.scope(d.scope)
			if code == "" && d.table != "" {
				_, code = schema.table(d.scope, d.table)
			}
			if code != "" {
				return code
			}
		}
	}
	for _, o := range q.ops {
		if code := schema.bind(o); code != "" {
			return code
		}
		if o.definition() {
			if code := schema.define(o, false); code != "" {
				return code
			}
		}
	}
	return ""
}

// outcome is the answer to one request.
type outcome struct {
	code errs.Code
	seq  uint64
	kind msgs.Outcome
}

// remembers is the model of a lookup by idempotency key.
func (r *rig) remembers(q request) (answer outcome, known bool) {
	old, ok := r.keyed[q.key]
	switch {
	case q.key == 0 || !ok, r.m.seq-old.seq >= testWindow.Commits, r.micros-old.micros > testWindow.Age.Microseconds():
		return answer, false
	case old.body != q.body():
		return outcome{code: errs.CodeIdempotencyMismatch}, true
	}
	return outcome{seq: old.seq, kind: msgs.Duplicate}, true
}

// execute is the model of one request in the pipeline. The engine's answer
// decides where a conflict is allowed but not required.
func (r *rig) execute(q request, got outcome) outcome {
	if answer, known := r.remembers(q); known {
		return answer
	}
	for _, d := range q.reads {
		must, may := d.judge(r.history[d.snapshot], r.m)
		if must || may && got.code == errs.CodeConflict {
			return outcome{code: errs.CodeConflict}
		}
	}
	trial := r.m.clone()
	if !slices.ContainsFunc(q.ops, func(o op) bool { return o.kind != opCheck }) {
		if code := trial.checkOnly(q); code != "" {
			return outcome{code: code}
		}
		return outcome{seq: r.m.seq, kind: msgs.Checked}
	}
	trial.seq++
	if code := trial.bindChecks(q.checks); code != "" {
		return outcome{code: code}
	}
	if !trial.holdAll(q.checks) {
		return outcome{code: errs.CodeAssertionFailed}
	}
	events := map[string]bool{}
	for _, o := range q.ops {
		if code := trial.apply(o, events); code != "" {
			return outcome{code: code}
		}
	}
	r.m = trial
	r.keepHistory()
	if q.key > 0 {
		r.keyed[q.key] = memory{r.m.seq, r.micros, q.body()}
	}
	return outcome{seq: r.m.seq}
}

// epoch sends some random requests together.
func (r *rig) epoch() {
	r.micros += r.Int64N(15)
	var batch []request
	for range 1 + r.IntN(4) {
		batch = append(batch, r.request())
	}
	r.send(batch)
}

// send prepares requests against one catalog and executes them as an epoch.
func (r *rig) send(batch []request) {
	e := &msgs.Epoch{Micros: r.micros}
	var sent []request
	for _, q := range batch {
		env := r.envelope(q)
		want, inWindow := r.remembers(q)
		got, found, err := known(r.t, r.a, r.micros, &env)
		require.Equal(r.t, want.code, errs.CodeOf(err))
		require.Equal(r.t, inWindow && err == nil, found)
		if inWindow {
			r.answers["known"]++
			require.Equal(r.t, want.seq, got.Seq)
			continue
		}
		prepared, err := r.tryPrepare(env)
		require.Equal(r.t, r.preparation(q), errs.CodeOf(err), "%+v: %v", q, err)
		if err != nil {
			r.answers["refused"]++
			continue
		}
		e.Requests, sent = append(e.Requests, prepared), append(sent, q)
	}
	requests := slices.Clone(e.Requests)
	r.a.Step(e)
	require.Len(r.t, e.Answers, len(requests))
	got := map[*msgs.Ticket]outcome{}
	for _, a := range e.Answers {
		if a.Err != nil {
			got[a.Ticket] = outcome{code: errs.CodeOf(a.Err)}
			continue
		}
		got[a.Ticket] = outcome{seq: a.Seq, kind: a.Outcome}
	}
	first := r.m.seq
	for i, q := range sent {
		answer, ok := got[requests[i].Ticket]
		require.True(r.t, ok, "every request is answered")
		require.Equal(r.t, r.execute(q, answer), answer, "%+v", q)
		if answer.kind == msgs.Applied {
			r.answers[string(answer.code)]++
		} else {
			r.answers[answer.kind.String()]++
		}
	}
	for i, set := range e.Sets {
		require.Equal(r.t, first+uint64(i)+1, set.Seq, "seqs are contiguous")
		require.Equal(r.t, r.micros, set.Micros)
	}
	r.log = append(r.log, e.Sets...)
	r.compare(e.Image.(*state.Image))
}

// compare checks that an image holds just what the model does.
func (r *rig) compare(image *state.Image) {
	require.Equal(r.t, r.m.seq, image.Seq())
	require.Empty(r.t, invariant.Check(image))
	p, err := image.Catalog().Project("p")
	require.NoError(r.t, err)
	scopes := 0
	for s := range image.Catalog().Scopes(p) {
		scopes++
		want := r.m.scopes[s.Name]
		require.NotNil(r.t, want, s.Name)
		require.Equal(r.t, len(want.keys), image.Len(s.ID))
		for k, e := range want.keys {
			raw, version, ok := image.Get(s.ID, []byte(k))
			require.True(r.t, ok)
			created, payload, err := record.SplitKV(raw)
			require.NoError(r.t, err)
			require.Equal(r.t, e, modelKey{string(payload), created, version})
		}
		tables := 0
		for t := range image.Catalog().Tables(s) {
			tables++
			r.compareTable(image, t, want.tables[t.Name])
		}
		require.Len(r.t, want.tables, tables)
	}
	require.Len(r.t, r.m.scopes, scopes)
	if t, err := image.Catalog().Table(catalog.SystemProject, catalog.DefaultScope, catalog.EventOutbox); err == nil {
		require.Equal(r.t, r.m.events, image.Len(t.ID))
	} else {
		require.Zero(r.t, r.m.events)
	}
	// What is remembered is at least what the window holds, and not much more.
	require.LessOrEqual(r.t, image.Len(catalog.SpaceIdempotency), len(r.keyed))
}

func (r *rig) compareTable(image *state.Image, t *catalog.Table, want *modelTable) {
	require.NotNil(r.t, want, t.Name)
	require.Equal(r.t, len(want.rows), image.Len(t.ID))
	require.Len(r.t, t.Indexes, len(want.indexes))
	for id, row := range want.rows {
		key := record.AppendRowKey(nil, []value.Value{value.Int(id)})
		data, version, ok := image.Get(t.ID, key)
		require.True(r.t, ok)
		require.Equal(r.t, row.version, version)
		require.Equal(r.t, value.Row{value.Int(id), row.u.value(), row.a.value()},
			record.Row{Table: t, Key: key, Data: data}.Values(nil))
	}
}

func TestRandomEnvelopesBehaveAsInTheModel(t *testing.T) {
	answers := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, rapid.Uint64().Draw(t, "seed"))
		for range rapid.IntRange(1, 60).Draw(t, "epochs") {
			r.epoch()
		}
		replayed := state.NewWorking()
		for i := range r.log {
			require.NoError(t, replayed.Replay(&r.log[i]))
		}
		require.NoError(t, replayed.LoadCatalog())
		require.Equal(t, r.a.image.Digest(), replayed.Freeze().Digest(), "recovery makes the same database")
		require.Equal(t, r.a.image.Catalog().Entries(), replayed.Catalog().Entries())
		for k, n := range r.answers {
			answers[k] += n
		}
	})
	t.Log(answers)
	if testing.Short() {
		return // too few cases to be sure of meeting every answer
	}
	// Overflows and duplicates within an epoch are too rare to be sure of.
	for _, k := range []string{"", "refused", "known", "checked", "conflict", "assertion_failed", "idempotency_mismatch",
		"duplicate_primary_key", "unique_violation", "row_not_found", "underflow", "validation"} {
		require.Positive(t, answers[k], "the test never saw %q", k)
	}
}
