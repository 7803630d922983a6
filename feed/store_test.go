package feed_test

import (
	"context"
	"fmt"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/checkpointer"
	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/feed"
	"github.com/empyrealapp/aedb-go/manifest"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/record"
	"github.com/empyrealapp/aedb-go/state"
	"github.com/empyrealapp/aedb-go/value"
	"github.com/empyrealapp/aedb-go/vfs"
	"github.com/empyrealapp/aedb-go/wal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dir = "store"

// store makes commits as the engine does, and writes them to a log; what is in
// memory and what is visible is up to the test.
type store struct {
	t       testing.TB
	working *state.Working
	fsys    *vfs.Mem
	keeper  *checkpointer.Checkpointer
	writer  *wal.Writer
	file    vfs.File

	mu      sync.Mutex
	sets    []msgs.Changeset
	floor   uint64 // memory begins behind it
	visible uint64
	moved   chan struct{}
	closed  chan struct{}
	broken  chan struct{}
}

func newStore(t testing.TB) *store {
	s := &store{
		t: t, working: state.NewWorking(), fsys: vfs.NewMem(),
		moved: make(chan struct{}), closed: make(chan struct{}), broken: make(chan struct{}),
	}
	require.NoError(t, s.fsys.MkdirAll(dir))
	m := manifest.Manifest{Generation: 1, KeyEncoding: 1, ActiveSegment: 1}
	require.NoError(t, manifest.Store(s.fsys, dir, m))
	clock := vfs.NewManualClock(time.Unix(1000, 0), time.Millisecond)
	s.keeper = checkpointer.New(checkpointer.Config{FS: s.fsys, Dir: dir, Clock: clock, Kept: 1}, m, nil, nil)
	s.begin(1)
	return s
}

// begin begins a segment.
func (s *store) begin(number uint64) {
	w, header, err := wal.NewWriter(wal.Header{Number: number, Term: 1, FirstSeq: s.working.Seq() + 1})
	require.NoError(s.t, err)
	s.file, err = s.fsys.Create(path.Join(dir, wal.SegmentName(number)))
	require.NoError(s.t, err)
	_, err = s.file.WriteAt(header, 0)
	require.NoError(s.t, err)
	s.writer = w
}

// rotate seals the segment.
func (s *store) rotate() {
	h := s.writer.Header()
	s.keeper.Step(time.Unix(1000, 0), []*msgs.Progress{{Sealed: []msgs.Segment{{
		Number: h.Number, FirstSeq: h.FirstSeq, LastSeq: s.working.Seq(), Size: s.writer.Size(), Digest: s.writer.Digest(),
	}}}})
	require.NoError(s.t, s.file.Close())
	s.begin(h.Number + 1)
}

// checkpoint takes a checkpoint, which releases the segments below the one before.
func (s *store) checkpoint() {
	require.NoError(s.t, s.keeper.Take(context.Background(), s.working.Freeze()).Err)
}

// commit makes a commit and shows it.
func (s *store) commit(change func(w *state.Working)) uint64 {
	seq := s.working.Seq() + 1
	s.working.Begin(seq, int64(seq)*1000)
	change(s.working)
	set := s.working.Commit()
	at := s.writer.Size()
	frame, err := s.writer.AppendFrame(nil, 1, seq-1, []msgs.Changeset{set})
	require.NoError(s.t, err)
	_, err = s.file.WriteAt(frame, at)
	require.NoError(s.t, err)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.sets = append(s.sets, set)
	s.visible = seq
	close(s.moved)
	s.moved = make(chan struct{})
	return seq
}

// forget lets memory go of commits.
func (s *store) forget(floor uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = max(s.floor, floor)
}

func (s *store) After(seq uint64, limit int) ([]msgs.Changeset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq < s.floor {
		return nil, errs.New(errs.CodeSeqGarbageCollected, "forgotten")
	}
	rest := s.sets[min(seq, uint64(len(s.sets))):]
	return rest[:min(limit, len(rest))], nil
}

func (s *store) Oldest() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.floor
}

func (s *store) feed() *feed.Feed {
	return feed.New(feed.Source{
		Recent: s, Log: feed.NewLog(s.fsys, dir, nil), Closed: s.closed, Broken: s.broken,
		Written: func(context.Context, uint64) error { return nil },
		Visible: func() uint64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.visible
		},
		Moved: func() <-chan struct{} {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.moved
		},
		Err: func() error { return errs.New(errs.CodeUnavailable, "the store has ended") },
	})
}

