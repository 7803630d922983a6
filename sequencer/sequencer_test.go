package sequencer

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

const many = 1 << 20 // requests in an epoch

func request(size int64) *msgs.Request {
	return &msgs.Request{Ctx: context.Background(), Ticket: msgs.NewTicket(nil, 0), Size: size}
}

func cancelled() *msgs.Request {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := request(1)
	r.Ctx = ctx
	return r
}

// sizes returns the sizes of the requests of each epoch.
func sizes(epochs []*msgs.Epoch) [][]int64 {
	var all [][]int64
	for _, e := range epochs {
		var of []int64
		for _, r := range e.Requests {
			of = append(of, r.Size)
		}
		all = append(all, of)
	}
	return all
}

func TestEpochClosesWhenTheNextRequestWouldExceedItsBytes(t *testing.T) {
	for name, c := range map[string]struct {
		batch []int64
		want  [][]int64
	}{
		"nothing waits":                  {nil, nil},
		"all fit":                        {[]int64{3, 3, 4}, [][]int64{{3, 3, 4}}},
		"one byte too many":              {[]int64{3, 3, 5}, [][]int64{{3, 3}, {5}}},
		"one too large goes by itself":   {[]int64{1, 99, 1}, [][]int64{{1}, {99}, {1}}},
		"requests without size":          {[]int64{10, 0, 0, 1}, [][]int64{{10, 0, 0}, {1}}},
		"each as large as an epoch":      {[]int64{10, 10}, [][]int64{{10}, {10}}},
		"the count starts anew":          {[]int64{6, 6, 4, 6}, [][]int64{{6}, {6, 4}, {6}}},
		"the first is too large already": {[]int64{11, 1}, [][]int64{{11}, {1}}},
	} {
		t.Run(name, func(t *testing.T) {
			var batch []*msgs.Request
			for _, n := range c.batch {
				batch = append(batch, request(n))
			}
			out := New(10, 0).Step(1, batch, many)
			require.Equal(t, c.want, sizes(out.Epochs))
			require.Empty(t, out.Withdrawn)
		})
	}
}

func TestEpochHasNoMoreRequestsThanAreAllowed(t *testing.T) {
	for most, want := range map[int][][]int64{
		1: {{1}, {2}, {3}, {4}, {5}},
		2: {{1, 2}, {3, 4}, {5}},
		5: {{1, 2, 3, 4, 5}},
		6: {{1, 2, 3, 4, 5}},
	} {
		var batch []*msgs.Request
		for n := range int64(5) {
			batch = append(batch, request(n+1))
		}
		require.Equal(t, want, sizes(New(100, 0).Step(1, batch, most).Epochs), "at most %d", most)
	}
}

