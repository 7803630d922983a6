package history

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go"
	"github.com/empyrealapp/aedb-go/vfs"
)

// recorder collects a history. Times are those since it was made.
type recorder struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func newRecorder() *recorder { return &recorder{began: time.Now()} }

func (r *recorder) now() int64 { return int64(time.Since(r.began)) }

func (r *recorder) add(client int, input, output any, called, returned int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{
		ClientId: client, Input: input, Output: output, Call: called, Return: returned,
	})
}

// check requires that one order explains the history.
func (r *recorder) check(t *testing.T, model porcupine.Model) {
	t.Helper()
	result, info := porcupine.CheckOperationsVerbose(model, r.ops, time.Minute)
	if result == porcupine.Ok {
		return
	}
	picture := filepath.Join(t.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(model, info, picture); err != nil {
		t.Log(err)
	}
	t.Fatalf("%d operations: %s; -artifacts keeps the picture in %s", len(r.ops), result, picture)
}

// fate is what an error says about the operation that got it.
type fate uint8

const (
	happened fate = iota
	conditionFailed
	neverHappens
	unknown
	surprise
)

// fateOf reads an error as the documentation tells callers to.
func fateOf(err error) fate {
	switch aedb.CodeOf(err) {
	case "":
		if err == nil {
			return happened
		}
		return surprise
	case aedb.ErrAssertionFailed.Code:
		return conditionFailed
	case aedb.ErrOutcomeUnknown.Code, aedb.ErrIndeterminate.Code:
		return unknown
	case aedb.ErrTimeout.Code, aedb.ErrCanceled.Code, aedb.ErrQueueFull.Code,
		aedb.ErrUnavailable.Code, aedb.ErrConflict.Code:
		return neverHappens
	}
	return surprise
}

// caller does random operations on a few keys and writes down what it sees.
type caller struct {
	id      int
	rng     *rand.Rand
	keys    int
	history *recorder
	// versions are the last that the caller has seen, so that its conditions
	// hold now and then.
	versions, values map[string]uint64
	// hasty is the chance, of 100, that a call has a context that ends soon.
	hasty int
}

func newCaller(id int, seed uint64, keys int, history *recorder) *caller {
	return &caller{
		id: id, rng: rand.New(rand.NewPCG(seed, uint64(id))), keys: keys, history: history,
		versions: map[string]uint64{}, values: map[string]uint64{},
	}
}

// next does one operation. An error is not a fate of the operation but a
// failure of the store.
func (c *caller) next(ctx context.Context, app *aedb.Scope) (fate, error) {
	in := call{
		action: action(c.rng.IntN(int(actions))), key: fmt.Sprintf("k%d", c.rng.IntN(c.keys)),
		arg: uint64(c.rng.IntN(1000)),
	}
	switch in.action {
	case actSetAtVersion:
		in.expected = c.versions[in.key]
	case actSetAtValue:
		in.expected = c.values[in.key]
	}
	if c.rng.IntN(100) < c.hasty {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.rng.IntN(300))*time.Microsecond)
		defer cancel()
	}
	called := c.history.now()
	out, err := perform(ctx, app, in)
	returned := c.history.now()

	f := fateOf(err)
	switch f {
	case surprise:
		return f, fmt.Errorf("%s %s: %w", actionNames[in.action], in.key, err)
	case neverHappens:
		return f, nil
	case conditionFailed:
		out.verdict = refused
		if out.found, err = foundInstead(err); err != nil {
			return surprise, err
		}
	case unknown:
		out.verdict = pending
		returned = math.MaxInt64
	}
	if out.found.present {
		c.values[in.key], c.versions[in.key] = out.found.value, out.found.version
	}
	if out.seq != 0 {
		c.versions[in.key], c.values[in.key] = out.seq, in.arg
	}
	c.history.add(c.id, in, out, called, returned)
	return f, nil
}

// perform does one operation on the store.
func perform(ctx context.Context, app *aedb.Scope, in call) (out reply, err error) {
	k := []byte(in.key)
	commit := func(m aedb.Mutation, conditions ...aedb.Assertion) (reply, error) {
		env := aedb.Envelope{Mutations: []aedb.Mutation{m}, Assertions: conditions}
		r, err := app.CommitEnvelope(ctx, env, aedb.Visible)
		return reply{seq: r.CommitSeq}, err
	}
	switch in.action {
	case actSet:
		return commit(app.KvSet(k, number(in.arg)))
	case actDelete:
		return commit(app.KvDel(k))
	case actAdd:
		return commit(add(app, k, in.arg))
	case actSetAtVersion:
		return commit(app.KvSet(k, number(in.arg)), app.KeyVersion(k, in.expected))
	case actSetAtValue:
		return commit(app.KvSet(k, number(in.arg)), app.KeyEquals(k, number(in.expected)))
	case actIncrement:
		r, err := app.Transact(ctx, func(tx *aedb.Tx) (err error) {
			if out.found, err = get(ctx, tx.KV(), k); err != nil {
				return err
			}
			return tx.Set(k, number(out.found.value+1))
		})
		out.seq = r.CommitSeq
		return out, err
	}
	out.found, err = get(ctx, app.KV(), k)
	return out, err
}

func get(ctx context.Context, kv aedb.KV, k []byte) (register, error) {
	e, found, err := kv.Get(ctx, k)
	if err != nil || !found {
		return register{}, err
	}
	return register{present: true, value: binary.BigEndian.Uint64(e.Value), version: e.Version}, nil
}

