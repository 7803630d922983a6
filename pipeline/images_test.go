package pipeline

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/msgs"
	"github.com/empyrealapp/aedb-go/vfs"
)

// unwatched makes commits that nobody looks at, until images are no longer made.
func unwatched(s *store) {
	for i := range 40 {
		s.mustCommit(set("k", fmt.Sprint(i)))
	}
}

// Whatever the log is doing, who comes after a time without readers gets the last
// published state at once.
func TestImageThatIsAskedForDoesNotWaitForTheLog(t *testing.T) {
	for _, d := range []Durability{Full, OsBuffered} {
		t.Run(d.String(), func(t *testing.T) { imageBesideAStuckLog(t, d) })
	}
}

func imageBesideAStuckLog(t *testing.T, d Durability) {
	mem := vfs.NewMem()
	s := open(t, mem, storeDir, config(d))
	unwatched(s)
	before := s.Heads().Moment()
	require.Zero(t, s.Counters().Image.Count)

	writing, proceed := make(chan struct{}), make(chan struct{})
	stuck := sync.OnceFunc(func() { close(writing); <-proceed })
	mem.SetInjector(func(op vfs.Op) vfs.Fault {
		if op.Kind == vfs.OpWrite {
			stuck()
		}
		return vfs.Fault{}
	})
	for i := range 3 {
		_, err := s.submit(t.Context(), set("k", fmt.Sprint("stuck ", i)))
		require.NoError(t, err)
	}
	<-writing
	image := s.Heads().Visible()
	require.Equal(t, before.Seq, image.Seq())
	require.Equal(t, "39", get(t, image, "k"))
	require.Same(t, image, s.Heads().Visible(), "it is made once")
	require.EqualValues(t, 1, s.Counters().Image.Count)
	close(proceed)
	_, err := s.Flush(t.Context())
	require.NoError(t, err)
	require.Equal(t, "stuck 2", get(t, s.Heads().Visible(), "k"))
	require.Equal(t, "39", get(t, image, "k"), "an image never changes")
}

// Who reads regularly finds images made.
func TestImagesAreMadeWhileSomebodyReads(t *testing.T) {
	s := open(t, vfs.NewMem(), storeDir, config(OsBuffered))
	for i := range 100 {
		s.mustCommit(set("k", fmt.Sprint(i)))
		if i%10 == 0 {
			require.Equal(t, fmt.Sprint(i), get(t, s.Heads().Visible(), "k"))
		}
	}
	require.Zero(t, s.Counters().Image.Count)
	unwatched(s)
	require.Equal(t, "39", get(t, s.Heads().Visible(), "k"))
	require.EqualValues(t, 1, s.Counters().Image.Count)
}

// Readers, among them some at the durable head and some of the past, come and go
// beside writers. What each sees is a commit that was published, and no reader sees
// an older one than before.
func TestImagesBesideWritersAreNeverOlderThanTheHead(t *testing.T) {
	eachMode(t, func(t *testing.T, d Durability) {
		t.Run("", func(t *testing.T) { imagesBesideWriters(t, d, false) })
		t.Run("volatile", func(t *testing.T) { imagesBesideWriters(t, d, true) })
	})
}

