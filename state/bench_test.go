package state

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/empyrealapp/aedb-go/catalog"
)

// loaded returns a Working with n entries in each of some spaces.
func loaded(spaces, n int) *Working {
	w := NewWorking()
	w.Begin(1, 0)
	for s := range spaces {
		for i := range n {
			w.Put(catalog.SpaceID(70+s), binary.BigEndian.AppendUint64(nil, uint64(i)), make([]byte, 100))
		}
	}
	w.Commit()
	w.Freeze()
	return w
}

func BenchmarkOverwriteAndCommit(b *testing.B) {
	w := loaded(1, 100_000)
	val := make([]byte, 100)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		w.Begin(i+2, 0)
		w.Put(70, binary.BigEndian.AppendUint64(nil, i*7919%100_000), val)
		w.Commit()
		if i%64 == 63 {
			w.Freeze()
		}
	}
}

// The cost of an image must follow what changed, not how many spaces there are.
func BenchmarkFreeze(b *testing.B) {
	for _, spaces := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("spaces=%d", spaces), func(b *testing.B) {
			w := loaded(spaces, 2)
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				w.Begin(i+2, 0)
				w.Put(70, []byte("k"), nil)
				w.Commit()
				w.Freeze()
			}
		})
	}
}
