package model

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/msgs"
)

// request is one envelope on both sides.
type request struct {
	number     int
	label      string
	caller     string // "" for nobody
	env        aedb.Envelope
	conditions []condition
	reads      []read
	changes    []change
}

// request makes an envelope of several changes. Plain ones define nothing.
func (g *generator) request(w *world, scopes []where, plain bool) *request {
	g.requests++
	q := &request{number: g.requests, caller: pick(g, "", "", "alice", "bob")}
	at := func() where { return pick(g, scopes...) }
	if g.IntN(3) == 0 {
		for range 1 + g.IntN(2) {
			q.conditions = append(q.conditions, g.condition(w, at(), 2))
		}
	}
	if g.IntN(4) == 0 {
		q.reads = append(q.reads, g.read(w, at()))
	}
	for range 1 + g.IntN(4) {
		q.changes = append(q.changes, g.change(w, at(), plain))
	}
	if g.IntN(3) == 0 && !plain {
		var key aedb.IdempotencyKey
		binary.BigEndian.PutUint64(key[:], g.Uint64()|1)
		q.env.IdempotencyKey = &key
	}
	for _, c := range q.conditions {
		q.env.Assertions = append(q.env.Assertions, c.engine)
	}
	for _, r := range q.reads {
		r.add(&q.env.ReadSet)
	}
	var labels []string
	for _, c := range q.changes {
		q.env.Mutations = append(q.env.Mutations, c.engine)
		labels = append(labels, c.label)
	}
	q.label = fmt.Sprintf("#%d %s [%d assertions, %d reads, key %v]: %s", q.number, q.caller, len(q.conditions), len(q.reads),
		q.env.IdempotencyKey != nil, strings.Join(labels, "; "))
	return q
}

func (g *generator) change(w *world, at where, plain bool) change {
	switch k := g.IntN(20); {
	case k < 8:
		return g.keyChange(at)
	case k < 15:
		return g.rowChange(at)
	case k < 17:
		return g.guarded(w, at)
	case k < 18:
		return g.checked(w, at)
	case k < 19 && !plain:
		return g.definition(at)
	}
	return g.keyChange(at)
}

// guarded makes a write that depends on assertions at its place.
func (g *generator) guarded(w *world, at where) change {
	c, list := g.keyChange(at), []condition{g.condition(w, at, 1)}
	if g.IntN(2) == 0 {
		c = g.rowChange(at)
	}
	bind, run := c.bind, c.run
	return change{"If " + c.label, aedb.If(c.engine, list[0].engine), func(w *world) *failure {
		if f := bindAll(w, list); f != nil {
			return f
		}
		return bind(w)
	}, func(w *world) (*aedb.Reply, *failure) {
		if f := check(w, list); f != nil {
			return nil, f
		}
		return run(w)
	}, false}
}

// checked makes a check of what the changes before it have left.
func (g *generator) checked(w *world, at where) change {
	list := []condition{g.condition(w, at, 2)}
	return change{"Check", aedb.Check(list[0].engine), func(w *world) *failure { return bindAll(w, list) },
		func(w *world) (*aedb.Reply, *failure) { return nil, check(w, list) }, false}
}

// outcome is what a request comes to in the model.
type outcome struct {
	world   *world // after it
	result  aedb.Result
	refused *failure
	// early is what is wrong with it given only what is defined. A request with
	// several faults is refused for one of them.
	early *failure
}

// carryOut does a request to a world, which it leaves as it is.
func (q *request) carryOut(before *world) outcome {
	if q.env.IdempotencyKey != nil {
		if old, found := before.known[q.keyName()]; found {
			if old.request != q.number {
				return outcome{world: before, refused: fail(keyMismatch)}
			}
			old.result.Outcome = aedb.Duplicate
			return outcome{world: before, result: old.result}
		}
	}
	out := outcome{world: before, early: q.bind(before)}
	for _, r := range q.reads {
		if out.early == nil && r.stale(before) {
			out.refused = fail(conflict)
			return out
		}
	}
	if out.refused = check(before, q.conditions); out.refused != nil {
		return out
	}
	if !q.writes() {
		_, f := q.run(before.clone())
		out.refused = f
		out.result = aedb.Result{CommitSeq: before.seq, Outcome: aedb.Checked}
		return out
	}
	after := before.clone()
	after.seq++
	replies, f := q.run(after)
	if f != nil {
		out.refused = f
		return out
	}
	if out.early != nil { // in what was not evaluated
		out.refused = out.early
		return out
	}
	out.world, out.result = after, aedb.Result{CommitSeq: after.seq, Replies: replies}
	if q.env.IdempotencyKey != nil {
		after.known[q.keyName()] = applied{q.number, out.result}
	}
	return out
}

// writes reports whether there is anything but checks.
func (q *request) writes() bool {
	return slices.ContainsFunc(q.changes, func(c change) bool { return c.label != "Check" })
}

func (q *request) keyName() string { return fmt.Sprintf("%s/%x", q.caller, *q.env.IdempotencyKey) }

// bind finds the first fault that what is defined is enough to find.
func (q *request) bind(w *world) *failure {
	if f := bindAll(w, q.conditions); f != nil {
		return f
	}
	for _, r := range q.reads {
		if f := r.bind(w); f != nil {
			return f
		}
	}
	staged := w.clone()
	for _, c := range q.changes {
		if f := c.bind(staged); f != nil {
			return f
		}
		if c.defines {
			_, _ = c.run(staged) // rows do not matter here
		}
	}
	return nil
}

func (q *request) run(w *world) (replies []msgs.Reply, f *failure) {
	for i, c := range q.changes {
		reply, f := c.run(w)
		if f != nil {
			return nil, f
		}
		if reply != nil {
			reply.Mutation = i
			replies = append(replies, *reply)
		}
	}
	return replies, nil
}