func imagesBesideWriters(t *testing.T, d Durability, volatiles bool) {
	s := open(t, vfs.NewMem(), storeDir, config(d))
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 3 {
		writers.Go(func() {
			for i := range 1500 {
				env := set(fmt.Sprint("key-", w), fmt.Sprint(i))
				if volatiles && i > 500 && i%3 == 0 {
					env.WriteClass = msgs.Volatile
				}
				if r, err := s.commit(env); err != nil {
					t.Error(err)
					return
				} else if i%97 == 0 && s.Heads().Visible().Seq() < r.CommitSeq {
					t.Error("an image is older than an acknowledged commit")
					return
				}
				if i%500 == 0 {
					_, _ = s.Flush(t.Context())
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			var visible, durable uint64
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				head := s.Heads().Moment().Seq
				image := s.Heads().Visible()
				if image.Seq() < head || image.Seq() < visible {
					t.Errorf("at %d after %d, with the head at %d", image.Seq(), visible, head)
					return
				}
				visible = image.Seq()
				if past, err := s.History().At(max(visible, 5)-5, image); err != nil || past.Seq() != max(visible, 5)-5 {
					t.Error(past, err)
					return
				}
				kept := s.Heads().DurableImage().Seq()
				if kept < durable || kept > s.Heads().Durable() {
					t.Errorf("the durable image is at %d after %d, the head at %d", kept, durable, s.Heads().Durable())
					return
				}
				durable = kept
				if n%4 == 0 { // until images are no longer made
					for from := s.Heads().Moment().Seq; s.Heads().Moment().Seq < from+40; {
						select {
						case <-done:
							return
						case <-s.Heads().Moved():
						}
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

// Volatile commits are ahead of the durable head. Who reads there sees what is behind it,
// though nobody had looked before.
func TestDurableImageBehindVolatileCommits(t *testing.T) {
	for _, d := range []Durability{Full, OsBuffered} {
		t.Run(d.String(), func(t *testing.T) {
			s := open(t, vfs.NewMem(), storeDir, config(d))
			unwatched(s)
			_, err := s.Flush(t.Context())
			require.NoError(t, err)
			durable := s.Heads().Moment().Seq
			for i := range 3 {
				env := set("v", fmt.Sprint(i))
				env.WriteClass = msgs.Volatile
				s.mustCommit(env)
			}
			image := s.Heads().DurableImage()
			require.Equal(t, durable, image.Seq())
			require.Equal(t, "39", get(t, image, "k"))
			require.Empty(t, get(t, image, "v"))
			require.Equal(t, "2", get(t, s.Heads().Visible(), "v"))
			s.mustCommit(set("k", "last"))
			_, err = s.Flush(t.Context())
			require.NoError(t, err)
			require.Equal(t, "last", get(t, s.Heads().DurableImage(), "k"))
			require.Equal(t, s.Heads().Durable(), s.Heads().DurableImage().Seq())
		})
	}
}

// In Full mode nothing that is old is held on to while nobody reads.
func TestNoImageIsKeptWhereEverythingVisibleIsDurable(t *testing.T) {
	s := open(t, vfs.NewMem(), storeDir, config(Full))
	var gone atomic.Bool
	runtime.AddCleanup(s.Heads().Visible(), func(gone *atomic.Bool) { gone.Store(true) }, &gone)
	unwatched(s)
	require.Eventually(t, func() bool { runtime.GC(); return gone.Load() }, 5*time.Second, time.Millisecond)
}

// A caller may keep tickets for as long as it likes: they do not hold what was written.
func TestTicketDoesNotHoldWhatWasSubmitted(t *testing.T) {
	s := open(t, vfs.NewMem(), storeDir, config(Full))
	var tickets []*msgs.Ticket
	var gone atomic.Int32
	submit := func(mutations ...msgs.Mutation) {
		set := mutations[0].(msgs.KvSet)
		set.Value = make([]byte, 1<<10)
		runtime.AddCleanup(&set.Value[0], func(gone *atomic.Int32) { gone.Add(1) }, &gone)
		mutations[0] = set
		ticket, err := s.submit(t.Context(), &msgs.Envelope{Mutations: mutations})
		require.NoError(t, err)
		tickets = append(tickets, ticket)
	}
	one := set("k", "").Mutations[0]
	submit(one)
	submit(one, set("l", "").Mutations[0])
	_, err := s.Flush(t.Context())
	require.NoError(t, err)
	require.Eventually(t, func() bool { runtime.GC(); return gone.Load() == 2 }, 5*time.Second, time.Millisecond)
	for _, ticket := range tickets {
		_, err := ticket.Wait(t.Context())
		require.NoError(t, err)
	}
}
