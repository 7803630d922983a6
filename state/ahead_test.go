package state_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/empyrealapp/aedb-go/state"
)

func TestFetchingWhatIsExpectedChangesNothing(t *testing.T) {
	plain, fetching := state.NewWorking(), state.NewWorking()
	key := func(n int) []byte { return fmt.Appendf(nil, "key-%04d", n) }
	for seq := range uint64(20) {
		for _, w := range []*state.Working{plain, fetching} {
			w.Begin(seq+1, int64(seq))
			w.Reserve(int(seq) % 7)
			for i := range 100 {
				n := (int(seq)*37 + i*61) % 900
				if w == fetching && i%10 == 0 {
					for ahead := range 10 + int(seq) {
						w.Expect(64, key(n+ahead*61))
						w.Expect(65, nil)        // a space with nothing in it
						w.Expect(66, key(ahead)) // one that comes to be on the way
					}
					w.Fetch()
				}
				switch {
				case n%5 == 0:
					w.Delete(64, key(n))
				case n%11 == 0:
					w.Put(66, key(n%20), key(i))
				default:
					w.Put(64, key(n), key(i))
				}
			}
			if seq%3 == 0 {
				w.Abandon(seq, int64(seq))
				w.Begin(seq+1, int64(seq))
			}
			w.Commit()
		}
		require.Equal(t, plain.Freeze().Digest(), fetching.Freeze().Digest(), "commit %d", seq+1)
	}
}
