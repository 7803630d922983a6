package msgs_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/errs"
	"github.com/empyrealapp/aedb-go/msgs"
)

// share counts the bytes that came back.
type share int64

func (s *share) Leave(size int64) { *s += share(size) }

func TestOnlyTheFirstAnswerOfATicketCounts(t *testing.T) {
	released := share(0)
	ticket := msgs.NewTicket(&released, 3)
	ticket.Resolve(msgs.Result{CommitSeq: 7})
	ticket.Reject(errors.New("too late"))
	ticket.Resolve(msgs.Result{CommitSeq: 8})

	r, err := ticket.Wait(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 7, r.CommitSeq)
	require.EqualValues(t, 3, released)
}

func TestATicketIsAnsweredOnceHoweverManyAnswer(t *testing.T) {
	released := share(0)
	ticket := msgs.NewTicket(&released, 3)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() { ticket.Resolve(msgs.Result{CommitSeq: uint64(i)}) })
		all.Go(func() {
			_, err := ticket.Wait(t.Context())
			require.NoError(t, err)
		})
	}
	all.Wait()
	require.EqualValues(t, 3, released)
	<-ticket.Done()
}

func TestAnEndedContextAbandonsTheWaitAndSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ticket := msgs.NewTicket(nil, 0)
	_, err := ticket.Wait(ctx)
	require.ErrorIs(t, err, errs.ErrOutcomeUnknown)
	require.ErrorIs(t, err, context.Canceled)

	ticket.Resolve(msgs.Result{CommitSeq: 1})
	r, err := ticket.Wait(ctx)
	require.NoError(t, err, "an answer that is there is given, whatever the context")
	require.EqualValues(t, 1, r.CommitSeq)
}

func TestComparisonsHoldByTheSignOfTheOrder(t *testing.T) {
	for op, want := range map[msgs.CompareOp][3]bool{
		msgs.Eq: {false, true, false}, msgs.Ne: {true, false, true},
		msgs.Lt: {true, false, false}, msgs.Lte: {true, true, false},
		msgs.Gt: {false, false, true}, msgs.Gte: {false, true, true},
	} {
		for i, holds := range want {
			require.Equal(t, holds, op.Holds(i-1), "%d of %d", op, i-1)
		}
	}
}

func TestAnAssertionErrorMatchesItsCodeAndHidesTheContent(t *testing.T) {
	err := error(&msgs.AssertionError{
		Index: 2, Assertion: msgs.KeyEquals{}, Actual: msgs.Actual{Kind: msgs.ActualBytes, Bytes: []byte("secret")},
	})
	require.ErrorIs(t, err, errs.ErrAssertionFailed)
	require.Equal(t, errs.Conflict, errs.ClassOf(err))
	require.NotContains(t, err.Error(), "secret")
}
