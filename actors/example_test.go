package actors_test

import (
	"context"
	"fmt"
	"time"

	"github.com/empyrealapp/aedb-go/actors"
)

// deposit is a message that carries its reply.
type deposit struct {
	amount int
	replyc chan string // capacity 1: who answers never waits
}

func (d *deposit) answer(text string) {
	select {
	case d.replyc <- text:
	default: // answered before
	}
}

// posted is what the ledger tells the notifier.
type posted struct {
	deposit *deposit
	balance int
}

// ledger is the pure part of the first stage: it decides, and touches nothing
// but its own fields.
type ledger struct {
	balance int
	out     []posted // reused from step to step
}

func (l *ledger) step(_ time.Time, batch []*deposit) ([]posted, error) {
	l.out = l.out[:0]
	for _, d := range batch {
		l.balance += d.amount
		l.out = append(l.out, posted{d, l.balance})
	}
	return l.out, nil
}

// Example runs a pipeline of two stages: a ledger that adds up, and a notifier
// that answers.
func Example() {
	deposits := actors.NewMailbox[*deposit]("deposits", 64)
	postings := actors.NewMailbox[posted]("postings", 64)

	book := &ledger{}
	first := &actors.Stage[*deposit, []posted]{
		Name: "ledger", In: deposits, MaxBatch: 16,
		Step: book.step,
		Perform: func(ctx context.Context, out []posted) error {
			for _, p := range out {
				if err := postings.Send(ctx, p); err != nil {
					return err
				}
			}
			return nil
		},
		Abort: func(d *deposit, cause error) { d.answer(cause.Error()) },
	}
	second := &actors.Stage[posted, posted]{
		Name: "notifier", In: postings,
		Step: func(_ time.Time, batch []posted) (posted, error) { return batch[0], nil },
		Perform: func(_ context.Context, p posted) error {
			p.deposit.answer(fmt.Sprintf("balance %d", p.balance))
			return nil
		},
		Abort: func(p posted, cause error) { p.deposit.answer(cause.Error()) },
	}

	system, err := actors.Start(nil, first, second)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for _, amount := range []int{10, 20, 12} {
		d := &deposit{amount: amount, replyc: make(chan string, 1)}
		if err := deposits.Send(ctx, d); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(<-d.replyc)
	}
	fmt.Println("stopped:", system.Stop(ctx))
	fmt.Println(deposits.TrySend(&deposit{}))
	// Output:
	// balance 10
	// balance 30
	// balance 42
	// stopped: <nil>
	// actors: mailbox is closed
}