// foundInstead returns what a failed condition found.
func foundInstead(err error) (register, error) {
	var failed *aedb.AssertionError
	if !errors.As(err, &failed) {
		return register{}, fmt.Errorf("assertion_failed without its detail: %w", err)
	}
	r := register{version: failed.Actual.Version}
	if b := failed.Actual.Bytes; len(b) == 8 {
		r.present, r.value = true, binary.BigEndian.Uint64(b)
	}
	return r, nil
}

func TestHistoryOfConcurrentCallersIsLinearizable(t *testing.T) {
	forEachMode(t, func(t *testing.T, mode aedb.Durability) {
		forEachSeed(t, func(t *testing.T, seed uint64) {
			_, app := openApp(t, vfs.NewMem(), durability(mode), func(c *aedb.Config) {
				c.BatchInterval = time.Millisecond
				c.Pipeline.EpochCommits = 1 + int(seed%7)
			})
			history := newRecorder()
			const callers, keys = 16, 6
			var wg sync.WaitGroup
			for id := range callers {
				c := newCaller(id, seed, keys, history)
				c.hasty = 2
				wg.Go(func() {
					for range scale(60) {
						if _, err := c.next(t.Context(), app); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			history.check(t, registers)
		})
	})
}

// TestHistoryIsLinearizableAcrossPowerLosses cuts the power again and again in
// the middle of traffic in Full mode. What was acknowledged must be there
// afterwards; what was not may be, and what was refused must not.
func TestHistoryIsLinearizableAcrossPowerLosses(t *testing.T) {
	fates := []func(seed uint64) vfs.Fate{
		func(uint64) vfs.Fate { return vfs.AllLost() },
		func(uint64) vfs.Fate { return vfs.AllKept() },
		func(seed uint64) vfs.Fate { return vfs.RandomBlocks(seed, 50) },
		vfs.TornLastWrite,
	}
	forEachSeed(t, func(t *testing.T, seed uint64) {
		fsys := vfs.NewMem()
		history := newRecorder()
		rng := rand.New(rand.NewPCG(seed, 0))
		const callers, keys = 16, 8
		all := make([]*caller, callers)
		for id := range all {
			all[id] = newCaller(id, seed, keys, history)
		}
		for life := range 5 {
			db, app := openApp(t, fsys, func(c *aedb.Config) { c.SegmentBytes = 16 << 10 })
			violations, err := db.CheckInvariants(aedb.AtLatest)
			require.NoError(t, err)
			require.Empty(t, violations)
			if life%2 == 1 {
				_, err := db.Checkpoint(t.Context())
				require.NoError(t, err)
			}
			crashAt := int64(50 + rng.IntN(scale(400)))
			var done atomic.Int64
			var off atomic.Bool
			var wg sync.WaitGroup
			for _, c := range all {
				wg.Go(func() {
					for !off.Load() {
						f, err := c.next(t.Context(), app)
						if err != nil {
							t.Error(err)
							off.Store(true)
						}
						if f == unknown {
							return // its log has failed
						}
						if done.Add(1) == crashAt {
							off.Store(true)
							fsys = fsys.Crash(fates[rng.IntN(len(fates))](seed))
						}
					}
				})
			}
			wg.Wait()
			require.False(t, t.Failed())
			_ = db.Close(t.Context()) // there is no power to close it with
		}
		_, app := reopen(t, fsys)
		last := newCaller(callers, seed, keys, history)
		for i := range keys {
			in := call{action: actGet, key: fmt.Sprintf("k%d", i)}
			called := history.now()
			out, err := perform(t.Context(), app, in)
			require.NoError(t, err)
			history.add(last.id, in, out, called, history.now())
		}
		history.check(t, registers)
	})
}

// TestRefusalIsDecidedOnWhatIsVisible holds back a sync, and with it the
// publication of a commit that has been executed. Whoever is refused because of
// that commit must find it when it looks, and must not be refused for something
// that a power loss then takes back.
func TestRefusalIsDecidedOnWhatIsVisible(t *testing.T) {
	fsys := vfs.NewMem()
	db, app := openApp(t, fsys)
	ctx := t.Context()
	executed := func(epochs uint64) {
		for stage(db, "applier").Messages < epochs {
			runtime.Gosched()
		}
	}
	before := stage(db, "applier").Messages
	_, letGo := holdSyncs(fsys)
	defer letGo()
	k := key("k")
	first, err := app.Submit(ctx, aedb.Envelope{Mutations: []aedb.Mutation{app.KvSet(k, number(1))}})
	require.NoError(t, err)
	executed(before + 1)
	second, err := app.Submit(ctx, aedb.Envelope{
		Assertions: []aedb.Assertion{app.KeyExists(k, false)},
		Mutations:  []aedb.Mutation{app.KvSet(k, number(2))},
	})
	require.NoError(t, err)
	executed(before + 2)

	select {
	case <-second.Done():
		_, found, err := app.KV().Get(ctx, k)
		require.NoError(t, err)
		require.True(t, found, "refused because of a commit that nobody can see, and that a power loss would undo")
	default: // it waits for what it was decided on
	}
	letGo()
	_, err = second.Visible(ctx)
	require.ErrorIs(t, err, aedb.ErrAssertionFailed)
	_, found, err := app.KV().Get(ctx, k)
	require.NoError(t, err)
	require.True(t, found)
	_, err = first.Visible(ctx)
	require.NoError(t, err)
}

// stage returns the figures of one stage.
func stage(db *aedb.DB, name string) aedb.StageMetrics {
	for _, s := range db.OperationalMetrics().Stages {
		if s.Name == name {
			return s
		}
	}
	return aedb.StageMetrics{}
}