func TestEpochMustSyncIfAnyRequestInItAsksForThat(t *testing.T) {
	economic, flush := request(5), request(0)
	economic.WriteClass, flush.Flush = msgs.Economic, true
	for name, c := range map[string]struct {
		batch []*msgs.Request
		want  []bool
	}{
		"standard":                         {[]*msgs.Request{request(5), request(5)}, []bool{false}},
		"economic first":                   {[]*msgs.Request{economic, request(5)}, []bool{true}},
		"economic last":                    {[]*msgs.Request{request(5), economic}, []bool{true}},
		"flush":                            {[]*msgs.Request{request(5), flush}, []bool{true}},
		"only in the epoch that asks":      {[]*msgs.Request{request(9), economic, request(9)}, []bool{false, true, false}},
		"a withdrawn request has no voice": {[]*msgs.Request{request(5), withdrawn(economic)}, []bool{false}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []bool
			for _, e := range New(10, 0).Step(1, c.batch, many).Epochs {
				got = append(got, e.MustSync)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func withdrawn(r *msgs.Request) *msgs.Request {
	return &msgs.Request{Ctx: cancelled().Ctx, Ticket: r.Ticket, WriteClass: r.WriteClass, Flush: r.Flush, Size: r.Size}
}

func TestRequestWhoseCallerHasGoneEntersNoEpoch(t *testing.T) {
	a, gone, b := request(1), cancelled(), request(1)
	out := New(10, 0).Step(1, []*msgs.Request{a, gone, b}, many)
	require.Equal(t, []*msgs.Request{gone}, out.Withdrawn)
	require.Len(t, out.Epochs, 1)
	require.Equal(t, []*msgs.Request{a, b}, out.Epochs[0].Requests)

	out = New(10, 0).Step(1, []*msgs.Request{gone}, many)
	require.Empty(t, out.Epochs, "an epoch is never empty")

	err := Withdrawal(gone)
	require.ErrorIs(t, err, errs.ErrCanceled)
	require.ErrorIs(t, err, context.Canceled)
}

func TestTimeOfEpochsNeverGoesBack(t *testing.T) {
	s := New(10, 1000)
	step := func(micros int64) int64 { return s.Step(micros, []*msgs.Request{request(1)}, many).Epochs[0].Micros }
	require.EqualValues(t, 1000, step(0), "the store's last commit was at 1000")
	require.EqualValues(t, 1500, step(1500))
	require.EqualValues(t, 1500, step(1500-3_600_000_000), "the clock jumps back by an hour")
	require.EqualValues(t, 1501, step(1501))

	s.Step(9000, nil, many) // a clock that ran ahead counts, though nobody asked
	require.EqualValues(t, 9000, step(2000))
}

func TestAbortAnswersThatTheRequestHasNoEffect(t *testing.T) {
	r, cause := request(1), errors.New("disk on fire")
	Abort(r, cause)
	_, err := r.Ticket.Wait(context.Background())
	require.ErrorIs(t, err, errs.ErrUnavailable)
	require.ErrorIs(t, err, cause)
}

// Whatever comes in leaves once, in order, in epochs that are numbered without a
// gap, hold something, and are within the bytes unless they hold a single request.
func TestEveryRequestLeavesOnceAndInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const maxBytes = 20
		s := New(maxBytes, 0)
		number, micros := uint64(0), int64(0)
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			var batch, live, gone []*msgs.Request
			for range rapid.IntRange(0, 12).Draw(t, "requests") {
				r := request(rapid.Int64Range(0, 25).Draw(t, "size"))
				if rapid.IntRange(0, 4).Draw(t, "gone") == 0 {
					r = withdrawn(r)
					gone = append(gone, r)
				} else {
					live = append(live, r)
				}
				batch = append(batch, r)
			}
			out := s.Step(rapid.Int64Range(0, 100).Draw(t, "clock"), batch, many)
			var sequenced []*msgs.Request
			for _, e := range out.Epochs {
				number++
				require.Equal(t, number, e.Number)
				require.GreaterOrEqual(t, e.Micros, micros)
				micros = e.Micros
				require.NotEmpty(t, e.Requests)
				bytes := int64(0)
				for _, r := range e.Requests {
					bytes += r.Size
				}
				if len(e.Requests) > 1 {
					require.LessOrEqual(t, bytes, int64(maxBytes))
				}
				sequenced = append(sequenced, e.Requests...)
			}
			require.Equal(t, live, sequenced)
			require.Equal(t, gone, append([]*msgs.Request(nil), out.Withdrawn...))
		}
	})
}

// An epoch owns its list: growing one must not reach into the next.
func TestListsOfEpochsDoNotOverlap(t *testing.T) {
	a, b := request(10), request(10)
	out := New(10, 0).Step(1, []*msgs.Request{a, b}, many)
	_ = append(out.Epochs[0].Requests, request(1))
	require.Same(t, b, out.Epochs[1].Requests[0])
}

func BenchmarkStep(b *testing.B) {
	batch := make([]*msgs.Request, 64)
	for i := range batch {
		batch[i] = request(150)
	}
	s := New(8<<20, 0)
	b.ReportAllocs()
	for b.Loop() {
		s.Step(1, batch, many)
	}
}
