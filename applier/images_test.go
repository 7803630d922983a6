package applier

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/catalog"
	"github.com/empyrealapp/aedb-go/executor"
	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/query"
	"github.com/empyrealapp/aedb-go/state"
)

// crowd is an audience that sees what a test has published.
type crowd struct {
	published msgs.Moment
	watched   bool
	inStep    func() // called by Watched, which a step calls when all is executed
}

func (c *crowd) Moment() msgs.Moment { return c.published }

func (c *crowd) Watched() bool {
	if c.inStep != nil {
		c.inStep()
	}
	return c.watched
}

// twins are two appliers that are given the same requests: one makes every image, the
// other what its crowd wants.
type twins struct {
	t           require.TestingT
	eager, lazy *Applier
	crowd       *crowd
	digests     map[uint64][32]byte // of the eager one's images
	ends        []msgs.Moment       // of epochs
}

func newTwins(t require.TestingT) *twins {
	x := &executor.Executor{Limits: testLimits}
	apart := func(audience Audience) *Applier {
		w := state.NewWorking()
		return New(x, Window{}, w, w.Freeze(), audience)
	}
	c := &crowd{published: state.NewWorking().Moment()}
	return &twins{t: t, crowd: c, eager: apart(nil), lazy: apart(c), digests: map[uint64][32]byte{}}
}

// epoch executes an epoch of one request for each list of mutations.
func (w *twins) epoch(requests ...[]msgs.Mutation) *msgs.Epoch {
	step := func(a *Applier) *msgs.Epoch {
		e := &msgs.Epoch{Micros: int64(len(w.ends))}
		for _, mutations := range requests {
			r, err := a.executor.Prepare(a.working.Catalog(), &msgs.Envelope{Mutations: mutations})
			if err != nil { // as a caller would find before
				continue
			}
			r.Ticket = msgs.NewTicket(nil, 0)
			e.Requests = append(e.Requests, r)
		}
		a.Step(e)
		return e
	}
	e, same := step(w.eager), step(w.lazy)
	require.Equal(w.t, e.After.Seq, same.After.Seq)
	w.digests[e.After.Seq] = e.Image.(*state.Image).Digest()
	w.ends = append(w.ends, same.After)
	if same.Image != nil {
		w.same(same.Image.(*state.Image), same.After)
	}
	return same
}

// same checks an image of the lazy applier.
func (w *twins) same(image *state.Image, at msgs.Moment) {
	require.Equal(w.t, at.Seq, image.Seq())
	require.Equal(w.t, at.Micros, image.Micros())
	require.Equal(w.t, at.Catalog.Entries(), image.Catalog().Entries())
	require.Equal(w.t, w.digests[at.Seq], image.Digest(), "commit %d", at.Seq)
}

func draw(t *rapid.T) msgs.Mutation {
	letter := func(name string) string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, name) }
	switch rapid.IntRange(0, 14).Draw(t, "kind") {
	case 0:
		return define(catalog.CreateScope{Project: "p", Scope: letter("scope")})
	case 1:
		return define(catalog.DropScope{Project: "p", Scope: letter("scope")})
	case 2:
		return define(op{kind: opCreateTable, scope: "app", table: "t"}.statement())
	case 3:
		return define(catalog.DropTable{Project: "p", Scope: "app", Table: "t"})
	case 4, 5, 6:
		return insert(rapid.Int64Range(0, 5).Draw(t, "id"))
	case 7:
		return remove(rapid.Int64Range(0, 5).Draw(t, "id"))
	case 8:
		return msgs.KvDel{Scope: app, Key: []byte(letter("key"))}
	case 9:
		var pairs []msgs.KvPair // of the same key, too
		for range rapid.IntRange(1, 4).Draw(t, "pairs") {
			pairs = append(pairs, msgs.KvPair{Key: []byte(letter("key")), Value: []byte(letter("value"))})
		}
		return msgs.KvSetMany{Scope: app, Pairs: pairs}
	default:
		return msgs.KvSet{
			Scope: scopeOf(rapid.SampledFrom([]string{"app", "a", "b", "c"}).Draw(t, "scope")),
			Key:   []byte(letter("key")), Value: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "value"),
		}
	}
}

func TestImageIsWhatWasPublishedWhateverIsUnderWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newTwins(t)
		w.epoch([]msgs.Mutation{define(catalog.CreateProject{Project: "p"})})
		published := -1
		for range rapid.IntRange(1, 30).Draw(t, "epochs") {
			w.crowd.watched = rapid.IntRange(0, 3).Draw(t, "watched") == 0
			var requests [][]msgs.Mutation
			for range rapid.IntRange(0, 4).Draw(t, "requests") {
				var mutations []msgs.Mutation
				for range rapid.IntRange(1, 3).Draw(t, "mutations") {
					mutations = append(mutations, draw(t))
				}
				requests = append(requests, mutations)
			}
			w.epoch(requests...)
			if next := rapid.IntRange(published, len(w.ends)-1).Draw(t, "published"); next > published {
				published = next
				w.crowd.published = w.ends[next]
			}
			if published >= 0 && rapid.IntRange(0, 2).Draw(t, "look") == 0 {
				w.same(w.lazy.Image(), w.crowd.published)
			}
		}
	})
}

