package applier

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
)

// benchApplier returns an applier over a table with two indexes, and n keys.
func benchApplier(b *testing.B, n int) *Applier {
	limits := testLimits
	limits.MaxMutations, limits.MaxTransactionSize = 1<<20, 1<<30
	x := &executor.Executor{Limits: limits}
	w := state.NewWorking()
	a := New(x, Window{}, w, w.Freeze(), nil)
	create := op{kind: opCreateTable, scope: "app", table: "t"}.statement().(catalog.CreateTable)
	create.Indexes = []catalog.IndexSpec{{Name: "u", Columns: []string{"u"}, Unique: true}, {Name: "a", Columns: []string{"a"}}}
	mutations := []msgs.Mutation{define(catalog.CreateProject{Project: "p"}), define(create)}
	for i := range n {
		mutations = append(mutations, benchSet(uint64(i)))
	}
	step(b, a, benchPrepare(b, a, mutations))
	return a
}

func benchSet(i uint64) msgs.Mutation {
	return msgs.KvSet{Scope: app, Key: binary.BigEndian.AppendUint64(nil, i*0x9e3779b97f4a7c15), Value: make([]byte, 100)}
}

func benchPrepare(b *testing.B, a *Applier, mutations []msgs.Mutation) *msgs.Request {
	r, err := a.executor.Prepare(a.image.Catalog(), &msgs.Envelope{Mutations: mutations})
	require.NoError(b, err)
	return r
}

func step(b *testing.B, a *Applier, requests ...*msgs.Request) {
	e := &msgs.Epoch{Requests: requests}
	a.Step(e)
	for i := range e.Answers {
		require.NoError(b, e.Answers[i].Err)
	}
}

const benchEpoch = 64 // requests

// benchmarkStep measures epochs; the time is for one request. Preparing them is
// the callers' work and not measured.
func benchmarkStep(b *testing.B, a *Applier, mutations func(i uint64) []msgs.Mutation) {
	b.ReportAllocs()
	requests := make([]*msgs.Request, benchEpoch)
	b.ResetTimer()
	for i := 0; i < b.N; i += benchEpoch {
		b.StopTimer()
		for j := range requests {
			requests[j] = benchPrepare(b, a, mutations(uint64(i+j)))
		}
		b.StartTimer()
		step(b, a, requests...)
	}
}

func BenchmarkStepKvSet(b *testing.B) {
	const keys = 100_000
	for _, n := range []uint64{1, 64} {
		b.Run(fmt.Sprintf("mutations=%d", n), func(b *testing.B) {
			a := benchApplier(b, keys)
			benchmarkStep(b, a, func(i uint64) (out []msgs.Mutation) {
				for j := range n {
					out = append(out, benchSet((i*n+j)%keys))
				}
				return out
			})
		})
	}
}

func BenchmarkStepInsertWithTwoIndexes(b *testing.B) {
	a := benchApplier(b, 0)
	benchmarkStep(b, a, func(i uint64) []msgs.Mutation {
		id := int64(i * 7919 % 1_000_003)
		return []msgs.Mutation{msgs.WriteRows{
			Table: table, Mode: msgs.WriteUpsert, Rows: []value.Row{{value.Int(id), value.Int(id), value.Int(id % 1000)}},
		}}
	})
}

// A conflict check must not grow with what was removed from the range before the
// snapshot.
func BenchmarkRangeCheckOverRemovals(b *testing.B) {
	for _, n := range []int{10, maxRemovals} {
		b.Run(fmt.Sprintf("removals=%d", n), func(b *testing.B) {
			r := newRemovals(0)
			for i := range n {
				r.record(&msgs.Changeset{Seq: 1, Effects: []msgs.Effect{{Op: msgs.EffectDelete, Space: 70, Key: binary.BigEndian.AppendUint64(nil, uint64(i))}}})
			}
			w := state.NewWorking()
			b.ReportAllocs()
			for b.Loop() {
				if err := r.checkRange(w, &msgs.RangeRead{Space: 70, Version: 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPrepare(b *testing.B) {
	a := benchApplier(b, 0)
	for name, m := range map[string]msgs.Mutation{
		"KvSet":  benchSet(1),
		"Upsert": msgs.WriteRows{Table: table, Mode: msgs.WriteUpsert, Rows: []value.Row{{value.Int(1), value.Int(1), value.Int(1)}}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchPrepare(b, a, []msgs.Mutation{m})
			}
		})
	}
}