// collect returns what a subscription yields up to the newest commit.
func (s *store) collect(from uint64, o feed.Options) []feed.Delta {
	s.t.Helper()
	return collect(s.t, s.feed(), from, s.visible, o)
}

func collect(t testing.TB, f *feed.Feed, from, last uint64, o feed.Options) []feed.Delta {
	t.Helper()
	all := o.AllCommits
	o.AllCommits = true
	var out []feed.Delta
	if from >= last {
		return nil
	}
	for d, err := range f.Changes(context.Background(), from, o) {
		require.NoError(t, err)
		if all || len(d.Changes) > 0 || d.Missed > 0 {
			out = append(out, d)
		}
		if d.Seq >= last {
			break
		}
	}
	return out
}

// define applies statements as the engine does.
func define(statements ...catalog.Statement) func(*state.Working) {
	return func(w *state.Working) {
		for _, st := range statements {
			next, ch, err := w.Catalog().Apply(st, w.Micros())
			if err != nil {
				panic(err)
			}
			w.SetCatalog(next)
			for _, key := range ch.Removed {
				w.Delete(catalog.SpaceCatalog, key)
			}
			for _, e := range ch.Entries {
				w.Put(catalog.SpaceCatalog, e.Key, e.Value)
			}
			for _, space := range ch.Dropped {
				w.DropSpace(space)
			}
			for _, x := range ch.Build {
				w.Put(x.ID, []byte("entry"), nil)
			}
		}
	}
}

func table(name string, key, column value.Kind, indexes ...catalog.IndexSpec) catalog.CreateTable {
	return catalog.CreateTable{
		Project: "p", Scope: "app", Table: name, PrimaryKey: []string{"id"}, Indexes: indexes,
		Columns: []catalog.ColumnSpec{{Name: "id", Kind: key}, {Name: "v", Kind: column, Nullable: true}},
	}
}

func find(w *state.Working, name string) *catalog.Table {
	t, err := w.Catalog().Table("p", "app", name)
	if err != nil {
		panic(err)
	}
	return t
}

func put(name string, row ...value.Value) func(*state.Working) {
	return func(w *state.Working) {
		t := find(w, name)
		key := record.AppendRowKeyOf(nil, t, row)
		w.Put(t.ID, key, record.AppendRow(nil, t, row))
		for _, x := range t.Indexes {
			e := record.Index(x, func(p int) value.Value { return row[p] }, key)
			w.Put(x.ID, e.Key, e.Value)
		}
	}
}

func remove(name string, key ...value.Value) func(*state.Working) {
	return func(w *state.Working) { w.Delete(find(w, name).ID, record.AppendRowKey(nil, key)) }
}

func set(scope, key, val string) func(*state.Working) {
	return func(w *state.Working) {
		s, err := w.Catalog().Scope("p", scope)
		if err != nil {
			panic(err)
		}
		w.Put(s.ID, []byte(key), record.AppendKV(nil, w.Seq(), []byte(val)))
	}
}

func unset(scope, key string) func(*state.Working) {
	return func(w *state.Working) {
		s, err := w.Catalog().Scope("p", scope)
		if err != nil {
			panic(err)
		}
		w.Delete(s.ID, []byte(key))
	}
}

func several(changes ...func(*state.Working)) func(*state.Working) {
	return func(w *state.Working) {
		for _, change := range changes {
			change(w)
		}
	}
}

// told writes a delta down in short.
func told(d feed.Delta) []string {
	var out []string
	for _, c := range d.Changes {
		out = append(out, tell(c))
	}
	return out
}

func tell(c feed.Change) string {
	name := c.Project
	for _, part := range []string{c.Scope, c.Table, c.Index} {
		if part != "" {
			name += "." + part
		}
	}
	s := fmt.Sprintf("%s %s", c.Kind, name)
	if c.Key != nil {
		s += fmt.Sprintf(" %q", c.Key)
	}
	if c.PrimaryKey != nil {
		s += fmt.Sprint(" ", c.PrimaryKey)
	}
	content := func(c feed.Content) string {
		switch {
		case c.Row != nil:
			return fmt.Sprint(c.Row)
		case c.Value != nil:
			return fmt.Sprintf("%q", c.Value)
		}
		return "-"
	}
	if c.Kind <= feed.Delete {
		s += ": " + content(c.Before) + " > " + content(c.After)
	}
	return s
}
