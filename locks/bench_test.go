package locks_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/empyrealapp/aedb-go/locks"
)

// BenchmarkLockUnlock is one lock taken and given back by a guard that lives on.
func BenchmarkLockUnlock(b *testing.B) {
	m := locks.New(locks.Limits{}, 0)
	g, ctx, k := m.Guard(context.Background()), context.Background(), key("a")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Lock(ctx, k, locks.Exclusive); err != nil {
			b.Fatal(err)
		}
		g.Unlock(k)
	}
}

// BenchmarkGuard is the life of a guard with one lock.
func BenchmarkGuard(b *testing.B) {
	m := locks.New(locks.Limits{}, 0)
	cancelable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, bench := range []struct {
		name string
		ctx  context.Context
	}{{"background", context.Background()}, {"cancelable", cancelable}} {
		b.Run(bench.name, func(b *testing.B) {
			k := key("a")
			b.ReportAllocs()
			for b.Loop() {
				g := m.Guard(bench.ctx)
				if _, err := g.Lock(bench.ctx, k, locks.Exclusive); err != nil {
					b.Fatal(err)
				}
				g.Release()
			}
		})
	}
}

// BenchmarkLockAll is the life of a guard with four locks.
func BenchmarkLockAll(b *testing.B) {
	m := locks.New(locks.Limits{}, 0)
	ctx := context.Background()
	wants := []locks.Want{{Key: key("d")}, {Key: key("b")}, {Key: key("a")}, {Key: key("c")}}
	b.ReportAllocs()
	for b.Loop() {
		g := m.Guard(ctx)
		if err := g.LockAll(ctx, wants...); err != nil {
			b.Fatal(err)
		}
		g.Release()
	}
}

// BenchmarkParallel is a lock and unlock on every processor: of keys of their own,
// and of one key, where most grants follow a wait.
func BenchmarkParallel(b *testing.B) {
	for _, bench := range []struct {
		name string
		keys uint64
	}{{"own keys", 1 << 20}, {"one key", 1}} {
		b.Run(bench.name, func(b *testing.B) {
			m := locks.New(locks.Limits{}, 0)
			ctx := context.Background()
			var next atomic.Uint64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				k := key(fmt.Sprint(next.Add(1) % bench.keys))
				g := m.Guard(ctx)
				defer g.Release()
				for pb.Next() {
					if _, err := g.Lock(ctx, k, locks.Exclusive); err != nil {
						b.Error(err)
						return
					}
					g.Unlock(k)
				}
			})
		})
	}
}