func TestImageIsMadeForThoseWhoWatchAndForASync(t *testing.T) {
	w := newTwins(t)
	w.epoch([]msgs.Mutation{define(catalog.CreateProject{Project: "p"})})
	require.Nil(t, w.epoch([]msgs.Mutation{set("k", "1")}).Image)
	w.crowd.watched = true
	require.NotNil(t, w.epoch([]msgs.Mutation{set("k", "2")}).Image)
	w.crowd.watched = false
	require.NotNil(t, w.epoch().Image, "nothing has changed: it is there")
	require.Nil(t, w.epoch([]msgs.Mutation{set("k", "3")}).Image)
	flush := &msgs.Epoch{MustSync: true, Requests: []*msgs.Request{{Flush: true, Ticket: msgs.NewTicket(nil, 0)}}}
	w.lazy.Step(flush)
	require.EqualValues(t, 4, flush.Image.Seq())
}

// A step that takes long keeps nobody waiting. What it is about to show is not seen, nor
// what is not published of the steps before it.
func TestImageBesideALongStep(t *testing.T) {
	for name, mutations := range map[string][]msgs.Mutation{
		"a definition":    {set("k", "never"), define(catalog.CreateScope{Project: "p", Scope: "s"})},
		"a drop":          {set("k", "never"), define(catalog.DropScope{Project: "p", Scope: "app"})},
		"many selections": slices.Repeat([]msgs.Mutation{deleteAll}, 5),
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwins(t)
			w.epoch([]msgs.Mutation{
				define(catalog.CreateProject{Project: "p"}),
				define(op{kind: opCreateTable, scope: "app", table: "t"}.statement()), set("k", "published"),
			})
			w.crowd.published = w.ends[0]
			w.epoch([]msgs.Mutation{set("k", "executed")})
			w.epoch([]msgs.Mutation{set("k", "executed later"), insert(1)})
			looked := 0
			w.crowd.inStep = func() {
				for _, at := range w.ends { // they are published while the step runs
					w.crowd.published = at
					w.same(w.lazy.Image(), at)
					looked++
				}
			}
			w.epoch(mutations)
			require.Equal(t, 3, looked)
			w.crowd.inStep = nil
			w.crowd.published = w.ends[3]
			w.same(w.lazy.Image(), w.ends[3])
		})
	}
}

// Who waits for a short step is not passed by the long one behind it.
func TestImageBetweenAShortStepAndALongOne(t *testing.T) {
	w := newTwins(t)
	w.epoch([]msgs.Mutation{define(catalog.CreateProject{Project: "p"}), set("k", "published")})
	w.crowd.published = w.ends[0]
	seen, steps := make(chan *state.Image, 1), 0
	w.crowd.inStep = func() {
		if steps++; steps == 1 {
			go func() { seen <- w.lazy.Image() }()
			for w.lazy.waiting.Load() == 0 {
				runtime.Gosched()
			}
			return
		}
		select {
		case image := <-seen:
			w.same(image, w.ends[0])
		case <-time.After(5 * time.Second):
			t.Error("the reader waits for the long step")
		}
	}
	w.epoch([]msgs.Mutation{set("k", "executed")})
	w.epoch([]msgs.Mutation{define(catalog.CreateScope{Project: "p", Scope: "s"})})
	require.Equal(t, 2, steps)
}

var deleteAll = msgs.DeleteRows{Selection: msgs.Selection{Table: table, Where: query.Gte("id", 0)}}

// What is remembered for readers is no more than what they may not see yet.
func TestPublishedEpochsAreForgotten(t *testing.T) {
	w := newTwins(t)
	w.epoch([]msgs.Mutation{define(catalog.CreateProject{Project: "p"})})
	for i := range 20 {
		w.epoch([]msgs.Mutation{set("k", fmt.Sprint(i))})
		if i%5 == 4 {
			w.crowd.published = w.ends[len(w.ends)-2]
		}
	}
	require.LessOrEqual(t, len(w.lazy.unseen), 6)
}

// A step that panics has broken the store down. What was published can still be read.
func TestImageAfterAStepThatPanicked(t *testing.T) {
	for name, before := range map[string][]msgs.Mutation{
		"in the first commit of its epoch": nil,
		"in a later one":                   {set("k", "not published")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwins(t)
			w.epoch([]msgs.Mutation{define(catalog.CreateProject{Project: "p"}), set("k", "published")})
			w.crowd.published = w.ends[0]
			w.epoch([]msgs.Mutation{set("k", "executed")})
			e := &msgs.Epoch{}
			for _, mutations := range [][]msgs.Mutation{before, {set("k", "half"), set("l", "never")}} {
				if mutations == nil {
					continue
				}
				r, err := w.lazy.executor.Prepare(w.lazy.working.Catalog(), &msgs.Envelope{Mutations: mutations})
				require.NoError(t, err)
				r.Ticket = msgs.NewTicket(nil, 0)
				e.Requests = append(e.Requests, r)
			}
			e.Requests[len(e.Requests)-1].Operations[1] = (*msgs.PutKey)(nil)
			require.Panics(t, func() { w.lazy.Step(e) })
			w.same(w.lazy.Image(), w.crowd.published)
			w.same(w.lazy.Image(), w.crowd.published)
		})
	}
}
