package actors

import (
	"context"
	"testing"
	"time"
)

// The pairs compare a mailbox with the bare channel under it.

func BenchmarkSendReceiveMailbox(b *testing.B) {
	m := NewMailbox[int]("m", 64)
	ctx := context.Background()
	batch := make([]int, 0, 1)
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Send(ctx, 1)
		batch, _ = m.Receive(ctx, batch)
	}
}

func BenchmarkSendReceiveChannel(b *testing.B) {
	c := make(chan int, 64)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		select {
		case c <- 1:
		case <-ctx.Done():
		}
		<-c
	}
}

func BenchmarkManySendersMailbox(b *testing.B) {
	m := NewMailbox[int]("m", 1024)
	ctx := context.Background()
	donec := make(chan struct{})
	go func() {
		defer close(donec)
		batch := make([]int, 0, 64)
		for err := error(nil); err == nil; {
			batch, err = m.Receive(ctx, batch)
		}
	}()
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = m.Send(ctx, 1)
		}
	})
	m.Close()
	<-donec
}

func BenchmarkManySendersChannel(b *testing.B) {
	c := make(chan int, 1024)
	ctx := context.Background()
	donec := make(chan struct{})
	go func() {
		defer close(donec)
		for range c {
		}
	}()
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			select {
			case c <- 1:
			case <-ctx.Done():
			}
		}
	})
	close(c)
	<-donec
}

// relay returns a stage that hands batches to send, message by message.
func relay(name string, in *Mailbox[int], send func(context.Context, int) error) *Stage[int, []int] {
	return &Stage[int, []int]{
		Name: name, In: in, MaxBatch: 64,
		Step: func(_ time.Time, batch []int) ([]int, error) { return batch, nil },
		Perform: func(ctx context.Context, batch []int) error {
			for _, msg := range batch {
				if err := send(ctx, msg); err != nil {
					return err
				}
			}
			return nil
		},
		Abort: func(int, error) {},
	}
}

func benchmarkThreeStages(b *testing.B, inFlight int) {
	m := [3]*Mailbox[int]{}
	for i := range m {
		m[i] = NewMailbox[int]("m", inFlight)
	}
	replyc := make(chan int, inFlight)
	reply := func(_ context.Context, msg int) error { replyc <- msg; return nil }
	s, err := Start(nil, relay("a", m[0], m[1].Send), relay("b", m[1], m[2].Send), relay("c", m[2], reply))
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	for range inFlight {
		_ = m[0].Send(ctx, 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = m[0].Send(ctx, <-replyc)
	}
	if err := s.Stop(ctx); err != nil {
		b.Fatal(err)
	}
}

// The time of one message through three stages and back, alone and with others
// on the way.
func BenchmarkThreeStagesRoundTrip(b *testing.B)   { benchmarkThreeStages(b, 1) }
func BenchmarkThreeStages256InFlight(b *testing.B) { benchmarkThreeStages(b, 256) }
